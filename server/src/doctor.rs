//! `minamo doctor`: what would not work, before it does not.

use std::fmt;
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use minamo_media::{ChannelId, ConnectionId, TapEvent, TapSink};
use minamo_sfu::{Sfu, SfuConfig};
use minamo_transcode::{CHANNELS, I420, OpenH264Encoder, OpusEncoder, OpusToAac, Profile, Step, VideoEncoder, VideoSettings};

use crate::config::Config;
use crate::server::open_catalog;
use crate::tls::{Names, Tls};

/// One thing looked at.
struct Finding {
    what: String,
    verdict: Verdict,
}

enum Verdict {
    Good(String),
    /// Works, but perhaps not as meant.
    Doubtful(String),
    Bad(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mark, words) = match &self.verdict {
            Verdict::Good(words) => ("ok  ", words),
            Verdict::Doubtful(words) => ("warn", words),
            Verdict::Bad(words) => ("FAIL", words),
        };
        write!(f, "{mark}  {:14}  {words}", self.what)
    }
}

/// Looks at everything, prints a line each; fails when something would not work.
pub(crate) async fn run(config: &Config) -> ExitCode {
    let mut findings = vec![http_port(config)];
    findings.extend(media(config));
    findings.extend(certificate(config));
    findings.extend([data_folder(config), catalog(config).await, video_codec(), audio_codecs(), clock()]);
    let mut out = std::io::stdout().lock();
    for finding in &findings {
        // Nobody is left to tell when stdout is closed.
        let _ = writeln!(out, "{finding}");
    }
    let failed = findings.iter().any(|finding| matches!(finding.verdict, Verdict::Bad(_)));
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn finding<E: fmt::Display>(what: &str, result: Result<String, E>) -> Finding {
    let verdict = match result {
        Ok(words) => Verdict::Good(words),
        Err(error) => Verdict::Bad(error.to_string()),
    };
    Finding { what: what.to_owned(), verdict }
}

fn http_port(config: &Config) -> Finding {
    let address = config.http.listen;
    let free = TcpListener::bind(address).map(|_| format!("TCP {address} is free"));
    finding("http.listen", free.map_err(|error| format!("TCP {address}: {error}")))
}

/// Starts media for a moment: that is what tells whether the port is free and what clients would be told.
fn media(config: &Config) -> Vec<Finding> {
    let address = config.rtc_listen();
    let sfu = SfuConfig { public_ips: config.rtc.public_ips.clone(), ..SfuConfig::new(address) };
    match Sfu::start(sfu, Arc::new(NoTap)) {
        Ok(sfu) => {
            let addresses = addresses(sfu.candidates());
            sfu.shutdown();
            vec![finding::<String>("rtc.listen", Ok(format!("UDP {address} is free"))), addresses]
        }
        Err(error) => vec![finding("rtc.listen", Err(error))],
    }
}

fn addresses(candidates: &[SocketAddr]) -> Finding {
    let list = candidates.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let verdict = if candidates.is_empty() {
        Verdict::Bad("no address to tell clients: set rtc.public_ips".to_owned())
    } else if candidates.iter().all(|candidate| candidate.ip().is_loopback()) {
        Verdict::Doubtful(format!("{list}: this machine only; set rtc.public_ips for others"))
    } else if candidates.iter().all(|candidate| is_private(candidate.ip())) {
        Verdict::Doubtful(format!("{list}: this network only; behind NAT set rtc.public_ips and let UDP through"))
    } else {
        Verdict::Good(format!("clients send media to {list}; a firewall must let this UDP through"))
    };
    Finding { what: "rtc.public_ips".to_owned(), verdict }
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unique_local(),
    }
}

fn data_folder(config: &Config) -> Finding {
    let folder = &config.data_dir;
    let probe = || -> std::io::Result<String> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!(".doctor-{}", std::process::id()));
        std::fs::write(&path, b"probe")?;
        std::fs::remove_file(&path)?;
        Ok(format!("{} is writable", folder.display()))
    };
    finding("data_dir", probe().map_err(|error| format!("{}: {error}", folder.display())))
}

