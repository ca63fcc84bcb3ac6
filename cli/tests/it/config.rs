//! `config`: what is in force, who said so, and what is set without effect.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::rig::{Place, Ran, Running, replies};

fn read(note: &Value) -> Value {
    let setting = |name: &str, value: Value, source: &str, variable: Value, file_key: bool| json!({ "name": name, "value": value, "source": source, "variable": variable, "fileKey": file_key });
    json!({
        "configFile": "/home/ada/.config/codex-oauth/config.toml", "configFileRead": false, "configFileNote": note,
        "settings": [
            setting("auth_file", json!("/home/ada/.claude/auth.json"), "default", json!("CODEX_OAUTH_AUTH_FILE"), false),
            setting("issuer_url", json!("https://auth.openai.com"), "default", json!("CODEX_OAUTH_ISSUER_URL"), true),
            setting("callback_ports", json!([1455, 1457]), "environment", json!("CODEX_OAUTH_CALLBACK_PORTS"), true),
            setting("ca_file", json!(null), "default", json!("CODEX_OAUTH_CA_FILE"), true),
            setting("log", json!("debug"), "file", json!("CODEX_OAUTH_LOG"), true),
            setting("limits.drain_ms", json!(30_000), "default", json!(null), true),
        ],
    })
}

fn shown(args: &[&str], note: &Value, variables: &[(&str, &str)]) -> (Place, Ran) {
    let place = Place::new();
    let daemon = place.daemon(replies(vec![("config/read", read(note))]));
    let mut command = place.command(args);
    command.env_remove("CODEX_OAUTH_AUTH_FILE").env("CODEX_OAUTH_DAEMON", "/nowhere/codex-oauthd");
    let ran = Running::start(command.envs(variables.iter().copied())).finish();
    daemon.done();
    (place, ran)
}

#[test]
fn every_setting_has_its_value_and_its_source() {
    let (place, ran) = shown(&["config"], &Value::Null, &[]);
    let socket = place.path().join("daemon.sock");
    assert_eq!(
        ran.stdout,
        format!(
            "config.toml  /home/ada/.config/codex-oauth/config.toml (there is none)\n\
             socket       {}\n\
             \n\
             auth_file       /home/ada/.claude/auth.json  default\n\
             issuer_url      https://auth.openai.com      default\n\
             callback_ports  1455,1457                    CODEX_OAUTH_CALLBACK_PORTS\n\
             ca_file         none                         default\n\
             log             debug                        config.toml\n\
             \n\
             daemon      none  CODEX_OAUTH_DAEMON\n\
             no_spawn    yes   CODEX_OAUTH_NO_SPAWN\n\
             no_browser  no    default\n\
             limits.*: 1 have their defaults, see `codex-oauth help limits`\n",
            socket.display()
        )
    );
    assert_eq!((ran.code(), ran.stderr.as_str()), (0, ""));
}

#[test]
fn what_is_set_and_not_in_force_is_told_with_the_way_there() {
    let renew = "run `codex-oauth daemon stop` to have it read at the next use";
    let note = json!("it was changed after the daemon had read it");
    for (note, variables, told) in [
        (note, vec![], "config.toml: it was changed after the daemon had read it".to_owned()),
        (
            Value::Null,
            vec![("CODEX_OAUTH_LOG", "debug")],
            format!("CODEX_OAUTH_LOG is set here, but the daemon was started without it; {renew}"),
        ),
        (
            Value::Null,
            vec![("CODEX_OAUTH_CALLBACK_PORTS", "7")],
            format!(
                "CODEX_OAUTH_CALLBACK_PORTS is set here to something else than the daemon was started with; {renew}"
            ),
        ),
    ] {
        let (_, ran) = shown(&["config"], &note, &variables);
        assert_eq!(ran.stderr, format!("note: {told}\n"));
        assert_eq!(ran.code(), 0);
    }
    let (_, ran) = shown(&["config"], &Value::Null, &[("CODEX_OAUTH_CALLBACK_PORTS", "1455, 1457")]);
    assert_eq!(ran.stderr, "");
}

#[test]
fn json_holds_the_daemons_words_and_our_own() {
    let (place, ran) = shown(&["config", "--json"], &json!("changed"), &[]);
    let mut whole = read(&json!("changed"));
    whole["socket"] = json!(place.path().join("daemon.sock"));
    whole["notes"] = json!(["config.toml: changed"]);
    let command = |name: &str, value: Value, source: &str, variable: &str| json!({ "name": name, "value": value, "source": source, "variable": variable, "fileKey": false });
    whole["command"] = json!([
        command("daemon", Value::Null, "environment", "CODEX_OAUTH_DAEMON"),
        command("no_spawn", json!(true), "environment", "CODEX_OAUTH_NO_SPAWN"),
        command("no_browser", json!(false), "default", "CODEX_OAUTH_NO_BROWSER"),
    ]);
    assert_eq!(ran.json(), whole);
    assert_eq!((ran.code(), ran.stderr.as_str()), (0, ""));
}

