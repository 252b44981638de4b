//! One connection: carries out what its [`Session`] wants. Lives as long as the session does, with or without its WebSocket.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{Utf8Bytes, WebSocket};
use bytes::Bytes;
use minamo_sfu_core::model::{Command, IceCredentials, PeerEvent, PeerId};
use minamo_signaling_proto::api::ChannelSettings;
use minamo_signaling_proto::sora::Connect;
use tracing::Instrument as _;

use crate::door::{self, Entry, Refusal};
use crate::figures::Figures;
use crate::mailbox::{Letter, Letters, Mailbox};
use crate::place::{Place, remove_peer};
use crate::rooms::{JoinError, Joined, Newcomer, Particulars};
use crate::session::layers;
use crate::session::{Action, Admission, Closing, Line, Reason, Session, UserMessage};
use crate::signaling::Shared;
use crate::socket::{Frame, Socket};
use crate::{Busy, agreement, ids, rpc};

/// A client is asked for its statistics no more often: they cost it time, and tens of kilobytes.
const CLIENT_STATS_EVERY: Duration = Duration::from_secs(1);

type Knock = Pin<Box<dyn Future<Output = Result<Entry, Refusal>> + Send>>;

pub(crate) struct Connection {
    shared: Arc<Shared>,
    session: Session,
    /// `None` once it is lost or closed.
    socket: Option<Socket>,
    mailbox: Arc<Mailbox>,
    figures: Arc<Figures>,
    rpc_methods: Vec<String>,
    /// When the client was last asked for its statistics.
    client_asked: Option<Instant>,
    /// While the catalog and the auth webhook are asked.
    joining: Option<Knock>,
    place: Option<Place>,
}

