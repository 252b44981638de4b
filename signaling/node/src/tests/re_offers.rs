//! One negotiation in flight, changes merged, places taken again.

use std::time::Duration;

use minamo_media::{Codec, TrackId};
use minamo_sfu_core::model::{Command, PeerEvent};
use serde_json::{Value, json};

use super::{Bench, admission, answering, at_best, commands, connect, sent, track, tracks};
use crate::session::{Action, Admission};

/// `(mid, m-line's port, track's publisher)` of every section.
fn sections(offer: &Value) -> Vec<(String, u16, String)> {
    let sdp = offer["sdp"].as_str().unwrap();
    let line = |section: &str, name: &str| {
        let found = section.lines().find_map(|line| line.strip_prefix(name));
        found.unwrap_or_default().split(' ').next().unwrap_or_default().to_owned()
    };
    let read = |section: &str| {
        let port = section.split(' ').nth(1).unwrap().parse().unwrap();
        (line(section, "a=mid:"), port, line(section, "a=msid:"))
    };
    sdp.split("\r\nm=").skip(1).map(read).collect()
}

fn publishers(offer: &Value) -> Vec<String> {
    sections(offer).into_iter().map(|(_, _, publisher)| publisher).filter(|publisher| !publisher.is_empty()).collect()
}

fn version(offer: &Value) -> u64 {
    let line = offer["sdp"].as_str().unwrap().lines().find(|line| line.starts_with("o=")).unwrap();
    line.split(' ').nth(2).unwrap().parse().unwrap()
}

fn downlinks(actions: &[Action]) -> (Vec<u64>, Vec<u64>) {
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for command in commands(actions) {
        match command {
            Command::AddDownlink(_, downlink) => added.push(downlink.track.0),
            Command::RemoveDownlink(_, track) => removed.push(track.0),
            _ => {}
        }
    }
    (added, removed)
}

#[test]
fn three_publishers_in_50_ms_are_two_re_offers() {
    let mut bench = Bench::established(&connect("recvonly"), admission());
    let first = sent(&bench.want([10, 11]));
    assert_eq!((first.len(), first[0]["type"].as_str()), (1, Some("re-offer")));
    bench.pass(Duration::from_millis(25));
    assert_eq!(bench.want([10, 11, 12, 13]), []);
    bench.pass(Duration::from_millis(25));
    assert_eq!(bench.want([10, 11, 12, 13, 14, 15]), []);
    let actions = bench.answer("re-answer", &first[0]);
    assert_eq!(downlinks(&actions), (vec![10, 11], vec![]));
    let second = sent(&actions);
    assert_eq!(second.len(), 1);
    assert_eq!(publishers(&second[0]), ["P5", "P5", "P6", "P6", "P7", "P7"]);
    assert_eq!(version(&second[0]), version(&first[0]) + 1);
    assert_eq!(sections(&second[0])[..3], sections(&first[0])[..], "old sections keep place and mid");
    let actions = bench.answer("re-answer", &second[0]);
    assert_eq!(downlinks(&actions), (vec![12, 13, 14, 15], vec![]));
    assert_eq!(sent(&actions), [Value::Null; 0], "nothing is left to offer");
}

#[test]
fn nothing_is_re_offered_before_the_first_answer() {
    let (mut bench, offer) = Bench::offered(&connect("sendrecv"), admission());
    assert_eq!(bench.want([10]), []);
    bench.session.handle_peer_event(bench.now, PeerEvent::Connected);
    assert_eq!(sent(&bench.actions()), [Value::Null; 0]);
    assert_eq!(publishers(&sent(&bench.answer("answer", &offer))[0]), ["P5"]);
}

#[test]
fn who_comes_and_goes_while_waiting_is_never_seen() {
    let mut bench = Bench::established(&connect("recvonly"), admission());
    let first = sent(&bench.want([10])).remove(0);
    bench.want([10, 12]);
    bench.want([10]);
    let actions = bench.answer("re-answer", &first);
    assert_eq!((downlinks(&actions), sent(&actions).len()), ((vec![10], vec![]), 0));
}

#[test]
fn who_goes_before_the_answer_is_not_sent() {
    let mut bench = Bench::established(&connect("recvonly"), admission());
    let first = sent(&bench.want([10])).remove(0);
    assert_eq!(bench.want([]), []);
    let actions = bench.answer("re-answer", &first);
    assert_eq!(downlinks(&actions), (vec![], vec![]));
    let second = sent(&actions).remove(0);
    assert_eq!(sections(&second)[1].1, 0, "its section is given up");
}

