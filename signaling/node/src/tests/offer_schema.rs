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
    simulcast(offer, sends_video, &mut need);
    if let Some(channels) = offer.get("data_channels") {
        let complete =
            |entry: &Value| entry["label"].is_string() && entry["compress"].is_boolean() && entry["direction"].is_string();
        need(channels.as_array().is_some_and(|channels| channels.iter().all(complete)), "data_channels");
    }
    sdp(offer, &mut need);
    faults
}

/// Encodings and layers in the SDP: both, in the same order and state, or neither.
fn simulcast(offer: &Value, sends_video: bool, need: &mut impl FnMut(bool, &str)) {
    let sdp = offer["sdp"].as_str().unwrap_or_default();
    let Some(encodings) = offer.get("encodings").and_then(Value::as_array) else {
        need(!sdp.contains("a=simulcast:") && !sdp.contains("a=rid:"), "no layers without encodings");
        need(!sends_video || offer["simulcast"] == false, "simulcast means encodings");
        return;
    };
    need(offer["simulcast"] == true && sends_video, "encodings mean simulcast");
    let rids: Vec<_> = encodings.iter().map(|encoding| encoding["rid"].as_str().unwrap_or_default()).collect();
    need(rids == ["r0", "r1", "r2"], "encodings are three");
    let states = encodings.iter().zip(&rids);
    let layers: Vec<_> =
        states.map(|(encoding, rid)| if encoding["active"] == false { format!("~{rid}") } else { (*rid).to_owned() }).collect();
    need(sdp.contains(&format!("a=simulcast:recv {}\r\n", layers.join(";"))), "a=simulcast");
    need(rids.iter().all(|rid| sdp.contains(&format!("a=rid:{rid} recv\r\n"))), "a=rid");
    for name in ["sdes:mid", "sdes:rtp-stream-id", "sdes:repaired-rtp-stream-id"] {
        need(sdp.contains(&format!("urn:ietf:params:rtp-hdrext:{name}\r\n")), name);
    }
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
            for (has_hls, present, simulcast) in [(true, 0, false), (false, 0, true), (true, 5, true)] {
                let mut message = connect(role);
                message["simulcast"] = json!(simulcast);
                message["spotlight"] = json!(simulcast && present > 0);
                message["video"] = video.clone();
                message["audio"] = audio.clone();
                let admission = crate::session::Admission { has_hls, wanted: tracks(10..10 + present), ..admission() };
                let (_, offer) = Bench::offered(&message, admission);
                let sends = role != "recvonly";
                let faults = faults(&offer, sends && *audio != json!(false), sends && *video != json!(false));
                assert!(faults.is_empty(), "{faults:?}\n{message}\n{offer:#}");
                assert_eq!(offer["simulcast"], simulcast && (!sends || *video != json!(false)));
                assert_eq!(offer["spotlight"], message["spotlight"]);
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 3 * 9 * 3 * 3);
}

#[test]
fn negative_control_of_simulcast() {
    let mut message = connect("sendonly");
    message["simulcast"] = json!(true);
    let (_, offer) = Bench::offered(&message, admission());
    assert_eq!(faults(&offer, true, true), [""; 0]);
    let with = |name: &str, value: Value| {
        let mut broken = offer.clone();
        broken[name] = value;
        faults(&broken, true, true)
    };
    assert_eq!(with("simulcast", json!(false)), ["encodings mean simulcast"]);
    assert_eq!(with("encodings", Value::Null), ["no layers without encodings", "simulcast means encodings"]);
    let paused = offer["sdp"].as_str().unwrap().replace("r1;r2", "r1;~r2");
    assert_eq!(with("sdp", json!(paused)), ["a=simulcast"]);
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
