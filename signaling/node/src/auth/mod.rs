//! Who may join, and as what: the one place that decides, whichever way a client comes.
//!
//! A channel with `auth_webhook_url` asks the application's server about every connection; without it everybody who knows the
//! channel's id may join. Whatever goes wrong on the way there lets nobody in.

mod addresses;
mod client;
#[cfg(test)]
mod tests;

use std::time::Duration;

use minamo_catalog::Channel;
use minamo_media::ConnectionId;
use minamo_signaling_proto::api::ChannelSettings;
use minamo_signaling_proto::sora::{Allowed, AuthAnswer, AuthRequest, Connect};

pub(crate) use client::WebhookClient;

use crate::session::Grants;
use crate::signaling::Shared;
use crate::{clock, ids};

/// The way a client comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entrance {
    Sora,
    Whip,
    Whep,
}

/// What a client is told when the webhook cannot be asked or answers what cannot be understood.
const WEBHOOK_FAILED: &str = "AUTH-WEBHOOK-ERROR";

/// Asks, where the channel wants it, and changes `connect` to what the answer says.
///
/// # Errors
/// The words for the client: the webhook's own reason, or [`WEBHOOK_FAILED`].
pub(crate) async fn decide(
    shared: &Shared,
    channel: &Channel,
    connection: &ConnectionId,
    entrance: Entrance,
    connect: &mut Connect,
) -> Result<Grants, String> {
    let settings = ChannelSettings::stored(&channel.settings).map_err(|error| failed(channel, &error))?;
    let Some(url) = settings.auth_webhook_url else { return Ok(Grants::default()) };
    let (id, timestamp) = (ids::fresh(), clock::now());
    let request = AuthRequest {
        connect,
        connection_id: connection.as_str(),
        id: &id,
        timestamp: &timestamp,
        node_name: "minamo",
        counters: shared.rooms.counters(&channel.id),
        whip: entrance == Entrance::Whip,
        whep: entrance == Entrance::Whep,
    };
    let headers = [("sora-connection-id", connection.as_str())];
    let answer = shared.webhooks.post(&url, &headers, &request.to_json()).await.map_err(|error| failed(channel, &error))?;
    match AuthAnswer::parse(&answer).map_err(|error| failed(channel, &error))? {
        AuthAnswer::Allowed(allowed) => {
            allowed.overrule(connect).map_err(|error| failed(channel, &error))?;
            count("allowed");
            Ok(grants(*allowed))
        }
        AuthAnswer::Refused(reason) => {
            count("refused");
            Err(reason)
        }
    }
}

fn grants(allowed: Allowed) -> Grants {
    Grants {
        metadata: allowed.metadata,
        authz_metadata: allowed.authz_metadata,
        silent: !allowed.notify,
        rpc_methods: allowed.rpc_methods,
        lifetime: allowed.lifetime_seconds.map(|seconds| Duration::from_secs(seconds.into())),
    }
}

/// The application's server is at fault: its operator has to see it, the client learns no details.
fn failed(channel: &Channel, error: &dyn std::fmt::Display) -> String {
    tracing::warn!(channel = %channel.id, %error, "the auth webhook does not answer as it should");
    count("failed");
    WEBHOOK_FAILED.to_owned()
}

fn count(outcome: &'static str) {
    metrics::counter!("minamo_auth_webhooks_total", "outcome" => outcome).increment(1);
}
