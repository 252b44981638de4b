//! A random room: members come and go, mute, wish and vanish, over links of every kind; one shard between them; one virtual clock.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use minamo_media::{Codec, Kind, TrackId, TrackInfo};
use minamo_sfu_core::model::{Command, Fingerprint, IceCredentials, Layer, LayerWish, PeerId};
use minamo_sfu_core::room::{Filter, FilterAction, Newcomer, Role, Room, Rule, Subject, View};
use minamo_sfu_core::shard::{Shard, ShardConfig, ShardEvent};

use super::member::{AFTERMATH, Block, Member, weather};
use super::source::{Marks, Source};
use crate::link::{CLEAR, Dice, Weather};
use crate::null::{Fault, GOODBYE, NullTransport, check};
use crate::world::route;

/// Datagrams that one event may cause: a key frame to all, and a burst of repairs.
const TRANSMITS_MAX: usize = 4000;
/// Datagrams under way at once: three seconds of the largest room.
const FLIGHTS_MAX: usize = 200_000;
/// A subscriber whose publisher sends all the time has a picture at least so often, whatever the weather.
const DARK_MAX: Duration = Duration::from_secs(12);
/// After its link was narrow, a picture that did not fit is back within this.
const BACK_MAX: Duration = Duration::from_secs(15);

/// How a run is to go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flaws {
    /// In the transports.
    pub transport: Fault,
    /// Who may not hear whom is forgotten.
    pub bundles_forgotten: bool,
    /// Filters are forgotten.
    pub filters_forgotten: bool,
    /// A peer that leaves is not removed from the shard.
    pub leavers_stay: bool,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flight {
    at: Instant,
    /// Keeps the order of those that arrive together.
    number: u64,
    to_server: bool,
    peer: u64,
    data: Vec<u8>,
}

/// The run.
pub struct Hall {
    pub violations: Vec<String>,
    pub shard: Shard<NullTransport>,
    /// Frames that were decoded by anybody.
    pub frames: u64,
    /// The most members at once.
    pub most: usize,
    flaws: Flaws,
    now: Instant,
    start: Instant,
    dice: Dice,
    room: Room,
    members: BTreeMap<u64, Member>,
    marks: Marks,
    flights: BinaryHeap<Reverse<Flight>>,
    flown: u64,
    came: u64,
    tracks: u64,
    calm: bool,
    digest: DefaultHasher,
}

impl Hall {
    #[allow(clippy::disallowed_methods)] // the one look at a clock: everything after is counted from here
    pub fn new(seed: u64, flaws: Flaws) -> Self {
        let now = Instant::now();
        let fault = flaws.transport;
        Self {
            violations: Vec::new(),
            shard: Shard::new(ShardConfig::default(), move |_, ice| NullTransport::new(ice, fault)),
            frames: 0,
            most: 0,
            flaws,
            now,
            start: now,
            dice: Dice::new(seed),
            room: Room::new(),
            members: BTreeMap::new(),
            marks: Marks::default(),
            flights: BinaryHeap::new(),
            flown: 0,
            came: 0,
            tracks: 0,
            calm: false,
            digest: DefaultHasher::new(),
        }
    }

    /// Members come, act for so long, then the weather clears and everybody must see everybody; then all leave.
    pub fn play(&mut self, acting: Duration) {
        // Small rooms more often than large ones.
        let size = [2, 3, 4, 6, 10, 20, 50][self.dice.below(7) as usize];
        for _ in 0..size {
            self.join();
            let wait = self.dice.below(400);
            self.run(Duration::from_millis(wait));
        }
        let end = self.now + acting;
        while self.now < end && self.violations.is_empty() {
            self.act(size);
            let wait = self.dice.below(800);
            self.run(Duration::from_millis(wait));
        }
        self.clear_up();
        self.run(BACK_MAX + Duration::from_secs(1));
        self.check_everybody_sees();
        for peer in self.members.keys().copied().collect::<Vec<_>>() {
            self.leave(peer, true);
        }
        self.run(Duration::from_secs(1));
        if !self.shard.is_empty() {
            self.violations.push(format!("the shard remembers somebody: {:?}", self.shard.stats()));
        }
    }

