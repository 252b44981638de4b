//! Those who talk lose nothing in a flood, and nothing of it stays in memory. As processes of their own, for some seconds.

use std::process::Command;

fn run(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_minamo-fanout")).args(arguments).output().expect("the bench starts");
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn a_flood_takes_nothing_from_those_who_talk() {
    let (fine, said) = run(&["flood", "3"]);
    assert!(fine, "{said}");
}

#[test]
fn a_lost_packet_would_be_seen() {
    let (fine, said) = run(&["flood", "1", "sabotage"]);
    assert!(!fine && said.contains("were lost"), "{said}");
}
