//! Somebody who wants to join: the auth webhook, the room, the tracks, the answer.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::response::AppendHeaders;
use http::{HeaderName, StatusCode, header};
use minamo_catalog::Channel;
use minamo_media::{ChannelId, ConnectionId, Kind};
use minamo_sfu_core::model::{Command, Fingerprint, PeerId, Tap};
use minamo_signaling_proto::api::ChannelSettings;
use minamo_signaling_proto::sdp::{ClientOffer, MediaKind, OfferedSection, Preference};
use minamo_signaling_proto::sora::{Connect, Role};
use tokio_util::sync::CancellationToken;

use super::endpoint::overloaded;
use super::member::Member;
use super::negotiation::{Answering, choose_uplinks};
use super::sessions::{IceSession, Session, fresh_etag};
use super::viewing::{Viewing, choose_downlinks};
use super::{ACCEPT_PATCH, Endpoints, SDP, SDP_FRAGMENT, Way};
use crate::api::{ApiError, ApiToken};
use crate::auth::{self, Entrance};
use crate::door::PUBLISHER_THERE;
use crate::figures::Figures;
use crate::mailbox::Mailbox;
use crate::place::Place;
use crate::rooms::{JoinError, Newcomer, Particulars};
use crate::session::layers;
use crate::session::{Closing, Grants, Media, Reason};
use crate::signaling::{Open, Shared};
use crate::{Busy, ids};

/// Status, headers of one value each, `Link` headers, and the answer.
pub(super) type Created = (StatusCode, [(HeaderName, String); 4], AppendHeaders<Vec<(HeaderName, String)>>, String);

/// The session's id, its entity tag, and what is cancelled when it has ended.
type Spawned = (String, String, CancellationToken);

/// Somebody who is not in the room yet.
pub(super) struct Candidate {
    pub shared: Arc<Shared>,
    pub way: Way,
    pub offer: ClientOffer,
    /// What it came with instead of the API token.
    pub bearer: Option<String>,
    pub publisher: Option<String>,
    pub mailbox: Arc<Mailbox>,
    pub figures: Arc<Figures>,
    pub open: Open,
}

impl Candidate {
    pub(super) async fn join(self, endpoints: &Endpoints, id: ChannelId) -> Result<Created, ApiError> {
        let connection = ConnectionId::from(ids::fresh());
        let (channel, connect, lifetime) = self.enter(&id, &connection).await?;
        // Whatever goes wrong from here on, dropping the place leaves the room again.
        let place = Place::new(self.shared.clone(), channel.id.clone(), connection, ids::next_peer());
        let mut answering = Answering::new(rand::random(), self.offer.sections.clone());
        let viewing = match self.way {
            Way::In => {
                self.take_uplinks(&channel, &connect, &place, &mut answering)?;
                None
            }
            Way::Out => Some(self.take_downlinks(&connect, &place, &mut answering)?),
        };
        let answer = answering.text(&self.shared.endpoint);
        self.tell_sfu(place.peer, &answering).map_err(|Busy| overloaded())?;
        tracing::info!(channel = %channel.id, connection = %place.connection, way = self.way.folder(), "joins");
        let links = self.shared.relay(&place.connection).map(|relay| relay.links()).unwrap_or_default();
        let links = links.into_iter().map(|link| (header::LINK, link)).collect();
        let folder = self.way.folder();
        let mailbox = self.mailbox.clone();
        let shared = self.shared.clone();
        let (session, etag, ended) = self.spawn(endpoints, place, answering, viewing);
        if let Some(lifetime) = lifetime {
            shared.spawn(async move {
                if ended.run_until_cancelled(tokio::time::sleep(lifetime)).await.is_some() {
                    mailbox.close(Closing::LIFETIME);
                }
            });
        }
        let location = format!("/{folder}/{}/{session}", channel.id);
        let headers = [
            (header::CONTENT_TYPE, SDP.into()),
            (header::LOCATION, location),
            (header::ETAG, etag),
            (ACCEPT_PATCH, SDP_FRAGMENT.into()),
        ];
        Ok((StatusCode::CREATED, headers, AppendHeaders(links), answer))
    }

