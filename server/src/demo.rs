//! `minamo demo`: the server, a synthetic publisher on air, and a box that says what to open.

use std::net::IpAddr;
use std::time::Duration;

use minamo_catalog::{Catalog, CatalogError, Channel, ChannelKind};
use minamo_client::demo::DemoOptions;
use minamo_gateway::ProgrammeState;
use minamo_media::ChannelId;
use minamo_signaling::api::PublicUrl;
use minamo_signaling_proto::api::ChannelSettings;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::Server;
use crate::config::Config;
use crate::programmes;

/// Ids that may have been deleted before a fresh one is made up.
const NAMES_MAX: u32 = 10;
/// How long the box waits for the first picture; it is printed then in any case.
const ON_AIR_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(crate) async fn run(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    let hls = config.hls.clone();
    let server = Server::start(config).await?;
    let channel = channel(server.catalog()).await?;
    programmes::open(server.gateway(), &hls, &channel);
    let local = PublicUrl::of_address(server.addresses().local_http());
    let goodbye = stop.child_token();
    let publisher =
        tokio::spawn(minamo_client::demo::run(local.sora_url(), channel.id.to_string(), DemoOptions::default(), goodbye.clone()));
    eprintln!("The test picture is going on air …");
    stop.run_until_cancelled(on_air(&server, &channel.id)).await;
    print!("{}", directions(&server, &channel));
    let result = tokio::select! {
        () = stop.cancelled() => Ok(()),
        ended = until_failed(publisher) => ended,
    };
    goodbye.cancel();
    server.shutdown().await;
    result
}

/// The publisher goes on for ever unless it cannot even start.
async fn until_failed(publisher: tokio::task::JoinHandle<anyhow::Result<()>>) -> anyhow::Result<()> {
    publisher.await?.map_err(|error| error.context("the demo publisher cannot start"))
}

/// The demo's own channel: the same after every restart, another one when it was deleted.
async fn channel(catalog: &Catalog) -> Result<Channel, CatalogError> {
    let body = json!({"hls": [{"durationSeconds": 2, "video": {"width": 1280, "height": 720, "fps": 30, "bps": 2_500_000}, "audio": {"bps": 128_000}}]});
    // The body is ours and valid: a test says so.
    let settings = ChannelSettings::with_hls(&body).unwrap_or_default();
    let settings = serde_json::to_value(settings).unwrap_or(body);
    for number in 1..=NAMES_MAX {
        let id = ChannelId::from(if number == 1 { "demo".to_owned() } else { format!("demo-{number}") });
        if let Some(channel) = catalog.channel(&id).await? {
            return Ok(channel);
        }
        match catalog.create_channel_with_id(id, ChannelKind::Single, settings.clone()).await {
            Err(CatalogError::IdTaken(_)) => {}
            done => return done,
        }
    }
    catalog.create_channel(ChannelKind::Single, settings).await
}

async fn on_air(server: &Server, id: &ChannelId) {
    let live = async {
        while server.gateway().state(id) != ProgrammeState::Live {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    if tokio::time::timeout(ON_AIR_WITHIN, live).await.is_err() {
        eprintln!("No picture yet: see the log above. The server runs all the same.");
    }
}

/// What to open and what to call.
fn directions(server: &Server, channel: &Channel) -> String {
    let url = browser_url(server);
    let token = server.token().secret.expose();
    let mut rows = vec![
        ("Watch", url.watch_url(channel).unwrap_or_default()),
        ("Studio", url.absolute(&format!("/studio#token={token}"))),
        ("HLS", url.playlist_url(channel).unwrap_or_default()),
        ("Signaling", format!("{} (channel {})", url.sora_url(), channel.id)),
        ("API token", token.to_owned()),
    ];
    if let Some(address) = network_address(server) {
        rows.insert(1, ("  elsewhere", server.url_at(address).watch_url(channel).unwrap_or_default()));
    }
    let curl = format!(
        "curl -s {} -H 'X-Sora-Target: ImageFlux_20180905.CreateChannel' -H 'Authorization: Bearer {token}' \\\n  \
         -d '{{\"hls\":[{{\"video\":{{\"width\":640,\"height\":480,\"fps\":30,\"bps\":1000000}},\"audio\":{{\"bps\":64000}}}}]}}'",
        url.absolute("/"),
    );
    format!("{}\nA channel of your own:\n\n{curl}\n\nCtrl-C stops.\n", boxed("Minamo is on air", &rows))
}

/// `localhost` rather than `127.0.0.1`: both may use the camera, one is easier to say.
fn browser_url(server: &Server) -> PublicUrl {
    let local = server.addresses().local_http();
    let own = server.url_at(local);
    if *server.public_url() != own || !local.ip().is_loopback() {
        return server.public_url().clone();
    }
    let scheme = if own.is_secure() { "https" } else { "http" };
    format!("{scheme}://localhost:{}", local.port()).parse().unwrap_or(own)
}

/// Where others on the network find us: only when we listen on every address.
fn network_address(server: &Server) -> Option<std::net::SocketAddr> {
    let addresses = server.addresses();
    let is_lan = |ip: &IpAddr| ip.is_ipv4() && !ip.is_loopback();
    let ip = addresses.candidates.iter().map(std::net::SocketAddr::ip).find(is_lan)?;
    addresses.http.ip().is_unspecified().then(|| std::net::SocketAddr::new(ip, addresses.http.port()))
}

fn boxed(title: &str, rows: &[(&str, String)]) -> String {
    let name_width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let lines: Vec<String> = rows.iter().map(|(name, value)| format!("{name:name_width$}  {value}")).collect();
    let width = lines.iter().map(|line| line.chars().count()).chain([title.chars().count()]).max().unwrap_or(0);
    let rule = "─".repeat(width + 2);
    let mut text = format!("\n┌{rule}┐\n│ {title:width$} │\n├{rule}┤\n");
    for line in lines {
        text.push_str(&format!("│ {line:width$} │\n"));
    }
    text.push_str(&format!("└{rule}┘\n"));
    text
}

#[cfg(test)]
mod tests {
    use minamo_catalog::Catalog;
    use minamo_signaling_proto::api::ChannelSettings;

    #[tokio::test]
    async fn the_channel_is_reused_and_a_deleted_one_replaced() {
        let catalog = Catalog::open("sqlite::memory:").await.unwrap();
        let first = super::channel(&catalog).await.unwrap();
        assert_eq!(first.id.as_str(), "demo");
        assert_eq!(ChannelSettings::stored(&first.settings).unwrap().hls.len(), 1);
        assert_eq!(super::channel(&catalog).await.unwrap(), first);
        catalog.delete_channel(&first.id).await.unwrap();
        assert_eq!(super::channel(&catalog).await.unwrap().id.as_str(), "demo-2");
        assert_eq!(super::channel(&catalog).await.unwrap().id.as_str(), "demo-2");
    }

    #[test]
    fn the_box_is_straight() {
        let text = super::boxed("Title", &[("Watch", "http://a".into()), ("API token", "éé".into())]);
        let widths: Vec<_> = text.trim().lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{text}");
    }
}
