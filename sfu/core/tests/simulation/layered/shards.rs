//! A publisher on one shard, its viewers on two: across a queue that takes its time and loses some.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use minamo_media::Codec;
use minamo_sfu_core::model::{Command, Fingerprint, IceCredentials, Layer, LayerWish, PeerEvent, PeerId};
use minamo_sfu_core::shard::{RelayMessage, Shard, ShardConfig, ShardEvent, ShardIndex};

use super::source::{Habits, Source, TRACK};
use super::stage::SIMULCAST;
use super::viewer::Viewer;
use crate::link::{BAD, CLEAR, Dice, Weather};
use crate::null::{Fault, NullTransport, check};
use crate::world::route;
use crate::{ms, secs};

const PUBLISHER: PeerId = PeerId(0);
/// As long as a media thread may rest.
const CROSSING: Duration = Duration::from_millis(1);

type Flight = Reverse<(Instant, u64, bool, PeerId, Vec<u8>)>;

/// Two shards; peers with even numbers live on the first, the others on the second.
struct Pair {
    now: Instant,
    shards: [Shard<NullTransport>; 2],
    source: Source,
    viewers: BTreeMap<PeerId, Viewer>,
    weather: Weather,
    /// The chance that media is lost between the shards.
    loss: f64,
    /// Negative control: what is lost between the shards is not asked for again.
    mute: bool,
    crossing: VecDeque<(Instant, usize, RelayMessage)>,
    crossed: [usize; 2],
    events: Vec<(PeerId, PeerEvent)>,
    dice: Dice,
    flights: BinaryHeap<Flight>,
    flown: u64,
}

fn shard_of(peer: PeerId) -> usize {
    (peer.0 % 2) as usize
}

impl Pair {
    #[allow(clippy::disallowed_methods)] // the one look at a clock: everything after is counted from here
    fn new(seed: u64, habits: Habits) -> Self {
        let now = Instant::now();
        let mut dice = Dice::new(seed);
        let shard = || Shard::new(ShardConfig::default(), |_, ice| NullTransport::new(ice, Fault::None)).relaying();
        let mut pair = Self {
            now,
            shards: [shard(), shard()],
            source: Source::new(now, habits, Dice::new(dice.next())),
            viewers: BTreeMap::new(),
            weather: CLEAR,
            loss: 0.0,
            mute: false,
            crossing: VecDeque::new(),
            crossed: [0; 2],
            events: Vec::new(),
            dice,
            flights: BinaryHeap::new(),
            flown: 0,
        };
        pair.connect(PUBLISHER);
        pair
    }

    fn publish(&mut self) {
        self.command(PUBLISHER, Command::AddUplink(PUBLISHER, self.source.uplink(false)));
    }

    fn command(&mut self, peer: PeerId, command: Command) {
        self.shards[shard_of(peer)].handle_command(self.now, command);
        self.drain();
    }

    fn connect(&mut self, peer: PeerId) {
        let ufrag = format!("ufrag{}", peer.0);
        self.command(peer, Command::AddPeer { peer, ice: IceCredentials { ufrag: ufrag.clone(), pwd: "p".repeat(22) } });
        self.command(peer, Command::SetRemote { peer, fingerprint: Fingerprint([0; 32]) });
        self.shards[shard_of(peer)].handle_datagram(self.now, route(peer), BytesMut::from(&check(&ufrag)[..]));
        self.drain();
    }

    fn join(&mut self, number: u32, wish: LayerWish) -> PeerId {
        let peer = PeerId(u64::from(number));
        let viewer = Viewer::new(self.now, number, self.source.habits.codec, wish);
        let downlink = viewer.downlink();
        self.viewers.insert(peer, viewer);
        self.connect(peer);
        self.command(peer, Command::AddDownlink(peer, downlink));
        peer
    }