    /// What came out, in order and with times: equal for equal seeds.
    pub fn digest(&self) -> u64 {
        self.digest.finish()
    }

    fn act(&mut self, size: usize) {
        let Some(peer) = self.somebody() else { return self.join() };
        match self.dice.below(13) {
            0 | 1 if self.members.len() < size => self.join(),
            0 | 1 => {
                let clean = self.dice.chance(0.7);
                self.leave(peer, clean);
            }
            2..=4 => self.mute(peer),
            5..=9 => self.wish(peer),
            10 => self.change_weather(peer),
            11 => self.filter(peer),
            _ => self.republish(peer),
        }
    }

    fn somebody(&mut self) -> Option<u64> {
        let number = self.dice.below(self.members.len().max(1) as u64) as usize;
        self.members.keys().nth(number).copied()
    }

    fn join(&mut self) {
        let publishers = self.members.values().filter(|member| member.role.sends()).count();
        let role = match self.dice.below(3) {
            0 if publishers < 5 => Role::SendRecv,
            1 if publishers < 5 => Role::SendOnly,
            _ => Role::RecvOnly,
        };
        let bundle = self.dice.chance(0.3).then(|| format!("bundle{}", self.dice.below(3)));
        let tells = self.dice.chance(0.6);
        let links = (weather(&mut self.dice, false), weather(&mut self.dice, tells));
        let peer = self.came;
        self.came += 1;
        let member = Member::new(self.now, peer, role, bundle.clone(), links, tells);
        let bundle = bundle.filter(|_| !self.flaws.bundles_forgotten);
        let view = View::new(LayerWish::Best, None);
        let newcomer = Newcomer { role, client: String::new(), bundle, view, filters: Vec::new() };
        self.room.join(member.connection.clone(), newcomer).expect("it was not there");
        self.members.insert(peer, member);
        self.most = self.most.max(self.members.len());
        let ufrag = format!("ufrag{peer}");
        self.command(Command::AddPeer { peer: PeerId(peer), ice: IceCredentials { ufrag: ufrag.clone(), pwd: "p".repeat(22) } });
        self.command(Command::SetRemote { peer: PeerId(peer), fingerprint: Fingerprint([0; 32]) });
        self.shard.handle_datagram(self.now, route(PeerId(peer)), BytesMut::from(&check(&ufrag)[..]));
        if role.sends() {
            self.publish(peer);
        }
        self.subscribe_everybody();
    }

    fn publish(&mut self, peer: u64) {
        let Some(member) = self.members.get_mut(&peer) else { return };
        let video = [Codec::H264, Codec::Vp8, Codec::Vp9, Codec::Av1][self.dice.below(4) as usize];
        let layers = 1 + self.dice.below(3) as usize;
        for (codec, layers) in [(video, layers), (Codec::Opus, 1)] {
            member.published += 1;
            self.tracks += 1;
            let dice = Dice::new(self.dice.next());
            member.sources.push(Source::new(self.now, TrackId(self.tracks), member.published, codec, layers, dice));
        }
        let info = |source: &Source| TrackInfo {
            track: source.track,
            publisher: member.connection.clone(),
            codec: source.codec,
            rids: Vec::new(),
        };
        self.room.publish(&member.connection, member.sources.iter().map(info).collect()).expect("few tracks");
        for uplink in member.sources.iter().map(Source::uplink).collect::<Vec<_>>() {
            self.command(Command::AddUplink(PeerId(peer), uplink));
        }
    }

    /// A publisher ends its tracks and begins others.
    fn republish(&mut self, peer: u64) {
        let Some(member) = self.members.get_mut(&peer).filter(|member| member.role.sends()) else { return };
        let ended: Vec<TrackId> = member.sources.drain(..).map(|source| source.track).collect();
        for track in ended {
            self.command(Command::RemoveUplink(PeerId(peer), track));
        }
        self.publish(peer);
        self.subscribe_everybody();
    }