    async fn channel(&self, id: &ChannelId) -> Result<Channel, ApiError> {
        self.shared.catalog.channel(id).await?.ok_or_else(|| ApiError::unknown_channel(id))
    }

    /// Into the room, if the channel is there and has room, and its auth webhook lets us.
    async fn enter(&self, id: &ChannelId, connection: &ConnectionId) -> Result<(Channel, Connect, Option<Duration>), ApiError> {
        let (connect, grants) = self.ask(&self.channel(id).await?, connection).await?;
        let mut looked_for_silence = false;
        loop {
            let epoch = self.shared.rooms.epoch();
            let channel = self.channel(id).await?;
            let newcomer = self.newcomer(connection.clone(), &connect, &grants);
            match self.shared.rooms.join(epoch, &channel, newcomer, self.shared.config.connections_per_room_max) {
                Ok(_) => return Ok((channel, connect, grants.lifetime)),
                Err(JoinError::Stale) => {}
                Err(JoinError::Refused(PUBLISHER_THERE))
                    if !looked_for_silence && self.shared.rooms.take_over(&channel).await =>
                {
                    looked_for_silence = true;
                }
                Err(JoinError::Refused(reason)) => return Err(refused(reason)),
            }
        }
    }

    /// Asks the auth webhook as if a Sora client came. Of what it changes of the media that has an effect which an answer can carry:
    /// `audio` and `video`, bit rates, and a video codec if the client offers it too.
    async fn ask(&self, channel: &Channel, connection: &ConnectionId) -> Result<(Connect, Grants), ApiError> {
        let (role, entrance) = match self.way {
            Way::In => (Role::SendOnly, Entrance::Whip),
            Way::Out => (Role::RecvOnly, Entrance::Whep),
        };
        let mut connect = Connect::of(role, channel.id.as_str());
        connect.audio = connect.audio.filter(|_| self.has(MediaKind::Audio));
        connect.video = connect.video.filter(|_| self.has(MediaKind::Video));
        connect.metadata = self.bearer.as_ref().map(|token| serde_json::json!({ "access_token": token }));
        let decided = auth::decide(&self.shared, channel, connection, entrance, &mut connect).await;
        Ok((connect, decided.map_err(|reason| forbidden(&format!("the auth webhook refuses: {reason}")))?))
    }

    /// Whether the offer has that kind in the right direction.
    fn has(&self, kind: MediaKind) -> bool {
        let takes_part: fn(&OfferedSection, MediaKind) -> bool = match self.way {
            Way::In => OfferedSection::sends,
            Way::Out => OfferedSection::receives,
        };
        self.offer.sections.iter().any(|section| takes_part(section, kind))
    }

    fn newcomer(&self, connection: ConnectionId, connect: &Connect, grants: &Grants) -> Newcomer {
        let particulars = Particulars::new(connect, grants, self.figures.clone());
        let newcomer = Newcomer::new(connection, connect, particulars, self.mailbox.clone());
        let (audio, video) = (newcomer.audio && self.has(MediaKind::Audio), newcomer.video && self.has(MediaKind::Video));
        Newcomer { audio, video, ..newcomer }
    }

    fn take_uplinks(
        &self,
        channel: &Channel,
        connect: &Connect,
        place: &Place,
        answering: &mut Answering,
    ) -> Result<(), ApiError> {
        let preference = match connect.video.as_ref().and_then(|video| video.codec) {
            Some(codec) => Preference::Only(codec),
            None if channel.kind.has_hls() => Preference::Hls,
            None => Preference::Client,
        };
        let chosen = choose_uplinks(&self.offer, preference, connect)?;
        let ladder = ChannelSettings::stored(&channel.settings).map(|settings| settings.ladder()).unwrap_or_default();
        let (publisher, layers) = (place.connection.clone(), ladder.len() > 1);
        let tap = channel.kind.has_hls().then(|| Tap { channel: channel.id.clone(), publisher, layers });
        if tap.is_some() {
            self.shared.programmes.open(channel);
        }
        let video_bps_max = layers::video_bps_max(&ladder);
        for choice in chosen {
            answering.uplink(choice, &place.connection, tap.as_ref(), video_bps_max);
        }
        Ok(())
    }

