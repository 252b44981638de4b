//! Offers as publishers and viewers write them, what is chosen from them, and the answers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use minamo_media::Codec;
use minamo_signaling_proto::sdp::{
    Answer, BadOffer, BadSdp, ClientOffer, Direction, Downlink, Format, MediaKind, OfferedSection, Preference, Reply,
    ServerAnswer, Setup, Uplink, extension,
};
use proptest::prelude::*;

const CHROMIUM: &str = include_str!("offers/chromium-156-whip.sdp");
const CHROMIUM_VIEWER: &str = include_str!("offers/chromium-156-whep.sdp");
const OBS: &str = include_str!("offers/obs-like.sdp");
const AIORTC: &str = include_str!("offers/aiortc-1.16-whip.sdp");

fn sections(text: &str) -> Vec<OfferedSection> {
    ClientOffer::parse(text).unwrap().sections
}

/// (payload type, RTX, parameters) of what is chosen for audio and video.
fn chosen(text: &str) -> Vec<(u8, Option<u8>, String)> {
    let format =
        |section: &OfferedSection| section.choose_uplink(Preference::Hls).map(|format| (format.pt, format.rtx_pt, format.fmtp));
    sections(text).iter().filter_map(format).collect()
}

#[test]
fn constrained_baseline_and_whole_access_units_are_preferred() {
    let opus = "minptime=10;useinbandfec=1".to_owned();
    let h264 = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f".to_owned();
    assert_eq!(chosen(CHROMIUM), [(111, None, opus.clone()), (108, Some(109), h264.clone())]);
    assert_eq!(chosen(AIORTC), [(96, None, opus.clone()), (101, Some(102), h264.clone())]);
    // OBS writes the parameters in another order, and sends stereo.
    assert_eq!(chosen(OBS), [(111, None, format!("{opus};stereo=1")), (96, None, h264)]);
}

#[test]
fn what_is_there_is_taken_in_the_order_of_what_hls_needs() {
    let only = |keep: &[u8]| {
        let mut section = sections(CHROMIUM).remove(1);
        section.formats.retain(|format| keep.contains(&format.pt));
        section.choose_uplink(Preference::Hls).map(|format| (format.pt, format.codec))
    };
    assert_eq!(only(&[96, 116, 114]), Some((116, Codec::H264)), "Main in mode 1 before Baseline in mode 0");
    assert_eq!(only(&[96, 39]), Some((39, Codec::H264)), "H.264 of any kind before VP8");
    assert_eq!(only(&[98, 45, 96]), Some((96, Codec::Vp8)), "without H.264 the client's order counts");
    assert_eq!(only(&[98, 45]), Some((45, Codec::Av1)));
    assert_eq!(only(&[]), None);
    let high = OBS.replace("profile-level-id=42e01f", "profile-level-id=64001F");
    assert!(chosen(&high)[1].2.ends_with("profile-level-id=64001f"));
    let nonsense = OBS.replace("profile-level-id=42e01f", "profile-level-id=zz\u{e9}00;x");
    assert!(chosen(&nonsense)[1].2.ends_with("profile-level-id=42e01f"), "nothing of a client's text is passed on");
}

#[test]
fn where_nothing_needs_h264_the_client_has_the_say() {
    let choose = |text: &str, preference| {
        let video = sections(text).remove(1);
        video.choose_uplink(preference).map(|format| (format.codec, format.pt, format.fmtp)).unwrap()
    };
    assert_eq!(choose(CHROMIUM, Preference::Client), (Codec::Vp8, 96, String::new()));
    assert_eq!(choose(CHROMIUM, Preference::Hls).0, Codec::H264);
    let first = |pt: &str| {
        let line = CHROMIUM.lines().find(|line| line.starts_with("m=video")).unwrap();
        let others: Vec<_> = line.split(' ').skip(3).filter(|other| *other != pt).collect();
        CHROMIUM.replace(line, &format!("m=video 9 UDP/TLS/RTP/SAVPF {pt} {}", others.join(" ")))
    };
    assert_eq!(choose(&first("98"), Preference::Client), (Codec::Vp9, 98, "profile-id=0".into()));
    assert_eq!(choose(&first("100"), Preference::Client), (Codec::Vp9, 100, "profile-id=2".into()));
    assert_eq!(choose(&first("45"), Preference::Client), (Codec::Av1, 45, "level-idx=5;profile=0;tier=0".into()));
    assert_eq!(choose(&first("39"), Preference::Client).1, 108, "H.264 in the form that every viewer decodes");
}