    fn leave(&mut self, peer: u64, clean: bool) {
        let Some(member) = self.members.remove(&peer) else { return };
        self.frames += member.subscriptions.values().map(|subscription| subscription.reception.frames).sum::<u64>();
        self.room.leave(self.now, &member.connection);
        if !clean {
            self.shard.handle_datagram(self.now, route(PeerId(peer)), BytesMut::from(GOODBYE));
        } else if !self.flaws.leavers_stay {
            self.command(Command::RemovePeer { peer: PeerId(peer), clean });
        }
        self.drain();
        self.subscribe_everybody();
    }

    fn mute(&mut self, peer: u64) {
        let Some(member) = self.members.get_mut(&peer) else { return };
        if let Some(source) = member.sources.first_mut() {
            source.muted = !source.muted;
        }
    }

    fn wish(&mut self, peer: u64) {
        let choice = self.dice.below(5);
        let wish = match choice {
            0 => LayerWish::Best,
            1 => LayerWish::Off,
            _ => LayerWish::AtMost(Layer(choice as u8 - 2)),
        };
        self.set_wish(peer, wish);
    }

    fn set_wish(&mut self, peer: u64, wish: LayerWish) {
        let Some(member) = self.members.get_mut(&peer) else { return };
        let active = member.subscriptions.values_mut().filter(|subscription| subscription.ended.is_none());
        let mut tracks = Vec::new();
        for subscription in active.filter(|subscription| subscription.reception.codec != Codec::Opus) {
            (subscription.wish, subscription.since) = (wish, self.now);
            tracks.push(subscription.reception.track);
        }
        for track in tracks {
            self.command(Command::SetLayer(PeerId(peer), track, wish));
        }
    }

    /// A member is not to be sent some: sound, pictures, or anything, of somebody or of everybody.
    fn filter(&mut self, peer: u64) {
        let (sender, kind) = (self.somebody(), [None, Some(Kind::Audio), Some(Kind::Video)][self.dice.below(3) as usize]);
        let (now, lifts, of_all) = (self.now, self.dice.chance(0.4), self.dice.chance(0.2));
        let sender = sender.and_then(|sender| self.members.get(&sender)).map(|sender| sender.connection.clone());
        let Some(member) = self.members.get_mut(&peer) else { return };
        member.blocked = (!lifts).then_some(Block { since: now, sender: sender.filter(|_| !of_all), kind });
        let filters = member.blocked.iter().map(filter_of).collect();
        if !self.flaws.filters_forgotten {
            self.room.set_filters(&member.connection, filters).expect("it is there");
        }
        self.subscribe_everybody();
    }

    fn change_weather(&mut self, peer: u64) {
        let tells = self.members.get(&peer).is_some_and(|member| member.told.is_some());
        let (up, down) = (weather(&mut self.dice, false), weather(&mut self.dice, tells));
        if let Some(member) = self.members.get_mut(&peer) {
            (member.up, member.down, member.weather_since) = (up, down, self.now);
        }
    }

    fn clear_up(&mut self) {
        self.calm = true;
        for member in self.members.values_mut() {
            (member.up, member.down, member.weather_since) = (CLEAR, CLEAR, self.now);
            member.sources.iter_mut().for_each(|source| source.muted = false);
        }
        for peer in self.members.keys().copied().collect::<Vec<_>>() {
            self.set_wish(peer, LayerWish::Best);
        }
    }

