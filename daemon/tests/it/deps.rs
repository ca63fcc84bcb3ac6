//! Fences between the rooms and around the workspace, over `cargo metadata` and the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::tidy::sources;

/// What tests are made of.
const TEST_KIT: &[&str] = &["fake-openai", "codex-oauth-rig", "codex-oauth-bench"];
const SHIPS: &str = "nothing that ships can simulate";

/// What a package may not link, and why.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[
    ("codex-oauth-mcp", TEST_KIT, SHIPS),
    ("codex-oauth-proto", TEST_KIT, SHIPS),
    ("codex-oauth", TEST_KIT, SHIPS),
    ("codex-oauthd", TEST_KIT, SHIPS),
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

fn package_names(metadata: &Value) -> BTreeMap<&str, &str> {
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package["name"].as_str().unwrap()))
        .collect()
}

#[test]
fn no_package_links_what_is_forbidden_to_it() {
    let metadata = metadata();
    let (linked, names) = (linked(&metadata), package_names(&metadata));
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

/// The contract's crate, whose errors only the edge makes.
const PROTO: &str = "codex_oauth_proto";

#[test]
fn auth_and_upstream_never_name_each_other_and_dialects_never_name_either() {
    let rules: [(&str, &[&str], &str); 4] = [
        ("daemon/src/auth", &["upstream", "service", PROTO], "only `service` knows both"),
        ("daemon/src/upstream", &["auth", "service", PROTO], "only `service` knows both"),
        ("daemon/src/mcp", &["auth", "upstream"], "a dialect speaks to the service alone"),
        ("daemon/src/api", &["auth", "upstream"], "a dialect speaks to the service alone"),
    ];
    for (room, forbidden, reason) in rules {
        for (path, text) in sources().into_iter().filter(|(path, _)| path.starts_with(room)) {
            for name in forbidden {
                assert!(!names(&text, name), "{path} names {name}: {reason}");
            }
        }
    }
}

/// Whether code uses our own module of this name: in a path from `crate` or `super`, or anywhere in a `use` of one, grouped
/// or not. A field, a word in a comment, or another crate's module of the same spelling is none of these.
fn names(text: &str, module: &str) -> bool {
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    // A crate of ours has no `crate` before it.
    let roots = ["crate::", "super::"];
    let in_path = code.match_indices(&format!("{module}::")).any(|(at, _)| {
        let before = &code[..at];
        roots.iter().any(|root| before.ends_with(root)) || (module == PROTO && !before.ends_with(is_word))
    });
    let in_use = code.split("use ").skip(1).any(|rest| {
        let list = rest.split(';').next().unwrap_or_default();
        roots.iter().any(|root| list.starts_with(root))
            && list.split(|c: char| !is_word(c)).any(|word| word == module)
    });
    in_path || in_use
}

#[test]
fn the_fence_sees_every_way_to_name_a_module() {
    for named in [
        "use crate::auth::TokenManager;",
        "use crate::{auth, grant};",
        "use crate::{\n    grant,\n    auth::Who,\n};",
        "fn f() { super::super::auth::g() }",
    ] {
        assert!(names(named, "auth"), "{named}");
    }
    assert!(names("use codex_oauth_proto::WireError;", PROTO));
    for not in [
        "// as auth::grant says",
        "use hyper::auth::f;",
        "let auth = 1; f(auth)",
        "use crate::oauth::x;",
        "my_auth::f()",
    ] {
        assert!(!names(not, "auth"), "{not}");
    }
}