    fn take_downlinks(&self, connect: &Connect, place: &Place, answering: &mut Answering) -> Result<Viewing, ApiError> {
        let config = &self.shared.config;
        let mut wanted = self.shared.rooms.wanted_of(&place.channel, &place.connection, self.publisher.as_deref());
        // What is not chosen now gets no section, so it never comes later.
        let no_audio = connect.audio.is_none() && self.has(MediaKind::Audio);
        let no_video = connect.video.is_none() && self.has(MediaKind::Video);
        if (no_audio || no_video) && connect.audio.is_none() && connect.video.is_none() {
            return Err(forbidden("the auth webhook allows nothing of what the offer receives"));
        }
        wanted.retain(|published| match published.info.codec.kind() {
            Kind::Audio => !no_audio,
            Kind::Video => !no_video,
        });
        let chosen = choose_downlinks(&self.offer, wanted, config.downlinks_per_peer_max)?;
        let watched = chosen.into_iter().map(|choice| answering.downlink(choice)).collect();
        Ok(Viewing::new(watched, config.viewer_patience))
    }

    /// Tracks first: the SFU knows every SSRC before the first packet can be decrypted.
    fn tell_sfu(&self, peer: PeerId, answering: &Answering) -> Result<(), Busy> {
        let mailbox = self.mailbox.clone();
        let media = &self.shared.media;
        media.add_peer(peer, answering.ice.clone(), Box::new(move |event| mailbox.peer_event(event)))?;
        for uplink in &answering.tracks.uplinks {
            media.command(Command::AddUplink(peer, uplink.clone()))?;
        }
        for downlink in &answering.tracks.downlinks {
            media.command(Command::AddDownlink(peer, downlink.clone()))?;
        }
        media.command(Command::SetRemote { peer, fingerprint: Fingerprint(self.offer.fingerprint) })
    }

    /// From now on it lives by itself. Returns the last part of its URL, which nobody can guess, and its entity tag.
    fn spawn(self, endpoints: &Endpoints, place: Place, answering: Answering, viewing: Option<Viewing>) -> Spawned {
        let Self { shared, way, offer, bearer, publisher, mailbox, figures, open } = self;
        let (id, etag, ended) = (ids::fresh(), fresh_etag(), CancellationToken::new());
        let ice = IceSession { etag: etag.clone(), remote_ufrag: offer.ice_ufrag, tagged: answering.tagged() };
        let session = Session {
            way,
            channel: place.channel.clone(),
            peer: place.peer,
            bearer: bearer.map(|token| ApiToken::new(&token)),
            ice: Arc::new(Mutex::new(ice)),
            mailbox: mailbox.clone(),
            ended: ended.clone(),
        };
        endpoints.sessions.insert(id.clone(), session);
        let media = Media::new(Instant::now(), shared.config.timing);
        let published = answering.tracks.published;
        let member = Member { shared: shared.clone(), place, mailbox, figures, media, published, viewing, publisher, open };
        let (sessions, key) = (endpoints.sessions.clone(), id.clone());
        let until = ended.clone();
        shared.spawn(async move {
            let _ended = ended.drop_guard();
            member.run().await;
            sessions.remove(&key);
        });
        (id, etag, until)
    }
}

pub(super) fn forbidden(why: &str) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "AUTH_REFUSED", why)
}

fn refused(Reason(reason): Reason) -> ApiError {
    match reason {
        "PUBLISHER-ALREADY-CONNECTED" => {
            let why = "somebody publishes in this channel already, and it takes one";
            ApiError::new(StatusCode::CONFLICT, "PUBLISHER_ALREADY_CONNECTED", why)
        }
        "TOO-MANY-CONNECTIONS" => overloaded(),
        _ => ApiError::internal("the room could not be joined"),
    }
}