#[test]
fn stereo_is_passed_on() {
    let audio = sections(CHROMIUM_VIEWER).remove(0);
    assert_eq!(audio.choose_downlink(Codec::Opus, "minptime=10").unwrap().fmtp, "minptime=10;useinbandfec=1");
    let stereo = audio.choose_downlink(Codec::Opus, "minptime=10;useinbandfec=1;stereo=1").unwrap();
    assert_eq!(stereo.fmtp, "minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1");
}

#[test]
fn simulcast_is_taken_with_a_name_in_every_packet() {
    let lines = "a=rid:q send\r\na=rid:h send\r\na=rid:f send\r\na=simulcast:send q;h;f\r\n";
    let simulcast = format!("{CHROMIUM}{lines}");
    let video = sections(&simulcast).remove(1);
    assert_eq!(video.rids, ["q", "h", "f"]);
    assert!(video.uplink_extensions(Codec::Vp8).iter().any(|(id, extension)| (*id, *extension) == (11, extension::REPAIRED_RID)));
    let (text, answer) = answer(&simulcast, take);
    assert!(text.contains("a=rid:q recv\r\na=rid:h recv\r\na=rid:f recv\r\na=simulcast:recv q;h;f\r\n"), "{text}");
    assert!(answer.sections[1].extensions.iter().any(|(id, uri)| (*id, uri.as_str()) == (10, extension::RID.uri)));
    let nameless = simulcast.replace("a=extmap:10 ", "a=extmap:16 ");
    assert!(sections(&nameless)[1].rids.is_empty(), "an id that the one-byte form does not have");
}

#[test]
fn a_viewer_gets_the_publishers_codec_under_its_own_payload_type() {
    let [audio, video] = &sections(CHROMIUM_VIEWER)[..] else { panic!() };
    let pt = |codec, fmtp: &str| {
        let format = video.choose_downlink(codec, fmtp)?;
        let line = format!("a=rtpmap:{} {}/", format.pt, codec.rtpmap_name());
        assert!(CHROMIUM_VIEWER.contains(&line) && format.rtx_pt.is_some(), "{format:?}");
        Some(format.fmtp)
    };
    let h264 = |mode, profile: &str| format!("level-asymmetry-allowed=1;packetization-mode={mode};profile-level-id={profile}");
    assert_eq!(pt(Codec::H264, &h264(1, "42e01f")).unwrap(), h264(1, "42e01f"));
    assert_eq!(pt(Codec::H264, &h264(0, "42c028")).unwrap(), h264(0, "42e01f"), "levels do not matter");
    assert_eq!(pt(Codec::H264, &h264(1, "4d0028")).unwrap(), h264(1, "4d001f"));
    assert_eq!(pt(Codec::Vp8, "").unwrap(), "");
    assert_eq!(pt(Codec::Vp9, "profile-id=2").unwrap(), "profile-id=2");
    assert_eq!(pt(Codec::H265, ""), None);
    assert_eq!(audio.choose_downlink(Codec::Opus, "minptime=10").unwrap().pt, 111);
    assert_eq!(audio.choose_downlink(Codec::Vp8, ""), None);
    let mut single = video.clone();
    single.formats.retain(|format| format.fmtp.contains("packetization-mode=0"));
    assert!(single.choose_downlink(Codec::H264, &h264(1, "42e01f")).is_none(), "it could not put the packets together");
}

/// As the server would answer, with the answer read back.
fn answer(offer: &str, reply: impl Fn(&OfferedSection) -> Reply) -> (String, Answer) {
    let sections: Vec<_> = sections(offer).into_iter().map(|section| (section.clone(), reply(&section))).collect();
    let candidates = ["192.0.2.1:8080".parse().unwrap(), "[2001:db8::1]:8080".parse().unwrap()];
    let text = ServerAnswer {
        origin: 7,
        ice_ufrag: "ourufrag",
        ice_pwd: "ourpassword0123456789abcdef",
        fingerprint: &[0xab; 32],
        candidates: &candidates,
        sections: &sections,
    };
    let text = text.to_string();
    let answer = Answer::parse(&text).unwrap();
    (text, answer)
}

