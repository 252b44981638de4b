//! Debian's nginx with static files: what an origin that only copies bytes costs.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Tuned as its manual says for static files, with the headers that players want. One worker: it is CPU that is counted.
const CONFIG: &str = "worker_processes 1; pid FOLDER/pid; error_log FOLDER/error.log error;
events { worker_connections 16384; }
http {
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000000; open_file_cache max=100 inactive=600s;
  open_file_cache_valid 600s;
  client_body_temp_path FOLDER/b; proxy_temp_path FOLDER/p; fastcgi_temp_path FOLDER/f; uwsgi_temp_path FOLDER/u; scgi_temp_path FOLDER/s;
  types { application/vnd.apple.mpegurl m3u8; video/mp4 m4s mp4; }
  server { listen 127.0.0.1:PORT; root FOLDER/files;
    add_header Cache-Control 'public, max-age=31536000, immutable'; add_header Access-Control-Allow-Origin '*'; } }";

/// A running nginx; stopped when dropped.
pub struct Nginx {
    child: Child,
    folder: PathBuf,
    files: u32,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Nginx {
    /// Starts it without files.
    ///
    /// # Errors
    /// When it is not installed (scripts/setup.sh test) or does not start.
    pub fn start() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("minamo-bench-nginx-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("files"))?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let text = CONFIG.replace("FOLDER", &folder.to_string_lossy()).replace("PORT", &address.port().to_string());
        std::fs::write(folder.join("nginx.conf"), format!("user root;\n{text}"))?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(&folder).arg("-c").arg(folder.join("nginx.conf")).args(["-g", "daemon off;"]);
        let child = command.stderr(Stdio::null()).spawn().context("nginx is not there: scripts/setup.sh test")?;
        let nginx = Self { child, folder, files: 0, address };
        for _ in 0..100 {
            if std::net::TcpStream::connect(address).is_ok() {
                return Ok(nginx);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("nginx does not start")
    }

    /// Serves these bytes; answers under which path. Never one of before: open files are remembered.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn put(&mut self, bytes: &[u8]) -> Result<String> {
        self.files += 1;
        let name = format!("{}.m4s", self.files);
        std::fs::write(self.folder.join("files").join(&name), bytes)?;
        Ok(format!("/{name}"))
    }

    /// CPU time of its worker.
    ///
    /// # Errors
    /// When it is gone.
    pub fn cpu(&self) -> Result<Duration> {
        let master = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children"))?;
        let mut nanoseconds = 0;
        for worker in children.split_whitespace() {
            let text = std::fs::read_to_string(format!("/proc/{worker}/schedstat"))?;
            nanoseconds += text.split(' ').next().context("no schedstat")?.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM, so that the worker goes, too.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
