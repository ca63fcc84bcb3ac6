//! Fences between the rooms and around the workspace, over `cargo metadata` and the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::tidy::sources;

/// What a package may not link, and why.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[
    ("codex-oauth-mcp", &["tokio", "reqwest", "hyper", "rustls", "rmcp", "clap"], "a session costs nothing"),
    (
        "codex-oauth-proto",
        &["tokio", "reqwest", "hyper", "rustls", "rmcp", "futures-core"],
        "the contract does no async",
    ),
    ("codex-oauth", &["tokio", "reqwest", "hyper", "rustls", "rmcp"], "the command line holds no tokens"),
];

/// What nothing may link, and why.
const BANNED: &[(&str, &str)] = &[
    ("openssl", "rustls is the only TLS"),
    ("openssl-sys", "rustls is the only TLS"),
    ("native-tls", "rustls is the only TLS"),
    ("aws-lc-rs", "ring is the only provider; it cross-builds"),
    ("daemonize", "RUSTSEC-2025-0069; and nothing here forks"),
    ("fs2", "the standard library locks files"),
];

/// Licences that a dependency may be under. One alternative of an OR is enough; every part of an AND is needed.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Package ids with what each needs to be built into a program, build scripts and tests left out.
fn linked(metadata: &Value) -> BTreeMap<&str, Vec<&str>> {
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let normal =
        |dep: &&Value| dep["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null());
    nodes
        .iter()
        .map(|node| {
            let deps = node["deps"].as_array().unwrap().iter();
            (
                node["id"].as_str().unwrap(),
                deps.filter(normal).map(|dep| dep["pkg"].as_str().unwrap()).collect(),
            )
        })
        .collect()
}

fn names(metadata: &Value) -> BTreeMap<&str, &str> {
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package["name"].as_str().unwrap()))
        .collect()
}

#[test]
fn shim_contract_and_command_line_link_no_runtime_and_no_http() {
    let metadata = metadata();
    let (linked, names) = (linked(&metadata), names(&metadata));
    for (package, forbidden, reason) in FORBIDDEN {
        let start = *names.iter().find(|(_, name)| *name == package).expect("a workspace member").0;
        let (mut todo, mut seen) = (vec![start], BTreeSet::new());
        while let Some(id) = todo.pop() {
            if seen.insert(id) {
                todo.extend(linked[id].iter().copied());
            }
        }
        for id in seen {
            assert!(!forbidden.contains(&names[id]), "{package} links {}: {reason}", names[id]);
        }
    }
}

#[test]
fn nothing_banned_is_in_the_tree_and_every_licence_is_allowed() {
    let metadata = metadata();
    // A package without a source is one of ours.
    let foreign = |package: &&Value| package["source"].is_string();
    for package in metadata["packages"].as_array().unwrap().iter().filter(foreign) {
        let name = package["name"].as_str().unwrap();
        if let Some((_, reason)) = BANNED.iter().find(|(banned, _)| *banned == name) {
            panic!("{name} is banned: {reason}");
        }
        let licence = package["license"].as_str().unwrap_or_else(|| panic!("{name} names no licence"));
        let licence = licence.replace('/', " OR ").replace(['(', ')'], "");
        let allowed = |one: &str| LICENCES.contains(&one.trim());
        // A part of an AND that is itself an OR needs one allowed alternative.
        let ok = licence.split(" OR ").any(|way| way.split(" AND ").all(allowed))
            || licence.split(" AND ").all(|part| part.split(" OR ").any(allowed));
        assert!(ok, "{name} is under `{licence}`");
    }
}

#[test]
fn every_version_is_exact() {
    let text = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let section = text.split("[workspace.dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    for line in section.lines().filter(|line| line.contains(" = ") && !line.contains("path = ")) {
        assert!(line.contains("\"="), "not an exact version: {line}");
    }
}

#[test]
fn auth_and_upstream_never_name_each_other_and_dialects_never_name_either() {
    let rules: [(&str, &[&str], &str); 4] = [
        (
            "daemon/src/auth",
            &["crate::upstream", "crate::service", "codex_oauth_proto"],
            "only `service` knows both",
        ),
        (
            "daemon/src/upstream",
            &["crate::auth", "crate::service", "codex_oauth_proto"],
            "only `service` knows both",
        ),
        ("daemon/src/mcp", &["crate::auth", "crate::upstream"], "a dialect speaks to the service alone"),
        ("daemon/src/api", &["crate::auth", "crate::upstream"], "a dialect speaks to the service alone"),
    ];
    for (room, forbidden, reason) in rules {
        for (path, text) in sources().into_iter().filter(|(path, _)| path.starts_with(room)) {
            for name in forbidden {
                assert!(!text.contains(name), "{path} names {name}: {reason}");
            }
        }
    }
}
