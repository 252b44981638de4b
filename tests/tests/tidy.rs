//! The shape of the house, held by a test: who may depend on whom, what a pure crate may not have, what pages may not do.

#![allow(clippy::unwrap_used, reason = "a manifest that cannot be read is a failure")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Every allowed arrow between our crates: (crate, folder, pure, what it may depend on). Nothing else passes.
const HOUSE: &[(&str, &str, bool, &[&str])] = &[
    ("minamo-media", "media", true, &[]),
    ("minamo-sfu-core", "sfu/core", true, &["minamo-media"]),
    ("minamo-sfu", "sfu/node", false, &["minamo-media", "minamo-sfu-core"]),
    ("minamo-packager", "gateway/packager", true, &["minamo-media"]),
    ("minamo-transcode", "transcode", false, &["minamo-media"]),
    ("minamo-gateway", "gateway/node", false, &["minamo-media", "minamo-packager", "minamo-transcode"]),
    ("minamo-signaling-proto", "signaling/proto", true, &["minamo-media"]),
    ("minamo-catalog", "catalog", false, &["minamo-media"]),
    (
        "minamo-signaling",
        "signaling/node",
        false,
        &["minamo-media", "minamo-sfu-core", "minamo-sfu", "minamo-signaling-proto", "minamo-catalog"],
    ),
    ("minamo-llhls-checker", "tests/llhls", true, &[]),
    ("minamo-fanout", "tests/fanout", false, &["minamo-media", "minamo-sfu-core", "minamo-sfu"]),
    ("minamo-client", "client", false, &["minamo-media", "minamo-transcode"]),
    (
        "minamo",
        "server",
        false,
        &[
            "minamo-media",
            "minamo-sfu-core",
            "minamo-sfu",
            "minamo-packager",
            "minamo-gateway",
            "minamo-transcode",
            "minamo-signaling-proto",
            "minamo-signaling",
            "minamo-catalog",
            "minamo-client",
        ],
    ),
];

/// What no pure crate may depend on.
const IMPURE: &[&str] = &[
    "tokio",
    "mio",
    "quinn-udp",
    "socket2",
    "axum",
    "hyper",
    "reqwest",
    "sqlx",
    "rand",
    "uuid",
    "getrandom",
    "crossbeam-channel",
    "metrics",
    "libc",
    "async-trait",
    "futures-util",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn manifest(folder: &str) -> toml::Table {
    fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap().parse().unwrap()
}

fn dependencies(manifest: &toml::Table, section: &str) -> BTreeSet<String> {
    manifest.get(section).and_then(|table| table.as_table()).map(|table| table.keys().cloned().collect()).unwrap_or_default()
}

/// Arrows of `manifest` that the house does not allow.
fn forbidden_arrows(manifest: &toml::Table, allowed: &[&str]) -> Vec<String> {
    let ours = |name: &String| name.starts_with("minamo");
    dependencies(manifest, "dependencies").into_iter().filter(ours).filter(|name| !allowed.contains(&name.as_str())).collect()
}

fn impurities(manifest: &toml::Table) -> Vec<String> {
    dependencies(manifest, "dependencies").into_iter().filter(|name| IMPURE.contains(&name.as_str())).collect()
}

fn files_under(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "node_modules" && name != "dist" && name != "target" {
            found.extend(files_under(&path, extensions));
        } else if path.extension().is_some_and(|ext| extensions.iter().any(|wanted| ext == *wanted)) {
            found.push(path);
        }
    }
    found
}

#[test]
fn only_the_allowed_arrows_exist() {
    for (name, folder, _, allowed) in HOUSE {
        let manifest = manifest(folder);
        assert_eq!(manifest["package"]["name"].as_str(), Some(*name), "{folder} holds another crate");
        assert_eq!(forbidden_arrows(&manifest, allowed), Vec::<String>::new(), "{name} may not depend on these");
    }
}

#[test]
fn every_member_of_the_workspace_is_in_the_table() {
    let workspace = manifest("");
    let members: BTreeSet<&str> =
        workspace["workspace"]["members"].as_array().unwrap().iter().filter_map(|m| m.as_str()).collect();
    let known: BTreeSet<&str> = HOUSE.iter().map(|(_, folder, ..)| *folder).chain(["tests"]).collect();
    assert_eq!(members, known);
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    for (name, folder, ..) in HOUSE {
        assert_eq!(manifest(folder)["lints"]["workspace"].as_bool(), Some(true), "{name}");
    }
}

#[test]
fn pure_crates_are_pure() {
    let shared = fs::read_to_string(root().join("clippy-pure.toml")).unwrap();
    for (name, folder, ..) in HOUSE.iter().filter(|(_, _, pure, _)| *pure) {
        assert_eq!(impurities(&manifest(folder)), Vec::<String>::new(), "{name} is pure and may not have these");
        let lints = fs::read_to_string(root().join(folder).join("clippy.toml")).unwrap_or_default();
        assert_eq!(lints, shared, "{name}: clippy.toml must be the shared purity lints");
    }
}

#[test]
fn pages_hold_no_protocol_logic() {
    let protocol = ["new WebSocket", "RTCPeerConnection(", "\"re-answer\"", "'re-answer'", "#EXTM3U"];
    for file in files_under(&root().join("web/src"), &["ts", "svelte", "tsx", "js"]) {
        let text = fs::read_to_string(&file).unwrap();
        for word in protocol {
            assert!(!text.contains(word), "{} speaks protocol ({word}): that belongs into sdk-js", file.display());
        }
    }
}

#[test]
fn files_stay_readable() {
    let folders = HOUSE.iter().map(|(_, folder, ..)| *folder).chain(["tests"]);
    for file in folders.flat_map(|folder| files_under(&root().join(folder), &["rs"])) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 800, "{} has {lines} lines: is there a second noun in it?", file.display());
    }
}

#[test]
fn no_unfinished_marks() {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("unimplemented", "!("), concat!("to", "do!(")];
    let folders = HOUSE.iter().map(|(_, folder, ..)| *folder).chain(["tests", "web/src", "sdk-js/src"]);
    let mut found = BTreeMap::new();
    for file in folders.flat_map(|folder| files_under(&root().join(folder), &["rs", "ts"])) {
        let text = fs::read_to_string(&file).unwrap();
        if let Some(mark) = marks.iter().find(|mark| text.contains(**mark)) {
            found.insert(file, *mark);
        }
    }
    assert!(found.is_empty(), "{found:?}");
}

/// Negative control: the checks above must see a fault when there is one.
#[test]
fn a_wrong_manifest_is_noticed() {
    let wrong: toml::Table = "[dependencies]\nminamo-gateway = {}\ntokio = {}\nbytes = {}\n".parse().unwrap();
    assert_eq!(forbidden_arrows(&wrong, &["minamo-media"]), ["minamo-gateway"]);
    assert_eq!(impurities(&wrong), ["tokio"]);
}
