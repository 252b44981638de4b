//! Every source can set every key, the order holds, and what is wrong is named.

use std::path::PathBuf;
use std::time::Duration;

use minamo_packager::Rotation;

use super::{Config, LogFormat, Override};

struct Sources {
    folder: tempfile::TempDir,
    file: Option<PathBuf>,
    variables: Vec<(String, String)>,
    flags: Vec<Override>,
}

impl Sources {
    fn none() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), file: None, variables: Vec::new(), flags: Vec::new() }
    }
    fn file(mut self, text: &str) -> Self {
        let path = self.folder.path().join("minamo.toml");
        std::fs::write(&path, text).unwrap();
        self.file = Some(path);
        self
    }
    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }
    fn flag(mut self, key: &'static str, value: &str) -> Self {
        self.flags.push((key, value.to_owned()));
        self
    }
    fn load(self) -> Result<Config, String> {
        let loaded = Config::load(self.file.as_deref(), self.variables, &self.flags);
        loaded.map_err(|error| error.to_string())
    }
    #[track_caller]
    fn fails_naming(self, words: &[&str]) {
        let error = self.load().expect_err("this configuration is wrong");
        assert!(!error.contains('\n'), "one line: {error}");
        for word in words {
            assert!(error.contains(word), "{word} is not in: {error}");
        }
    }
}

#[test]
fn without_any_source_there_are_defaults() {
    let config = Sources::none().variable("PATH", "/bin").load().unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.http.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(config.rtc_listen(), config.http.listen);
    assert_eq!(config.data_dir, PathBuf::from("./data"));
}

#[test]
fn a_variable_beats_the_file_and_a_flag_beats_both() {
    let file = "data_dir = '/file'\n[http]\nlisten = '127.0.0.1:1'\npublic_url = 'https://file.example'\n";
    let sources = Sources::none().file(file).variable("MINAMO_HTTP__LISTEN", "127.0.0.1:2");
    let config = sources.flag("data_dir", "/flag").load().unwrap();
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:2");
    assert_eq!(config.data_dir, PathBuf::from("/flag"));
    assert_eq!(config.http.public_url.unwrap().to_string(), "https://file.example", "what nobody overrides stays");
    let config = Sources::none().variable("MINAMO_HTTP__LISTEN", "127.0.0.1:2").flag("http.listen", "[::1]:3").load();
    assert_eq!(config.unwrap().http.listen.to_string(), "[::1]:3");
}

#[test]
fn every_key_is_also_a_variable() {
    let config = Sources::none()
        .variable("MINAMO_HTTP__LISTEN", "127.0.0.1:0")
        .variable("MINAMO_HTTP__PUBLIC_URL", "https://live.example")
        .variable("MINAMO_RTC__LISTEN", "[::]:5000")
        .variable("MINAMO_RTC__PUBLIC_IPS", "192.0.2.1, 2001:db8::1")
        .variable("MINAMO_API__TOKEN", "0012345678901234")
        .variable("MINAMO_CATALOG__URL", "sqlite:/tmp/x.db")
        .variable("MINAMO_HLS__RECONNECT_WINDOW_SECS", "7")
        .variable("MINAMO_TRANSCODE__THREADS", "0")
        .variable("MINAMO_TRANSCODE__MEGAPIXELS_PER_SECOND", "120")
        .variable("MINAMO_HLS__KEY_ROTATION_SEGMENTS", "30")
        .variable("MINAMO_SIGNALING__REDIRECT_URL", "wss://other.example/signaling")
        .variable("MINAMO_SIGNALING__DATA_CHANNEL_SIGNALING", "true")
        .variable("MINAMO_SIGNALING__IGNORE_DISCONNECT_WEBSOCKET", "true")
        .variable("MINAMO_SIGNALING__DATA_CHANNEL_COMPRESS", "false")
        .variable("MINAMO_WEBHOOK__ALLOW_PRIVATE_ADDRESSES", "true")
        .variable("MINAMO_LOG__FORMAT", "json")
        .variable("MINAMO_LOG__LEVEL", "debug,minamo_sfu=trace")
        .variable("MINAMO_DATA_DIR", "/var/lib/minamo")
        .load()
        .unwrap();
    assert_eq!(config.rtc_listen().to_string(), "[::]:5000");
    assert_eq!(config.rtc.public_ips.len(), 2);
    assert_eq!(config.api.token.unwrap().expose(), "0012345678901234", "a token of digits stays text");
    assert_eq!(config.catalog.url.unwrap(), "sqlite:/tmp/x.db");
    assert_eq!(config.hls.reconnect_window, Duration::from_secs(7));
    let parts = Sources::none().variable("MINAMO_HLS__PART_TARGET_MS", "200").load().unwrap();
    assert_eq!(parts.hls.part_target, Duration::from_millis(200));
    let pool = config.transcode.pool();
    assert_eq!((pool.threads, pool.pixels_per_second), (0, Some(120_000_000)));
    assert_eq!(config.hls.rotation(), Rotation::Segments(30), "segments count before the age");
    assert_eq!(config.signaling.redirect_url.as_deref(), Some("wss://other.example/signaling"));
    assert!(config.signaling.data_channel_signaling && config.signaling.ignore_disconnect_websocket);
    assert!(!config.signaling.data_channel_compress && config.webhook.allow_private_addresses);
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.data_dir, PathBuf::from("/var/lib/minamo"));
}

