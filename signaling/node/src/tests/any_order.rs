//! Whatever comes in whatever order: no panic, and what must always hold holds.

use std::time::Duration;

use minamo_sfu_core::model::{CloseReason, Command, PeerEvent};
use minamo_signaling_proto::sdp::Answer;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Bench, admission, answering, connect, offer_schema, tracks};
use crate::session::{Action, Admission, Closing};

#[derive(Clone, Debug)]
enum Step {
    Text(String),
    Connect(usize),
    Admit,
    /// Answers the last offer; true: with damage.
    Answer(bool),
    Want(Vec<u64>),
    Connected,
    PeerClosed,
    Pass(u64),
    Pong,
    Disconnect,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => "\\PC{0,30}".prop_map(Step::Text),
        4 => (0..3_usize).prop_map(Step::Connect),
        4 => Just(Step::Admit),
        8 => prop::bool::weighted(0.05).prop_map(Step::Answer),
        8 => prop::collection::vec(10..30_u64, 0..8).prop_map(Step::Want),
        3 => Just(Step::Connected),
        1 => Just(Step::PeerClosed),
        4 => (0..8_000_u64).prop_map(Step::Pass),
        4 => Just(Step::Pong),
        1 => Just(Step::Disconnect),
    ]
}

/// What an outsider knows of one session.
#[derive(Default)]
struct Observer {
    last_offer: Option<(&'static str, String)>,
    in_flight: bool,
    peers: i32,
    closed: bool,
    sections: usize,
}

impl Observer {
    fn observe(&mut self, actions: Vec<Action>) {
        for action in actions {
            assert!(!self.closed, "something after the end: {action:?}");
            match action {
                Action::Send(text) => self.message(&serde_json::from_str(&text).unwrap()),
                Action::Sfu(Command::AddPeer { .. }) => self.peers += 1,
                Action::Sfu(Command::RemovePeer { .. }) => self.peers -= 1,
                Action::Close(Closing { reason, .. }) => {
                    assert!(!reason.0.is_empty() && reason.0.len() <= 123);
                    self.closed = true;
                }
                _ => {}
            }
        }
    }

    fn message(&mut self, message: &Value) {
        let kind = match message["type"].as_str() {
            Some("offer") => "answer",
            Some("re-offer") => "re-answer",
            _ => return assert!(self.last_offer.is_some(), "nothing is said before the offer"),
        };
        assert!(!self.in_flight, "two offers in flight");
        let sdp = message["sdp"].as_str().unwrap();
        let read = Answer::parse(sdp).unwrap();
        assert!(read.sections.len() >= self.sections, "sections never vanish");
        self.sections = read.sections.len();
        assert!(self.sections <= 2 + 2 * 40, "places are taken again: {}", self.sections);
        if kind == "answer" {
            let faults =
                offer_schema::faults(message, message["mid"].get("audio").is_some(), message["mid"].get("video").is_some());
            assert!(faults.is_empty(), "{faults:?}");
        }
        self.last_offer = Some((kind, sdp.to_owned()));
        self.in_flight = true;
    }
}

fn take(bench: &mut Bench, observer: &mut Observer, step: Step) {
    let actions = match step {
        Step::Text(text) => bench.say_text(&text),
        Step::Connect(role) => bench.say(&connect(["sendonly", "sendrecv", "recvonly"][role])),
        Step::Admit => {
            bench.session.admit(bench.now, &Admission { wanted: tracks([10, 11]), ..admission() });
            bench.actions()
        }
        Step::Answer(damaged) => {
            let Some((kind, offer)) = observer.last_offer.clone() else { return };
            let mut sdp = answering::answer(&offer);
            if damaged {
                sdp.truncate(sdp.len() / 2);
            }
            observer.in_flight = false;
            bench.say(&json!({"type": kind, "sdp": sdp}))
        }
        Step::Want(mut ids) => {
            ids.sort_unstable();
            ids.dedup();
            bench.want(ids)
        }
        Step::Connected => {
            bench.session.handle_peer_event(bench.now, PeerEvent::Connected);
            bench.actions()
        }
        Step::PeerClosed => {
            bench.session.handle_peer_event(bench.now, PeerEvent::Closed(CloseReason::IceTimeout));
            observer.peers -= i32::from(bench.session.is_closed() && observer.peers == 1 && !observer.closed);
            bench.actions()
        }
        Step::Pass(millis) => bench.pass(Duration::from_millis(millis)),
        Step::Pong => bench.say(&json!({"type": "pong"})),
        Step::Disconnect => bench.say(&json!({"type": "disconnect"})),
    };
    observer.observe(actions);
}

proptest! {
    #[test]
    fn anything(steps in prop::collection::vec(step(), 0..60), joined in prop::bool::weighted(0.8)) {
        let mut bench = Bench::new();
        let mut observer = Observer::default();
        let start = if joined { vec![Step::Connect(1), Step::Admit, Step::Answer(false), Step::Connected] } else { Vec::new() };
        for step in start.into_iter().chain(steps) {
            take(&mut bench, &mut observer, step);
        }
        prop_assert_eq!(observer.closed, bench.session.is_closed());
        if observer.closed {
            prop_assert_eq!(observer.peers, 0, "the SFU keeps no peer of a closed session");
        }
    }
}

#[test]
#[should_panic(expected = "two offers in flight")]
fn negative_control() {
    let mut observer = Observer::default();
    let offer = Action::Send(json!({"type": "re-offer", "sdp": "v=0\r\nm=audio 9 X 111\r\n"}).to_string().into());
    observer.observe(vec![offer.clone(), offer]);
}