fn take(section: &OfferedSection) -> Reply {
    match section.choose_uplink(Preference::Hls) {
        Some(format) => {
            Reply::Uplink { uplink: Uplink { format, bitrate_max: Some(1_000_000) }, simulcast: !section.rids.is_empty() }
        }
        None => Reply::Refused,
    }
}

#[test]
fn the_answer_to_chromium() {
    let (text, answer) = answer(CHROMIUM, take);
    let [audio, video] = &answer.sections[..] else { panic!("{text}") };
    assert_eq!(
        (audio.mid.as_deref(), &audio.payload_types[..], audio.direction),
        (Some("0"), &[111, 63][..], Direction::RecvOnly)
    );
    assert_eq!((video.mid.as_deref(), &video.payload_types[..]), (Some("1"), &[108, 109][..]));
    assert_eq!((video.setup, answer.fingerprint()), (Some(Setup::Passive), Some([0xab; 32])));
    let ids = |uri: &str| video.extensions.iter().find(|(_, known)| known == uri).map(|(id, _)| *id);
    assert_eq!(ids(extension::VIDEO_ORIENTATION.uri), Some(13), "the client's id, not ours");
    assert_eq!((ids(extension::MID.uri), ids(extension::TRANSPORT_CC.uri)), (Some(4), Some(3)));
    assert_eq!(video.extensions.len(), 4, "nothing that we do not know");
    for line in ["a=group:BUNDLE 0 1", "a=ice-lite", "a=rtcp-fb:108 nack pli", "a=rtcp-fb:108 transport-cc", "a=fmtp:109 apt=108"]
    {
        assert_eq!(text.matches(&format!("{line}\r\n")).count(), 1, "{line} in {text}");
    }
    assert!(!text.contains("a=rtcp-fb:111 nack"), "it was not offered");
}

#[test]
fn red_is_answered_where_it_is_offered_and_stands_where_the_client_has_put_it() {
    let types = |offer: &str| {
        let (text, answer) = answer(offer, take);
        (answer.sections[0].payload_types.clone(), text.contains("a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n"))
    };
    assert_eq!(types(CHROMIUM), (vec![111, 63], true));
    let preferred = CHROMIUM.replace("SAVPF 111 63 ", "SAVPF 63 111 ");
    assert_ne!(preferred, CHROMIUM);
    assert_eq!(types(&preferred), (vec![63, 111], true));
    for other in ["a=fmtp:63 111/9", "a=fmtp:63 9/9", "a=fmtp:63 ", "a=fmtp:63 111/x", "a=fmtp:64 111/111"] {
        assert_eq!(types(&CHROMIUM.replace("a=fmtp:63 111/111", other)), (vec![111], false), "{other}");
    }
    assert_eq!(types(&CHROMIUM.replace("red/48000/2", "red/8000")), (vec![111], false));
    assert_eq!(types(OBS), (vec![111], false), "not offered");
}

/// The whole text, so that no line changes unseen.
#[test]
fn the_answer_to_obs() {
    let (text, _) = answer(OBS, take);
    let transport = format!(
        "a=ice-ufrag:ourufrag\r\na=ice-pwd:ourpassword0123456789abcdef\r\na=fingerprint:sha-256 {}\r\na=setup:passive\r\n",
        ["AB"; 32].join(":")
    );
    let candidates = "a=candidate:1 1 udp 2130706431 192.0.2.1 8080 typ host\r\n\
        a=candidate:2 1 udp 2130706175 2001:db8::1 8080 typ host\r\na=end-of-candidates\r\n";
    let expected = format!(
        "v=0\r\no=- 7 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-lite\r\na=group:BUNDLE 0 1\r\na=msid-semantic: WMS *\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\nb=TIAS:1000000\r\na=mid:0\r\n{transport}\
         a=recvonly\r\na=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:111 opus/48000/2\r\n\
         a=fmtp:111 minptime=10;useinbandfec=1;stereo=1\r\n{candidates}\
         m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\nb=TIAS:1000000\r\na=mid:1\r\n{transport}\
         a=recvonly\r\na=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:96 H264/90000\r\n\
         a=rtcp-fb:96 goog-remb\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n\
         a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n{candidates}"
    );
    assert_eq!(text, expected);
}

