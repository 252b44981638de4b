//! The binary itself: what it prints and how it ends.

#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

fn minamo(folder: &tempfile::TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_minamo"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MINAMO_") {
            command.env_remove(name);
        }
    }
    command.current_dir(folder.path()).env("MINAMO_HTTP__LISTEN", "127.0.0.1:0");
    command
}

#[track_caller]
fn fails_with_one_line(command: &mut Command, words: &[&str]) {
    let output = command.output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert_eq!(error.trim_end().lines().count(), 1, "{error}");
    for word in words {
        assert!(error.contains(word), "{word} is not in: {error}");
    }
}

fn both(address: SocketAddr) -> (String, String) {
    (address.to_string(), address.port().to_string())
}

#[test]
fn what_keeps_it_from_starting_is_one_line_and_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, port) = both(taken.local_addr().unwrap());
    fails_with_one_line(minamo(&folder).args(["serve", "--listen", &address]), &["TCP port", &port, "in use"]);
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (address, port) = both(taken.local_addr().unwrap());
    fails_with_one_line(minamo(&folder).args(["serve", "--rtc-listen", &address]), &["UDP port", &port, "in use"]);
    std::fs::write(folder.path().join("file"), "").unwrap();
    fails_with_one_line(minamo(&folder).args(["serve", "--data-dir", "file"]), &["file"]);
    fails_with_one_line(minamo(&folder).arg("serve").env("MINAMO_HTTP__LISEN", "x"), &["http.lisen", "MINAMO_HTTP__LISEN"]);
    std::fs::write(folder.path().join("broken.toml"), "[http]\nlisen = 'x'\n").unwrap();
    fails_with_one_line(minamo(&folder).args(["serve", "--config", "broken.toml"]), &["http.lisen", "broken.toml"]);
    fails_with_one_line(minamo(&folder).args(["serve", "--config", "nowhere.toml"]), &["nowhere.toml"]);
}

#[cfg(unix)]
#[test]
fn it_prints_the_token_once_and_ends_well_when_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let run = || {
        let mut child = minamo(&folder).arg("serve").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let at_work = line.starts_with("Minamo is at http://127.0.0.1:");
            lines.push(line);
            if at_work {
                break;
            }
        }
        let told = Command::new("kill").arg(child.id().to_string()).status().unwrap();
        assert!(told.success());
        assert_eq!(child.wait().unwrap().code(), Some(0));
        lines
    };
    let first = run();
    assert_eq!(first.len(), 2, "{first:?}");
    let token = std::fs::read_to_string(folder.path().join("data/api-token")).unwrap();
    assert!(first[0].ends_with(token.trim()), "{first:?}");
    let second = run();
    assert_eq!(second.len(), 1, "the token is printed once only: {second:?}");
}

#[test]
fn doctor_finds_nothing_wrong_here_and_a_taken_port_there() {
    let folder = tempfile::tempdir().unwrap();
    let good = minamo(&folder).arg("doctor").output().unwrap();
    let text = String::from_utf8(good.stdout).unwrap();
    assert!(good.status.success(), "{text}");
    assert!(text.contains("openh264") && text.contains("AAC"), "{text}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bad = minamo(&folder).args(["doctor", "--listen", &taken.local_addr().unwrap().to_string()]).output().unwrap();
    assert_eq!(bad.status.code(), Some(1));
    assert!(String::from_utf8(bad.stdout).unwrap().contains("FAIL  http.listen"));
}