/// Where TLS is on.
fn certificate(config: &Config) -> Option<Finding> {
    let Some(path) = &config.tls.certificate else {
        // It is made by the server, which knows its names.
        let own = "a certificate of our own: browsers ask about it once".to_owned();
        return config.tls.self_signed.then(|| finding::<String>("tls", Ok(own)));
    };
    match Tls::start(&config.tls, &config.data_dir, &Names::default()) {
        Ok(None) => None,
        Ok(Some(_)) => Some(finding::<String>("tls", Ok(format!("{} and its key fit", path.display())))),
        Err(error) => Some(finding("tls", Err(error))),
    }
}

async fn catalog(config: &Config) -> Finding {
    let counted = match open_catalog(config).await {
        Ok(catalog) => {
            let counted = catalog.channel_ids().await.map(|ids| format!("opens, holds {} channels", ids.len()));
            catalog.close().await;
            counted
        }
        Err(error) => Err(error),
    };
    finding("catalog", counted)
}

fn video_codec() -> Finding {
    let (width, height) = (320, 240);
    let picture = vec![128_u8; width * height * 3 / 2];
    let encode = || -> anyhow::Result<String> {
        let mut encoder = OpenH264Encoder::new(VideoSettings { bitrate: 500_000, fps: 30.0, profile: Profile::Baseline })?;
        let encoded = encoder.encode(I420::from_packed(&picture, width, height)?)?;
        let encoded = encoded.filter(|encoded| encoded.key && !encoded.data.is_empty());
        let encoded = encoded.ok_or_else(|| anyhow::anyhow!("the first picture is no key frame"))?;
        Ok(format!("openh264 encodes ({} bytes of a grey picture)", encoded.data.len()))
    };
    finding("video codec", encode())
}

fn audio_codecs() -> Finding {
    const PACKET_SAMPLES: usize = 960;
    const PACKETS: usize = 10;
    let transcode = || -> anyhow::Result<String> {
        let silence = vec![0_i16; PACKET_SAMPLES * CHANNELS];
        let mut opus = OpusEncoder::new(64_000)?;
        let mut aac = OpusToAac::new(64_000, 0)?;
        let mut frames = 0;
        for _ in 0..PACKETS {
            frames += aac.push(&[Step::Decode(opus.encode(&silence)?)])?.len();
        }
        anyhow::ensure!(frames > 0, "no AAC frame came out of {PACKETS} Opus packets");
        Ok(format!("Opus to AAC works ({frames} frames of {PACKETS} packets)"))
    };
    finding("audio codecs", transcode())
}

/// Playlists carry wall time: a clock that is years off makes every date in them wrong.
fn clock() -> Finding {
    const YEAR: u64 = 31_556_952;
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let year = 1970 + since_epoch / YEAR;
    let verdict = if (2025..2100).contains(&year) {
        Verdict::Good(format!("the year is {year}"))
    } else {
        Verdict::Bad(format!("the clock says that it is {year}: set it"))
    };
    Finding { what: "clock".to_owned(), verdict }
}

struct NoTap;

impl TapSink for NoTap {
    fn push(&self, _: &ChannelId, _: &ConnectionId, _: TapEvent) {}
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::{Verdict, addresses, audio_codecs, clock, http_port, video_codec};
    use crate::Config;

    #[test]
    fn codecs_and_clock_of_this_machine_are_good() {
        for finding in [video_codec(), audio_codecs(), clock()] {
            assert!(matches!(finding.verdict, Verdict::Good(_)), "{finding}");
        }
    }

    #[test]
    fn a_taken_port_is_bad() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut config = Config::default();
        config.http.listen = taken.local_addr().unwrap();
        assert!(matches!(http_port(&config).verdict, Verdict::Bad(_)));
        drop(taken);
        config.http.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        assert!(matches!(http_port(&config).verdict, Verdict::Good(_)));
    }

    #[test]
    fn addresses_that_others_cannot_reach_are_doubtful() {
        let verdict = |list: &[&str]| {
            let list: Vec<SocketAddr> = list.iter().map(|text| text.parse().unwrap()).collect();
            addresses(&list).verdict
        };
        assert!(matches!(verdict(&[]), Verdict::Bad(_)));
        assert!(matches!(verdict(&["127.0.0.1:1"]), Verdict::Doubtful(_)));
        assert!(matches!(verdict(&["192.168.0.2:1", "127.0.0.1:1"]), Verdict::Doubtful(_)));
        assert!(matches!(verdict(&["203.0.113.7:1", "127.0.0.1:1"]), Verdict::Good(_)));
    }
}
