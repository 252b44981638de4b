//! Signaling over data channels: when it begins, what goes where, and how it ends.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use bytes::Bytes;
use minamo_sfu_core::model::{CloseReason, Command, DataChannelSpec, DataMessage, PeerEvent, PeerId};
use minamo_signaling_proto::sora::ClientMessage;
use serde_json::{Value, json};

use super::{Bench, admission, answering, closing, commands, connect, sent};
use crate::agreement::data_plan;
use crate::config::DataDefaults;
use crate::session::{Action, Admission, Closing, DataPlan, Line, Notice, UserMessage};

const PEER: PeerId = PeerId(1);

fn plan(wishes: &Value, defaults: DataDefaults) -> Option<DataPlan> {
    let mut message = connect("sendrecv");
    message.as_object_mut().unwrap().extend(wishes.as_object().unwrap().clone());
    let ClientMessage::Connect(connect) = ClientMessage::parse(&message.to_string()).unwrap() else { panic!() };
    data_plan(&connect, &defaults, true)
}

fn with_data(ignore: bool, compress: bool) -> Admission {
    let wishes = json!({
        "data_channel_signaling": true,
        "ignore_disconnect_websocket": ignore,
        "data_channels": [
            {"label": "#both", "direction": "sendrecv"},
            {"label": "#in", "direction": "recvonly", "compress": true, "header": [{"type": "sender_connection_id"}]},
            {"label": "#out", "direction": "sendonly", "compress": true, "ordered": false, "max_retransmits": 2},
        ],
    });
    Admission { data: plan(&wishes, DataDefaults { compress, ..DataDefaults::default() }), ..admission() }
}

const LABELS: [&str; 8] = ["signaling", "notify", "push", "stats", "rpc", "#both", "#in", "#out"];

impl Bench {
    fn event(&mut self, event: PeerEvent) -> Vec<Action> {
        self.session.handle_peer_event(self.now, event);
        self.actions()
    }

    fn data(&mut self, label: &str, payload: impl Into<Bytes>) -> Vec<Action> {
        let message = DataMessage { label: label.into(), binary: true, payload: payload.into() };
        self.event(PeerEvent::Data(message))
    }

    /// Established, and every channel is open.
    fn switched(ignore: bool, compress: bool) -> Self {
        let mut bench = Self::established(&connect("sendrecv"), with_data(ignore, compress));
        let actions: Vec<Action> = LABELS.iter().flat_map(|label| bench.event(PeerEvent::ChannelOpen((*label).into()))).collect();
        assert_eq!(sent(&actions), [json!({"type": "switched", "ignore_disconnect_websocket": ignore})]);
        bench
    }
}

/// `(label, binary, payload)` of everything sent over data channels.
fn over_channels(actions: &[Action]) -> Vec<(String, bool, Bytes)> {
    let data = |command: &&Command| match command {
        Command::SendData(PEER, message) => Some((message.label.to_string(), message.binary, message.payload.clone())),
        _ => None,
    };
    commands(actions).iter().filter_map(data).collect()
}

