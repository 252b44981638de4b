//! Answers as browsers write them, and what is refused.

use minamo_signaling_proto::sdp::{Answer, BadSdp, Direction, MediaKind, SDP_BYTES_MAX, SECTIONS_MAX, Setup, extension};

/// The shape of Chromium's answer to an offer of one audio and one video uplink, both bundled.
const CHROMIUM: &str = include_str!("answers/chromium.sdp");

#[test]
fn chromium() {
    let answer = Answer::parse(CHROMIUM).unwrap();
    let [audio, video, downlink] = &answer.sections[..] else { panic!("{answer:?}") };
    assert_eq!((audio.kind, audio.mid.as_deref(), audio.direction), (MediaKind::Audio, Some("audio_abc"), Direction::SendOnly));
    assert_eq!((audio.ssrc, audio.rtx_ssrc), (Some(1_234_567_890), None));
    assert_eq!((video.ssrc, video.rtx_ssrc), (Some(2_222_222_222), Some(3_333_333_333)));
    assert_eq!(video.payload_types, [102, 103]);
    assert!(video.agrees(extension::TRANSPORT_CC) && video.agrees(extension::MID) && !video.agrees(extension::AUDIO_LEVEL));
    assert_eq!((video.setup, video.ice_ufrag.as_deref()), (Some(Setup::Active), Some("Zx9q")));
    assert_eq!((downlink.rejected, downlink.direction), (true, Direction::Inactive));
    assert_eq!(answer.fingerprint().unwrap()[..3], [0x00, 0x11, 0x22]);
}

/// Recorded: the answer of Chromium 156 to a re-offer with two uplinks, two downlinks and two removed sections.
#[test]
fn chromium_in_a_room() {
    let answer = Answer::parse(include_str!("answers/chromium-156-room.sdp")).unwrap();
    let read: Vec<_> =
        answer.sections.iter().map(|section| (section.rejected, section.direction, section.ssrc.is_some())).collect();
    use Direction::{Inactive, RecvOnly, SendOnly};
    let (up, down, removed) = ((false, SendOnly, true), (false, RecvOnly, false), (true, Inactive, false));
    assert_eq!(read, [up, up, down, down, removed, removed]);
    assert!(answer.fingerprint().is_some() && answer.sections[1].rtx_ssrc.is_some());
    assert!(answer.sections[..4].iter().all(|section| section.setup == Some(Setup::Active) && section.agrees(extension::MID)));
    assert!(answer.sections[1].agrees(extension::TRANSPORT_CC) && !answer.sections[3].agrees(extension::TRANSPORT_CC));
}

#[test]
fn line_ends_and_session_level_lines() {
    let unix = CHROMIUM.replace("\r\n", "\n");
    assert_eq!(Answer::parse(&unix).unwrap(), Answer::parse(&unix.replace('\n', "\r\n")).unwrap());
    let fingerprint = ["0F"; 32].join(":");
    let text = format!(
        "v=0\r\na=setup:active\r\na=fingerprint:SHA-256 {fingerprint}\r\na=inactive\r\nm=audio 9 X 111\r\nm=video 9 X 96\r\na=recvonly\r\n"
    );
    let answer = Answer::parse(&text).unwrap();
    assert_eq!(answer.fingerprint(), Some([0x0f; 32]));
    assert_eq!(answer.sections[0].direction, Direction::Inactive);
    assert_eq!((answer.sections[1].direction, answer.sections[1].setup), (Direction::RecvOnly, Some(Setup::Active)));
}

#[test]
fn two_fingerprints_are_none() {
    let (one, other) = (["0F"; 32].join(":"), ["F0"; 32].join(":"));
    let text = format!("v=0\nm=audio 9 X 111\na=fingerprint:sha-256 {one}\nm=audio 9 X 111\na=fingerprint:sha-256 {other}\n");
    assert_eq!(Answer::parse(&text).unwrap().fingerprint(), None);
    assert_eq!(Answer::parse("v=0\nm=audio 9 X 111\na=fingerprint:sha-1 AB\n").unwrap().fingerprint(), None);
}

#[test]
fn what_is_not_sdp_is_refused() {
    let sections = format!("v=0\n{}", "m=audio 9 X 0\n".repeat(SECTIONS_MAX + 1));
    let cases = [
        ("", BadSdp::NoVersion),
        ("hello", BadSdp::NotALine(1)),
        ("m=audio 9 X 0", BadSdp::NoVersion),
        ("v=1\nm=audio 9 X 0", BadSdp::NoVersion),
        ("v=0\n", BadSdp::NoSections),
        ("v=0\nm=audio\n", BadSdp::BadValue(2)),
        ("v=0\nm=audio 99999 X 0\n", BadSdp::BadValue(2)),
        ("v=0\nm=audio 9 X 256\n", BadSdp::BadValue(2)),
        ("v=0\nm=audio 9 X 0\na=mid:\n", BadSdp::BadValue(3)),
        ("v=0\nm=audio 9 X 0\na=ssrc:x\n", BadSdp::BadValue(3)),
        ("v=0\nm=audio 9 X 0\na=ssrc-group:FID 1\n", BadSdp::BadValue(3)),
        ("v=0\nm=audio 9 X 0\na=fingerprint:sha-256 AB:CD\n", BadSdp::BadValue(3)),
        ("v=0\nm=audio 9 X 0\na=fingerprint:sha-256 ééé\n", BadSdp::BadValue(3)),
        ("v=0\nm=audio 9 X 0\na=extmap:1\n", BadSdp::BadValue(3)),
        ("v=0\nm=audio 9 X 0\na=setup:maybe\n", BadSdp::BadValue(3)),
        ("v=0\nvv=0\n", BadSdp::NotALine(2)),
        (sections.as_str(), BadSdp::TooManySections),
    ];
    for (text, expected) in cases {
        assert_eq!(Answer::parse(text), Err(expected), "{text:.80}");
    }
    assert_eq!(Answer::parse(&"v=0\n".repeat(SDP_BYTES_MAX / 4 + 1)), Err(BadSdp::TooLong));
}

#[test]
fn the_layers_that_a_client_sends_are_read() {
    let rids = |line: &str| {
        let text = format!("v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n{line}\r\n");
        Answer::parse(&text).unwrap().sections[0].rids.clone()
    };
    assert_eq!(rids("a=simulcast:send r0;r1;r2"), ["r0", "r1", "r2"]);
    assert_eq!(rids("a=simulcast:recv x;y send r0;~r1,r9"), ["r0", "r1"]);
    for nothing in [
        "a=simulcast:recv r0;r1",
        "a=simulcast:send",
        "a=simulcast:",
        "a=simulcast:send r0;;",
        "a=simulcast:send 12345678901234567",
        "a=x",
    ] {
        assert_eq!(rids(nothing), [""; 0], "{nothing}");
    }
    assert_eq!(rids(&format!("a=simulcast:send {}", ["a"; 100].join(";"))).len(), 8);
}
