//! What clients say, as SDKs write it and as they should not.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use minamo_media::Codec;
use minamo_signaling_proto::sora::{
    BadMessage, ClientMessage, Connect, DataDirection, Encoding, ForwardingWishes, OfferedChannel, RequestRid, Rid, Role,
    SpotlightWishes,
};
use serde_json::{Value, json};

fn connect(extra: &Value) -> Result<Connect, &'static str> {
    let mut message = json!({"type": "connect", "role": "sendrecv", "channel_id": "c"});
    message.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    match ClientMessage::parse(&message.to_string()) {
        Ok(ClientMessage::Connect(connect)) => Ok(*connect),
        Ok(other) => panic!("{other:?}"),
        Err(BadMessage(reason)) => Err(reason),
    }
}

#[test]
fn the_javascript_sdk_is_understood() {
    let text = r#"{"type":"connect","sora_client":"Sora JavaScript SDK 2026.1.0","environment":"Mozilla/5.0","role":"sendonly",
        "channel_id":"sora","sdp":"v=0\r\n","audio":true,"video":{"codec_type":"H264","bit_rate":500},"metadata":null,
        "multistream":true,"data_channel_signaling":null,"something_new":{"a":[1]}}"#;
    let Ok(ClientMessage::Connect(connect)) = ClientMessage::parse(text) else { panic!() };
    assert_eq!((connect.role, connect.channel_id.as_str()), (Role::SendOnly, "sora"));
    let video = connect.video.unwrap();
    assert_eq!((video.codec, video.bit_rate_kbps), (Some(Codec::H264), Some(500)));
    assert!(connect.audio.is_some() && connect.metadata.is_none());
}

#[test]
fn kinds_are_on_unless_turned_off() {
    let on = connect(&json!({"audio": null})).unwrap();
    assert!(on.audio.is_some() && on.video.is_some());
    let off = connect(&json!({"audio": false, "video": false})).unwrap();
    assert!(off.audio.is_none() && off.video.is_none());
}

#[test]
fn parameters_are_read_from_numbers_and_strings() {
    let connect = connect(&json!({
        "audio": {"codec_type": "OPUS", "bit_rate": 96, "opus_params": {"stereo": true, "minptime": 20, "usedtx": null}},
        "video": {"codec_type": "VP9", "bit_rate": "2500", "vp9_params": {"profile_id": "2"}, "h264_params": {"profile_level_id": "42E01F"}},
    }))
    .unwrap();
    let audio = connect.audio.unwrap();
    assert_eq!(
        (audio.bit_rate_kbps, audio.opus.stereo, audio.opus.minptime, audio.opus.usedtx),
        (Some(96), Some(true), Some(20), None)
    );
    let video = connect.video.unwrap();
    assert_eq!((video.bit_rate_kbps, video.vp9_profile_id), (Some(2500), Some(2)));
    assert_eq!(video.h264.profile_level_id.as_deref(), Some("42e01f"));
}

fn channel(extra: &Value) -> Value {
    let mut channel = json!({"label": "#x", "direction": "sendrecv"});
    channel.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    channel
}

#[test]
fn simulcast_and_spotlight_are_read_in_all_their_spellings() {
    let forwarding = |extra: &Value| connect(extra).unwrap().forwarding;
    assert_eq!(
        forwarding(&json!({"simulcast": null, "spotlight": null, "spotlight_focus_rid": null})),
        ForwardingWishes::default()
    );
    let wishes = forwarding(&json!({"simulcast": true, "simulcast_rid": "r0", "simulcast_request_rid": "r1"}));
    assert_eq!((wishes.simulcast, wishes.request_rid), (true, Some(RequestRid::Rid(Rid::R1))));
    let wishes = forwarding(&json!({"simulcast": {"rid": "r0"}, "simulcast_rid": "r0"}));
    assert_eq!((wishes.simulcast, wishes.request_rid), (true, Some(RequestRid::Rid(Rid::R0))));
    let older = forwarding(&json!({"spotlight": 3})).spotlight.unwrap();
    assert_eq!((older.number, older.focus_rid), (Some(3), None));
    let message = json!({"spotlight": true, "spotlight_number": 8, "spotlight_focus_rid": "r2", "spotlight_unfocus_rid": "none"});
    let spotlight = forwarding(&message).spotlight.unwrap();
    let expected =
        SpotlightWishes { number: Some(8), focus_rid: Some(RequestRid::Rid(Rid::R2)), unfocus_rid: Some(RequestRid::None) };
    assert_eq!(spotlight, expected);
    assert_eq!(forwarding(&json!({"spotlight": false, "spotlight_number": 3})).spotlight, None);
}

