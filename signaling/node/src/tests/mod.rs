//! Sessions without sockets, and the WebSocket route without an SFU.

mod answering;
mod any_order;
mod bad_input;
mod data_channels;
mod life;
mod offer_schema;
mod re_offers;
mod simulcast;
mod websocket;

use std::sync::Arc;
use std::time::{Duration, Instant};

use minamo_media::{Codec, TrackId, TrackInfo};
use minamo_sfu_core::model::{Command, Fingerprint, LayerWish, PeerEvent, PeerId};
use serde_json::{Value, json};

use crate::session::{Action, Admission, Closing, Endpoint, Grants, Published, Session, Timing, Wanted};

/// One session in virtual time, and everything that it has wanted done.
pub(super) struct Bench {
    pub session: Session,
    pub now: Instant,
}

pub(super) fn endpoint() -> Arc<Endpoint> {
    let candidates = vec!["192.0.2.1:8080".parse().unwrap(), "127.0.0.1:8080".parse().unwrap()];
    Arc::new(Endpoint { candidates, fingerprint: Fingerprint([7; 32]) })
}

pub(super) fn admission() -> Admission {
    Admission {
        channel: "c".into(),
        connection: "0123456789ABCDEFGHJKMNPQRS".into(),
        peer: PeerId(1),
        session_id: "SESSION".into(),
        audio_track: TrackId(1),
        video_track: TrackId(2),
        endpoint: endpoint(),
        ice_config: minamo_signaling_proto::sora::IceConfig::default(),
        has_hls: true,
        taps_layers: false,
        video_bps_max: None,
        downlinks_max: 100,
        seed: [3; 32],
        wanted: Vec::new(),
        data: None,
        grants: Grants::default(),
    }
}

pub(super) fn connect(role: &str) -> Value {
    json!({"type": "connect", "role": role, "channel_id": "c"})
}

/// Track `id` of publisher `P<id / 2>`: even ones are audio.
pub(super) fn track(id: u64) -> Published {
    let (codec, fmtp) = if id.is_multiple_of(2) {
        (Codec::Opus, "minptime=10;useinbandfec=1")
    } else {
        (Codec::H264, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f")
    };
    let publisher = format!("P{}", id / 2).into();
    Published { info: TrackInfo { track: TrackId(id), publisher, codec, rids: Vec::new() }, fmtp: fmtp.into() }
}

pub(super) fn tracks(ids: impl IntoIterator<Item = u64>) -> Vec<Wanted> {
    ids.into_iter().map(|id| at_best(track(id))).collect()
}

pub(super) fn at_best(published: Published) -> Wanted {
    Wanted { published, layer: LayerWish::Best }
}

impl Bench {
    #[allow(clippy::disallowed_methods, reason = "virtual time begins somewhere")]
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { session: Session::new(now, Timing::default()), now }
    }

    /// Connected and admitted. Returns the offer.
    #[expect(clippy::needless_pass_by_value, reason = "callers make it in place")]
    pub(super) fn offered(connect: &Value, admission: Admission) -> (Self, Value) {
        let mut bench = Self::new();
        let actions = bench.say(connect);
        assert!(matches!(actions[..], [Action::Join(_)]), "{actions:?}");
        bench.session.admit(bench.now, &admission);
        let actions = bench.actions();
        let [Action::Sfu(Command::AddPeer { .. }), Action::Send(offer)] = &actions[..] else { panic!("{actions:?}") };
        let offer = serde_json::from_str(offer).unwrap();
        (bench, offer)
    }

    /// Answered, and media is up.
    pub(super) fn established(connect: &Value, admission: Admission) -> Self {
        let (mut bench, offer) = Self::offered(connect, admission);
        bench.answer("answer", &offer);
        bench.session.handle_peer_event(bench.now, PeerEvent::Connected);
        bench.actions();
        bench
    }

    pub(super) fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.session.poll_action()).collect()
    }

    pub(super) fn say(&mut self, message: &Value) -> Vec<Action> {
        self.say_text(&message.to_string())
    }

    pub(super) fn say_text(&mut self, text: &str) -> Vec<Action> {
        self.session.handle_text(self.now, text);
        self.actions()
    }

    pub(super) fn answer(&mut self, kind: &str, offer: &Value) -> Vec<Action> {
        let sdp = answering::answer(offer["sdp"].as_str().unwrap());
        self.say(&json!({"type": kind, "sdp": sdp}))
    }

    pub(super) fn want(&mut self, ids: impl IntoIterator<Item = u64>) -> Vec<Action> {
        self.session.set_wanted(self.now, tracks(ids));
        self.actions()
    }

    /// Lets time pass, timer by timer.
    pub(super) fn pass(&mut self, time: Duration) -> Vec<Action> {
        let end = self.now + time;
        let mut actions = Vec::new();
        while let Some(next) = self.session.poll_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.session.handle_timeout(self.now);
            actions.extend(self.actions());
        }
        self.now = end;
        actions
    }
}

/// What was sent, parsed.
pub(super) fn sent(actions: &[Action]) -> Vec<Value> {
    let text = |action: &Action| match action {
        Action::Send(text) => Some(serde_json::from_str(text).unwrap()),
        _ => None,
    };
    actions.iter().filter_map(text).collect()
}

pub(super) fn commands(actions: &[Action]) -> Vec<&Command> {
    let mut commands = Vec::new();
    for action in actions {
        if let Action::Sfu(command) = action {
            commands.push(command);
        }
    }
    commands
}

pub(super) fn closing(actions: &[Action]) -> Option<Closing> {
    actions.iter().find_map(|action| match action {
        Action::Close(closing) => Some(*closing),
        _ => None,
    })
}
