//! Create requests: what is accepted, and that every refusal names the member.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use minamo_signaling_proto::api::{ChannelSettings, H264Profile, Operation, parse_channel_id, parse_kid, round_audio_bps};
use serde_json::{Value, json};

fn good() -> Value {
    json!({"hls": [{"video": {"width": 640, "height": 480, "fps": 30, "bps": 1_000_000}, "audio": {"bps": 64000}}]})
}

/// `good()` with the value at a JSON pointer replaced.
fn with(pointer: &str, value: Value) -> Value {
    let mut body = good();
    *body.pointer_mut(pointer).unwrap() = value;
    body
}

fn refusal(body: &Value) -> String {
    ChannelSettings::with_hls(body).unwrap_err().to_string()
}

#[test]
fn the_usual_request_is_accepted() {
    let settings = ChannelSettings::with_hls(&good()).unwrap();
    let video = settings.hls[0].video.unwrap();
    assert_eq!((video.width, video.height, video.fps, video.bps), (640, 480, 30, 1_000_000));
    assert_eq!(video.codec, H264Profile::H264High);
    assert_eq!(settings.hls[0].audio.bps, 64_000);
    assert_eq!((settings.video_bps_max(), settings.audio_bps_max()), (Some(1_000_000), Some(64_000)));
}

#[test]
fn a_ladder_is_sorted() {
    let mut body = good();
    let item = |width: u32, height: u32| json!({"video": {"width": width, "height": height, "fps": 30, "bps": width * 1000}});
    body["hls"] = json!([item(320, 180), item(1280, 720), item(640, 360), item(1280, 720), {"audio": {"bps": 64_000}}]);
    let settings = ChannelSettings::with_hls(&body).unwrap();
    assert_eq!(settings.ladder().iter().map(|rung| rung.height).collect::<Vec<_>>(), [720, 360, 180]);
    assert_eq!(ChannelSettings::stored(&serde_json::to_value(&settings).unwrap()).unwrap(), settings);
}

#[test]
fn every_refusal_names_the_member() {
    let many: Vec<Value> = vec![good()["hls"][0].clone(); 100];
    let cases = [
        (with("/hls/0/video/width", json!(0)), "hls[0].video.width: must be 36 to 4096, got 0"),
        (with("/hls/0/video/height", json!(-1)), "hls[0].video.height: must be 36 to 4096, got -1"),
        (with("/hls/0/video/width", json!("640")), "hls[0].video.width: must be 36 to 4096, got \"640\""),
        (with("/hls/0/video/width", json!(640.5)), "hls[0].video.width: must be 36 to 4096, got 640.5"),
        (with("/hls/0/video/fps", json!(10000)), "hls[0].video.fps: must be 1 to 120, got 10000"),
        (with("/hls/0/video/bps", json!(null)), "hls[0].video.bps: is missing"),
        (with("/hls/0/video", json!(true)), "hls[0].video: must be an object, got true"),
        (with("/hls/0/audio", json!([])), "hls[0].audio: must be an object, got an array of 0"),
        (with("/hls/0/audio/bps", json!(1e300)), "hls[0].audio.bps: must be 0 to 4294967295, got 1e+300"),
        (with("/hls/0", json!(7)), "hls[0]: must be an object, got 7"),
        (with("/hls", json!(many)), "hls: must be an array of 1 to 10, got an array of 100"),
        (with("/hls", json!([])), "hls: must be an array of 1 to 10, got an array of 0"),
        (json!({}), "hls: is missing"),
        (json!([1]), "body: must be a JSON object, got an array of 1"),
    ];
    for (body, expected) in cases {
        assert_eq!(refusal(&body), expected, "{body}");
    }
}

#[test]
fn the_second_item_is_named_by_its_index() {
    let mut body = good();
    let mut second = body["hls"][0].clone();
    second["video"]["codec"] = json!("vp8");
    body["hls"].as_array_mut().unwrap().push(second);
    assert_eq!(refusal(&body), "hls[1].video.codec: must be one of h264_high, h264_main, h264_baseline, got \"vp8\"");
}

#[test]
fn urls_may_be_empty_but_not_anything() {
    let mut body = good();
    for name in ["encrypt_key_uri", "auth_webhook_url", "event_webhook_url"] {
        body[name] = json!("");
    }
    assert_eq!(ChannelSettings::with_hls(&body).unwrap().event_webhook_url, None);
    body["auth_webhook_url"] = json!("https://customer.example/auth");
    let kept = ChannelSettings::without_hls(&body).unwrap();
    assert_eq!(kept.auth_webhook_url.as_deref(), Some("https://customer.example/auth"));
    assert_eq!(ChannelSettings::stored(&serde_json::to_value(&kept).unwrap()).unwrap(), kept);
    body["event_webhook_url"] = json!("ftp://example/");
    assert_eq!(refusal(&body), "event_webhook_url: must be a URL that starts with https:// or http://");
    body["event_webhook_url"] = json!("https://");
    assert!(ChannelSettings::with_hls(&body).is_err());
}

