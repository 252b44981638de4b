//! A session from connect to disconnect, when all goes well.

use std::time::Duration;

use minamo_media::{Codec, TrackId};
use minamo_sfu_core::model::{Command, Extensions, Fingerprint, Payload, PeerEvent, PeerId, Tap, Uplink};
use serde_json::json;

use super::{Bench, admission, answering, closing, commands, connect, sent};
use crate::session::{Action, Admission, Closing};

const PEER: PeerId = PeerId(1);

#[test]
fn a_publisher_is_told_to_the_sfu_and_published_once_media_is_up() {
    let (mut bench, offer) = Bench::offered(&connect("sendonly"), admission());
    let actions = bench.answer("answer", &offer);
    let both = Some(Tap { channel: "c".into(), publisher: "0123456789ABCDEFGHJKMNPQRS".into(), layers: false });
    let common = Extensions { mid: Some(4), transport_cc: Some(3), abs_send_time: Some(2), ..Extensions::default() };
    let audio = Uplink {
        track: TrackId(1),
        mid: offer["mid"]["audio"].as_str().unwrap().into(),
        payload: Payload { codec: Codec::Opus, pt: 111, rtx_pt: None, red_pt: None },
        extensions: Extensions { audio_level: Some(1), ..common },
        ssrc: Some(1000),
        rtx_ssrc: None,
        rids: Vec::new(),
        tap: both.clone(),
    };
    let video = Uplink {
        track: TrackId(2),
        mid: offer["mid"]["video"].as_str().unwrap().into(),
        payload: Payload { codec: Codec::H264, pt: 102, rtx_pt: Some(103), red_pt: None },
        extensions: Extensions { video_orientation: Some(5), ..common },
        ssrc: Some(1002),
        rtx_ssrc: Some(1003),
        rids: Vec::new(),
        tap: both,
    };
    let fingerprint = Fingerprint(answering::FINGERPRINT);
    let expected =
        [Command::AddUplink(PEER, audio), Command::AddUplink(PEER, video), Command::SetRemote { peer: PEER, fingerprint }];
    assert_eq!(actions, expected.map(Action::Sfu));
    bench.session.handle_peer_event(bench.now, PeerEvent::Connected);
    let actions = bench.actions();
    let [Action::Created, Action::Publish(tracks)] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(tracks.iter().map(|track| track.info.track).collect::<Vec<_>>(), [TrackId(1), TrackId(2)]);
    assert!(tracks[1].fmtp.contains("profile-level-id=42e01f"));
}

#[test]
fn disconnect_is_answered_with_1000_type_disconnect() {
    let mut bench = Bench::established(&connect("sendonly"), admission());
    let actions = bench.say(&json!({"type": "disconnect", "reason": "NO-ERROR"}));
    let removed = Action::Sfu(Command::RemovePeer { peer: PEER, clean: true });
    assert_eq!(actions, [removed, Action::Leave, Action::Close(Closing::DISCONNECT)]);
    assert_eq!((Closing::DISCONNECT.code, Closing::DISCONNECT.reason.0), (1000, "TYPE-DISCONNECT"));
    let mut early = Bench::new();
    assert_eq!(early.say(&json!({"type": "disconnect"})), [Action::Close(Closing::DISCONNECT)]);
}

#[test]
fn a_lost_socket_is_not_a_clean_end() {
    let mut bench = Bench::established(&connect("sendonly"), admission());
    bench.session.handle_socket_closed();
    assert_eq!(bench.actions(), [Action::Sfu(Command::RemovePeer { peer: PEER, clean: false }), Action::Leave]);
    let mut bench = Bench::established(&connect("sendonly"), admission());
    bench.session.close(bench.now, Closing::API);
    let actions = bench.actions();
    assert_eq!(closing(&actions), Some(Closing { code: 1000, ..Closing::API }));
    assert!(commands(&actions).contains(&&Command::RemovePeer { peer: PEER, clean: true }));
}

#[test]
fn pings_begin_after_the_offer_and_minutes_after_media() {
    let mut bench = Bench::established(&connect("sendonly"), admission());
    let mut minutes = Vec::new();
    let mut pings = 0;
    for _ in 0..130 {
        let actions = bench.pass(Duration::from_secs(1));
        bench.say(&json!({"type": "pong"}));
        pings += sent(&actions).iter().filter(|message| **message == json!({"type": "ping", "stats": false})).count();
        minutes.extend(actions.iter().filter_map(|action| match action {
            Action::Updated { minutes } => Some(*minutes),
            _ => None,
        }));
    }
    assert_eq!((pings, minutes), (26, vec![1, 2]));
}