#[test]
fn an_empty_variable_counts_as_not_set_and_the_files_name_is_no_key() {
    let config = Sources::none().variable("MINAMO_HTTP__PUBLIC_URL", "").variable("MINAMO_CONFIG", "x.toml").load();
    assert_eq!(config.unwrap(), Config::default());
}

#[test]
fn an_unknown_key_is_named_with_its_place() {
    Sources::none().file("[http]\nlisten = '127.0.0.1:1'\nlisen = 'x'\n").fails_naming(&["http.lisen", "minamo.toml", "listen"]);
    Sources::none().file("[htp]\nlisten = 'x'\n").fails_naming(&["htp", "minamo.toml"]);
    Sources::none().file("[http]\n").variable("MINAMO_HTTP__LISEN", "x").fails_naming(&["http.lisen", "MINAMO_HTTP__LISEN"]);
    Sources::none().variable("MINAMO_HTTP_LISTEN", "x").fails_naming(&["http_listen", "MINAMO_HTTP_LISTEN"]);
    Sources::none().variable("MINAMO_", "x").fails_naming(&["MINAMO_"]);
    Sources::none().variable("MINAMO_HTTP____LISTEN", "x").fails_naming(&["MINAMO_HTTP____LISTEN"]);
}

#[test]
fn a_wrong_value_is_named_with_its_key() {
    Sources::none().file("[http]\nlisten = 8080\n").fails_naming(&["http.listen", "minamo.toml"]);
    Sources::none().variable("MINAMO_HTTP__LISTEN", "nowhere").fails_naming(&["http.listen", "MINAMO_HTTP__LISTEN"]);
    Sources::none().variable("MINAMO_HTTP__PUBLIC_URL", "live.example").fails_naming(&["http.public_url", "https://"]);
    Sources::none().variable("MINAMO_RTC__PUBLIC_IPS", "192.0.2.1,host").fails_naming(&["rtc.public_ips", "host"]);
    Sources::none().file("[rtc]\npublic_ips = 5\n").fails_naming(&["rtc.public_ips", "list"]);
    Sources::none().variable("MINAMO_RTC__THREADS", "0").fails_naming(&["rtc.threads", "64"]);
    Sources::none().file("[rtc]\nthreads = 65\n").fails_naming(&["rtc.threads", "64"]);
    Sources::none().variable("MINAMO_TRANSCODE__THREADS", "257").fails_naming(&["transcode.threads", "256"]);
    Sources::none().file("[transcode]\nmegapixels_per_second = 0\n").fails_naming(&["transcode.megapixels_per_second"]);
    Sources::none().variable("MINAMO_HLS__RECONNECT_WINDOW_SECS", "-1").fails_naming(&["hls.reconnect_window_secs"]);
    Sources::none().variable("MINAMO_HLS__PART_TARGET_MS", "99").fails_naming(&["hls.part_target_ms", "100 to 2000"]);
    Sources::none().variable("MINAMO_HLS__KEY_ROTATION_SEGMENTS", "-1").fails_naming(&["hls.key_rotation_segments"]);
    Sources::none().file("[hls]\nreconnect_window_secs = 1.5\n").fails_naming(&["hls.reconnect_window_secs"]);
    Sources::none().variable("MINAMO_SIGNALING__REDIRECT_URL", "https://x").fails_naming(&["signaling.redirect_url", "wss://"]);
    Sources::none()
        .variable("MINAMO_WEBHOOK__ALLOW_PRIVATE_ADDRESSES", "maybe")
        .fails_naming(&["webhook.allow_private_addresses"]);
    Sources::none().variable("MINAMO_LOG__FORMAT", "xml").fails_naming(&["log.format", "json"]);
    Sources::none().variable("MINAMO_LOG__LEVEL", "loud").fails_naming(&["log.level"]);
    Sources::none().file("[http\n").fails_naming(&["minamo.toml"]);
    Sources::none().file("http = 3\n").fails_naming(&["http", "minamo.toml"]);
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let mut sources = Sources::none();
    sources.file = Some(PathBuf::from("/nowhere/minamo.toml"));
    sources.fails_naming(&["/nowhere/minamo.toml"]);
}

#[test]
fn a_token_is_never_shown() {
    let config = Sources::none().variable("MINAMO_API__TOKEN", "very-secret-token").load().unwrap();
    assert!(!format!("{config:?}").contains("very-secret"));
    let error = Sources::none().variable("MINAMO_API__TOKEN", "very secret token").load().unwrap_err();
    assert!(error.contains("api.token") && !error.contains("very"), "{error}");
}

const EXAMPLE: &str = include_str!("../../../minamo.example.toml");

#[test]
fn the_example_file_says_the_defaults() {
    let config = Sources::none().file(EXAMPLE).load().unwrap();
    assert_eq!(config, Config::default());
}

/// Every commented-out line `# key = value` of the example is one that can be set.
#[test]
fn the_example_file_holds_when_everything_is_switched_on() {
    let is_key =
        |line: &str| line.split_once(" = ").is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
    let switch_on = |line: &str| line.strip_prefix("# ").filter(|rest| is_key(rest)).unwrap_or(line).to_owned();
    let text: Vec<String> = EXAMPLE.lines().map(switch_on).collect();
    let config = Sources::none().file(&text.join("\n")).load().unwrap();
    assert!(config.http.public_url.is_some() && config.rtc.listen.is_some() && !config.rtc.public_ips.is_empty());
    assert!(config.api.token.is_some() && config.catalog.url.is_some());
}