fn deflated(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn inflated(data: &[u8]) -> Vec<u8> {
    let mut inflated = Vec::new();
    flate2::read::ZlibDecoder::new(data).read_to_end(&mut inflated).unwrap();
    inflated
}

#[test]
fn it_is_agreed_only_when_somebody_wants_it() {
    let defaults = DataDefaults::default();
    assert_eq!(plan(&json!({}), defaults), None);
    assert_eq!(plan(&json!({"data_channel_signaling": false}), DataDefaults { signaling: true, ..defaults }), None);
    let plan = plan(&json!({}), DataDefaults { signaling: true, ignore_disconnect_websocket: true, ..defaults }).unwrap();
    assert!(plan.ignore_disconnect_websocket);
    assert_eq!(plan.channels.iter().map(|channel| channel.spec.label.as_str()).collect::<Vec<_>>(), LABELS[..5]);
}

#[test]
fn the_offer_lists_exactly_what_is_opened() {
    let (mut bench, offer) = Bench::offered(&connect("sendrecv"), with_data(true, false));
    let listed: Vec<&str> =
        offer["data_channels"].as_array().unwrap().iter().map(|entry| entry["label"].as_str().unwrap()).collect();
    assert_eq!(listed, LABELS);
    assert_eq!(super::offer_schema::faults(&offer, true, true), [""; 0]);
    assert_eq!((&offer["data_channel_signaling"], &offer["ignore_disconnect_websocket"]), (&json!(true), &json!(true)));
    assert_eq!(
        offer["data_channels"][6],
        json!({"label": "#in", "direction": "recvonly", "compress": true, "header": [{"type": "sender_connection_id", "length": 26}]})
    );
    assert!(offer["sdp"].as_str().unwrap().contains("m=application"));
    let actions = bench.answer("answer", &offer);
    let opened: Vec<DataChannelSpec> = commands(&actions)
        .into_iter()
        .filter_map(|command| if let Command::OpenChannel(PEER, spec) = command { Some(spec.clone()) } else { None })
        .collect();
    assert_eq!(opened.iter().map(|spec| spec.label.as_str()).collect::<Vec<_>>(), LABELS);
    assert!(opened[..7].iter().all(|spec| spec.ordered) && !opened[7].ordered);
}

#[test]
fn a_client_that_refuses_the_section_gets_no_channels() {
    let (mut bench, offer) = Bench::offered(&connect("sendrecv"), with_data(true, false));
    let sdp = answering::answer_with(offer["sdp"].as_str().unwrap(), |index, taken| {
        if index == 2 {
            taken.port = 0;
        }
    });
    let actions = bench.say(&json!({"type": "answer", "sdp": sdp}));
    assert!(!commands(&actions).iter().any(|command| matches!(command, Command::OpenChannel(..))), "{actions:?}");
    bench.session.handle_socket_closed();
    assert!(bench.session.is_closed(), "it has nothing but its WebSocket");
}

#[test]
fn re_offers_go_over_the_channel_and_answers_come_either_way() {
    for compress in [false, true] {
        let mut bench = Bench::switched(false, compress);
        for over_channel in [true, false] {
            let actions = bench.want(if over_channel { 10..12 } else { 10..14 });
            assert_eq!(sent(&actions), [Value::Null; 0]);
            let [(label, binary, payload)] = &over_channels(&actions)[..] else { panic!("{actions:?}") };
            assert_eq!((label.as_str(), *binary), ("signaling", compress));
            let text = if compress { inflated(payload) } else { payload.to_vec() };
            let offer: Value = serde_json::from_slice(&text).unwrap();
            assert_eq!(offer["type"], "re-offer");
            let answer = json!({"type": "re-answer", "sdp": answering::answer(offer["sdp"].as_str().unwrap())});
            let actions = match (over_channel, compress) {
                (true, true) => bench.data("signaling", deflated(answer.to_string().as_bytes())),
                (true, false) => bench.data("signaling", answer.to_string()),
                (false, _) => bench.say(&answer),
            };
            assert_eq!(commands(&actions).iter().filter(|command| matches!(command, Command::AddDownlink(..))).count(), 2);
        }
    }
}

#[test]
fn every_kind_has_its_channel_and_before_the_switch_the_websocket() {
    let notice = Notice::from(json!({"type": "notify"}).to_string());
    let mut bench = Bench::established(&connect("sendrecv"), with_data(false, false));
    bench.session.say(Line::Notify, &notice);
    assert_eq!(sent(&bench.actions()), [json!({"type": "notify"})]);
    bench.session.ask_for_stats();
    assert_eq!(sent(&bench.actions()), [json!({"type": "ping", "stats": true})]);
    assert_eq!(bench.say(&json!({"type": "pong", "stats": [{"id": "a"}]})), [Action::ClientStats(json!([{"id": "a"}]))]);

    let mut bench = Bench::switched(false, false);
    for line in [Line::Notify, Line::Push, Line::Rpc] {
        bench.session.say(line, &notice);
        assert_eq!(over_channels(&bench.actions()), [(line.label().into(), false, notice.text().clone().into())]);
    }
    bench.session.ask_for_stats();
    assert_eq!(over_channels(&bench.actions()), [("stats".into(), false, r#"{"type":"req-stats"}"#.into())]);
    let actions = bench.data("stats", json!({"type": "stats", "reports": [1]}).to_string());
    assert_eq!(actions, [Action::ClientStats(json!([1]))]);
    assert_eq!(bench.data("rpc", "{}"), [Action::Rpc("{}".into())]);
}

#[test]
fn whoever_ignores_the_websocket_outlives_it() {
    let mut bench = Bench::switched(true, false);
    bench.session.handle_socket_closed();
    assert_eq!(bench.actions(), []);
    assert_eq!(sent(&bench.pass(Duration::from_secs(600))), [Value::Null; 0], "no pings, no silence to end it");
    assert_eq!(over_channels(&bench.want([10, 11])).len(), 1);
    let mut bench = Bench::switched(true, false);
    assert_eq!(bench.pass(Duration::from_secs(61)).last(), Some(&Action::HangUp), "a silent WebSocket is only dropped");
    assert!(!bench.session.is_closed());

    let mut bench = Bench::switched(false, false);
    bench.session.handle_socket_closed();
    assert_eq!(bench.actions(), [Action::Sfu(Command::RemovePeer { peer: PEER, clean: false }), Action::Leave]);
    let mut bench = Bench::established(&connect("sendrecv"), with_data(true, false));
    bench.session.handle_socket_closed();
    assert!(bench.session.is_closed(), "it had not switched yet");
}

/// What remains until the channels are closed.
fn all_close(bench: &mut Bench) -> Vec<Action> {
    LABELS.iter().flat_map(|label| bench.event(PeerEvent::ChannelClosed((*label).into()))).collect()
}

#[test]
fn disconnect_closes_all_channels_before_the_peer_goes() {
    for (ignore, over_channel) in [(true, true), (false, true), (false, false)] {
        let mut bench = Bench::switched(ignore, false);
        let goodbye = json!({"type": "disconnect", "reason": "NO-ERROR"});
        let actions = if over_channel { bench.data("signaling", goodbye.to_string()) } else { bench.say(&goodbye) };
        let expected = [Action::Leave, Action::Sfu(Command::CloseChannels(PEER)), Action::Close(Closing::DISCONNECT)];
        assert_eq!(actions, expected);
        assert!(bench.session.is_over() && !bench.session.is_closed());
        assert_eq!(all_close(&mut bench), [Action::Sfu(Command::RemovePeer { peer: PEER, clean: true })]);
        assert!(bench.session.is_closed());
    }
}

#[test]
fn the_end_is_said_where_the_client_listens() {
    let mut hybrid = Bench::switched(false, false);
    hybrid.session.close(hybrid.now, Closing::API);
    let removal = Action::Sfu(Command::RemovePeer { peer: PEER, clean: true });
    assert_eq!(hybrid.actions(), [Action::Leave, Action::Close(Closing::API)], "only the WebSocket");
    assert_eq!(hybrid.pass(Duration::from_secs(2)), std::slice::from_ref(&removal), "channels stay until the client has heard");

    for socket_lost in [false, true] {
        let mut bench = Bench::switched(true, false);
        if socket_lost {
            bench.session.handle_socket_closed();
        }
        bench.session.close(bench.now, Closing::LIFETIME);
        let actions = bench.actions();
        let close = json!({"type": "close", "code": 1000, "reason": "LIFETIME-EXPIRED"});
        let said: Vec<Value> = over_channels(&actions).iter().map(|(_, _, text)| serde_json::from_slice(text).unwrap()).collect();
        assert_eq!(said, [close]);
        assert!(commands(&actions).contains(&&Command::CloseChannels(PEER)) && closing(&actions).is_some());
        assert_eq!(bench.data("signaling", "rubbish"), [], "nothing counts any more");
        assert_eq!(bench.pass(Duration::from_secs(2)), std::slice::from_ref(&removal), "nobody waits for ever");
    }
    let mut gone = Bench::switched(true, false);
    gone.session.handle_socket_closed();
    let actions = gone.event(PeerEvent::Closed(CloseReason::IceTimeout));
    assert_eq!(actions, [Action::Leave, Action::Close(Closing::error("ICE-TIMEOUT"))]);
}

#[test]
fn a_lifetime_ends() {
    let mut grants = admission().grants;
    grants.lifetime = Some(Duration::from_secs(3));
    let mut bench = Bench::established(&connect("sendrecv"), Admission { grants, ..admission() });
    assert_eq!(closing(&bench.pass(Duration::from_millis(2_999))), None);
    assert_eq!(closing(&bench.pass(Duration::from_millis(1))), Some(Closing::LIFETIME));
}

#[test]
fn messages_are_taken_and_given_as_agreed() {
    let mut bench = Bench::switched(true, false);
    assert_eq!(bench.data("#both", "hello"), [Action::Message("#both".into(), "hello".into())]);
    assert_eq!(bench.data("#out", deflated(b"hello")), [Action::Message("#out".into(), "hello".into())]);
    for (label, payload) in [
        ("#in", deflated(b"it may not")),
        ("#out", b"not zlib".to_vec()),
        ("#other", b"unknown".to_vec()),
        ("#out", deflated(&vec![0; 300_000])),
        ("#both", vec![0; 262_144]),
    ] {
        assert_eq!(bench.data(label, payload), [], "{label}");
    }
    let sender = "0123456789ABCDEFGHJKMNPQRS";
    let message = |label: &str| UserMessage::new(label.into(), sender.into(), "hello".into());
    bench.session.tell(&message("#both"));
    assert_eq!(over_channels(&bench.actions()), [("#both".into(), true, "hello".into())]);
    bench.session.tell(&message("#in"));
    let [(_, true, payload)] = &over_channels(&bench.actions())[..] else { panic!() };
    assert_eq!(inflated(payload), format!("{sender}hello").as_bytes());
    bench.session.tell(&message("#out"));
    bench.session.tell(&message("#other"));
    assert_eq!(bench.actions(), [], "it does not receive these");
}

#[test]
fn rubbish_on_our_own_channels_ends_the_connection() {
    let bomb = deflated(&vec![b' '; 4 << 20]);
    for (compress, payload, reason) in [
        (false, b"\xff".to_vec(), "INVALID-DATA"),
        (false, b"{".to_vec(), "INVALID-JSON"),
        (true, b"{}".to_vec(), "INVALID-DATA"),
        (true, bomb, "INVALID-DATA"),
    ] {
        let mut bench = Bench::switched(false, compress);
        assert_eq!(closing(&bench.data("signaling", payload)), Some(Closing::error(reason)));
    }
}
