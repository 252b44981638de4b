//! Whatever is wrong ends that one connection, with a reason that says what.

use std::time::Duration;

use minamo_sfu_core::model::{CloseReason, Command, PeerEvent};
use serde_json::{Value, json};

use super::{Bench, admission, answering, closing, commands, connect};
use crate::session::{Action, Closing};

/// The one reason; that nothing comes after; and that the SFU forgets the peer exactly when it knew it.
fn reason(actions: &[Action], joined: bool) -> &'static str {
    let Some(Action::Close(closing)) = actions.last() else { panic!("not closed: {actions:?}") };
    assert_eq!(closing.code, 4490);
    assert!(!closing.clean && !closing.reason.0.is_empty() && closing.reason.0.len() <= 123);
    let removed = actions.iter().filter(|action| matches!(action, Action::Sfu(Command::RemovePeer { clean: false, .. }))).count();
    let left = actions.iter().filter(|action| matches!(action, Action::Leave)).count();
    assert_eq!((removed, left), if joined { (1, 1) } else { (0, 0) }, "{actions:?}");
    closing.reason.0
}

#[test]
fn before_connect() {
    let cases = [
        ("{", "INVALID-JSON"),
        ("null", "INVALID-JSON"),
        ("{}", "MISSING-TYPE"),
        (r#"{"type":"hello"}"#, "UNKNOWN-TYPE"),
        (r#"{"type":"pong"}"#, "CONNECT-EXPECTED"),
        (r#"{"type":"candidate"}"#, "CONNECT-EXPECTED"),
        (r#"{"type":"answer","sdp":"v=0"}"#, "ANSWER-BEFORE-OFFER"),
        (r#"{"type":"re-answer","sdp":"v=0"}"#, "ANSWER-BEFORE-OFFER"),
        (r#"{"type":"connect"}"#, "MISSING-ROLE"),
        (r#"{"type":"connect","role":"sendonly"}"#, "MISSING-CHANNEL-ID"),
        (r#"{"type":"connect","role":"publisher","channel_id":"c"}"#, "INVALID-ROLE"),
    ];
    for (text, expected) in cases {
        let mut bench = Bench::new();
        assert_eq!(reason(&bench.say_text(text), false), expected, "{text}");
        assert!(bench.say_text(text).is_empty() && bench.session.poll_timeout().is_none(), "closed is closed");
    }
}

#[test]
fn silence() {
    let mut bench = Bench::new();
    assert_eq!(bench.pass(Duration::from_millis(9_999)), []);
    assert_eq!(reason(&bench.pass(Duration::from_millis(1)), false), "CONNECT-TIMEOUT");
    let mut bench = Bench::new();
    bench.session.handle_binary(bench.now);
    assert_eq!(reason(&bench.actions(), false), "BINARY-FRAME");
    let mut bench = Bench::new();
    bench.session.handle_socket_closed();
    assert!(bench.actions().is_empty() && bench.session.is_closed(), "a socket that never said anything just goes");
}

#[test]
fn while_the_channel_is_looked_up() {
    let cases = [(connect("sendonly"), "DUPLICATE-CONNECT"), (json!({"type": "answer", "sdp": "v=0"}), "ANSWER-BEFORE-OFFER")];
    for (message, expected) in cases {
        let mut bench = Bench::new();
        bench.say(&connect("sendonly"));
        assert_eq!(bench.say(&json!({"type": "candidate", "candidate": ""})), []);
        assert_eq!(reason(&bench.say(&message), false), expected);
        bench.session.admit(bench.now, &admission());
        assert_eq!(bench.actions(), [], "too late");
    }
    let mut bench = Bench::new();
    bench.say(&connect("sendonly"));
    bench.session.close(bench.now, Closing::error("CHANNEL-NOT-FOUND"));
    assert_eq!(reason(&bench.actions(), false), "CHANNEL-NOT-FOUND");
    let mut bench = Bench::new();
    bench.say(&connect("sendonly"));
    assert_eq!(reason(&bench.pass(Duration::from_secs(10)), false), "INTERNAL-ERROR");
}

#[test]
fn after_the_offer() {
    let cases = [
        (connect("sendonly"), "DUPLICATE-CONNECT"),
        (json!({"type": "re-answer", "sdp": "v=0"}), "UNEXPECTED-RE-ANSWER"),
        (json!({"type": "answer"}), "MISSING-SDP"),
        (json!({"type": "answer", "sdp": "hello"}), "INVALID-SDP"),
        (json!({"type": "answer", "sdp": ""}), "INVALID-SDP"),
        (json!({"type": "answer", "sdp": "v".repeat(1_000_000)}), "INVALID-SDP"),
        (json!({"type": "answer", "sdp": "v=0\r\n".repeat(200_000)}), "INVALID-SDP"),
        (json!({"type": "answer", "sdp": "v=0\r\nm=audio 9 X 111\r\n"}), "ANSWER-DOES-NOT-MATCH-OFFER"),
    ];
    for (message, expected) in cases {
        let (mut bench, _) = Bench::offered(&connect("sendrecv"), admission());
        assert_eq!(reason(&bench.say(&message), true), expected);
    }
}

fn bad_answer(change: impl Fn(usize, &mut answering::Taken)) -> &'static str {
    let (mut bench, offer) = Bench::offered(&connect("sendrecv"), admission());
    let sdp = answering::answer_with(offer["sdp"].as_str().unwrap(), change);
    reason(&bench.say(&json!({"type": "answer", "sdp": sdp})), true)
}

#[test]
fn answers_that_do_not_fit() {
    assert_eq!(bad_answer(|_, taken| taken.mid = "other".into()), "ANSWER-DOES-NOT-MATCH-OFFER");
    assert_eq!(bad_answer(|_, taken| taken.setup = "passive"), "INVALID-DTLS-ROLE");
    assert_eq!(bad_answer(|_, taken| taken.port = 0), "MEDIA-REJECTED");
    assert_eq!(bad_answer(|index, taken| taken.fingerprint[0] = index as u8), "MISSING-FINGERPRINT");
    let mut bench = Bench::established(&connect("recvonly"), admission());
    let offer = super::sent(&bench.want([11])).remove(0);
    let sdp = answering::answer_with(offer["sdp"].as_str().unwrap(), |_, taken| taken.fingerprint = [1; 32]);
    assert_eq!(reason(&bench.say(&json!({"type": "re-answer", "sdp": sdp})), true), "FINGERPRINT-CHANGED");
}

#[test]
fn a_second_answer() {
    let (mut bench, offer) = Bench::offered(&connect("sendonly"), admission());
    assert_eq!(closing(&bench.answer("answer", &offer)), None);
    assert_eq!(reason(&bench.answer("answer", &offer), true), "UNEXPECTED-ANSWER");
    let mut bench = Bench::established(&connect("recvonly"), admission());
    assert_eq!(reason(&bench.say(&json!({"type": "re-answer", "sdp": "v=0"})), true), "UNEXPECTED-RE-ANSWER");
}

/// Answers pings, then waits.
fn pass_with_pongs(bench: &mut Bench, seconds: u64) -> Vec<Action> {
    (0..seconds).flat_map(|_| [bench.pass(Duration::from_secs(1)), bench.say(&json!({"type": "pong"}))].concat()).collect()
}

#[test]
fn answers_and_media_that_never_come() {
    let (mut bench, _) = Bench::offered(&connect("sendonly"), admission());
    assert_eq!(reason(&pass_with_pongs(&mut bench, 30), true), "ANSWER-TIMEOUT");
    let (mut bench, offer) = Bench::offered(&connect("sendonly"), admission());
    bench.answer("answer", &offer);
    assert_eq!(closing(&pass_with_pongs(&mut bench, 59)), None);
    assert_eq!(reason(&pass_with_pongs(&mut bench, 1), true), "MEDIA-TIMEOUT");
    let mut bench = Bench::established(&connect("recvonly"), admission());
    bench.want([11]);
    assert_eq!(reason(&pass_with_pongs(&mut bench, 30), true), "ANSWER-TIMEOUT");
    let mut bench = Bench::established(&connect("sendonly"), admission());
    assert_eq!(closing(&bench.pass(Duration::from_millis(59_999))), None);
    assert_eq!(reason(&bench.pass(Duration::from_millis(1)), true), "PONG-TIMEOUT");
}

#[test]
fn the_sfu_gives_a_peer_up() {
    for (why, expected) in [
        (CloseReason::IceTimeout, "ICE-TIMEOUT"),
        (CloseReason::DtlsFailed, "DTLS-FAILED"),
        (CloseReason::DtlsClosed, "DTLS-CLOSED"),
        (CloseReason::Refused, "SERVER-OVERLOADED"),
    ] {
        let mut bench = Bench::established(&connect("sendonly"), admission());
        bench.session.handle_peer_event(bench.now, PeerEvent::Closed(why));
        let actions = bench.actions();
        assert!(commands(&actions).is_empty(), "the SFU has forgotten it already");
        assert_eq!(actions, [Action::Leave, Action::Close(Closing::error(expected))]);
    }
}

#[test]
fn negative_control() {
    let mut bench = Bench::established(&connect("sendrecv"), admission());
    assert_eq!(closing(&bench.say(&json!({"type": "pong", "unknown": Value::Null}))), None);
    let caught = std::panic::catch_unwind(|| reason(&[], false));
    assert!(caught.is_err(), "a connection that is not closed would be seen");
}
