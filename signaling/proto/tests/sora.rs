//! What clients say, as SDKs write it and as they should not.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use minamo_media::Codec;
use minamo_signaling_proto::sora::{BadMessage, ClientMessage, Connect, Role};
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
        (json!({"spotlight_focus_rid": "r1"}), "SPOTLIGHT-RID-WITHOUT-SPOTLIGHT"),
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
    assert_eq!(parse(r#"{"type":"pong","stats":[{}]}"#), Ok(ClientMessage::Pong));
    assert_eq!(parse(r#"{"type":"disconnect"}"#), Ok(ClientMessage::Disconnect { reason: String::new() }));
    let long = format!(r#"{{"type":"disconnect","reason":"{}"}}"#, "あ".repeat(500));
    let Ok(ClientMessage::Disconnect { reason }) = parse(&long) else { panic!() };
    assert_eq!(reason.len(), 255);
}
