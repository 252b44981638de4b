//! What happens between `connect` and the room: redirect, catalog, auth webhook.

use std::sync::Arc;

use minamo_catalog::Channel;
use minamo_media::{ChannelId, ConnectionId};
use minamo_signaling_proto::sora::Connect;

use crate::auth::{self, Entrance};
use crate::ids;
use crate::session::{Grants, Reason};
use crate::signaling::Shared;

/// Somebody who may enter.
pub(crate) struct Entry {
    /// For [`crate::rooms::Rooms::join`].
    pub epoch: u64,
    pub channel: Channel,
    pub connection: ConnectionId,
    /// As the auth webhook has changed it.
    pub connect: Box<Connect>,
    pub grants: Grants,
    /// A silent publisher was already looked for.
    pub looked_for_silence: bool,
}

/// Why somebody may not.
#[derive(Debug)]
pub(crate) enum Refusal {
    Reason(Reason),
    /// The auth webhook's own words.
    Words(String),
    /// Go there instead.
    Redirect(String),
}

/// Why a second publisher is refused where there is one.
pub(crate) const PUBLISHER_THERE: Reason = Reason("PUBLISHER-ALREADY-CONNECTED");

/// Everything that is asked before a room is joined.
pub(crate) async fn knock(shared: Arc<Shared>, connect: Box<Connect>) -> Result<Entry, Refusal> {
    if let Some(location) = &shared.config.redirect_url
        && !connect.client.redirect
    {
        return Err(Refusal::Redirect(location.clone()));
    }
    let (epoch, channel) = look_up(&shared, &ChannelId::from(connect.channel_id.as_str())).await?;
    let connection = ConnectionId::from(ids::fresh());
    let mut connect = connect;
    let decided = auth::decide(&shared, &channel, &connection, Entrance::Sora, &mut connect).await;
    Ok(Entry { epoch, channel, connection, connect, grants: decided.map_err(Refusal::Words)?, looked_for_silence: false })
}

/// A channel was closed in the meantime: whether it was this one. The auth webhook is not asked twice.
pub(crate) async fn look_again(shared: Arc<Shared>, entry: Entry) -> Result<Entry, Refusal> {
    let (epoch, channel) = look_up(&shared, &entry.channel.id).await?;
    Ok(Entry { epoch, channel, ..entry })
}

/// The channel takes one publisher and has one: whether that is still there.
pub(crate) async fn take_over(shared: Arc<Shared>, entry: Entry) -> Result<Entry, Refusal> {
    if !shared.rooms.take_over(&entry.channel).await {
        return Err(Refusal::Reason(PUBLISHER_THERE));
    }
    look_again(shared, Entry { looked_for_silence: true, ..entry }).await
}

async fn look_up(shared: &Shared, id: &ChannelId) -> Result<(u64, Channel), Refusal> {
    let epoch = shared.rooms.epoch();
    match shared.catalog.channel(id).await {
        Ok(Some(channel)) => Ok((epoch, channel)),
        Ok(None) => Err(Refusal::Reason(Reason("CHANNEL-NOT-FOUND"))),
        Err(error) => {
            tracing::error!(%error, "the catalog cannot be read");
            Err(Refusal::Reason(Reason("INTERNAL-ERROR")))
        }
    }
}