#[test]
fn a_place_is_taken_again_under_a_fresh_mid_once_its_removal_was_confirmed() {
    let mut bench = Bench::established(&connect("recvonly"), admission());
    let first = sent(&bench.want([10, 11])).remove(0);
    bench.answer("re-answer", &first);
    // P5 goes, and before the client has confirmed that, P6 comes.
    let actions = bench.want([]);
    assert_eq!(downlinks(&actions), (vec![], vec![10, 11]));
    let second = sent(&actions).remove(0);
    let places = sections(&second);
    assert_eq!(places.iter().map(|(_, port, _)| *port).collect::<Vec<_>>(), [9, 0, 0]);
    assert!(second["sdp"].as_str().unwrap().contains("a=group:BUNDLE data\r\n"));
    assert_eq!(bench.want([13]), []);
    let third = sent(&bench.answer("re-answer", &second)).remove(0);
    let again = sections(&third);
    assert_eq!(again.len(), 3, "no section was added");
    assert_eq!((again[1].1, again[2].1, again[2].2.as_str()), (0, 9, "P6"), "audio's place is not video's");
    assert_ne!(again[2].0, places[2].0);
    assert!(third["sdp"].as_str().unwrap().contains(&format!("a=group:BUNDLE data {}\r\n", again[2].0)));
    assert_eq!(downlinks(&bench.answer("re-answer", &third)), (vec![13], vec![]));
}

#[test]
fn a_place_is_not_taken_while_its_removal_is_unconfirmed() {
    let mut bench = Bench::established(&connect("recvonly"), admission());
    let first = sent(&bench.want([11])).remove(0);
    bench.answer("re-answer", &first);
    let swap = sent(&bench.want([13])).remove(0);
    let places = sections(&swap);
    assert_eq!(places.iter().map(|(_, port, _)| *port).collect::<Vec<_>>(), [9, 0, 9]);
}

#[test]
fn what_the_client_refuses_is_not_offered_again() {
    let mut bench = Bench::established(&connect("recvonly"), admission());
    let first = sent(&bench.want([10, 11])).remove(0);
    let sdp = answering::answer_with(first["sdp"].as_str().unwrap(), |index, taken| {
        if index == 2 {
            taken.port = 0;
        }
    });
    let actions = bench.say(&json!({"type": "re-answer", "sdp": sdp}));
    assert_eq!((downlinks(&actions), sent(&actions).len()), ((vec![10], vec![]), 0));
    assert_eq!(bench.want([10, 11]), []);
    let next = sent(&bench.want([10, 11, 13])).remove(0);
    assert_eq!(publishers(&next), ["P5", "P6"], "the refused one's place is free");
}

#[test]
fn the_first_offer_has_who_is_there_already() {
    let (mut bench, offer) = Bench::offered(&connect("sendrecv"), Admission { wanted: tracks([10, 11]), ..admission() });
    assert_eq!(publishers(&offer), ["P5", "P5"]);
    assert_eq!(downlinks(&bench.answer("answer", &offer)), (vec![10, 11], vec![]));
    let (_, offer) = Bench::offered(&connect("sendonly"), Admission { wanted: tracks([10, 11]), ..admission() });
    assert_eq!(publishers(&offer), [""; 0]);
    let mut message = connect("recvonly");
    message["video"] = json!(false);
    let (_, offer) = Bench::offered(&message, Admission { wanted: tracks([10, 11]), ..admission() });
    assert_eq!(publishers(&offer), ["P5"], "a receiver without video gets none");
}

#[test]
fn downlinks_carry_the_publishers_codec_and_stay_under_the_limit() {
    let mut vp8 = track(11);
    vp8.info.codec = Codec::Vp8;
    vp8.fmtp = "".into();
    let mut main = track(13);
    main.fmtp = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f".into();
    let wanted = vec![at_best(vp8), at_best(track(15)), at_best(main)];
    let (mut bench, offer) = Bench::offered(&connect("recvonly"), Admission { wanted, downlinks_max: 3, ..admission() });
    let sdp = offer["sdp"].as_str().unwrap();
    for line in ["a=rtpmap:96 VP8/90000", "a=rtpmap:102 H264/90000", "a=rtpmap:35 H264/90000"] {
        assert!(sdp.contains(line), "{line}\n{sdp}");
    }
    let actions = bench.answer("answer", &offer);
    let types: Vec<(u64, u8)> = commands(&actions)
        .into_iter()
        .filter_map(|command| match command {
            Command::AddDownlink(_, downlink) => Some((downlink.track.0, downlink.payload.pt)),
            _ => None,
        })
        .collect();
    assert_eq!(types, [(11, 96), (15, 102), (13, 35)]);
    assert_eq!(bench.want([11, 13, 15, 17]), [], "the fourth waits");
    let next = sent(&bench.want([13, 15, 17])).remove(0);
    assert_eq!(publishers(&next), ["P7", "P6", "P8"], "until one goes");
    assert!(TrackId(11) != TrackId(17));
}
