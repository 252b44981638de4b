//! The text of offers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use minamo_media::Codec;
use minamo_signaling_proto::sdp::{
    Answer, Body, Description, Downlink, FormatTable, MediaKind, Section, Uplink, UplinkLayer, h264_fmtp, opus_fmtp, video_fmtp,
};
use minamo_signaling_proto::sora::{OpusParams, VideoParams};

fn offer(sections: &[Section]) -> String {
    let description = Description {
        origin: 4711,
        version: 2,
        ice_ufrag: "ufrag",
        ice_pwd: "a-password-of-24-letters",
        fingerprint: &[0xab; 32],
        candidates: &["192.0.2.1:8080".parse().unwrap(), "[2001:db8::1]:8080".parse().unwrap()],
        sections,
    };
    description.to_string()
}

fn section(mid: &str, body: Body) -> Section {
    Section { mid: mid.into(), body }
}

fn all_kinds() -> Vec<Section> {
    let mut formats = FormatTable::default();
    let opus = formats.format(Codec::Opus, &opus_fmtp(&OpusParams::default()));
    let h264 = formats.format(Codec::H264, &h264_fmtp(None));
    let downlink = |format, ssrc, rtx_ssrc| {
        Body::Downlink(Downlink { format, stream_id: "SENDER".into(), track_id: "TRACK".into(), ssrc, rtx_ssrc })
    };
    vec![
        section("data", Body::Application),
        section("audio_1", Body::Uplink { uplink: Uplink { format: opus.clone(), bitrate_max: None }, layers: Vec::new() }),
        section(
            "video_1",
            Body::Uplink { uplink: Uplink { format: h264.clone(), bitrate_max: Some(500_000) }, layers: Vec::new() },
        ),
        section("video_2", downlink(h264, 1000, Some(1001))),
        section("audio_2", Body::Removed(opus)),
    ]
}

#[test]
fn golden() {
    let transport = format!(
        "a=ice-ufrag:ufrag\na=ice-pwd:a-password-of-24-letters\na=fingerprint:sha-256 {}\na=setup:actpass\n",
        ["AB"; 32].join(":")
    );
    let candidates = "a=candidate:1 1 udp 2130706431 192.0.2.1 8080 typ host\n\
        a=candidate:2 1 udp 2130706175 2001:db8::1 8080 typ host\na=end-of-candidates\n";
    let mux = "a=rtcp-mux\na=rtcp-rsize\n";
    let opus = "a=rtpmap:111 opus/48000/2\na=rtcp-fb:111 transport-cc\na=rtcp-fb:111 nack\n\
        a=fmtp:111 minptime=10;useinbandfec=1\n";
    let h264 = "a=rtpmap:102 H264/90000\na=rtcp-fb:102 goog-remb\na=rtcp-fb:102 transport-cc\na=rtcp-fb:102 ccm fir\n\
        a=rtcp-fb:102 nack\na=rtcp-fb:102 nack pli\n\
        a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\n\
        a=rtpmap:103 rtx/90000\na=fmtp:103 apt=102\n";
    let common = "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\n\
        a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\n\
        a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\n";
    let expected = format!(
        "v=0\no=- 4711 2 IN IP4 127.0.0.1\ns=-\nt=0 0\na=ice-lite\na=group:BUNDLE data audio_1 video_1 video_2\n\
         a=msid-semantic: WMS *\n\
         m=application 9 UDP/DTLS/SCTP webrtc-datachannel\nc=IN IP4 0.0.0.0\na=mid:data\n{transport}\
         a=sctp-port:5000\na=max-message-size:262144\n{candidates}\
         m=audio 9 UDP/TLS/RTP/SAVPF 111\nc=IN IP4 0.0.0.0\na=mid:audio_1\n{transport}a=recvonly\n{mux}{common}\
         a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\n{opus}{candidates}\
         m=video 9 UDP/TLS/RTP/SAVPF 102 103\nc=IN IP4 0.0.0.0\nb=TIAS:500000\na=mid:video_1\n{transport}a=recvonly\n{mux}{common}\
         a=extmap:5 urn:3gpp:video-orientation\n{h264}{candidates}\
         m=video 9 UDP/TLS/RTP/SAVPF 102 103\nc=IN IP4 0.0.0.0\na=mid:video_2\n{transport}a=sendonly\n{mux}\
         a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\n\
         a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\n\
         a=extmap:5 urn:3gpp:video-orientation\n{h264}\
         a=msid:SENDER TRACK\na=ssrc-group:FID 1000 1001\na=ssrc:1000 cname:SENDER\na=ssrc:1001 cname:SENDER\n{candidates}\
         m=audio 0 UDP/TLS/RTP/SAVPF 111\nc=IN IP4 0.0.0.0\na=mid:audio_2\n{transport}a=inactive\n{mux}{opus}"
    );
    assert_eq!(offer(&all_kinds()), expected.replace('\n', "\r\n"));
}