#[test]
fn data_channels_are_read_whole() {
    let message = json!({"data_channel_signaling": true, "ignore_disconnect_websocket": false, "data_channels": [
        {"label": "#日本語", "direction": "recvonly", "ordered": false, "max_retransmits": 0, "protocol": "p", "compress": true,
         "header": [{"type": "sender_connection_id", "length": 26}], "new": 1},
        {"label": "#b", "direction": "sendonly", "max_packet_life_time": null},
    ]});
    let data = connect(&message).unwrap().data;
    assert_eq!((data.signaling, data.ignore_disconnect_websocket, data.channels.len()), (Some(true), Some(false), 2));
    let [first, second] = &data.channels[..] else { panic!() };
    assert_eq!((first.ordered, first.max_retransmits, first.header.len()), (false, Some(0), 1));
    assert!(second.ordered && !second.compress && second.max_packet_life_time.is_none());
    let offered = serde_json::to_value(OfferedChannel::from(first)).unwrap();
    let header = json!([{"type": "sender_connection_id", "length": 26}]);
    assert_eq!(offered, json!({"label": "#日本語", "direction": "recvonly", "compress": true, "header": header}));
    let own = OfferedChannel::own("signaling", DataDirection::SendRecv, false);
    assert_eq!(serde_json::to_value(own).unwrap(), json!({"label": "signaling", "direction": "sendrecv", "compress": false}));
}

