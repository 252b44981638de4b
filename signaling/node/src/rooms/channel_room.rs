//! The room of one channel: membership, tracks, notifications.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use minamo_catalog::Channel;
use minamo_media::{ChannelId, ConnectionId, Kind, TrackId};
use minamo_sfu_core::model::PathKind;
use minamo_sfu_core::room::{self, Room};
use minamo_signaling_proto::sora::{
    ConnectionEvent, Counters, Event, ForwardingFilter, ForwardingWishes, Notify, Present, Role, ServerMessage,
};

use time::OffsetDateTime;

use super::member::{Member, Newcomer};
use super::request::KeyFrameSource;
use super::view::{Reached, SessionSummary};
use super::wishes;
use crate::mailbox::{Letter, Mailbox};
use crate::session::{Closing, Notice, Published, Reason, UserMessage, Wanted};
use crate::{ConnectionSummary, clock, ids};

/// The largest room in which everybody is told of everybody's minutes: these are 42 messages a second. In a larger one each is told of
/// its own only. (The protocol's notes leave open who is told; nobody else's applications need it.)
const UPDATED_AUDIENCE_MAX: usize = 50;

pub(super) struct ChannelRoom {
    pub(super) channel: ChannelId,
    session_id: String,
    created: OffsetDateTime,
    single: bool,
    pub(super) room: Room,
    members: BTreeMap<ConnectionId, Member>,
    /// The channel's own, with their names.
    pub(super) filters: Vec<ForwardingFilter>,
    /// Somebody has said how many may be in focus. Who comes later does not change it.
    pub(super) spotlight_number_named: bool,
    /// When the spotlight is looked at next.
    pub(super) armed: Option<Instant>,
    /// Codec parameters of the tracks in the room.
    fmtp: HashMap<TrackId, Arc<str>>,
}

impl ChannelRoom {
    pub(super) fn new(channel: &Channel) -> Self {
        Self {
            channel: channel.id.clone(),
            session_id: ids::fresh(),
            created: OffsetDateTime::now_utc(),
            single: !channel.kind.is_multistream(),
            room: Room::new(),
            members: BTreeMap::new(),
            filters: Vec::new(),
            spotlight_number_named: false,
            armed: None,
            fmtp: HashMap::new(),
        }
    }

