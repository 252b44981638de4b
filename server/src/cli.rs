//! The command line: `minamo serve|demo|doctor`.

use std::ffi::OsString;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, LogFormat, Override};
use crate::token::TokenOrigin;
use crate::{Server, demo, doctor, telemetry};

/// Live streaming for everybody who can open a browser.
#[derive(Debug, Parser)]
#[command(name = "minamo", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(Flags),
    /// Run the server with a test picture on air, and print what to open.
    Demo(Flags),
    /// Check ports, data folder, codecs, clock and addresses. Exit code 1 when something would not work.
    Doctor(Flags),
}

/// Flags have no defaults of their own: what is not given leaves the file and the variables as they are.
#[derive(Debug, Default, Args)]
struct Flags {
    /// Configuration file [default: ./minamo.toml if it is there]
    #[arg(long, env = "MINAMO_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// TCP address of HTTP (http.listen)
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Base of the URLs in answers (http.public_url)
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// HTTPS with a certificate of our own, which browsers ask about once (tls.self_signed)
    #[arg(long)]
    self_signed: bool,
    /// UDP address of media (rtc.listen)
    #[arg(long, value_name = "ADDRESS:PORT")]
    rtc_listen: Option<SocketAddr>,
    /// Address that clients send media to; may be repeated (rtc.public_ips)
    #[arg(long, value_name = "IP")]
    public_ip: Vec<IpAddr>,
    /// Data folder (data_dir)
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<String>,
    /// Log filter (log.level)
    #[arg(long, value_name = "FILTER")]
    log_level: Option<String>,
    /// Log format (log.format)
    #[arg(long)]
    log_format: Option<LogFormat>,
}

impl Flags {
    fn overrides(&self) -> Vec<Override> {
        let ips: Vec<_> = self.public_ip.iter().map(ToString::to_string).collect();
        let given = [
            ("http.listen", self.listen.map(|address| address.to_string())),
            ("http.public_url", self.public_url.clone()),
            ("tls.self_signed", self.self_signed.then(|| "true".to_owned())),
            ("rtc.listen", self.rtc_listen.map(|address| address.to_string())),
            ("rtc.public_ips", (!ips.is_empty()).then(|| ips.join(","))),
            ("data_dir", self.data_dir.clone()),
            ("log.level", self.log_level.clone()),
            ("log.format", self.log_format.map(|format| format.to_string())),
        ];
        given.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }

    fn load(&self) -> anyhow::Result<Config> {
        let usual = Path::new("minamo.toml");
        let file = self.config.as_deref().or_else(|| usual.exists().then_some(usual));
        // A variable that is not UTF-8 cannot be one of ours.
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Ok(Config::load(file, variables, &self.overrides())?)
    }
}

/// Runs a command line to its end. What goes wrong is one line on stderr.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    // One backend for everything that speaks TLS; an error means that it is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let code = u8::try_from(error.exit_code()).unwrap_or(1);
            // Nothing is left to do when not even this can be written.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match execute(&cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("minamo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: &Command) -> anyhow::Result<ExitCode> {
    let (Command::Serve(flags) | Command::Demo(flags) | Command::Doctor(flags)) = command;
    let config = flags.load()?;
    telemetry::start_logs(&config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Serve(_) => until_told_to_stop(|stop| serve(config, stop)).await,
            Command::Demo(_) => until_told_to_stop(|stop| demo::run(config, stop)).await,
            Command::Doctor(_) => Ok(doctor::run(&config).await),
        }
    })
}

async fn serve(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    let server = Server::start(config).await?;
    let token = server.token();
    if token.origin == TokenOrigin::Made {
        println!("API token, made now and kept in {}: {}", token.path.display(), token.secret.expose());
    }
    println!("Minamo is at {}", server.public_url());
    stop.cancelled().await;
    server.shutdown().await;
    Ok(())
}

/// The first SIGTERM or SIGINT asks to stop, the second one does not ask.
async fn until_told_to_stop<F: Future<Output = anyhow::Result<()>>>(
    work: impl FnOnce(CancellationToken) -> F,
) -> anyhow::Result<ExitCode> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let told = stop.clone();
    let listening = tokio::spawn(async move {
        for told_before in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if told_before {
                std::process::exit(1);
            }
            told.cancel();
        }
    });
    let result = work(stop).await;
    listening.abort();
    result.map(|()| ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, Command};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn only_flags_that_were_given_override() {
        let parse = |arguments: &[&str]| match Cli::try_parse_from(arguments).unwrap().command {
            Command::Serve(flags) | Command::Demo(flags) | Command::Doctor(flags) => flags.overrides(),
        };
        assert!(parse(&["minamo", "serve"]).is_empty());
        let given = parse(&["minamo", "demo", "--listen", "127.0.0.1:0", "--public-ip", "192.0.2.1", "--public-ip", "::1"]);
        assert_eq!(given, [("http.listen", "127.0.0.1:0".to_owned()), ("rtc.public_ips", "192.0.2.1,::1".to_owned())]);
    }
}
