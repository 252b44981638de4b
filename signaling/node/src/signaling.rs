//! The shell's outside: one value that owns all rooms and hands out the WebSocket route.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use minamo_catalog::Catalog;
use minamo_media::{ChannelId, ConnectionId};
use minamo_signaling_proto::sdp::Candidate;
use minamo_signaling_proto::sora::IceConfig;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::WebhookClient;
use crate::connection::Connection;
use crate::reach::{self, Reach};
use crate::rooms::Rooms;
use crate::session::{Closing, Endpoint};
use crate::{ConnectionSummary, MediaPlane, Programmes, SignalingConfig};

/// Longest message of a client. SDKs send a few kilobytes.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// How long a closed channel or a stopping server waits for its connections.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// Signaling of all channels. Cheap to clone.
#[derive(Clone)]
pub struct Signaling {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub media: Box<dyn MediaPlane>,
    pub endpoint: Arc<Endpoint>,
    pub catalog: Catalog,
    pub programmes: Arc<dyn Programmes>,
    pub config: SignalingConfig,
    pub rooms: Rooms,
    pub webhooks: WebhookClient,
    pub stopping: CancellationToken,
    tasks: TaskTracker,
    open: Arc<AtomicUsize>,
}

impl Shared {
    /// `offer.config` for that connection, whose client calls itself `sora_client`.
    pub(crate) fn ice_config(&self, connection: &ConnectionId, sora_client: Option<&str>) -> IceConfig {
        reach::ice_config(self.config.relay, self.relay(connection).as_ref(), sora_client)
    }

    /// The TURN server with a login for that connection.
    pub(crate) fn relay(&self, connection: &ConnectionId) -> Option<Reach> {
        let relay = self.media.relay(connection.as_str())?;
        Some(Reach { relay, over_tls: self.config.relay_over_tls.clone() })
    }

    /// Runs until it ends by itself; [`Signaling::shutdown`] waits for it.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }
}

impl Signaling {
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Signaling over that SFU.
    pub fn new(
        media: impl MediaPlane + 'static,
        catalog: Catalog,
        programmes: Arc<dyn Programmes>,
        config: SignalingConfig,
    ) -> Self {
        let candidates = Candidate::all(&media.candidates(), media.takes_tcp());
        let endpoint = Arc::new(Endpoint { candidates, fingerprint: media.fingerprint() });
        let webhooks = WebhookClient::new(config.webhooks_to_private_addresses);
        let shared = Shared {
            media: Box::new(media),
            endpoint,
            catalog,
            programmes,
            config,
            rooms: Rooms::default(),
            webhooks,
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
            open: Arc::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// `GET /signaling`
    pub fn router(&self) -> axum::Router {
        axum::Router::new().route("/signaling", get(upgrade)).with_state(self.clone())
    }

    /// Disconnects everybody in the channel with 1000 `DISCONNECTED-API` and waits, a few seconds at most, until they are gone.
    /// To be called after the catalog has forgotten the channel: whoever is just joining then looks again.
    pub async fn close_channel(&self, channel: &ChannelId) {
        self.shared.rooms.close(channel, Closing::API, CLOSE_WAIT).await;
    }

    /// Everybody in the channel.
    #[must_use]
    pub fn connections(&self, channel: &ChannelId) -> Vec<ConnectionSummary> {
        self.shared.rooms.connections(channel)
    }

    /// Takes no new connections, closes every one cleanly and waits, a few seconds at most, until all are gone.
    pub async fn shutdown(&self) {
        self.shared.stopping.cancel();
        self.shared.tasks.close();
        if tokio::time::timeout(CLOSE_WAIT, self.shared.tasks.wait()).await.is_err() {
            tracing::warn!("not every connection has ended in time");
        }
    }
}

async fn upgrade(State(signaling): State<Signaling>, upgrade: WebSocketUpgrade) -> Response {
    let shared = signaling.shared;
    let Some(open) = Open::one_more(&shared) else {
        let body = minamo_signaling_proto::api::ErrorBody {
            error: "no further connections are taken".into(),
            error_type: "TOO_MANY_CONNECTIONS".into(),
        };
        return (StatusCode::SERVICE_UNAVAILABLE, axum::Json(body)).into_response();
    };
    let upgrade = upgrade.max_message_size(MESSAGE_BYTES_MAX).max_frame_size(MESSAGE_BYTES_MAX);
    upgrade.on_upgrade(move |socket| {
        let tasks = shared.tasks.clone();
        tasks.track_future(async move {
            Connection::new(shared, socket).run().await;
            drop(open);
        })
    })
}

/// Counts one open socket, or session over HTTP, for as long as it lives.
pub(crate) struct Open(Arc<AtomicUsize>);

impl Open {
    /// `None`: the server is full, or stops.
    pub(crate) fn one_more(shared: &Shared) -> Option<Self> {
        if shared.stopping.is_cancelled() {
            return None;
        }
        let open = Self(shared.open.clone());
        metrics::gauge!("minamo_signaling_connections").increment(1.0);
        let before = open.0.fetch_add(1, Ordering::Relaxed);
        (before < shared.config.connections_max).then_some(open)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
        metrics::gauge!("minamo_signaling_connections").decrement(1.0);
    }
}