    /// Signaling's part: everybody is sent what the room says.
    fn subscribe_everybody(&mut self) {
        for peer in self.members.keys().copied().collect::<Vec<_>>() {
            let Some(member) = self.members.get_mut(&peer) else { continue };
            let wanted: Vec<TrackInfo> = self.room.wanted(&member.connection).into_iter().map(|wanted| wanted.info).collect();
            let active = member.subscriptions.values().filter(|subscription| subscription.ended.is_none());
            let stale: Vec<TrackId> = active
                .map(|subscription| subscription.reception.track)
                .filter(|track| wanted.iter().all(|info| info.track != *track))
                .collect();
            let mut commands = Vec::new();
            for track in stale {
                member.unsubscribe(self.now, track);
                commands.push(Command::RemoveDownlink(PeerId(peer), track));
            }
            for info in wanted {
                if member.subscribed(info.track).is_none() {
                    commands.push(Command::AddDownlink(PeerId(peer), member.subscribe(self.now, info.track, info.codec)));
                }
            }
            commands.into_iter().for_each(|command| self.command(command));
        }
    }

    fn command(&mut self, command: Command) {
        self.shard.handle_command(self.now, command);
        self.drain();
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.violations.is_empty() {
            let flight = self.flights.peek().map(|Reverse(flight)| flight.at);
            let members = self.members.values().map(Member::next).min();
            let next = [flight, members, self.shard.poll_timeout()].into_iter().flatten().min();
            let Some(at) = next.filter(|at| *at <= end) else { break };
            self.now = self.now.max(at);
            self.step();
        }
        self.now = end;
    }

    fn step(&mut self) {
        while let Some(Reverse(flight)) = self.flights.pop() {
            if flight.at > self.now {
                self.flights.push(Reverse(flight));
                break;
            }
            self.land(&flight);
        }
        self.drain();
        if self.shard.poll_timeout().is_some_and(|due| due <= self.now) {
            self.shard.handle_timeout(self.now);
            if self.shard.poll_timeout().is_some_and(|due| due <= self.now) {
                self.violations.push("the shard spins".into());
            }
            self.drain();
        }
        let due: Vec<u64> = self.members.iter().filter(|(_, member)| member.next() <= self.now).map(|(peer, _)| *peer).collect();
        for peer in due {
            let sent = self.members.get_mut(&peer).map(|member| member.tick(self.now, &mut self.marks)).unwrap_or_default();
            sent.iter().for_each(|data| self.fly(true, peer, data));
            self.check_nobody_is_in_the_dark(peer);
        }
    }

    fn land(&mut self, flight: &Flight) {
        if flight.to_server {
            self.shard.handle_datagram(self.now, route(PeerId(flight.peer)), BytesMut::from(&flight.data[..]));
            return;
        }
        let Some(member) = self.members.get_mut(&flight.peer) else { return };
        match member.receive(self.now, &flight.data, &self.marks) {
            Ok(answers) => answers.iter().for_each(|data| self.fly(true, flight.peer, data)),
            Err(found) => self.violations.push(format!("{:?}: peer {}: {found}", self.now - self.start, flight.peer)),
        }
        self.check_is_allowed(flight);
    }

    /// The room's own words are not asked: who is of one bundle is known here.
    fn check_is_allowed(&mut self, flight: &Flight) {
        let Some(mark) = flight.data.last_chunk::<8>().filter(|_| !minamo_sfu_core::rtcp::is_rtcp(&flight.data)) else { return };
        let Some(sent) = self.marks.sent.get(&u64::from_be_bytes(*mark)) else { return };
        let owns = |member: &&Member| member.sources.iter().any(|source| source.track == sent.track);
        let (Some(owner), Some(member)) = (self.members.values().find(owns), self.members.get(&flight.peer)) else { return };
        let same = owner.connection == member.connection;
        let bundled = owner.bundle.is_some() && owner.bundle == member.bundle;
        if same || bundled || !member.role.receives() {
            self.violations.push(format!("peer {} is sent {}, which is not for it", flight.peer, sent.track));
        }
        let kind = if sent.video { Kind::Video } else { Kind::Audio };
        if member.blocked.as_ref().is_some_and(|block| self.now - block.since > AFTERMATH && block.holds(&owner.connection, kind))
        {
            self.violations.push(format!("peer {} is sent {}, which its filter blocks", flight.peer, sent.track));
        }
    }

