//! The units of systemd and launchd: well formed, and what they start is a daemon that answers.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use codex_oauth_proto::api::{Empty, daemon};
use codex_oauth_rig::{Home, Rig, binary, patience};
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::process::Process;

const SERVICE: &str = "systemd/codex-oauthd.service";
const SOCKET: &str = "systemd/codex-oauthd.socket";
const PLIST: &str = "launchd/local.codex-oauth.daemon.plist";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Puts the daemon where both units look for it.
fn install(home: &Home) {
    let folder = home.path().join("home/.local/libexec/codex-oauth");
    std::fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink(binary("codex-oauthd"), folder.join("codex-oauthd")).unwrap();
}

/// Whether `systemd-analyze verify` takes a unit, and what it says about ours. A misspelt key is only a word to it.
fn verify(home: &Home, unit: &Path) -> (bool, String) {
    let output = home
        .command(Path::new("systemd-analyze"))
        .args(["verify", "--user", "--man=no"])
        .arg(unit)
        .env("XDG_RUNTIME_DIR", home.path())
        .output()
        .unwrap_or_else(|error| panic!("systemd-analyze: {error}: run `apt-get install -y systemd`"));
    let said = text(&output.stderr);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("codex-oauthd")).collect();
    assert!(output.status.success() || !ours.is_empty(), "systemd-analyze does not run here: {said}");
    (output.status.success(), ours.join("\n"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Values of a key in the service, in its order.
fn service(key: &str) -> Vec<String> {
    let unit = std::fs::read_to_string(root().join(SERVICE)).unwrap();
    let values = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.map(str::to_owned).collect()
}

/// The plist's template, read by the parser of Python's standard library.
fn plist() -> Value {
    let script = "import json, plistlib, sys; print(json.dumps(plistlib.load(sys.stdin.buffer)))";
    let file = std::fs::File::open(root().join(PLIST)).unwrap();
    let python = Command::new("python3").args(["-c", script]).stdin(file).output();
    let output = python.unwrap_or_else(|error| panic!("python3: {error}: run `apt-get install -y python3`"));
    assert!(output.status.success(), "{PLIST}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Waits until a daemon's log says that it is ready. To open the log may wait for the daemon, too.
fn wait_until_ready<R: Read>(open: impl FnOnce() -> R + Send + 'static) {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        // Read on after the word, so that the daemon can write on.
        for line in BufReader::new(open()).lines().map_while(Result::ok) {
            let _ended = send.send(line);
        }
    });
    let mut seen = Vec::new();
    while let Ok(line) = receive.recv_timeout(patience()) {
        if line.contains(": ready ") {
            return;
        }
        seen.push(line);
    }
    panic!("the daemon was not ready:\n{}", seen.join("\n"));
}

/// Asks the daemon for its process, then ends it the way a service manager does.
fn answers_and_ends(rig: &Rig, process: Process) {
    let status = rig.api().call::<daemon::Status>(&Empty {}).unwrap();
    let watched = u32::try_from(process.pid().as_raw_nonzero().get()).unwrap();
    assert_eq!(status.pid, watched, "the manager watches the daemon itself, not a shell around it");
    kill_process(process.pid(), Signal::TERM).unwrap();
    assert!(process.finish().status.success());
}

#[test]
fn systemd_finds_nothing_to_complain_about_in_the_units() {
    let rig = Rig::new();
    install(&rig.home);
    for unit in [SERVICE, SOCKET] {
        assert_eq!(verify(&rig.home, &root().join(unit)), (true, String::new()), "{unit}");
    }
}

#[test]
fn with_its_drop_in_systemd_rates_the_service_as_well_protected() {
    // A score of 2.0 is 20 here. Without the drop-in it is about 6: capabilities count that a user's unit never has.
    let score = |unit: &Path| {
        let mut command = Command::new("systemd-analyze");
        command.args(["security", "--offline=yes", "--threshold=20"]).arg(unit).output().unwrap()
    };
    let with = score(&root().join(SERVICE));
    assert!(with.status.success(), "{}", text(&with.stdout));
    let rig = Rig::new();
    let alone = rig.home.path().join("codex-oauthd.service");
    std::fs::copy(root().join(SERVICE), &alone).unwrap();
    assert!(!score(&alone).status.success(), "the drop-in is what makes it so");
}

#[test]
fn systemd_would_complain_about_a_misspelt_key_or_a_missing_program() {
    let rig = Rig::new();
    let (taken, said) = verify(&rig.home, &root().join(SERVICE));
    assert!(!taken && said.contains("is not executable"), "{said}");
    install(&rig.home);
    let misspelt = std::fs::read_to_string(root().join(SERVICE)).unwrap().replace("UMask=", "Umask=");
    let unit = rig.home.path().join("codex-oauthd.service");
    std::fs::File::create(&unit).unwrap().write_all(misspelt.as_bytes()).unwrap();
    let (_, said) = verify(&rig.home, &unit);
    assert!(said.contains("Umask"), "{said}");
}

#[test]
fn the_service_is_hardened_and_gives_an_ending_daemon_its_time() {
    for (key, value) in [
        ("Type", "notify"),
        ("Environment", "CODEX_OAUTH_SERVICE=systemd"),
        ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6"),
        ("MemoryDenyWriteExecute", "yes"),
        ("Also", "codex-oauthd.socket"),
        ("Restart", "on-failure"),
        ("UMask", "0077"),
        ("NoNewPrivileges", "yes"),
        ("LimitCORE", "0"),
        ("StandardError", "journal"),
    ] {
        assert_eq!(service(key), [value], "{key}");
    }
    let limits = codex_oauthd::limits::Limits::default();
    let longest_end = (limits.drain + limits.issuer_request).as_secs();
    let systemd: u64 = service("TimeoutStopSec")[0].parse().unwrap();
    let launchd = plist()["ExitTimeOut"].as_u64().unwrap();
    assert!(launchd > longest_end, "{launchd}, {longest_end}");
    // Of a longer end the daemon tells systemd while it lasts.
    assert!(systemd > limits.drain.as_secs() + 10, "{systemd}");
}

#[test]
fn what_the_service_starts_is_a_daemon_that_answers_and_ends() {
    let rig = Rig::new();
    install(&rig.home);
    let line = service("ExecStart")[0].replace("%h", rig.home.path().join("home").to_str().unwrap());
    let (program, arguments) = line.split_once(' ').unwrap();
    let start = || {
        let mut command = rig.home.command(Path::new(program));
        command.args(arguments.split(' ')).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Process::start(&mut command)
    };
    let mut process = start();
    let log = process.stderr();
    wait_until_ready(|| log);
    let code = start().finish().status.code().unwrap().to_string();
    let prevented = service("RestartPreventExitStatus")[0].clone();
    assert!(prevented.split(' ').any(|status| status == code), "a second daemon ends with {code}");
    answers_and_ends(&rig, process);
}

#[test]
fn the_plist_has_the_keys_that_launchd_needs() {
    let plist = plist();
    for (key, value) in [
        ("Label", json!("local.codex-oauth.daemon")),
        ("EnvironmentVariables", json!({"CODEX_OAUTH_SERVICE": "launchd"})),
        ("Sockets", json!({"Listener": {"SockPathName": "@SOCKET@", "SockPathMode": 0o600}})),
        ("StandardErrorPath", json!("@LOG@")),
        ("KeepAlive", json!({"Crashed": true})),
        ("Umask", json!(0o077)),
        ("HardResourceLimits", json!({"Core": 0})),
        ("AbandonProcessGroup", json!(true)),
    ] {
        assert_eq!(plist[key], value, "{key}");
    }
    let label = plist["Label"].as_str().unwrap();
    assert!(PLIST.ends_with(&format!("/{label}.plist")), "launchd's convention");
}

#[test]
fn what_the_plist_starts_is_a_daemon_that_answers_and_ends() {
    let rig = Rig::new();
    let arguments = plist()["ProgramArguments"].as_array().unwrap().clone();
    let arguments: Vec<&str> = arguments.iter().map(|argument| argument.as_str().unwrap()).collect();
    assert_eq!(arguments, ["@DAEMON@", "run"]);
    let mut command = rig.home.command(&binary("codex-oauthd"));
    command.args(&arguments[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut process = Process::start(&mut command);
    let log = process.stderr();
    wait_until_ready(|| log);
    answers_and_ends(&rig, process);
}
