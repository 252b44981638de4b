//! Requests and answers, right and wrong.

use minamo_media::Codec;
use serde_json::{Value, json};

use super::*;
use crate::sora::{ClientMessage, Connect, Counters, Encoding};

fn connect(extra: &Value) -> Connect {
    let mut message = json!({"type": "connect", "role": "sendrecv", "channel_id": "c"});
    message.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    match ClientMessage::parse(&message.to_string()).unwrap() {
        ClientMessage::Connect(connect) => *connect,
        other => panic!("{other:?}"),
    }
}

fn allowed(extra: &Value) -> Result<Box<Allowed>, BadAnswer> {
    let mut answer = json!({"allowed": true});
    answer.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    match AuthAnswer::parse(answer.to_string().as_bytes())? {
        AuthAnswer::Allowed(allowed) => Ok(allowed),
        AuthAnswer::Refused(reason) => panic!("{reason}"),
    }
}

#[test]
fn what_is_no_answer_lets_nobody_in() {
    for body in
        ["", "null", "[]", "{}", r#"{"allowed":"yes"}"#, r#"{"allowed":1}"#, r#"{"allowed":true,"connection_lifetime":0}"#]
    {
        assert!(AuthAnswer::parse(body.as_bytes()).is_err(), "{body}");
    }
    let refused = AuthAnswer::parse(br#"{"allowed":false,"reason":"no seat"}"#).unwrap();
    assert_eq!(refused, AuthAnswer::Refused("no seat".into()));
}

#[test]
fn overrides_replace_what_they_name_and_nothing_else() {
    let mut wishes =
        connect(&json!({"client_id": "me", "audio": {"bit_rate": 64, "opus_params": {"stereo": true}}, "video": false}));
    let answer = json!({
        "client_id": "you", "audio_bit_rate": 32, "video": true, "video_codec_type": "VP8", "video_bit_rate": 500,
        "simulcast": true, "simulcast_request_rid": "r1", "data_channel_signaling": true, "unknown": [1],
        "data_channels": [{"label": "#x", "direction": "recvonly"}], "rpc_methods": ["2025.2.0/RequestSimulcastRid"],
        "connection_lifetime": 60, "metadata": {"a": 1}, "signaling_notify": false, "signaling_notify_metadata": "x",
    });
    let allowed = allowed(&answer).unwrap();
    allowed.overrule(&mut wishes).unwrap();
    assert_eq!(wishes.client_id.as_deref(), Some("you"));
    let audio = wishes.audio.unwrap();
    assert_eq!((audio.bit_rate_kbps, audio.opus.stereo), (Some(32), Some(true)));
    let video = wishes.video.unwrap();
    assert_eq!((video.codec, video.bit_rate_kbps), (Some(Codec::Vp8), Some(500)));
    assert!(wishes.forwarding.simulcast && wishes.forwarding.request_rid.is_some());
    assert_eq!((wishes.data.signaling, wishes.data.channels.len()), (Some(true), 1));
    assert_eq!((allowed.lifetime_seconds, allowed.notify, allowed.rpc_methods.len()), (Some(60), false, 1));
    assert_eq!((allowed.metadata.clone(), allowed.authz_metadata.clone()), (Some(json!({"a": 1})), Some(json!("x"))));
}

#[test]
fn an_override_that_no_connect_could_have_is_refused() {
    for wrong in [
        json!({"video_codec_type": "DIVX"}),
        json!({"client_id": ""}),
        json!({"audio": "on"}),
        json!({"data_channels": [{"label": "x", "direction": "recvonly"}]}),
        json!({"forwarding_filters": 3}),
    ] {
        let refused =
            allowed(&wrong).is_err_and(|_| true) || allowed(&wrong).unwrap().overrule(&mut connect(&json!({}))).is_err();
        assert!(refused, "{wrong}");
    }
}

#[test]
fn the_request_tells_what_the_client_wants() {
    let connect = connect(
        &json!({"metadata": {"token": "t"}, "sora_client": "Sora JavaScript SDK 2026.1.0", "video": {"codec_type": "H264"}}),
    );
    let request = AuthRequest {
        connect: &connect,
        connection_id: "ID",
        id: "R",
        timestamp: "T",
        node_name: "n",
        counters: Counters::default(),
        whip: false,
        whep: false,
    };
    let body = request.to_json();
    for (name, value) in [
        ("role", json!("sendrecv")),
        ("channel_id", json!("c")),
        ("connection_id", json!("ID")),
        ("metadata", json!({"token": "t"})),
        ("audio", json!(true)),
        ("video_codec_type", json!("H264")),
        ("channel_connections", json!(0)),
        ("whip", json!(false)),
        ("multistream", json!(true)),
    ] {
        assert_eq!(body[name], value, "{name}");
    }
    assert_eq!(
        (&body["sora_client"]["type"], &body["sora_client"]["version"]),
        (&json!("Sora JavaScript SDK"), &json!("2026.1.0"))
    );
    assert!(body.get("client_id").is_none());
}

#[test]
fn the_request_tells_the_parameters_of_codecs() {
    let told = |message: Value| {
        let connect = connect(&message);
        let (connection_id, id, timestamp, node_name) = ("ID", "R", "T", "n");
        let counters = Counters::default();
        AuthRequest { connect: &connect, connection_id, id, timestamp, node_name, counters, whip: false, whep: false }.to_json()
    };
    let body = told(json!({"audio": {"opus_params": {"stereo": true, "ptime": 20}}, "video": {"codec_type": "VP9"}}));
    assert_eq!(body["audio_opus_params"], json!({"stereo": true, "ptime": 20}));
    assert!(body.get("video_vp9_params").is_none(), "nothing was said");
    for (codec, name, params) in [
        ("VP9", "vp9_params", json!({"profile_id": 2})),
        ("AV1", "av1_params", json!({"profile": 1, "tier": 0})),
        ("H264", "h264_params", json!({"profile_level_id": "42e01f"})),
        ("H265", "h265_params", json!({"level_id": 93, "tier_flag": 1})),
    ] {
        let body = told(json!({"audio": true, "video": {"codec_type": codec, name: params}}));
        assert_eq!(body[format!("video_{name}")], params, "{codec}");
        assert!(body.get("audio_opus_params").is_none());
    }
}

#[test]
fn encodings_are_for_the_webhook_to_say() {
    let paused = json!([{"rid": "r2", "active": false}, {"rid": "r0", "maxBitrate": 90_000, "scaleResolutionDownBy": 8}]);
    let encodings = |answer: Value, message: &Value| {
        let mut wishes = connect(message);
        allowed(&answer).unwrap().overrule(&mut wishes).map(|()| wishes.forwarding.encodings)
    };
    let simulcast = json!({"simulcast": true});
    let [low, middle, best] = &encodings(json!({"simulcast_encodings": paused}), &simulcast).unwrap().unwrap()[..] else {
        panic!()
    };
    assert_eq!((low.max_bitrate, low.scale_resolution_down_by, low.active), (Some(90_000), Some(8.0), true));
    assert_eq!((middle, best.active), (&Encoding::usual()[1], false));
    let both = json!({"simulcast_encodings": paused, "spotlight_encodings": [{"rid": "r1", "active": false}]});
    for (spotlight, expected) in [(true, [true, false, true]), (false, [true, true, false])] {
        let message = json!({"simulcast": true, "spotlight": spotlight});
        let encodings = encodings(both.clone(), &message).unwrap().unwrap();
        assert_eq!(encodings.iter().map(|encoding| encoding.active).collect::<Vec<_>>(), expected, "{spotlight}");
    }
    assert_eq!(encodings(json!({}), &simulcast), Ok(None));
    assert!(encodings(json!({"simulcast_encodings": [{"rid": "r3"}]}), &simulcast).is_err());
}
