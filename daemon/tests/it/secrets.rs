//! No token, code, verifier or prompt where it does not belong: looked for by its text in everything that is written.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Output, Stdio};

use codex_oauth_proto::api::account::{
    LoginPaste, LoginPasteParams, LoginStart, LoginStartParams, Logout, Pasted,
};
use codex_oauth_rig::{Rig, Shim, binary, eventually, login_end};
use fake_openai::{Effect, Endpoint, Identity};
use serde_json::{Value, json};

use crate::support::{end_token, failure, mcp, status_of};

/// A text that is in the prompts, and so in the answers, and nowhere else.
const PROMPT: &str = "CANARY-prompt-7f1b";

/// A text that is in the system prompts, and so in no answer either.
const INSTRUCTIONS: &str = "CANARY-instructions-02c9";

/// Verifier lengths of RFC 7636 §4.1.
const VERIFIER_LEN: std::ops::RangeInclusive<usize> = 43..=128;

#[test]
fn nothing_secret_is_in_any_log_line_at_any_level_argv_environment_or_message() {
    let log = everything_that_can_be_done(Rig::new(), "trace");
    assert!(log.contains(" DEBUG "), "the log is at its most talkative");
}

#[test]
fn no_filter_makes_a_library_print_a_secret() {
    everything_that_can_be_done(Rig::new(), "rmcp::service=trace,info,rmcp=trace");
    // These speak only where there is TLS and HTTP/2.
    for filter in ["hyper::proto=trace,h2=trace,hyper_util=trace", "reqwest=trace,rustls=trace,trace"] {
        everything_that_can_be_done(Rig::over_tls(), filter);
    }
}

/// Logs in, asks, fails in every way that quotes something, and signs out, by tool and by command line. Looks for every
/// secret in all that this leaves behind, and gives the log.
fn everything_that_can_be_done(rig: Rig, filter: &str) -> String {
    let Rig { fake, home } = rig.limits(&[
        ("backoff_first_ms", 1),
        ("turn_retries", 1),
        ("device_poll_ms", 10),
        ("refresh_backoff_first_ms", 1),
    ]);
    let rig = Rig { fake, home: home.set("CODEX_OAUTH_LOG", filter) };
    let daemon = rig.signed_in();
    let mut shim = Shim::initialized(&rig.home);
    let mut told = String::new();
    let question = json!({"prompt": PROMPT, "system_prompt": INSTRUCTIONS});
    let mut call = |tool: &str, arguments: &Value| {
        shim.call(&json!(1), tool, arguments);
        told.push_str(&shim.answer(&json!(1)).to_string());
    };
    call("codex_query", &question);
    let failing = [
        Effect::gateway_error(502),
        Effect::token_invalidated(),
        Effect::cloudflare_blocked(),
        Effect::junk(),
        Effect::cut_after(3),
        Effect::bad_request("FAKE detail"),
    ];
    for effect in failing {
        rig.fake.next(Endpoint::Responses, effect);
        call("codex_query", &question);
    }
    rig.fake.invalidate_access_tokens();
    rig.fake.next(Endpoint::Refresh, Effect::internal_error());
    call("codex_query", &question);
    let odd = json!({"access_token": ["eyJ.CANARY-renewed-access"], "refresh_token": "rt_CANARY-renewed"});
    rig.fake.next(Endpoint::Refresh, Effect::respond(200, odd));
    call("codex_query", &question);
    call("codex_query", &json!({"prompt": PROMPT, "nonsense": PROMPT}));
    let (failed, asking) = fail_by_command_line(&rig);
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    let mut commands = text_of(&failed);
    for arguments in [["status", "--json"], ["config", "--json"]] {
        let output = rig.home.command(&binary("codex-oauth")).args(arguments).output().unwrap();
        assert!(output.status.success() && !output.stdout.is_empty(), "{output:?}");
        commands.push_str(&text_of(&output));
    }
    let kept = fs::read_to_string(rig.home.auth_file()).unwrap();
    for tool in ["codex_status", "codex_models", "codex_login", "codex_clear"] {
        call(tool, &json!({}));
    }
    let pasted = every_way_in(&rig);
    let processes = [process(daemon.pid()), process(shim.pid()), asking].concat();
    // They are written behind the answers.
    eventually("the answers are kept, in plain text", || {
        let state = files_but(&rig.home.auth_file(), &rig.home.path().join("state"));
        state.contains("SQLite format 3") && state.contains(PROMPT)
    });
    let (log, files) = (rig.log(&daemon), files_but(&rig.home.auth_file(), rig.home.path()));
    let places = [
        ("log", &log),
        ("processes", &processes),
        ("results", &told),
        ("commands", &commands),
        ("files", &files),
    ];
    let mut secrets = secrets_of(&rig);
    let found = secrets.iter().filter(|secret| kept.contains(secret.as_str())).count();
    assert!(found == 3 && told.contains(PROMPT), "what is looked for is found where it belongs");
    secrets.extend(pasted);
    for secret in secrets {
        for (place, text) in places {
            assert!(!text.contains(&secret), "a secret is in the {place} under {filter}");
        }
    }
    for (place, text) in [("log", &log), ("processes", &processes)] {
        assert!(!text.contains(PROMPT), "the prompt is in the {place} under {filter}");
    }
    for (place, text) in [("log", &log), ("processes", &processes), ("files", &files)] {
        assert!(!text.contains(INSTRUCTIONS), "what was asked is in the {place} under {filter}");
    }
    log
}

