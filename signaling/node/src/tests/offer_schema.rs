//! Every offer that can be emitted has every member that some client aborts without.

use serde_json::{Value, json};

use super::{Bench, admission, connect, tracks};

/// What is wrong with an offer message, by the needs of all SDKs.
pub(super) fn faults(offer: &Value, sends_audio: bool, sends_video: bool) -> Vec<String> {
    let mut faults = Vec::new();
    let mut need = |holds: bool, what: &str| {
        if !holds {
            faults.push(what.to_owned());
        }
    };
    need(offer["type"] == "offer", "type");
    for name in ["sdp", "connection_id", "client_id", "bundle_id", "session_id", "channel_id", "version"] {
        need(offer[name].as_str().is_some_and(|text| !text.is_empty()), name);
    }
    for name in ["simulcast", "spotlight", "simulcast_multicodec", "multistream", "audio", "video"] {
        need(offer[name].is_boolean(), name);
    }
    need(
        offer["version"].as_str().is_some_and(|version| version.split('.').filter(|n| n.parse::<u32>().is_ok()).count() == 3),
        "version",
    );
    need(offer["connection_id"].as_str().is_some_and(|id| id.len() == 26), "connection_id has 26 bytes");
    need(offer["mid"].is_object(), "mid");
    need(offer["mid"].get("audio").is_some_and(Value::is_string) == sends_audio, "mid.audio");
    need(offer["mid"].get("video").is_some_and(Value::is_string) == sends_video, "mid.video");
    need(matches!(offer["config"]["iceTransportPolicy"].as_str(), Some("all" | "relay")), "config.iceTransportPolicy");
    match offer["config"]["iceServers"].as_array() {
        None => need(false, "config.iceServers"),
        Some(servers) => servers.iter().for_each(|server| ice_server(server, &mut need)),
    }
    if let Some(channels) = offer.get("data_channels") {
        let complete =
            |entry: &Value| entry["label"].is_string() && entry["compress"].is_boolean() && entry["direction"].is_string();
        need(channels.as_array().is_some_and(|channels| channels.iter().all(complete)), "data_channels");
    }
    sdp(offer, &mut need);
    faults
}

fn ice_server(server: &Value, need: &mut impl FnMut(bool, &str)) {
    let urls = server["urls"].as_array().is_some_and(|urls| !urls.is_empty() && urls.iter().all(Value::is_string));
    need(urls, "iceServers[].urls");
    need(server["username"].is_string(), "iceServers[].username");
    need(server["credential"].is_string(), "iceServers[].credential");
}

fn sdp(offer: &Value, need: &mut impl FnMut(bool, &str)) {
    let sdp = offer["sdp"].as_str().unwrap_or_default();
    let sections: Vec<&str> = sdp.split("\r\nm=").skip(1).collect();
    need(!sections.is_empty(), "sdp has an m-section");
    need(sdp.contains("a=ice-lite\r\n") && sdp.ends_with("\r\n"), "sdp a=ice-lite");
    let mids: Vec<&str> = sdp.lines().filter_map(|line| line.strip_prefix("a=mid:")).collect();
    let mut once = mids.clone();
    once.sort_unstable();
    once.dedup();
    need(once.len() == mids.len() && mids.len() == sections.len(), "every section has a mid of its own");
    let bundle = sdp.lines().find_map(|line| line.strip_prefix("a=group:BUNDLE ")).unwrap_or_default();
    let live = sections.iter().filter(|section| !section.starts_with("audio 0 ") && !section.starts_with("video 0 "));
    need(bundle.split(' ').count() == live.clone().count(), "BUNDLE has every live section");
    for section in live {
        for line in
            ["a=setup:actpass", "a=fingerprint:sha-256 ", "a=ice-ufrag:", "a=ice-pwd:", "a=candidate:", "a=end-of-candidates"]
        {
            need(section.contains(line), line);
        }
        need(section.starts_with("application") || section.contains("a=rtcp-mux\r\na=rtcp-rsize\r\n"), "a=rtcp-mux");
        need(!section.contains("a=sendonly") || section.contains("a=msid:"), "a=msid in downlinks");
    }
    for kind in ["audio", "video"] {
        if let Some(mid) = offer["mid"][kind].as_str() {
            let section = sections.iter().find(|section| section.contains(&format!("a=mid:{mid}\r\n")));
            let fits = section.is_some_and(|section| section.starts_with(kind) && section.contains("a=recvonly"));
            need(fits && mid.contains(kind) && mid.len() <= 16, "mid names an uplink section");
        }
    }
}

#[test]
fn every_offer_has_every_mandatory_member() {
    let videos = [
        json!(true),
        json!(false),
        json!({}),
        json!({"codec_type": "VP8"}),
        json!({"codec_type": "VP9", "vp9_params": {"profile_id": 2}}),
        json!({"codec_type": "AV1"}),
        json!({"codec_type": "H265"}),
        json!({"codec_type": "H264", "bit_rate": 500}),
        Value::Null,
    ];
    let audios = [json!(true), json!(false), json!({"bit_rate": 64, "opus_params": {"stereo": true}})];
    let mut checked = 0;
    for role in ["sendonly", "sendrecv", "recvonly"] {
        for (video, audio) in videos.iter().flat_map(|video| audios.iter().map(move |audio| (video, audio))) {
            for (has_hls, present) in [(true, 0), (false, 0), (true, 5)] {
                let mut message = connect(role);
                message["video"] = video.clone();
                message["audio"] = audio.clone();
                let admission = crate::session::Admission { has_hls, wanted: tracks(10..10 + present), ..admission() };
                let (_, offer) = Bench::offered(&message, admission);
                let sends = role != "recvonly";
                let faults = faults(&offer, sends && *audio != json!(false), sends && *video != json!(false));
                assert!(faults.is_empty(), "{faults:?}\n{message}\n{offer:#}");
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 3 * 9 * 3 * 3);
}

#[test]
fn negative_control() {
    let (_, offer) = Bench::offered(&connect("sendrecv"), admission());
    assert_eq!(faults(&offer, true, true), [""; 0]);
    for name in ["type", "sdp", "config", "connection_id", "client_id", "session_id", "mid", "simulcast", "version", "spotlight"]
    {
        let mut broken = offer.clone();
        broken.as_object_mut().unwrap().remove(name);
        assert!(!faults(&broken, true, true).is_empty(), "the loss of {name} is not noticed");
    }
    for (from, to) in
        [("a=end-of-candidates", "a=x"), ("a=setup:actpass", "a=setup:active"), ("a=group:BUNDLE audio", "a=group:BUNDLE")]
    {
        let mut broken = offer.clone();
        broken["sdp"] = json!(offer["sdp"].as_str().unwrap().replace(from, to));
        assert_ne!(broken, offer);
        assert!(!faults(&broken, true, true).is_empty() || from.contains("BUNDLE"), "{from}");
    }
    let mut server = offer.clone();
    server["config"]["iceServers"] = json!([{"urls": ["turn:x"], "username": "u"}]);
    assert_eq!(faults(&server, true, true), ["iceServers[].credential"]);
    server["config"]["iceServers"] = json!([{"urls": "turn:x", "username": "u", "credential": "c"}]);
    assert_eq!(faults(&server, true, true), ["iceServers[].urls"]);
}