/// The lines of the offer's section with that mid.
fn section(offer: &serde_json::Value, kind: &str) -> String {
    let (sdp, mid) = (offer["sdp"].as_str().unwrap(), offer["mid"][kind].as_str().unwrap());
    sdp.split("m=").find(|section| section.contains(&format!("a=mid:{mid}\r\n"))).unwrap().to_owned()
}

#[test]
fn bitrates_become_tias() {
    let cases = [
        (json!(true), None, None),
        (json!({"bit_rate": 500}), None, Some(500_000)),
        (json!(true), Some(1_000_000), Some(1_000_000)),
        (json!({"bit_rate": 500}), Some(1_000_000), Some(500_000)),
        (json!({"bit_rate": 5000}), Some(1_000_000), Some(1_000_000)),
    ];
    for (video, video_bps_max, expected) in cases {
        let mut message = connect("sendonly");
        message["video"] = video;
        message["audio"] = json!({"bit_rate": 64});
        let (_, offer) = Bench::offered(&message, Admission { video_bps_max, ..admission() });
        let tias = section(&offer, "video").lines().find_map(|line| line.strip_prefix("b=TIAS:")?.parse::<u32>().ok());
        assert_eq!(tias, expected, "{message}");
        assert!(section(&offer, "audio").contains("b=TIAS:64000\r\n"));
    }
}

#[test]
fn the_client_chooses_the_codec_and_h264_is_what_it_gets_otherwise() {
    for (has_hls, asked, name, tapped) in [
        (true, json!(true), "H264", true),
        (false, json!({}), "H264", false),
        (true, json!({"codec_type": "VP8"}), "VP8", true),
        (true, json!({"codec_type": "AV1"}), "AV1", false),
    ] {
        let mut message = connect("sendonly");
        message["video"] = asked;
        let (mut bench, offer) = Bench::offered(&message, Admission { has_hls, ..admission() });
        assert_eq!(offer["video_codec_type"], name);
        assert!(section(&offer, "video").contains(&format!(" {name}/90000")));
        let actions = bench.answer("answer", &offer);
        let uplinks = commands(&actions).into_iter().filter_map(|command| match command {
            Command::AddUplink(_, uplink) => Some(uplink),
            _ => None,
        });
        for uplink in uplinks {
            assert_eq!(uplink.tap.is_some(), if uplink.payload.codec == Codec::Opus { has_hls } else { tapped }, "{message}");
        }
    }
}

#[test]
fn a_kind_that_the_client_cannot_send_is_left_out() {
    let (mut bench, offer) = Bench::offered(&connect("sendonly"), admission());
    let sdp = answering::answer_with(offer["sdp"].as_str().unwrap(), |index, taken| {
        if index == 1 {
            taken.port = 0;
        }
    });
    let actions = bench.say(&json!({"type": "answer", "sdp": sdp}));
    let uplinks = commands(&actions).iter().filter(|command| matches!(command, Command::AddUplink(..))).count();
    assert_eq!((uplinks, closing(&actions)), (1, None));
    let (mut bench, offer) = Bench::offered(&connect("sendonly"), admission());
    let sdp = answering::answer_with(offer["sdp"].as_str().unwrap(), |_, taken| taken.direction = "inactive");
    let actions = bench.say(&json!({"type": "answer", "sdp": sdp}));
    assert!(matches!(commands(&actions)[..], [Command::SetRemote { .. }]), "nothing is sent, nothing is published: {actions:?}");
}

#[test]
fn whoever_sends_nothing_has_a_data_section() {
    let (mut bench, offer) = Bench::offered(&connect("recvonly"), admission());
    let sdp = offer["sdp"].as_str().unwrap();
    assert_eq!(sdp.matches("\r\nm=").count(), 1);
    assert!(sdp.contains("\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"));
    assert!(matches!(commands(&bench.answer("answer", &offer))[..], [Command::SetRemote { .. }]));
    let mut message = connect("sendonly");
    (message["audio"], message["video"]) = (json!(false), json!(false));
    let (_, offer) = Bench::offered(&message, admission());
    assert!(offer["sdp"].as_str().unwrap().contains("m=application"));
}