/// Signs in by a paste that is refused and one that is not, then by a device code. Gives the texts that were pasted, by the
/// part that no other text contains, and the secret half of the device code.
fn every_way_in(rig: &Rig) -> Vec<String> {
    rig.fake.configure(|behaviour| behaviour.device_interval_secs = 0);
    let mut api = rig.api();
    let params = LoginStartParams { device: Some(true), ..LoginStartParams::default() };
    let login = api.call::<LoginStart>(&params).unwrap();
    let mistyped = "ac_CANARY-mistyped-0123".to_owned();
    for text in
        [mistyped.clone(), "http://127.0.0.1:1/auth/callback?code=ac_CANARY-other&state=CANARY".to_owned()]
    {
        let paste = LoginPasteParams { login_id: login.login_id.clone(), text: Pasted(text) };
        let refused = api.call::<LoginPaste>(&paste).unwrap_err();
        assert!(!format!("{refused:?}").contains("CANARY"), "{refused:?}");
    }
    // A code of the right form, and an answer to it that cannot be read: the link goes on.
    let odd = json!({"access_token": ["eyJ.CANARY-access"], "id_token": "eyJ.CANARY-id"});
    rig.fake.next(Endpoint::CodeExchange, Effect::respond(200, odd));
    let text = Pasted("ac_CANARY-exchanged-0123".to_owned());
    let paste = LoginPasteParams { login_id: login.login_id.clone(), text };
    let refused = api.call::<LoginPaste>(&paste).unwrap_err();
    assert!(!format!("{refused:?}").contains("CANARY"), "{refused:?}");
    let code = login.device.expect("a device code");
    assert!(rig.fake.approve_device(&code.user_code, Identity::default()));
    assert_eq!(login_end(&mut api)["success"], true);
    // A login has its tokens in the credential file and its copy; signed out, nothing may be left of them anywhere.
    api.call::<Logout>(&codex_oauth_proto::api::account::OfAccount::default()).unwrap();
    let asked = rig.fake.requests(Endpoint::DevicePoll);
    let id = asked[0].body["device_auth_id"].as_str().unwrap().to_owned();
    let texts = [
        "ac_CANARY-other",
        "ac_CANARY-exchanged-0123",
        "CANARY-access",
        "CANARY-id",
        "CANARY-renewed-access",
        "rt_CANARY-renewed",
    ];
    texts.map(str::to_owned).into_iter().chain([mistyped, id]).collect()
}