#[test]
fn simulcast_has_its_layers_and_their_extensions_and_av1_its_descriptor() {
    let format = |codec| FormatTable::default().format(codec, "");
    let layer = |rid: &str, active| UplinkLayer { rid: rid.into(), active };
    let layers = vec![layer("r0", true), layer("r1", true), layer("r2", false)];
    let uplink = |codec, layers| Body::Uplink { uplink: Uplink { format: format(codec), bitrate_max: None }, layers };
    let text = offer(&[section("video_1", uplink(Codec::Vp8, layers.clone()))]);
    for line in [
        "a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n",
        "a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id\r\n",
        "a=rid:r0 recv\r\na=rid:r1 recv\r\na=rid:r2 recv\r\na=simulcast:recv r0;r1;~r2\r\na=candidate:",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let descriptor = "dependency-descriptor-rtp-header-extension\r\n";
    assert!(!text.contains(descriptor));
    let plain = offer(&[section("video_1", uplink(Codec::Av1, Vec::new()))]);
    assert!(plain.contains(descriptor) && !plain.contains("rid") && !plain.contains("simulcast"));
    let down = Downlink { format: format(Codec::Av1), stream_id: "S".into(), track_id: "T".into(), ssrc: 1, rtx_ssrc: None };
    assert!(offer(&[section("video_2", Body::Downlink(down))]).contains(descriptor));
}

#[test]
fn our_reader_reads_our_writer() {
    let answer = Answer::parse(&offer(&all_kinds())).unwrap();
    let kinds: Vec<MediaKind> = answer.sections.iter().map(|section| section.kind).collect();
    use MediaKind::{Application, Audio, Video};
    assert_eq!(kinds, [Application, Audio, Video, Video, Audio]);
    assert_eq!(answer.fingerprint(), Some([0xab; 32]));
    assert_eq!((answer.sections[3].ssrc, answer.sections[3].rtx_ssrc), (Some(1000), Some(1001)));
    assert!(answer.sections[4].rejected && !answer.sections[3].rejected);
}

#[test]
fn opus_parameters_are_reflected() {
    let params = OpusParams {
        stereo: Some(true),
        sprop_stereo: Some(true),
        usedtx: Some(false),
        minptime: Some(20),
        maxplaybackrate: Some(48_000),
        useinbandfec: Some(false),
        ..OpusParams::default()
    };
    assert_eq!(opus_fmtp(&params), "minptime=20;useinbandfec=0;stereo=1;sprop-stereo=1;usedtx=0;maxplaybackrate=48000");
    assert_eq!(opus_fmtp(&OpusParams::default()), "minptime=10;useinbandfec=1");
    let mut video = VideoParams::default();
    video.h264.profile_level_id = Some("640c1f".into());
    assert!(video_fmtp(Codec::H264, &video).ends_with("profile-level-id=640c1f"));
    assert_eq!(video_fmtp(Codec::Vp8, &video), "");
}

#[test]
fn a_payload_type_never_means_two_things() {
    let mut formats = FormatTable::default();
    let usual = formats.format(Codec::H264, "a");
    assert_eq!((usual.pt, usual.rtx_pt), (102, Some(103)));
    assert_eq!(formats.format(Codec::H264, "a"), usual);
    let mut given = vec![usual];
    for n in 0..100 {
        let format = formats.format(if n % 2 == 0 { Codec::H264 } else { Codec::Opus }, &format!("x{n}"));
        let known = given.iter().find(|known| known.pt == format.pt);
        match known {
            Some(known) => assert_eq!(*known, format, "exhausted: an old one, whole"),
            None => given.push(format),
        }
    }
    let mut types: Vec<u8> = given.iter().flat_map(|format| [Some(format.pt), format.rtx_pt]).flatten().collect();
    let count = types.len();
    types.sort_unstable();
    types.dedup();
    assert_eq!(types.len(), count);
    assert!(types.iter().all(|pt| (35..=63).contains(pt) || (96..=127).contains(pt)), "RFC 5761 §4: {types:?}");
}