    pub(super) fn session_id(&self) -> &str {
        &self.session_id
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn join(&mut self, newcomer: Newcomer, connections_max: usize) -> Result<(), Reason> {
        if self.members.len() >= connections_max {
            return Err(Reason("TOO-MANY-CONNECTIONS"));
        }
        if self.single && newcomer.role.sends() && self.members.values().any(|member| member.role.sends()) {
            return Err(Reason("PUBLISHER-ALREADY-CONNECTED"));
        }
        let Newcomer { connection, role, client_id, bundle_id, authn_metadata, audio, video, particulars, mailbox } = newcomer;
        let client_id = client_id.unwrap_or_else(|| connection.to_string());
        let forwarding = &particulars.forwarding;
        let guest = room::Newcomer {
            role: room_role(role),
            client: client_id.clone(),
            bundle: bundle_id.clone(),
            view: wishes::view(forwarding),
            filters: wishes::filters(&forwarding.filters),
        };
        self.room.join(connection.clone(), guest).map_err(|_| Reason("INTERNAL-ERROR"))?;
        self.name_spotlight_number(forwarding);
        let present = Present {
            client_id,
            bundle_id: bundle_id.unwrap_or_else(|| connection.to_string()),
            connection_id: connection.to_string(),
            authn_metadata,
            authz_metadata: particulars.authz_metadata.clone(),
            metadata: None,
        };
        let created = OffsetDateTime::now_utc();
        let member = Member {
            role,
            present,
            audio,
            video,
            created,
            live: false,
            minutes: 0,
            path: PathKind::default(),
            live_since: None,
            particulars,
            mailbox,
        };
        self.members.insert(connection, member);
        Ok(())
    }

    pub(super) fn wanted(&self, connection: &ConnectionId) -> Vec<Published> {
        self.view(connection).into_iter().map(|wanted| wanted.published).collect()
    }

    pub(super) fn view(&self, connection: &ConnectionId) -> Vec<Wanted> {
        let with_fmtp = |room::Wanted { info, layer }: room::Wanted| {
            let fmtp = self.fmtp.get(&info.track).cloned().unwrap_or_else(|| "".into());
            Wanted { published: Published { info, fmtp }, layer }
        };
        self.room.wanted(connection).into_iter().map(with_fmtp).collect()
    }

    fn name_spotlight_number(&mut self, forwarding: &ForwardingWishes) {
        let number = forwarding.spotlight.and_then(|spotlight| spotlight.number).filter(|_| !self.spotlight_number_named);
        if let Some(number) = number {
            let changes = self.room.spotlight_mut().set_places(Instant::now(), number);
            self.spotlight_number_named = true;
            self.tell_focus(&changes);
        }
    }

    pub(super) fn wanted_of(&self, connection: &ConnectionId, publisher: Option<&str>) -> Vec<Published> {
        let mut wanted = self.wanted(connection);
        if let Some(name) = publisher {
            let is_named = |id: &ConnectionId| self.members.get(id).is_some_and(|member| member.present.client_id == name);
            wanted.retain(|published| published.info.publisher.as_str() == name || is_named(&published.info.publisher));
        }
        wanted
    }

    pub(super) fn publish(&mut self, connection: &ConnectionId, tracks: Vec<Published>) {
        for info in self.room.tracks(connection) {
            self.fmtp.remove(&info.track);
        }
        let infos = tracks.iter().map(|published| published.info.clone()).collect();
        if let Err(error) = self.room.publish(connection, infos) {
            tracing::warn!(%connection, %error, "tracks are not published");
            return;
        }
        self.fmtp.extend(tracks.into_iter().map(|published| (published.info.track, published.fmtp)));
        self.tell_receivers();
    }

    pub(super) fn tell_receivers(&self) {
        for receiver in self.room.receivers() {
            if let Some(member) = self.members.get(&receiver) {
                member.mailbox.room_changed();
            }
        }
    }

    pub(super) fn leave(&mut self, connection: &ConnectionId) {
        let Some(member) = self.members.remove(connection) else { return };
        let tracks = self.room.unpublish(connection);
        let focused = self.room.leave(Instant::now(), connection);
        for info in &tracks {
            self.fmtp.remove(&info.track);
        }
        if !tracks.is_empty() {
            self.tell_receivers();
        }
        if member.live {
            self.broadcast(&member, Event::ConnectionDestroyed(self.event(&member)));
        }
        self.tell_focus(&focused);
    }

    pub(super) fn message(&self, sender: &ConnectionId, message: UserMessage) {
        let Some(from) = self.members.get(sender) else { return };
        let message = Arc::new(message);
        let hears = |member: &&Member| {
            member.present.bundle_id != from.present.bundle_id && member.particulars.labels.contains(message.label())
        };
        for member in self.members.values().filter(hears) {
            member.mailbox.letter(Letter::Message(message.clone()));
        }
    }

    pub(super) fn created(&mut self, connection: &ConnectionId) {
        let Some(member) = self.members.get_mut(connection) else { return };
        member.live = true;
        member.live_since = Some(Instant::now());
        let Some(member) = self.members.get(connection) else { return };
        let others = self.audience(&member.present).filter(|other| other.present.connection_id != member.present.connection_id);
        let data = others.map(|other| other.present.clone()).collect();
        let connection = self.event(member);
        let own = Event::ConnectionCreated { connection: connection.clone(), data: Some(data) };
        member.tell(self.text(own));
        self.broadcast(member, Event::ConnectionCreated { connection, data: None });
    }

    pub(super) fn set_path(&mut self, connection: &ConnectionId, path: PathKind) {
        if let Some(member) = self.members.get_mut(connection) {
            member.path = path;
        }
    }

    pub(super) fn updated(&mut self, connection: &ConnectionId, minutes: u64) {
        let Some(member) = self.members.get_mut(connection) else { return };
        member.minutes = minutes;
        let Some(member) = self.members.get(connection) else { return };
        let event = Event::ConnectionUpdated(self.event(member));
        member.tell(self.text(event.clone()));
        if self.members.len() <= UPDATED_AUDIENCE_MAX {
            self.broadcast(member, event);
        }
    }

    /// To everybody who is live, except itself and its bundle.
    fn broadcast(&self, about: &Member, event: Event) {
        let text = self.text(event);
        for other in self.audience(&about.present) {
            if other.present.connection_id != about.present.connection_id {
                other.mailbox.notice(text.clone());
            }
        }
    }

    /// Whoever that is, and whether it has audio and video.
    pub(super) fn of(&self, connection: &ConnectionId) -> Option<(&Present, bool, bool)> {
        self.members.get(connection).map(|member| (&member.present, member.audio, member.video))
    }

    pub(super) fn present_mut(&mut self, connection: &ConnectionId) -> Option<&mut Present> {
        self.members.get_mut(connection).map(|member| &mut member.present)
    }

    pub(super) fn own_filters(&mut self, connection: &ConnectionId) -> Option<&mut Vec<ForwardingFilter>> {
        self.members.get_mut(connection).map(|member| &mut member.particulars.forwarding.filters)
    }

    pub(super) fn mailbox(&self, connection: &ConnectionId) -> Option<&Mailbox> {
        self.members.get(connection).map(|member| &*member.mailbox)
    }

    pub(super) fn everybody(&self) -> Vec<Present> {
        self.members.values().map(|member| member.present.clone()).collect()
    }

    pub(super) fn live_mailboxes(&self) -> impl Iterator<Item = &Mailbox> {
        self.members.values().filter(|member| member.live).map(|member| &*member.mailbox)
    }

    pub(super) fn key_frame_source(&self, connection: &ConnectionId) -> Option<KeyFrameSource> {
        let member = self.members.get(connection)?;
        let video = self.room.tracks(connection).iter().filter(|info| info.codec.kind() == Kind::Video);
        let tracks = video.map(|info| info.track).collect();
        Some(KeyFrameSource { tracks, mailbox: member.mailbox.clone(), figures: member.particulars.figures.clone() })
    }

    /// What it is sent, or in which layer, has changed.
    pub(super) fn changed_for(&self, receiver: &ConnectionId) {
        if let Some(member) = self.members.get(receiver) {
            member.mailbox.room_changed();
        }
    }

    /// Everybody who is live and takes part in the spotlight, except the bundle of the one concerned; that one itself is told.
    pub(super) fn spotlight_audience<'a>(&'a self, about: &'a ConnectionId) -> impl Iterator<Item = &'a Mailbox> {
        let bundle = self.members.get(about).map(|member| &member.present.bundle_id);
        let hears = move |(id, member): &(&ConnectionId, &Member)| {
            let other = Some(&member.present.bundle_id) != bundle;
            member.live && (*id == about || other) && self.room.has_spotlight(id)
        };
        self.members.iter().filter(hears).map(|(_, member)| &*member.mailbox)
    }

    fn audience<'a>(&'a self, about: &'a Present) -> impl Iterator<Item = &'a Member> {
        let hears = |member: &&Member| member.live && !member.particulars.silent && member.present.bundle_id != about.bundle_id;
        self.members.values().filter(hears)
    }

    pub(super) fn text(&self, event: Event) -> Notice {
        let notify = Notify { timestamp: clock::now(), session_id: self.session_id.clone(), event };
        ServerMessage::Notify(Box::new(notify)).to_text().into()
    }

    fn event(&self, about: &Member) -> ConnectionEvent {
        ConnectionEvent {
            channel_id: self.channel.to_string(),
            role: about.role,
            who: about.present.clone(),
            audio: about.audio,
            video: about.video,
            minutes: about.minutes,
            turn_transport_type: transport_of(about.path),
            counters: self.counters(),
        }
    }

    pub(super) fn close_all(&self, closing: Closing) {
        self.members.values().for_each(|member| member.mailbox.close(closing));
    }

    pub(super) fn connections(&self) -> Vec<ConnectionSummary> {
        self.members.iter().map(|(connection, member)| self.summary(connection, member)).collect()
    }

    pub(super) fn reached(&self) -> Vec<Reached> {
        let reached = |(connection, member): (&ConnectionId, &Member)| Reached {
            summary: self.summary(connection, member),
            mailbox: member.mailbox.clone(),
            figures: member.particulars.figures.clone(),
        };
        self.members.iter().map(reached).collect()
    }

    /// How long a member's media was up until now; `Some(None)` for one whose media never was.
    pub(super) fn lived(&self, connection: &ConnectionId) -> Option<Option<Duration>> {
        self.members.get(connection).map(|member| member.live_since.map(|since| since.elapsed()))
    }

    pub(super) fn counters(&self) -> Counters {
        let mut counters = Counters::default();
        self.members.values().filter(|member| member.live).for_each(|member| counters.count(member.role));
        counters
    }

    pub(super) fn session(&self) -> SessionSummary {
        SessionSummary {
            channel_id: self.channel.to_string(),
            session_id: self.session_id.clone(),
            created_time: self.created.unix_timestamp(),
            created_timestamp: clock::timestamp(self.created),
            counters: self.counters(),
        }
    }

    fn summary(&self, connection: &ConnectionId, member: &Member) -> ConnectionSummary {
        member.summary(self.channel.clone(), self.session_id.clone(), connection.clone())
    }
}

fn room_role(role: Role) -> room::Role {
    match role {
        Role::SendRecv => room::Role::SendRecv,
        Role::SendOnly => room::Role::SendOnly,
        Role::RecvOnly => room::Role::RecvOnly,
    }
}

/// What crosses the client's network, through the TURN server or not.
fn transport_of(path: PathKind) -> &'static str {
    match path {
        PathKind::Udp | PathKind::TurnUdp => "udp",
        PathKind::Tcp | PathKind::TurnTcp => "tcp",
    }
}