    fn leave(&mut self, peer: PeerId) {
        self.viewers.remove(&peer);
        self.command(peer, Command::RemovePeer { peer, clean: true });
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.next_event().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.step();
        }
        self.now = end;
    }

    fn next_event(&self) -> Option<Instant> {
        let flight = self.flights.peek().map(|Reverse((at, ..))| *at);
        let ticks = self.viewers.values().map(Viewer::next).chain([self.source.next()]).min();
        let shards = self.shards.iter().filter_map(Shard::poll_timeout).min();
        let crossing = self.crossing.front().map(|(at, ..)| *at);
        [flight, ticks, shards, crossing].into_iter().flatten().min()
    }

    fn step(&mut self) {
        while self.flights.peek().is_some_and(|Reverse((at, ..))| *at <= self.now) {
            let Some(Reverse((_, _, to_server, peer, data))) = self.flights.pop() else { break };
            if to_server {
                self.shards[shard_of(peer)].handle_datagram(self.now, route(peer), BytesMut::from(&data[..]));
            } else if peer == PUBLISHER {
                let answers = self.source.receive(self.now, &data);
                answers.iter().for_each(|data| self.fly(true, PUBLISHER, data));
            } else if let Some(viewer) = self.viewers.get_mut(&peer) {
                viewer.receive(self.now, &data);
            }
        }
        while self.crossing.front().is_some_and(|(at, ..)| *at <= self.now) {
            let Some((_, to, message)) = self.crossing.pop_front() else { break };
            self.shards[to].handle_relay(self.now, ShardIndex(1 - to as u16), message);
        }
        self.drain();
        for shard in &mut self.shards {
            if shard.poll_timeout().is_some_and(|due| due <= self.now) {
                shard.handle_timeout(self.now);
                assert!(shard.poll_timeout().is_none_or(|due| due > self.now), "a shard spins");
            }
        }
        self.drain();
        if self.source.next() <= self.now {
            let sent = self.source.tick(self.now);
            sent.iter().for_each(|data| self.fly(true, PUBLISHER, data));
        }
        let due: Vec<PeerId> = self.viewers.iter().filter(|(_, viewer)| viewer.next() <= self.now).map(|(id, _)| *id).collect();
        for peer in due {
            let sent = self.viewers.get_mut(&peer).map(|viewer| viewer.tick(self.now)).unwrap_or_default();
            sent.iter().for_each(|data| self.fly(true, peer, data));
        }
    }

    fn fly(&mut self, to_server: bool, peer: PeerId, data: &[u8]) {
        for at in self.weather.arrivals(self.now, &mut self.dice) {
            self.flown += 1;
            self.flights.push(Reverse((at, self.flown, to_server, peer, data.to_vec())));
        }
    }

    fn drain(&mut self) {
        for index in 0..2 {
            while let Some(transmit) = self.shards[index].poll_transmit() {
                let peer = PeerId(u64::from(transmit.route.remote.port()) - 1000);
                assert_eq!(shard_of(peer), index);
                transmit.datagrams().for_each(|datagram| self.fly(false, peer, datagram));
            }
            while let Some(event) = self.shards[index].poll_event() {
                match event {
                    ShardEvent::Peer(peer, event) => self.events.push((peer, event)),
                    ShardEvent::Relay(to, message) => self.cross(index, to, message),
                    ShardEvent::Tap(_) => {}
                }
            }
        }
    }

    fn cross(&mut self, from: usize, to: Option<ShardIndex>, message: RelayMessage) {
        let to = to.map_or(1 - from, |to| usize::from(to.0));
        assert_ne!(to, from, "a shard talks to itself");
        let media = message.is_media();
        self.crossed[to] += usize::from(media);
        let asks = to == 0 && format!("{message:?}").contains("Missing");
        if media && self.dice.chance(self.loss) || asks && self.mute {
            return;
        }
        self.crossing.push_back((self.now + CROSSING, to, message));
    }

    fn violations(&self) -> Vec<String> {
        let found = |(peer, viewer): (&PeerId, &Viewer)| -> Vec<String> {
            viewer.violations.iter().map(|found| format!("{peer:?}: {found}")).collect()
        };
        self.viewers.iter().flat_map(found).collect()
    }

    fn freezes(&self, since: Instant) -> Vec<Duration> {
        self.viewers.values().map(|viewer| viewer.freeze(since, self.now)).collect()
    }
}

fn single() -> Habits {
    Habits { codec: Codec::Vp8, layers: 1, ..SIMULCAST }
}

#[test]
fn viewers_on_both_shards_see_the_same() {
    for (seed, early) in [(1, false), (2, true)] {
        let mut pair = Pair::new(seed, single());
        if early {
            // Subscribers before their track.
            for number in 1..=4 {
                pair.join(number, LayerWish::Best);
            }
            pair.publish();
        } else {
            pair.publish();
            for number in 1..=4 {
                pair.join(number, LayerWish::Best);
            }
        }
        pair.run(secs(2));
        let since = pair.now;
        pair.run(secs(5));
        assert_eq!(pair.violations(), [""; 0]);
        assert!(pair.freezes(since).iter().all(|freeze| *freeze < ms(80)), "{:?}", pair.freezes(since));
        assert!(pair.viewers.values().all(|viewer| viewer.undecodable == 0));
        // One message per picture, however many packets and viewers it has; and a report a second.
        assert!((200..300).contains(&pair.crossed[1]), "{:?}", pair.crossed);
        assert_eq!((pair.shards[0].stats().uplinks, pair.shards[1].stats().uplinks), (1, 0));
        assert_eq!(pair.shards[1].stats().rtp_in, 0);
    }
}