#[test]
fn key_uris_are_https_and_fit_into_a_playlist() {
    let mut body = good();
    for uri in ["https://customer.example", "https://customer.example/keys?room=1", "https://[::1]:8443/k"] {
        body["encrypt_key_uri"] = json!(uri);
        let kept = ChannelSettings::with_hls(&body).unwrap();
        assert_eq!(kept.encrypt_key_uri.as_deref(), Some(uri));
        assert_eq!(ChannelSettings::stored(&serde_json::to_value(&kept).unwrap()).unwrap(), kept);
    }
    for uri in [
        "http://customer.example/",
        "https://",
        "https:///k",
        "https://a/#k",
        "https://a/\"k",
        "https://a/ k",
        "https://a/\nk",
        "k",
        "https://ä/",
    ] {
        body["encrypt_key_uri"] = json!(uri);
        assert_eq!(refusal(&body), "encrypt_key_uri: must be a URL that starts with https://, without a fragment", "{uri}");
    }
    body["encrypt_key_uri"] = json!(7);
    assert_eq!(refusal(&body), "encrypt_key_uri: must be a string, got 7");
    for off in [json!(""), Value::Null] {
        body["encrypt_key_uri"] = off;
        assert_eq!(ChannelSettings::with_hls(&body), ChannelSettings::with_hls(&good()));
    }
    let room = json!({"encrypt_key_uri": "https://customer.example/"});
    let words = ChannelSettings::without_hls(&room).unwrap_err().to_string();
    assert_eq!(words, "encrypt_key_uri: is only for channels with HLS");
}

#[test]
fn signed_urls_are_a_switch() {
    let mut body = good();
    assert!(!ChannelSettings::with_hls(&body).unwrap().signed_urls);
    body["signed_urls"] = json!(true);
    let kept = ChannelSettings::with_hls(&body).unwrap();
    assert!(kept.signed_urls && ChannelSettings::stored(&serde_json::to_value(&kept).unwrap()).unwrap().signed_urls);
    body["signed_urls"] = json!("yes");
    assert!(refusal(&body).starts_with("signed_urls: must be true or false"));
}

#[test]
fn a_kid_is_a_short_text() {
    assert_eq!(parse_kid(&json!({"kid": "abc"})).unwrap(), "abc");
    for wrong in [json!({}), json!({"kid": ""}), json!({"kid": 7}), json!({"kid": "x".repeat(256)}), json!([])] {
        assert!(parse_kid(&wrong).is_err(), "{wrong}");
    }
}

/// Accepted silently it would lose a recording.
#[test]
fn what_is_not_there_yet_is_refused_instead_of_ignored() {
    let mut body = good();
    body["hls"][0]["archive"] = json!({"archive_destination_id": "d"});
    assert!(refusal(&body).starts_with("hls[0].archive.archive_destination_id: is not supported yet"), "{}", refusal(&body));
}

#[test]
fn what_is_left_out_has_a_default_and_unknown_members_are_ignored() {
    let body = json!({"hls": [{"durationSeconds": 2, "startTimeOffset": -2, "archive": {"archive_destination_id": ""}, "x": 1}], "y": []});
    let settings = ChannelSettings::with_hls(&body).unwrap();
    let item = &settings.hls[0];
    assert_eq!((item.audio.bps, item.video), (96_000, None));
    assert_eq!((item.duration_seconds, item.start_time_offset), (Some(2.0), Some(-2.0)));
    assert_eq!(ChannelSettings::without_hls(&Value::Null).unwrap(), ChannelSettings::default());
    assert_eq!(ChannelSettings::without_hls(&json!({"environment": 3})).unwrap().environment, Some(3));
}

#[test]
fn settings_survive_storage() {
    let mut body = good();
    body["hls"][0]["video"]["codec"] = json!("h264_baseline");
    body["event_webhook_url"] = json!("https://example.com/hook");
    for settings in [ChannelSettings::with_hls(&body).unwrap(), ChannelSettings::default()] {
        let stored = serde_json::to_value(&settings).unwrap();
        assert_eq!(ChannelSettings::stored(&stored).unwrap(), settings, "{stored}");
    }
}

#[test]
fn audio_bitrates_round_down() {
    for (asked, given) in
        [(0, 32_000), (31_999, 32_000), (64_000, 64_000), (95_999, 80_000), (300_000, 256_000), (u32::MAX, 320_000)]
    {
        assert_eq!(round_audio_bps(asked), given, "{asked}");
    }
}

#[test]
fn channel_ids_and_targets() {
    assert_eq!(parse_channel_id(&json!({"channel_id": "c"})).unwrap().as_str(), "c");
    for bad in [json!({}), json!({"channel_id": ""}), json!({"channel_id": 1}), json!({"channel_id": "x".repeat(256)})] {
        assert!(parse_channel_id(&bad).unwrap_err().to_string().starts_with("channel_id: "), "{bad}");
    }
    let create = Operation::from_target("ImageFlux_20180905.CreateChannel").unwrap();
    assert_eq!((create, create.target()), (Operation::CreateChannel, "ImageFlux_20180905.CreateChannel"));
    assert_eq!(Operation::from_target("ImageFlux_20180905.createchannel"), None);
}