enum Wake {
    Frame(Frame),
    Mail(Letters),
    Knocked(Result<Entry, Refusal>),
    Timeout,
    Stopping,
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>, socket: WebSocket) -> Self {
        let session = Session::new(Instant::now(), shared.config.timing);
        let (mailbox, figures) = (Arc::default(), Arc::default());
        let socket = Some(Socket::new(socket));
        Self {
            shared,
            session,
            socket,
            mailbox,
            figures,
            rpc_methods: Vec::new(),
            client_asked: None,
            joining: None,
            place: None,
        }
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
        let deadline = self.session.poll_timeout();
        let sleep = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        let knock = async {
            match &mut self.joining {
                Some(knock) => knock.await,
                None => std::future::pending().await,
            }
        };
        let frame = async {
            match &mut self.socket {
                Some(socket) => socket.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.shared.stopping.cancelled(), if !self.session.is_over() => Wake::Stopping,
            knocked = knock => Wake::Knocked(knocked),
            letters = self.mailbox.take() => Wake::Mail(letters),
            frame = frame => Wake::Frame(frame),
            () = sleep => Wake::Timeout,
        }
    }

    async fn take(&mut self, wake: Wake) {
        let now = Instant::now();
        match wake {
            Wake::Stopping => self.session.close(now, Closing::SHUTDOWN),
            Wake::Timeout => self.session.handle_timeout(now),
            Wake::Frame(frame) => self.take_frame(now, frame),
            Wake::Mail(letters) => self.take_letters(now, letters).await,
            Wake::Knocked(knocked) => {
                self.joining = None;
                self.enter(now, knocked);
            }
        }
    }

    fn take_frame(&mut self, now: Instant, frame: Frame) {
        match frame {
            Frame::Text(text) => self.session.handle_text(now, text.as_str()),
            Frame::Binary => self.session.handle_binary(now),
            Frame::Nothing => {}
            Frame::Bad(reason) => self.session.handle_bad_frame(now, reason),
            Frame::Closed => {
                self.socket = None;
                self.session.handle_socket_closed();
            }
        }
    }

    async fn take_letters(&mut self, now: Instant, letters: Letters) {
        if let Some(closing) = letters.closing {
            self.session.close(now, closing);
        }
        for event in letters.peer_events {
            match event {
                PeerEvent::Report(report) => self.figures.put_report(*report),
                PeerEvent::Path(path) => self.in_room(|shared, place| shared.rooms.path(&place.channel, &place.connection, path)),
                PeerEvent::Closed(why) => {
                    if let Some(place) = &mut self.place {
                        place.peer_is_gone();
                    }
                    self.session.handle_peer_event(now, PeerEvent::Closed(why));
                }
                event => self.session.handle_peer_event(now, event),
            }
        }
        for letter in letters.letters {
            match letter {
                Letter::Notice(line, notice) => self.session.say(line, &notice),
                Letter::Message(message) => self.session.tell(&message),
            }
            // One by one: what waits for a slow WebSocket waits in the mailbox, which is bounded.
            self.act().await;
        }
        if letters.report_wanted
            && let Some(place) = &self.place
        {
            // Too busy to tell: then there are no fresh numbers.
            let _ = self.shared.media.command(Command::Report(place.peer));
        }
        if letters.client_stats_wanted && self.client_asked.is_none_or(|asked| asked + CLIENT_STATS_EVERY <= now) {
            self.client_asked = Some(now);
            self.session.ask_for_stats();
        }
        if let (true, Some(place)) = (letters.room_changed, &self.place) {
            let wanted = self.shared.rooms.view(&place.channel, &place.connection);
            self.session.set_wanted(now, wanted);
        }
    }

    async fn send(&mut self, text: Utf8Bytes) {
        let Some(socket) = &mut self.socket else { return };
        if !socket.send(text).await {
            self.socket = None;
            self.session.handle_socket_closed();
        }
    }

    async fn act(&mut self) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Join(connect) => self.knock(connect),
                Action::Send(text) => self.send(text).await,
                Action::Sfu(command) => self.command(command),
                Action::Created => self.in_room(|shared, place| shared.rooms.created(&place.channel, &place.connection)),
                Action::Publish(tracks) => {
                    self.in_room(|shared, place| shared.rooms.publish(&place.channel, &place.connection, tracks));
                }
                Action::Updated { minutes } => {
                    self.in_room(|shared, place| shared.rooms.updated(&place.channel, &place.connection, minutes));
                }
                Action::Heard(event) => {
                    self.in_room(|shared, place| shared.rooms.heard(&place.channel, &place.connection, event));
                }
                Action::Message(label, payload) => self.pass_on(label, payload),
                Action::Rpc(request) => self.call(&request),
                Action::ClientStats(stats) => self.figures.put_client_stats(stats),
                Action::HangUp => self.socket = None,
                Action::Refuse(reason) => self.refuse(reason),
                Action::Leave => {
                    if let Some(place) = &mut self.place {
                        place.leave_room();
                    }
                }
                Action::Close(closing) => self.close(closing),
            }
        }
    }

    fn in_room(&self, act: impl FnOnce(&Shared, &Place)) {
        if let Some(place) = &self.place {
            act(&self.shared, place);
        }
    }

    fn pass_on(&self, label: Arc<str>, payload: Bytes) {
        self.in_room(|shared, place| {
            let message = UserMessage::new(label, place.connection.clone(), payload);
            shared.rooms.message(&place.channel, &place.connection, message);
        });
    }

    fn call(&mut self, request: &str) {
        let Some(place) = &self.place else { return };
        if let Some(response) = rpc::answer(&self.shared, place, &self.rpc_methods, request) {
            self.session.say(Line::Rpc, &response.into());
        }
    }

    fn knock(&mut self, connect: Box<Connect>) {
        self.joining = Some(Box::pin(door::knock(self.shared.clone(), connect)));
    }

    fn enter(&mut self, now: Instant, knocked: Result<Entry, Refusal>) {
        let entry = match knocked {
            Ok(entry) => entry,
            Err(Refusal::Reason(reason)) => return self.session.close(now, reason.into()),
            Err(Refusal::Words(words)) => return self.session.refuse(&words),
            Err(Refusal::Redirect(location)) => return self.session.redirect(now, location),
        };
        let particulars = Particulars::new(&entry.connect, &entry.grants, self.figures.clone());
        let newcomer = Newcomer::new(entry.connection.clone(), &entry.connect, particulars, self.mailbox.clone());
        let limit = self.shared.config.connections_per_room_max;
        match self.shared.rooms.join(entry.epoch, &entry.channel, newcomer, limit) {
            Ok(joined) => self.admit(now, entry, joined),
            Err(JoinError::Stale) => self.joining = Some(Box::pin(door::look_again(self.shared.clone(), entry))),
            Err(JoinError::Refused(door::PUBLISHER_THERE)) if !entry.looked_for_silence => {
                self.joining = Some(Box::pin(door::take_over(self.shared.clone(), entry)));
            }
            Err(JoinError::Refused(reason)) => self.session.close(now, reason.into()),
        }
    }

    fn admit(&mut self, now: Instant, entry: Entry, joined: Joined) {
        let Entry { channel, connection, mut connect, grants, .. } = entry;
        tracing::Span::current().record("channel", channel.id.as_str()).record("connection", connection.as_str());
        tracing::info!(role = ?connect.role, client = connect.client.sora_client.as_deref().unwrap_or(""), "joins");
        let has_hls = channel.kind.has_hls();
        if has_hls && connect.role.sends() {
            self.shared.programmes.open(&channel);
        }
        let peer = ids::next_peer();
        let ladder = ChannelSettings::stored(&channel.settings).map(|settings| settings.ladder()).unwrap_or_default();
        layers::ask_for(&mut connect, &ladder);
        self.place = Some(Place::new(self.shared.clone(), channel.id.clone(), connection.clone(), peer));
        self.rpc_methods.clone_from(&grants.rpc_methods);
        let ice_config = self.shared.ice_config(&connection, connect.client.sora_client.as_deref());
        let wanted = self.shared.rooms.view(&channel.id, &connection);
        let admission = Admission {
            video_bps_max: layers::video_bps_max(&ladder),
            taps_layers: ladder.len() > 1,
            channel: channel.id,
            connection,
            peer,
            session_id: joined.session_id,
            audio_track: ids::next_track(),
            video_track: ids::next_track(),
            endpoint: self.shared.endpoint.clone(),
            ice_config,
            has_hls,
            downlinks_max: self.shared.config.downlinks_per_peer_max,
            seed: rand::random(),
            wanted,
            data: agreement::data_plan(&connect, &self.shared.config.data, !grants.rpc_methods.is_empty()),
            grants,
        };
        self.session.overrule(connect);
        self.session.admit(now, &admission);
    }

    fn command(&mut self, command: Command) {
        let result = match command {
            Command::AddPeer { peer, ice } => self.add_peer(peer, ice),
            Command::RemovePeer { peer, clean } => {
                remove_peer(&self.shared, peer, clean);
                if let Some(place) = &mut self.place {
                    place.peer_is_gone();
                }
                Ok(())
            }
            Command::SendData(peer, message) if message.label.starts_with('#') => {
                // Clients' messages to each other are the first to go, before anybody's connection.
                if self.shared.media.command(Command::SendData(peer, message)).is_err() {
                    metrics::counter!("minamo_signaling_messages_dropped_total", "why" => "busy").increment(1);
                }
                Ok(())
            }
            command => self.shared.media.command(command),
        };
        if let Err(Busy) = result {
            self.session.close(Instant::now(), Closing::error("SERVER-OVERLOADED"));
        }
    }

    fn add_peer(&self, peer: PeerId, ice: IceCredentials) -> Result<(), Busy> {
        let mailbox = self.mailbox.clone();
        self.shared.media.add_peer(peer, ice, Box::new(move |event| mailbox.peer_event(event)))
    }

    fn refuse(&mut self, reason: String) {
        tracing::info!(reason, "is refused by the auth webhook");
        self.say_goodbye(4490, reason.into(), "AUTH-REFUSED");
    }

    fn close(&mut self, closing: Closing) {
        let Reason(reason) = closing.reason;
        tracing::info!(code = closing.code, reason, "closes");
        self.say_goodbye(closing.code, Utf8Bytes::from_static(reason), reason);
    }

    /// Beside everything else: the client may take its time, and data channels may still have to be closed.
    fn say_goodbye(&mut self, code: u16, reason: Utf8Bytes, counted_as: &'static str) {
        metrics::counter!("minamo_signaling_closes_total", "reason" => counted_as).increment(1);
        if let Some(socket) = self.socket.take() {
            self.shared.spawn(socket.close(code, reason).in_current_span());
        }
    }
}