#[test]
fn who_joins_on_the_other_shard_begins_with_cached_pictures_or_asks_for_a_key_frame() {
    let mut pair = Pair::new(3, single());
    pair.publish();
    pair.join(2, LayerWish::Best);
    pair.run(secs(1));
    let asked = pair.source.plis.len();
    pair.join(1, LayerWish::Best);
    pair.run(ms(300));
    assert_eq!((pair.source.plis.len(), pair.shards[1].stats().cached_starts), (asked, 1));
    assert!(pair.viewers[&PeerId(1)].shown.first().is_some_and(|shown| shown.at - pair.viewers[&PeerId(1)].joined < ms(60)));
    pair.run(secs(8));
    pair.join(3, LayerWish::Best);
    pair.run(secs(1));
    assert_eq!(pair.source.plis.len(), asked + 1, "the group is too old: the wish went across");
    pair.run(secs(2));
    assert_eq!(pair.violations(), [""; 0]);
    assert!(pair.viewers.values().all(|viewer| !viewer.shown.is_empty() && viewer.undecodable == 0));
}

/// The longest freeze on the second shard, and how often a key frame was asked for, where a twentieth of what goes across is lost.
fn across_a_lossy_queue(mute: bool) -> (Pair, Duration, usize) {
    let mut pair = Pair::new(4, single());
    pair.publish();
    for number in 1..=4 {
        pair.join(number, LayerWish::Best);
    }
    pair.run(secs(2));
    (pair.loss, pair.mute) = (0.05, mute);
    let (since, asked) = (pair.now, pair.source.plis.len());
    pair.run(secs(10));
    let freeze = pair.viewers.iter().filter(|(peer, _)| shard_of(**peer) == 1).map(|(_, viewer)| viewer.freeze(since, pair.now));
    let (freeze, asked) = (freeze.max().unwrap_or_default(), pair.source.plis.len() - asked);
    (pair, freeze, asked)
}

#[test]
fn what_is_lost_between_the_shards_comes_again() {
    let (pair, freeze, asked) = across_a_lossy_queue(false);
    assert_eq!(pair.violations(), [""; 0]);
    assert!(freeze < ms(200) && asked <= 1, "{freeze:?} {asked}");
    assert!(pair.viewers.values().all(|viewer| viewer.undecodable == 0));
}

/// Negative control of the above.
#[test]
fn without_asking_it_does_not() {
    let (_, freeze, asked) = across_a_lossy_queue(true);
    assert!(freeze >= ms(200) || asked > 3, "{freeze:?} {asked}");
}

#[test]
fn bad_links_and_a_bad_queue_together() {
    for seed in 10..14 {
        let mut pair = Pair::new(seed, single());
        pair.publish();
        (pair.weather, pair.loss) = (BAD, 0.03);
        for number in 1..=4 {
            pair.join(number, LayerWish::Best);
        }
        pair.run(secs(15));
        (pair.weather, pair.loss) = (CLEAR, 0.0);
        pair.run(secs(3));
        let since = pair.now;
        pair.run(secs(2));
        assert_eq!(pair.violations(), [""; 0], "seed {seed}");
        assert!(pair.freezes(since).iter().all(|freeze| *freeze < ms(80)), "seed {seed}: {:?}", pair.freezes(since));
    }
}

#[test]
fn layers_are_switched_and_watched_across() {
    let mut pair = Pair::new(20, Habits { codec: Codec::Vp8, ..SIMULCAST });
    pair.publish();
    let peer = pair.join(1, LayerWish::AtMost(Layer(0)));
    pair.run(secs(9));
    for layer in [1, 2, 0] {
        let since = pair.now;
        pair.command(peer, Command::SetLayer(peer, TRACK, LayerWish::AtMost(Layer(layer))));
        pair.run(secs(5));
        assert_eq!(pair.viewers[&peer].layers_since(pair.now - secs(2)), [layer]);
        assert!(pair.freezes(since).iter().all(|freeze| *freeze < ms(120)), "{layer}: {:?}", pair.freezes(since));
    }
    assert_eq!((pair.violations(), pair.viewers[&peer].undecodable), (vec![], 0));
    let told = |layers: [bool; 3]| pair.events.contains(&(PUBLISHER, PeerEvent::LayersWatched(TRACK, layers.to_vec())));
    assert!(told([true, false, false]), "{:?}", pair.events);
}

#[test]
fn who_leaves_ends_the_crossing_and_who_ends_the_track_ends_the_mirror() {
    let mut pair = Pair::new(30, single());
    pair.publish();
    let (here, there) = (pair.join(2, LayerWish::Best), pair.join(1, LayerWish::Best));
    pair.run(secs(3));
    pair.leave(there);
    pair.run(secs(2));
    let crossed = pair.crossed;
    assert!(pair.shards[1].is_empty(), "the mirror went with its last viewer");
    pair.run(secs(2));
    assert_eq!(pair.crossed, crossed, "nothing goes where nobody watches");
    let again = pair.join(3, LayerWish::Best);
    pair.run(secs(3));
    assert!(pair.viewers[&again].shown.len() > 30);
    pair.command(PUBLISHER, Command::RemovePeer { peer: PUBLISHER, clean: true });
    pair.run(ms(10));
    pair.leave(here);
    pair.leave(again);
    pair.run(secs(2));
    assert!(pair.shards.iter().all(Shard::is_empty));
    assert_eq!(pair.violations(), [""; 0]);
}
