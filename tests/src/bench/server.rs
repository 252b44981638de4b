//! The server under test: a release binary in a process of its own, whose CPU time the kernel counts for us.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    port: u16,
    data: PathBuf,
    http: reqwest::Client,
}

const TOKEN: &str = "bench-token-0123456789abcdef";

impl Server {
    /// Starts `minamo serve` from beside this binary, on a free loopback port.
    ///
    /// # Errors
    /// When the binary is missing or does not become ready within 20 s.
    pub async fn start() -> Result<Self> {
        let binary = std::env::current_exe()?.parent().context("no folder")?.join("minamo");
        let port = free_port()?;
        let data = std::env::temp_dir().join(format!("minamo-bench-{}", std::process::id()));
        let child = spawn(&binary, port, &data)?;
        let server = Self { child, port, data, http: crate::http_client().build()? };
        for _ in 0..200 {
            if server.http.get(format!("{}/readyz", server.base())).send().await.is_ok_and(|r| r.status().is_success()) {
                return Ok(server);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("the server did not become ready");
    }

    /// `http://…` without a slash at its end.
    #[must_use]
    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// `ws://…/signaling`.
    #[must_use]
    pub fn signaling_url(&self) -> String {
        format!("ws://127.0.0.1:{}/signaling", self.port)
    }

    /// One API call; answers the JSON body.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn api(&self, target: &str, body: Value) -> Result<Value> {
        let request = self.http.post(self.base()).header("x-sora-target", target).bearer_auth(TOKEN);
        let response = request.body(body.to_string()).send().await?.error_for_status()?;
        Ok(serde_json::from_slice(&response.bytes().await?)?)
    }

    /// A channel with HLS in 720p.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn create_channel(&self) -> Result<String> {
        let hls = json!([{"video": {"width": 1280, "height": 720, "fps": 30, "bps": 2_500_000}, "audio": {"bps": 128_000}}]);
        let answer = self.api("ImageFlux_20180905.CreateChannel", json!({"hls": hls})).await?;
        Ok(answer["channel_id"].as_str().context("no channel_id")?.to_owned())
    }

    /// A room without HLS.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn create_room(&self) -> Result<String> {
        let answer = self.api("ImageFlux_20200316.CreateMultistreamChannel", json!({})).await?;
        Ok(answer["channel_id"].as_str().context("no channel_id")?.to_owned())
    }

    /// Sum of a Prometheus metric over its labels.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let text = self.http.get(format!("{}/metrics", self.base())).send().await?.text().await?;
        let ours = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        Ok(text.lines().filter(ours).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// CPU time that the process has used, all threads, by the scheduler's own nanosecond count.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn cpu(&self) -> Result<Duration> {
        let mut nanoseconds = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            nanoseconds += text.split(' ').next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// The same by thread: names without the numbers at their ends.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn threads(&self) -> Result<BTreeMap<String, Duration>> {
        let mut spent = BTreeMap::new();
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let task = task?.path();
            let read = |file| std::fs::read_to_string(task.join(file)).unwrap_or_default();
            let nanoseconds = read("schedstat").split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0);
            let name = read("comm").trim().trim_end_matches(|c: char| c.is_ascii_digit() || c == '-').to_owned();
            *spent.entry(name).or_insert(Duration::ZERO) += Duration::from_nanos(nanoseconds);
        }
        Ok(spent)
    }

    /// Publishes by WHIP; answers the answer.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn whip(&self, channel: &str, offer: String) -> Result<String> {
        let request = self.http.post(format!("{}/whip/{channel}", self.base())).header("content-type", "application/sdp");
        let response = request.bearer_auth(TOKEN).body(offer).send().await?;
        let (status, text) = (response.status(), response.text().await?);
        if !status.is_success() {
            bail!("WHIP: {status}: {text}");
        }
        Ok(text)
    }

    /// Where HTTP and media are.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Open file descriptors.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn descriptors(&self) -> Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count())
    }

    /// Ends a channel.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn delete_channel(&self, channel: &str) -> Result<()> {
        self.api("ImageFlux_20180501.DeleteChannel", json!({"channel_id": channel})).await.map(drop)
    }

    /// Resident memory in KiB.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn resident_kib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS")).context("no VmRSS")?;
        line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).context("VmRSS is not a number")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

fn spawn(binary: &Path, port: u16, data: &Path) -> Result<Child> {
    Command::new(binary)
        .arg("serve")
        .env("MINAMO_HTTP__LISTEN", format!("127.0.0.1:{port}"))
        .env("MINAMO_RTC__LISTEN", format!("127.0.0.1:{port}"))
        .env("MINAMO_API__TOKEN", TOKEN)
        .env("MINAMO_DATA_DIR", data)
        .env("MINAMO_LOG__LEVEL", "warn")
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", binary.display()))
}

/// A port that is free for TCP and UDP right now.
fn free_port() -> Result<u16> {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0")?;
        let port = tcp.local_addr()?.port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
}