#[test]
fn filters_are_read_in_both_forms_and_written_back() {
    let rules = json!([[{"field": "kind", "operator": "is_in", "values": ["video"]}, {"field": "client_id", "operator": "is_not_in", "values": []}]]);
    let single = connect(&json!({"forwarding_filter": {"rules": rules, "version": "1", "metadata": {"a": 1}}})).unwrap();
    let [filter] = &single.forwarding.filters[..] else { panic!() };
    let written = serde_json::to_value(filter).unwrap();
    assert_eq!(
        written,
        json!({"name": "default", "priority": 32767, "action": "block", "version": "1", "metadata": {"a": 1}, "rules": rules})
    );
    let both = json!({"forwarding_filter": {"rules": []}, "forwarding_filters": [
        {"name": "a", "priority": 2, "rules": rules, "action": "allow"}, {"name": "b", "rules": []}]});
    let names: Vec<_> = connect(&both).unwrap().forwarding.filters.into_iter().map(|filter| filter.name).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn every_wrong_connect_has_its_reason() {
    let cases = [
        (json!({"role": null}), "MISSING-ROLE"),
        (json!({"role": "upstream"}), "INVALID-ROLE"),
        (json!({"role": 1}), "INVALID-ROLE"),
        (json!({"channel_id": null}), "MISSING-CHANNEL-ID"),
        (json!({"channel_id": 5}), "INVALID-CHANNEL-ID"),
        (json!({"channel_id": ""}), "INVALID-CHANNEL-ID"),
        (json!({"channel_id": "x".repeat(256)}), "INVALID-CHANNEL-ID"),
        (json!({"client_id": "x".repeat(256)}), "INVALID-CLIENT-ID"),
        (json!({"bundle_id": {}}), "INVALID-BUNDLE-ID"),
        (json!({"audio": "yes"}), "INVALID-AUDIO"),
        (json!({"audio": {"codec_type": "PCMU"}}), "UNSUPPORTED-AUDIO-CODEC-TYPE"),
        (json!({"audio": {"bit_rate": 5}}), "INVALID-AUDIO-BIT-RATE"),
        (json!({"audio": {"opus_params": {"stereo": 1}}}), "INVALID-OPUS-PARAMS"),
        (json!({"video": 1}), "INVALID-VIDEO"),
        (json!({"video": {"codec_type": "THEORA"}}), "UNSUPPORTED-VIDEO-CODEC-TYPE"),
        (json!({"video": {"bit_rate": 50001}}), "INVALID-VIDEO-BIT-RATE"),
        (json!({"video": {"bit_rate": -1}}), "INVALID-VIDEO-BIT-RATE"),
        (json!({"video": {"h264_params": {"profile_level_id": "42e01f\r\na=x"}}}), "INVALID-H264-PARAMS"),
        (json!({"video": {"vp9_params": {"profile_id": 4}}}), "INVALID-VP9-PARAMS"),
        (json!({"simulcast": "yes"}), "INVALID-SIMULCAST"),
        (json!({"simulcast_rid": "r3"}), "INVALID-SIMULCAST-RID"),
        (json!({"simulcast_request_rid": 1}), "INVALID-SIMULCAST-REQUEST-RID"),
        (json!({"spotlight_focus_rid": "r1"}), "SPOTLIGHT-RID-WITHOUT-SPOTLIGHT"),
        (json!({"spotlight": false, "spotlight_unfocus_rid": "none"}), "SPOTLIGHT-RID-WITHOUT-SPOTLIGHT"),
        (json!({"spotlight": "yes"}), "INVALID-SPOTLIGHT"),
        (json!({"spotlight": 9}), "INVALID-SPOTLIGHT"),
        (json!({"spotlight": true, "spotlight_number": 0}), "INVALID-SPOTLIGHT-NUMBER"),
        (json!({"spotlight": true, "spotlight_focus_rid": "high"}), "INVALID-SPOTLIGHT-FOCUS-RID"),
        (json!({"spotlight": true, "spotlight_unfocus_rid": []}), "INVALID-SPOTLIGHT-UNFOCUS-RID"),
        (json!({"data_channel_signaling": 1}), "INVALID-DATA-CHANNEL-SIGNALING"),
        (json!({"ignore_disconnect_websocket": "x"}), "INVALID-IGNORE-DISCONNECT-WEBSOCKET"),
        (json!({"data_channels": {}}), "INVALID-DATA-CHANNELS"),
        (json!({"data_channels": [channel(&json!({"label": "x"}))]}), "INVALID-DATA-CHANNEL-LABEL"),
        (json!({"data_channels": [channel(&json!({"label": "#"}))]}), "INVALID-DATA-CHANNEL-LABEL"),
        (json!({"data_channels": [channel(&json!({"label": format!("#{}", "x".repeat(32))}))]}), "INVALID-DATA-CHANNEL-LABEL"),
        (json!({"data_channels": [channel(&json!({"label": "signaling"}))]}), "INVALID-DATA-CHANNEL-LABEL"),
        (json!({"data_channels": [channel(&json!({})), channel(&json!({}))]}), "DUPLICATE-DATA-CHANNEL-LABEL"),
        (json!({"data_channels": [channel(&json!({"direction": null}))]}), "INVALID-DATA-CHANNEL-DIRECTION"),
        (json!({"data_channels": [channel(&json!({"ordered": "x"}))]}), "INVALID-DATA-CHANNEL-ORDERED"),
        (json!({"data_channels": [channel(&json!({"compress": 1}))]}), "INVALID-DATA-CHANNEL-COMPRESS"),
        (json!({"data_channels": [channel(&json!({"protocol": 1}))]}), "INVALID-DATA-CHANNEL-PROTOCOL"),
        (json!({"data_channels": [channel(&json!({"header": [{"type": "x"}]}))]}), "INVALID-DATA-CHANNEL-HEADER"),
        (json!({"data_channels": [channel(&json!({"max_retransmits": 65536}))]}), "INVALID-DATA-CHANNEL-MAX-RETRANSMITS"),
        (json!({"data_channels": [channel(&json!({"max_packet_life_time": -1}))]}), "INVALID-DATA-CHANNEL-MAX-PACKET-LIFE-TIME"),
        (
            json!({"data_channels": [channel(&json!({"max_packet_life_time": 1, "max_retransmits": 1}))]}),
            "DATA-CHANNEL-MAX-PACKET-LIFE-TIME-AND-MAX-RETRANSMITS",
        ),
        (json!({"forwarding_filters": "x"}), "INVALID-FORWARDING-FILTERS"),
        (json!({"forwarding_filters": [{}]}), "INVALID-FORWARDING-FILTERS"),
        (json!({"forwarding_filter": {"rules": [], "action": "deny"}}), "INVALID-FORWARDING-FILTERS"),
        (
            json!({"forwarding_filter": {"rules": [[{"field": "kind", "operator": "=", "values": []}]]}}),
            "INVALID-FORWARDING-FILTERS",
        ),
        (json!({"forwarding_filters": [{"rules": []}, {"rules": []}]}), "DUPLICATE-FORWARDING-FILTER-NAME"),
        (json!({"video": {"h265_params": {"profile_id": "x"}}}), "INVALID-H265-PARAMS"),
        (json!({"video": {"av1_params": {"tier": 2}}}), "INVALID-AV1-PARAMS"),
        (json!({"signaling_notify_metadata": "x".repeat(9000)}), "SIGNALING-NOTIFY-METADATA-TOO-LARGE"),
    ];
    for (extra, reason) in cases {
        assert_eq!(connect(&extra).unwrap_err(), reason, "{extra}");
        assert!(reason.len() <= 123, "a close reason has at most 123 bytes");
    }
}

#[test]
fn other_messages() {
    let parse = |text: &str| ClientMessage::parse(text).map_err(|bad| bad.0);
    assert_eq!(parse("{"), Err("INVALID-JSON"));
    assert_eq!(parse("[]"), Err("INVALID-JSON"));
    assert_eq!(parse(""), Err("INVALID-JSON"));
    assert_eq!(parse(&"[".repeat(100_000)), Err("INVALID-JSON"));
    assert_eq!(parse("{}"), Err("MISSING-TYPE"));
    assert_eq!(parse(r#"{"type":1}"#), Err("MISSING-TYPE"));
    assert_eq!(parse(r#"{"type":"update","sdp":""}"#), Err("UNKNOWN-TYPE"));
    assert_eq!(parse(r#"{"type":"answer"}"#), Err("MISSING-SDP"));
    assert_eq!(parse(r#"{"type":"re-answer","sdp":5}"#), Err("INVALID-SDP"));
    assert_eq!(parse(r#"{"type":"answer","sdp":"x"}"#), Ok(ClientMessage::Answer { sdp: "x".into() }));
    assert_eq!(parse(r#"{"type":"candidate","candidate":""}"#), Ok(ClientMessage::Candidate));
    assert_eq!(parse(r#"{"type":"pong","stats":[{}]}"#), Ok(ClientMessage::Pong { stats: Some(json!([{}])) }));
    assert_eq!(parse(r#"{"type":"disconnect"}"#), Ok(ClientMessage::Disconnect { reason: String::new() }));
    let long = format!(r#"{{"type":"disconnect","reason":"{}"}}"#, "あ".repeat(500));
    let Ok(ClientMessage::Disconnect { reason }) = parse(&long) else { panic!() };
    assert_eq!(reason.len(), 255);
}

#[test]
fn a_ladder_becomes_encodings() {
    let encodings = Encoding::of_ladder(&[(720, 30, 1_500_000), (360, 30, 500_000), (180, 15, 150_000), (90, 15, 50_000)]);
    let layer = |rid: &str, by: f64, bps: u32, fps: f64| json!({"rid": rid, "active": true, "scaleResolutionDownBy": by, "maxBitrate": bps, "maxFramerate": fps, "scalabilityMode": "L1T1"});
    let expected = json!([layer("r0", 4.0, 150_000, 15.0), layer("r1", 2.0, 500_000, 30.0), layer("r2", 1.0, 1_500_000, 30.0)]);
    assert_eq!(serde_json::to_value(encodings).unwrap(), expected);
    let two = Encoding::of_ladder(&[(720, 30, 1), (540, 30, 1)]);
    assert_eq!(two.iter().map(|layer| layer.rid).collect::<Vec<_>>(), [Rid::R0, Rid::R1]);
}

#[test]
fn encodings_are_those_of_the_browser() {
    let usual = serde_json::to_value(Encoding::usual()).unwrap();
    let layer = |rid: &str, by: f64| json!({"rid": rid, "active": true, "scaleResolutionDownBy": by, "scalabilityMode": "L1T1"});
    assert_eq!(usual, json!([layer("r0", 4.0), layer("r1", 2.0), layer("r2", 1.0)]));
    let issued = json!([{"rid": "r2", "active": false}, {"rid": "r0", "scaleResolutionDownTo": {"maxWidth": 320, "maxHeight": 180},
        "maxBitrate": 200_000, "maxFramerate": 15, "scalabilityMode": "L1T2", "unknown": 1}]);
    let parsed = serde_json::to_value(Encoding::parse_all(&issued).unwrap()).unwrap();
    assert_eq!(
        parsed[0],
        json!({"rid": "r0", "active": true, "scaleResolutionDownTo": {"maxWidth": 320, "maxHeight": 180},
        "maxBitrate": 200_000, "maxFramerate": 15.0, "scalabilityMode": "L1T2"})
    );
    assert_eq!((&parsed[1], &parsed[2]["active"]), (&layer("r1", 2.0), &json!(false)));
    for wrong in [json!(5), json!([{"rid": "r3"}]), json!([{}]), json!([{"rid": "r0", "scaleResolutionDownBy": 0.5}])] {
        assert_eq!(Encoding::parse_all(&wrong), Err(BadMessage("INVALID-SIMULCAST-ENCODINGS")), "{wrong}");
    }
}