    fn check_nobody_is_in_the_dark(&mut self, peer: u64) {
        let Some(member) = self.members.get(&peer) else { return };
        let active = member.subscriptions.values().filter(|subscription| subscription.ended.is_none());
        for subscription in active.filter(|subscription| subscription.wish != LayerWish::Off) {
            let since = subscription.since.max(member.weather_since);
            let seen = subscription.reception.decoded_at.map_or(since, |at| at.max(since));
            let dark_max = if member.told.is_some() { BACK_MAX } else { DARK_MAX };
            let flows = self.flows_since(subscription.reception.track).is_some_and(|since| self.now - since > dark_max);
            if flows && member.down.rate.is_none() && self.now - seen > dark_max {
                self.violations.push(format!(
                    "{:?}: peer {peer} has not seen {} of {:?} for {:?}",
                    self.now - self.start,
                    subscription.reception.track,
                    subscription.reception.codec,
                    self.now - seen
                ));
                return;
            }
        }
    }

    fn flows_since(&self, track: TrackId) -> Option<Instant> {
        let source = self.members.values().flat_map(|member| &member.sources).find(|source| source.track == track)?;
        source.flows_since
    }

    /// After the storm.
    fn check_everybody_sees(&mut self) {
        for (peer, member) in &self.members {
            for info in self.room.wanted(&member.connection).into_iter().map(|wanted| wanted.info) {
                let subscription = member.subscribed(info.track);
                let seen = subscription.and_then(|subscription| subscription.reception.decoded_at);
                if seen.is_none_or(|at| self.now - at > Duration::from_secs(1)) {
                    let ago = seen.map(|at| self.now - at);
                    self.violations.push(format!("peer {peer} does not see {} of {:?}: {ago:?}", info.track, info.codec));
                }
            }
        }
    }

    fn fly(&mut self, to_server: bool, peer: u64, data: &[u8]) {
        let Some(member) = self.members.get_mut(&peer) else { return };
        let weather: Weather = if to_server { member.up } else { member.down };
        let busy = &mut member.busy[usize::from(to_server)];
        let Some(leaves) = weather.leaves(self.now, data.len(), busy) else { return };
        for at in weather.arrivals(leaves, &mut self.dice) {
            if self.flights.len() >= FLIGHTS_MAX {
                return self.violations.push(format!("{FLIGHTS_MAX} datagrams are under way"));
            }
            self.flown += 1;
            self.flights.push(Reverse(Flight { at, number: self.flown, to_server, peer, data: data.to_vec() }));
        }
    }

    fn drain(&mut self) {
        let mut transmits = 0;
        while let Some(transmit) = self.shard.poll_transmit() {
            let peer = u64::from(transmit.route.remote.port()) - 1000;
            for datagram in transmit.datagrams() {
                transmits += 1;
                (self.now - self.start, peer, datagram).hash(&mut self.digest);
                self.fly(false, peer, datagram);
            }
            if transmits > TRANSMITS_MAX {
                self.violations.push(format!("a storm of more than {TRANSMITS_MAX} datagrams"));
                break;
            }
        }
        while let Some(event) = self.shard.poll_event() {
            if let ShardEvent::Peer(peer, minamo_sfu_core::model::PeerEvent::Closed(reason)) = event
                && self.members.contains_key(&peer.0)
            {
                self.violations.push(format!("{peer:?} was closed: {reason:?}"));
            }
        }
    }
}

/// What the room is told.
fn filter_of(block: &Block) -> Filter {
    let rule = |subject, value: String| Rule { subject, values: vec![value], negated: false };
    let sender = block.sender.iter().map(|sender| rule(Subject::Connection, sender.as_str().to_owned()));
    let kind = block.kind.map(|kind| rule(Subject::Kind, if kind == Kind::Audio { "audio" } else { "video" }.to_owned()));
    Filter { priority: 1, action: FilterAction::Block, any_of: vec![sender.chain(kind).collect()] }
}
