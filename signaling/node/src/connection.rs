//! One WebSocket: carries out what its [`Session`] wants.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use minamo_catalog::{CatalogError, Channel};
use minamo_media::{ChannelId, ConnectionId};
use minamo_sfu_core::model::{Command, IceCredentials, PeerId};
use minamo_signaling_proto::api::ChannelSettings;
use minamo_signaling_proto::sora::Connect;
use tracing::Instrument as _;

use crate::mailbox::{Letters, Mailbox};
use crate::place::{Place, remove_peer};
use crate::rooms::{JoinError, Newcomer};
use crate::session::{Action, Admission, Closing, Reason, Session};
use crate::signaling::Shared;
use crate::{Busy, ids};

/// A client that takes a frame no faster than this is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the client may take to answer a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

type Lookup = Pin<Box<dyn Future<Output = (u64, Result<Option<Channel>, CatalogError>)> + Send>>;

pub(crate) struct Connection {
    shared: Arc<Shared>,
    session: Session,
    sink: SplitSink<WebSocket, Message>,
    stream: SplitStream<WebSocket>,
    mailbox: Arc<Mailbox>,
    /// While the catalog is asked.
    joining: Option<(Box<Connect>, Lookup)>,
    place: Option<Place>,
}

enum Wake {
    Frame(Option<Result<Message, axum::Error>>),
    Mail(Letters),
    LookedUp(u64, Result<Option<Channel>, CatalogError>),
    Timeout,
    Stopping,
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>, socket: WebSocket) -> Self {
        let (sink, stream) = socket.split();
        let session = Session::new(Instant::now(), shared.config.timing);
        Self { shared, session, sink, stream, mailbox: Arc::default(), joining: None, place: None }
    }

    pub(crate) async fn run(mut self) {
        let span = tracing::info_span!("session", channel = tracing::field::Empty, connection = tracing::field::Empty);
        async {
            while !self.session.is_closed() {
                let wake = self.wait().await;
                self.take(wake).await;
                self.act().await;
            }
        }
        .instrument(span)
        .await;
    }

    async fn wait(&mut self) -> Wake {
        let deadline = self.session.poll_timeout().unwrap_or_else(Instant::now);
        let lookup = async {
            match &mut self.joining {
                Some((_, lookup)) => lookup.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.shared.stopping.cancelled() => Wake::Stopping,
            (epoch, found) = lookup => Wake::LookedUp(epoch, found),
            letters = self.mailbox.take() => Wake::Mail(letters),
            frame = self.stream.next() => Wake::Frame(frame),
            () = tokio::time::sleep_until(deadline.into()) => Wake::Timeout,
        }
    }

    async fn take(&mut self, wake: Wake) {
        let now = Instant::now();
        match wake {
            Wake::Stopping => self.session.close(Closing::SHUTDOWN),
            Wake::Timeout => self.session.handle_timeout(now),
            Wake::Frame(frame) => self.take_frame(now, frame),
            Wake::Mail(letters) => self.take_letters(now, letters).await,
            Wake::LookedUp(epoch, found) => {
                if let Some((connect, _)) = self.joining.take() {
                    self.join(connect, epoch, found);
                }
            }
        }
    }

    fn take_frame(&mut self, now: Instant, frame: Option<Result<Message, axum::Error>>) {
        match frame {
            Some(Ok(Message::Text(text))) => self.session.handle_text(now, text.as_str()),
            Some(Ok(Message::Binary(_))) => self.session.handle_binary(),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(_))) | None => self.session.handle_socket_closed(),
            Some(Err(error)) => match frame_fault(&error) {
                Some(reason) => self.session.handle_bad_frame(reason),
                None => self.session.handle_socket_closed(),
            },
        }
    }

    async fn take_letters(&mut self, now: Instant, letters: Letters) {
        if let Some(closing) = letters.closing {
            return self.session.close(closing);
        }
        for event in letters.peer_events {
            self.session.handle_peer_event(now, event);
        }
        for notice in letters.notices {
            if !self.send(Message::Text(notice)).await {
                return;
            }
        }
        if let (true, Some(place)) = (letters.room_changed, &self.place) {
            let wanted = self.shared.rooms.wanted(&place.channel, &place.connection);
            self.session.set_wanted(now, wanted);
        }
    }

    /// Whether the client is still there.
    async fn send(&mut self, message: Message) -> bool {
        let sent = tokio::time::timeout(WRITE_TIMEOUT, self.sink.send(message)).await;
        let sent = matches!(sent, Ok(Ok(())));
        if !sent {
            self.session.handle_socket_closed();
        }
        sent
    }

    async fn act(&mut self) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Join(connect) => self.look_up(connect),
                Action::Send(text) => {
                    self.send(Message::Text(text.into())).await;
                }
                Action::Sfu(command) => self.command(command),
                Action::Created => self.in_room(|shared, place| shared.rooms.created(&place.channel, &place.connection)),
                Action::Publish(tracks) => {
                    self.in_room(|shared, place| shared.rooms.publish(&place.channel, &place.connection, tracks));
                }
                Action::Updated { minutes } => {
                    self.in_room(|shared, place| shared.rooms.updated(&place.channel, &place.connection, minutes));
                }
                Action::Leave => {
                    if let Some(place) = self.place.take() {
                        place.leave();
                    }
                }
                Action::Close(closing) => self.close(closing).await,
            }
        }
    }

    fn in_room(&self, act: impl FnOnce(&Shared, &Place)) {
        if let Some(place) = &self.place {
            act(&self.shared, place);
        }
    }

    fn look_up(&mut self, connect: Box<Connect>) {
        let shared = self.shared.clone();
        let channel = ChannelId::from(connect.channel_id.as_str());
        let lookup = async move {
            let epoch = shared.rooms.epoch();
            (epoch, shared.catalog.channel(&channel).await)
        };
        self.joining = Some((connect, Box::pin(lookup)));
    }

    fn join(&mut self, connect: Box<Connect>, epoch: u64, found: Result<Option<Channel>, CatalogError>) {
        let channel = match found {
            Ok(Some(channel)) => channel,
            Ok(None) => return self.session.close(Closing::error("CHANNEL-NOT-FOUND")),
            Err(error) => {
                tracing::error!(%error, "the catalog cannot be read");
                return self.session.close(Closing::error("INTERNAL-ERROR"));
            }
        };
        let connection = ConnectionId::from(ids::fresh());
        let newcomer = Newcomer::new(connection.clone(), &connect, self.mailbox.clone());
        let joined = match self.shared.rooms.join(epoch, &channel, newcomer, self.shared.config.connections_per_room_max) {
            Ok(joined) => joined,
            Err(JoinError::Stale) => return self.look_up(connect),
            Err(JoinError::Refused(reason)) => return self.session.close(reason.into()),
        };
        tracing::Span::current().record("channel", channel.id.as_str()).record("connection", connection.as_str());
        tracing::info!(role = ?connect.role, client = connect.client.sora_client.as_deref().unwrap_or(""), "joins");
        let has_hls = channel.kind.has_hls();
        if has_hls && connect.role.sends() {
            self.shared.programmes.open(&channel);
        }
        let peer = ids::next_peer();
        self.place = Some(Place::new(self.shared.clone(), channel.id.clone(), connection.clone(), peer));
        let admission = Admission {
            video_bps_max: ChannelSettings::stored(&channel.settings).ok().and_then(|settings| settings.video_bps_max()),
            channel: channel.id,
            connection,
            peer,
            session_id: joined.session_id,
            audio_track: ids::next_track(),
            video_track: ids::next_track(),
            endpoint: self.shared.endpoint.clone(),
            has_hls,
            downlinks_max: self.shared.config.downlinks_per_peer_max,
            seed: rand::random(),
            wanted: joined.wanted,
        };
        self.session.admit(Instant::now(), &admission);
    }

    fn command(&mut self, command: Command) {
        let result = match command {
            Command::AddPeer { peer, ice } => self.add_peer(peer, ice),
            Command::RemovePeer { peer, clean } => {
                remove_peer(&self.shared, peer, clean);
                Ok(())
            }
            command => self.shared.media.command(command),
        };
        if let Err(Busy) = result {
            self.session.close(Closing::error("SERVER-OVERLOADED"));
        }
    }

    fn add_peer(&self, peer: PeerId, ice: IceCredentials) -> Result<(), Busy> {
        let mailbox = self.mailbox.clone();
        self.shared.media.add_peer(peer, ice, Box::new(move |event| mailbox.peer_event(event)))
    }

    /// Says goodbye and waits a little for the client to say it too.
    async fn close(&mut self, closing: Closing) {
        let Reason(reason) = closing.reason;
        tracing::info!(code = closing.code, reason, "closes");
        metrics::counter!("minamo_signaling_closes_total", "reason" => reason).increment(1);
        let frame = CloseFrame { code: closing.code, reason: Utf8Bytes::from_static(reason) };
        let goodbye = async {
            if self.sink.send(Message::Close(Some(frame))).await.is_ok() {
                while let Some(Ok(_)) = self.stream.next().await {}
            }
        };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, goodbye).await;
    }
}

/// What the client did wrong, or `None` when the connection simply broke.
fn frame_fault(error: &axum::Error) -> Option<Reason> {
    let text = error.to_string();
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    if io.is_some() || text.contains("IO error") || text.contains("Connection reset") || text.contains("closed") {
        None
    } else if text.contains("too long") || text.contains("too big") {
        Some(Reason("MESSAGE-TOO-LARGE"))
    } else {
        Some(Reason("BAD-FRAME"))
    }
}
