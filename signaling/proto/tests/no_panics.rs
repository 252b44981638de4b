//! Nothing that comes from the wire can make the readers panic. The negative controls show that the generators reach inside.

use minamo_signaling_proto::api::ChannelSettings;
use minamo_signaling_proto::sdp::Answer;
use minamo_signaling_proto::sora::ClientMessage;
use proptest::prelude::*;
use serde_json::Value;

const CHROMIUM: &str = include_str!("answers/chromium.sdp");

/// Any JSON, with the member names that matter.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop_oneof![Just("connect"), Just("sendonly"), Just("answer"), Just("H264"), Just("OPUS")].prop_map(Value::from),
    ];
    let name = prop_oneof![
        Just("type"),
        Just("role"),
        Just("channel_id"),
        Just("audio"),
        Just("video"),
        Just("bit_rate"),
        Just("codec_type"),
        Just("opus_params"),
        Just("h264_params"),
        Just("sdp"),
        Just("hls"),
        Just("width"),
        Just("fps"),
        Just("bps"),
        Just("archive"),
    ];
    leaf.prop_recursive(4, 48, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..12).prop_map(Value::from),
            prop::collection::btree_map(name.clone().prop_map(String::from), inner, 0..10)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_text(text in "\\PC*") {
        let _ = ClientMessage::parse(&text);
        let _ = Answer::parse(&text);
    }

    #[test]
    fn any_json(mut value in json(), connect in any::<bool>()) {
        if let (true, Some(members)) = (connect, value.as_object_mut()) {
            members.insert("type".into(), "connect".into());
        }
        let _ = ClientMessage::parse(&value.to_string());
        let _ = ChannelSettings::with_hls(&value).map_err(|error| error.to_string());
        let _ = ChannelSettings::stored(&value);
    }

    #[test]
    fn any_lines(lines in prop::collection::vec("[vmabco]=(mid|ssrc|ssrc-group:FID|extmap|fingerprint:sha-256|setup|audio|video)?[: 0-9a-f/\\PC]{0,20}", 0..40)) {
        let _ = Answer::parse(&format!("v=0\r\n{}", lines.join("\r\n")));
    }

    #[test]
    fn a_damaged_answer(at in 0..CHROMIUM.len(), count in 0..40_usize, with in "\\PC{0,5}") {
        let mut text: Vec<char> = CHROMIUM.chars().collect();
        let end = (at + count).min(text.len());
        text.splice(at.min(end)..end, with.chars());
        let _ = Answer::parse(&text.into_iter().collect::<String>());
    }
}

#[test]
fn negative_control() {
    assert!(Answer::parse(CHROMIUM).is_ok(), "what is damaged above is whole here");
    let caught = std::panic::catch_unwind(|| Answer::parse("").unwrap());
    assert!(caught.is_err(), "a panic would be seen");
}