#[test]
fn the_answer_to_a_viewer_names_our_sources_and_refuses_what_it_has_nothing_for() {
    let (text, answer) = answer(CHROMIUM_VIEWER, |section| match section.choose_downlink(Codec::Vp8, "") {
        Some(format @ Format { rtx_pt: Some(_), .. }) => {
            let (stream_id, track_id) = ("PUBLISHER".into(), "TRACK".into());
            Reply::Downlink { downlink: Downlink { format, stream_id, track_id, ssrc: 5, rtx_ssrc: Some(6) }, others: Vec::new() }
        }
        _ => Reply::Refused,
    });
    let [audio, video] = &answer.sections[..] else { panic!("{text}") };
    assert!(audio.rejected && audio.kind == MediaKind::Audio && text.contains("a=group:BUNDLE 1\r\n"), "{text}");
    assert_eq!((video.direction, video.ssrc, video.rtx_ssrc), (Direction::SendOnly, Some(5), Some(6)));
    assert!(text.contains("a=msid:PUBLISHER TRACK\r\n"), "{text}");
    assert!(video.agrees(extension::TRANSPORT_CC));
}

#[test]
fn bundle_only_sections_are_alive_and_sections_outside_of_the_bundle_are_not() {
    let bundle_only = CHROMIUM.replace("m=video 9 ", "m=video 0 ").replace("a=mid:1\r\n", "a=mid:1\r\na=bundle-only\r\n");
    assert!(!sections(&bundle_only)[1].common.rejected);
    assert!(sections(&CHROMIUM.replace("m=video 9 ", "m=video 0 "))[1].common.rejected);
    assert!(sections(&CHROMIUM.replace("BUNDLE 0 1", "BUNDLE 0"))[1].common.rejected);
}

#[test]
fn what_cannot_be_answered_is_refused_with_its_reason() {
    let cases = [
        ("hello".to_owned(), BadOffer::Sdp(BadSdp::NotALine(1))),
        (CHROMIUM.replace("a=mid:1\r\n", ""), BadOffer::NoMid),
        (CHROMIUM.replace("a=mid:1\r\n", "a=mid:0\r\n"), BadOffer::SameMid),
        (CHROMIUM.replace("a=group:BUNDLE 0 1\r\n", ""), BadOffer::NoBundle),
        (CHROMIUM.replace("BUNDLE 0 1", "BUNDLE 7"), BadOffer::NoBundle),
        (CHROMIUM.replacen("a=rtcp-mux\r\n", "", 1), BadOffer::NoRtcpMux),
        (CHROMIUM.replace("a=ice-ufrag:", "a=x-ice-ufrag:"), BadOffer::NoIce),
        (CHROMIUM.replace("a=fingerprint:sha-256", "a=fingerprint:sha-1"), BadOffer::NoFingerprint),
        (CHROMIUM.replace("a=setup:actpass", "a=setup:passive"), BadOffer::Passive),
    ];
    for (text, expected) in cases {
        assert_eq!(ClientOffer::parse(&text).map(drop), Err(expected), "{expected}");
    }
    assert!(ClientOffer::parse(CHROMIUM).is_ok(), "negative control: all of it without the damage is taken");
}

proptest! {
    #[test]
    fn a_damaged_offer_does_no_harm(at in 0..CHROMIUM.len(), count in 0..60_usize, with in "\\PC{0,8}") {
        let mut text: Vec<char> = CHROMIUM.chars().collect();
        let end = (at + count).min(text.len());
        text.splice(at.min(end)..end, with.chars());
        let text: String = text.into_iter().collect();
        if ClientOffer::parse(&text).is_ok() {
            // What we write is a description again, whatever came in.
            answer(&text, take);
        }
    }
}