/// `config import` with these variables in a shell whose configuration is in `folder`.
fn import(folder: &Path, args: &[&str], variables: &[(&str, &str)]) -> Ran {
    let place = Place::new();
    let mut command = place.command(&[&["config", "import"], args].concat());
    command.env("CODEX_OAUTH_CONFIG_DIR", folder).envs(variables.iter().copied());
    Running::start(&mut command).finish()
}

#[test]
fn a_file_that_holds_no_certificate_and_a_socks_proxy_are_not_written_and_the_command_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let pem = folder.path().join("corp.pem");
    let shown = pem.display().to_string();
    let broken = "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n";
    for (text, why) in [("", "there is no PEM certificate"), (broken, "a certificate is broken")] {
        write(&pem, text);
        let ran = import(folder.path(), &[], &[("SSL_CERT_FILE", &shown)]);
        let told = format!("SSL_CERT_FILE was not written as ca_file: {why} in `{shown}`");
        assert!(ran.code() == 1 && ran.stderr.contains(&told), "{}", ran.stderr);
    }
    let ran = import(folder.path(), &[], &[("ALL_PROXY", "socks5://ada:FAKE@127.0.0.1:1080")]);
    let told =
        "ALL_PROXY was not written as proxy: `socks5` proxies cannot be used; supported are http://host:port";
    assert!(ran.code() == 1 && ran.stderr.contains(told), "{}", ran.stderr);
    assert!(!ran.stderr.contains("FAKE") && !folder.path().join("config.toml").exists());
}

#[test]
fn proxy_and_roots_of_the_shell_are_written_once_and_a_password_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let ca = folder.path().join("corp.pem");
    // The least that is a sequence.
    write(&ca, "-----BEGIN CERTIFICATE-----\nMAMCASo=\n-----END CERTIFICATE-----\n");
    write(&file, "# mine\nlog = \"debug\"\n[limits]\nturns = 3\n");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ca = ca.display().to_string();
    let shell = [
        ("https_proxy", "http://ada:FAKE@proxy:3128"),
        ("NO_PROXY", "localhost,.corp.example"),
        ("SSL_CERT_FILE", ca.as_str()),
    ];
    let ran = import(folder.path(), &[], &shell);
    assert_eq!(ran.code(), 0, "{}", ran.stderr);
    let written = format!(
        "ca_file = \"{ca}\"\nno_proxy = \"localhost,.corp.example\"\nproxy = \"http://ada:FAKE@proxy:3128\"\n\
         # mine\nlog = \"debug\"\n[limits]\nturns = 3\n"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), written);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        ran.stdout,
        format!(
            "proxy      http://proxy:3128 (https_proxy), with its user name and password\n\
             no_proxy   localhost,.corp.example (NO_PROXY)\n\
             ca_file    {ca} (SSL_CERT_FILE)\n\
             wrote      {} (only you can read it)\n\
             next       codex-oauth daemon stop    (the next use reads it)\n",
            file.display()
        )
    );
    let again = import(folder.path(), &[], &shell);
    assert_eq!((again.stdout.as_str(), again.stderr.as_str()), ("", ""));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), written);
}

#[test]
fn what_config_toml_says_stays_where_that_is_asked_for_and_what_cannot_be_used_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    write(&file, "proxy = \"http://mine:1\"\n");
    let shell = [("HTTPS_PROXY", "http://theirs:2"), ("SSL_CERT_FILE", "/nonexistent/stale.pem")];
    let kept = import(folder.path(), &["--keep"], &shell);
    assert_eq!(kept.code(), 0, "an installation goes on: {}", kept.stderr);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "proxy = \"http://mine:1\"\n");
    assert_eq!(kept.stdout, "");
    assert!(
        kept.stderr.contains("proxy stays: http://theirs:2 (HTTPS_PROXY) was not written"),
        "{}",
        kept.stderr
    );
    assert!(
        kept.stderr
            .contains("SSL_CERT_FILE was not written as ca_file: could not read `/nonexistent/stale.pem`")
    );
    import(folder.path(), &[], &shell);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "proxy = \"http://theirs:2\"\n");
    let none = import(folder.path(), &[], &[]);
    assert_eq!(none.stdout, "unchanged  this shell names no proxy and no CA file\n");
    assert_eq!(import(folder.path(), &["--keep"], &[]).stdout, "");
}

fn write(path: &Path, text: &str) {
    use std::io::Write as _;
    std::fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_file_that_does_not_parse_is_not_written_to_and_its_line_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let broken = "log = \"debug\"\nno_proxy = \n";
    std::fs::File::create(&file).unwrap().write_all(broken.as_bytes()).unwrap();
    let shell = [("HTTPS_PROXY", "http://127.0.0.1:9")];
    let ran = import(folder.path(), &[], &shell);
    assert_eq!((ran.code(), ran.stdout.as_str()), (1, ""), "{}", ran.stderr);
    let named = format!("error: could not use `{}`: line 2: ", file.display());
    assert!(ran.stderr.starts_with(&named) && ran.stderr.contains("next: repair"), "{}", ran.stderr);
    // An installation says it and goes on.
    let kept = import(folder.path(), &["--keep"], &shell);
    assert!(kept.code() == 0 && kept.stderr.contains("line 2: "), "{}", kept.stderr);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), broken);
}