/// Asks in vain, with the prompt on standard input. Also the process, looked at while it waits for its answer.
fn fail_by_command_line(rig: &Rig) -> (Output, String) {
    let before = rig.fake.requests(Endpoint::Responses).len();
    rig.fake.next(Endpoint::Responses, Effect::bad_request("FAKE detail").held_by("looked at"));
    let mut asking = rig
        .home
        .command(&binary("codex-oauth"))
        .args(["query", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    asking.stdin.take().unwrap().write_all(PROMPT.as_bytes()).unwrap();
    rig.fake.wait_for_request(Endpoint::Responses, before + 1).unwrap();
    let process = process(asking.id());
    rig.fake.release("looked at");
    (asking.wait_with_output().unwrap(), process)
}

/// The argv and the environment of a process. Those of the daemon, which is not dumpable, need root.
fn process(pid: u32) -> String {
    let read = |file: &str| {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap();
        assert!(!bytes.is_empty(), "/proc/{pid}/{file} is empty");
        String::from_utf8_lossy(&bytes).into_owned()
    };
    ["cmdline", "environ"].map(read).concat()
}

/// What all files below `folder` hold, but for the one that is meant to hold tokens.
fn files_but(credentials: &Path, folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let texts = entries.map(|entry| match entry.file_type().unwrap() {
        kind if kind.is_dir() => files_but(credentials, &entry.path()),
        kind if kind.is_file() && entry.path() != credentials => {
            String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).into_owned()
        }
        _ => String::new(),
    });
    texts.collect()
}

fn text_of(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

/// Every code, verifier and token that crossed the wire, each by the part that no other text contains.
fn secrets_of(rig: &Rig) -> Vec<String> {
    let seen = rig.fake.secrets_seen();
    let count = |is: fn(&str) -> bool| seen.iter().filter(|secret| is(secret)).count();
    assert!(count(|secret| secret.starts_with("ac_FAKE_")) == 2, "the codes of link and device");
    assert!(count(|secret| secret.starts_with("rt_FAKE_")) >= 2, "refresh tokens of two generations");
    assert!(count(|secret| secret.starts_with("eyJ")) >= 4, "access and id tokens of two generations");
    assert!(count(is_verifier) == 2, "the verifiers of the two links");
    // The claims of a token, since its header and signature are those of all.
    let telling = |secret: &String| secret.split('.').nth(1).unwrap_or(secret).to_owned();
    seen.iter().map(telling).collect()
}

fn is_verifier(secret: &str) -> bool {
    VERIFIER_LEN.contains(&secret.len()) && !secret.contains("FAKE") && !secret.contains('.')
}

#[test]
fn a_panic_with_a_login_in_its_hands_shows_no_token_and_ends_one_refresh_alone() {
    let rig = Rig::new();
    drop(rig.signed_in());
    end_token(&rig, -60);
    let kept = fs::read_to_string(rig.home.auth_file()).unwrap();
    let Rig { fake, home } = rig;
    let home = home.set("CODEX_OAUTH_LOG", "trace").set("CODEX_OAUTH_TEST_KILL_AT", "refresh panics");
    let rig = Rig { fake, home };
    let daemon = rig.daemon();
    let mut lines = mcp(&rig.home);
    let told = failure(&mut lines, PROMPT) + &failure(&mut lines, PROMPT);
    let status = status_of(&rig.home).to_string();
    eventually("the panic is logged", || daemon.log().contains("a task panicked"));
    let log = daemon.log();
    assert!(log.contains("a test asked for it"), "{log}");
    assert_eq!(fs::read_to_string(rig.home.auth_file()).unwrap(), kept);
    for secret in rig.fake.secrets_seen() {
        let telling = secret.split('.').nth(1).unwrap_or(&secret);
        for (place, text) in [("log", &log), ("answers", &told), ("status", &status)] {
            assert!(!text.contains(telling), "a secret is in the {place}");
        }
    }
    assert_eq!(rig.fake.requests(Endpoint::Refresh).len(), 0, "nothing was sent");
}

#[test]
fn another_process_of_the_user_cannot_look_into_the_daemon() {
    let rig = Rig::new();
    let daemon = rig.daemon();
    // Files of a process that is not dumpable belong to root; as root only their owner shows it.
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    assert_eq!(fs::metadata(format!("/proc/{}/environ", daemon.pid())).unwrap().uid(), 0);
}

#[test]
fn nothing_of_the_starters_environment_or_descriptors_reaches_the_daemon() {
    let rig = Rig::new();
    let home = rig
        .home
        .set("CODEX_OAUTH_NO_SPAWN", "0")
        .set("OPENAI_API_KEY", "sk-FAKE-canary")
        .set("LD_BIND_NOW", "1");
    let mut shim = Shim::initialized(&home);
    let mut lines = codex_oauth_rig::Lines::open(&home, codex_oauth_proto::hello::Role::Api);
    lines.send(&json!({"jsonrpc": "2.0", "id": 1, "method": "daemon/status"}));
    let status = lines.answer(&json!(1))["result"].clone();
    let pid = status["pid"].as_u64().unwrap();
    let environ = String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/environ")).unwrap()).into_owned();
    assert!(!environ.contains("sk-FAKE-canary") && !environ.contains("LD_BIND_NOW"), "{environ}");
    let open: Vec<_> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .map(|path| path.display().to_string())
        .collect();
    assert!(
        !open.iter().any(|target| target.starts_with("pipe:")),
        "a pipe of the client's is kept: {open:?}"
    );
    lines.send(&json!({"jsonrpc": "2.0", "id": 2, "method": "daemon/drain", "params": {}}));
    lines.answer(&json!(2));
    shim.close_input();
    shim.wait();
}
