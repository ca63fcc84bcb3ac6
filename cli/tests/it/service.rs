//! `service install`, `uninstall` and `status`, with stand-ins for the managers that write down what they are asked: no
//! container has a user's own systemd.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::machine::{Machine, files};
use crate::rig::{Ran, Running};

/// A systemd that runs and has one socket.
const SYSTEMCTL: &str = r#"case $* in
    *ActiveState*socket) if [ -e "$HOME/started" ]; then echo active; else echo inactive; fi ;;
    *ActiveState*) echo inactive ;;
    *restart*) : > "$HOME/started" ;;
esac"#;

/// An installation on a machine with this program.
fn machine(tool: &str, body: &str) -> Machine {
    let machine = Machine::new();
    assert_eq!(machine.install(&["--no-plugin"]).code(), 0);
    machine.tool(tool, body);
    machine
}

fn service(machine: &Machine, manager: &str, args: &[&str]) -> Ran {
    let mut command = machine.command(machine.prefix().join("bin/codex-oauth"));
    command.arg("service").args(args).env("CODEX_OAUTH_TEST_SERVICE_MANAGER", manager);
    command.env("HTTPS_PROXY", "http://ada:FAKE@proxy:3128").env("ALL_PROXY", "http://proxy:1");
    command.env("LOCALAPPDATA", machine.path("home/data")).env("USERDOMAIN", "HOUSE").env("USERNAME", "ada");
    Running::start(&mut command).finish()
}

fn units(machine: &Machine) -> PathBuf {
    machine.path("home/.config/systemd/user")
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// What a script of Python's standard library makes of a file.
fn parsed(script: &str, file: &Path) -> String {
    let python = Command::new("python3").args(["-c", script]).arg(file).stderr(Stdio::inherit()).output();
    let output = python.unwrap_or_else(|error| panic!("python3: {error}: run `apt-get install -y python3`"));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn systemd_is_told_once_and_finds_nothing_wrong_with_what_was_written() {
    let machine = machine("systemctl", SYSTEMCTL);
    let ran = service(&machine, "", &["install", "--harden"]);
    assert_eq!(ran.code(), 0, "{}", ran.stderr);
    assert!(ran.stdout.ends_with("next       codex-oauth status\n"), "{}", ran.stdout);
    let said = "proxy      http://proxy:3128 (HTTPS_PROXY), with its user name and password\nwrote      ";
    assert!(ran.stdout.starts_with(said) && !ran.stdout.contains("FAKE"), "{}", ran.stdout);
    let config = machine.path("home/.config/codex-oauth/config.toml");
    assert_eq!(read(&config), "proxy = \"http://ada:FAKE@proxy:3128\"\n");
    assert_eq!(std::fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o600);
    let asked = machine.asked_of_tools();
    assert_eq!(
        asked,
        [
            "systemctl --user show-environment",
            "systemctl --user daemon-reload",
            "systemctl --user enable codex-oauthd.socket",
            "systemctl --user restart codex-oauthd.socket",
        ]
    );
    let unit = read(units(&machine).join("codex-oauthd.service"));
    let daemon = machine.prefix().join("libexec/codex-oauth/codex-oauthd").canonicalize().unwrap();
    assert!(unit.contains(&format!("\nExecStart={} run\n", daemon.display())), "{unit}");
    assert!(!unit.contains("PROXY") && !unit.contains("FAKE"), "it is in config.toml: {unit}");
    let socket = format!("\nListenStream={}\n", machine.path("codex-oauth/daemon.sock").display());
    assert!(read(units(&machine).join("codex-oauthd.socket")).contains(&socket));
    for name in ["codex-oauthd.socket", "codex-oauthd.service"] {
        let mut command = machine.command("/usr/bin/systemd-analyze");
        command.args(["verify", "--user", "--man=no"]).arg(units(&machine).join(name));
        let verified = Running::start(command.env("XDG_RUNTIME_DIR", machine.path("codex-oauth"))).finish();
        let said: Vec<&str> = verified.stderr.lines().filter(|line| line.contains("codex-oauthd")).collect();
        assert_eq!((verified.code(), said), (0, vec![]), "{name}");
    }
    let again = service(&machine, "", &["install", "--harden"]);
    assert_eq!(again.stdout.matches("unchanged").count(), 3, "{}", again.stdout);
    assert!(
        !machine.asked_of_tools().iter().any(|asked| asked.contains("restart")),
        "what runs is left alone"
    );
    let status = service(&machine, "", &["status"]);
    assert!(status.stdout.ends_with("service    socket active, daemon inactive\n"), "{}", status.stdout);
}

#[test]
fn without_a_manager_nothing_is_written_and_nothing_is_missing() {
    let machine = machine("systemctl", "echo 'Failed to connect to bus: No medium found' >&2; exit 1");
    let ran = service(&machine, "", &["install"]);
    assert_eq!((ran.code(), ran.stdout.as_str()), (1, ""));
    let told = "could not use the service manager of this system: Failed to connect to bus: No medium found\nnext: nothing";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    assert!(!units(&machine).exists());
    assert_eq!(service(&machine, "", &["status"]).code(), 0);
    assert_eq!(service(&machine, "", &["uninstall"]).stdout, "service    none was installed\n");
}

#[test]
fn a_service_goes_as_it_came_and_a_file_of_the_persons_stays() {
    let machine = machine("systemctl", SYSTEMCTL);
    let before = machine.files_at_home();
    service(&machine, "", &["install", "--harden"]);
    let own = units(&machine).join("codex-oauthd.service.d/own.conf");
    std::fs::File::create(&own).unwrap();
    machine.asked_of_tools();
    let ran = service(&machine, "", &["uninstall"]);
    assert_eq!((ran.code(), ran.stderr.as_str()), (0, ""));
    let asked = machine.asked_of_tools();
    assert_eq!(
        asked,
        [
            "systemctl --user disable --now codex-oauthd.socket codex-oauthd.service",
            "systemctl --user daemon-reload",
        ]
    );
    assert_eq!(files(&units(&machine)), [own]);
    let left: Vec<PathBuf> = machine.files_at_home();
    let new = left.iter().filter(|file| !before.contains(file) && !file.starts_with(units(&machine)));
    let config = machine.path("home/.config/codex-oauth/config.toml");
    assert_eq!(
        new.collect::<Vec<_>>(),
        [&config, &machine.path("home/started")],
        "the person's, and the stand-in's"
    );
}

#[test]
fn a_unit_of_a_package_that_the_person_enabled_is_disabled_with_and_without_systemd() {
    for body in ["rm \"$HOME/.config/systemd/user/sockets.target.wants/codex-oauthd.socket\"", "exit 1"] {
        let machine = machine("systemctl", body);
        let link = units(&machine).join("sockets.target.wants/codex-oauthd.socket");
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink("/usr/lib/systemd/user/codex-oauthd.socket", &link).unwrap();
        let ran = service(&machine, "", &["uninstall"]);
        assert_eq!(ran.code(), 0, "{}", ran.stderr);
        assert_eq!(
            machine.asked_of_tools()[0],
            "systemctl --user disable --now codex-oauthd.socket codex-oauthd.service"
        );
        assert!(!link.is_symlink(), "{body}: {}", ran.stdout);
        assert_eq!(service(&machine, "", &["uninstall"]).stdout, "service    none was installed\n");
    }
}

#[test]
fn install_sh_brings_the_service_and_uninstall_takes_it_away() {
    let machine = Machine::new();
    machine.tool("systemctl", SYSTEMCTL);
    for _twice in 0..2 {
        let ran = machine.install(&["--no-plugin", "--service"]);
        assert_eq!((ran.code(), ran.stderr.as_str()), (0, ""));
        assert!(ran.stdout.contains("service    systemd listens for you"), "{}", ran.stdout);
        assert!(!ran.stdout.contains("proxy"), "{}", ran.stdout);
    }
    let ran = machine.codex_oauth(&["uninstall", "--yes"]);
    assert_eq!((ran.code(), ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains("service    ended\n"), "{}", ran.stdout);
    assert!(files(&units(&machine)).is_empty());

    machine.tool("systemctl", "echo 'no bus' >&2; exit 1");
    let ran = machine.install(&["--no-plugin", "--service"]);
    assert_eq!(ran.code(), 0, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("could not use the service manager of this system: no bus"),
        "{}",
        ran.stderr
    );
    assert!(ran.stdout.contains("next       "), "{}", ran.stdout);
}

#[test]
fn the_agent_for_launchd_is_whole_and_put_into_force() {
    let machine = machine("launchctl", "");
    let ran = service(&machine, "launchd", &["install"]);
    assert_eq!(ran.code(), 0, "{}", ran.stderr);
    let plist = machine.path("home/Library/LaunchAgents/local.codex-oauth.daemon.plist");
    let script = "import plistlib, sys; p = plistlib.load(open(sys.argv[1], 'rb')); \
                  print(p['ProgramArguments'], p['Sockets']['Listener']['SockPathName'], sorted(p['EnvironmentVariables']), p['StandardErrorPath'])";
    let daemon = machine.prefix().join("libexec/codex-oauth/codex-oauthd").canonicalize().unwrap();
    let facts = parsed(script, &plist);
    let expected = format!(
        "['{}', 'run'] {} ['CODEX_OAUTH_RUNTIME_DIR', 'CODEX_OAUTH_SERVICE', 'CODEX_OAUTH_TEST_SERVICE_MANAGER'] {}",
        daemon.display(),
        machine.path("codex-oauth/daemon.sock").display(),
        machine.path("home/.local/state/codex-oauth/daemon.log").display()
    );
    assert_eq!(facts, expected);
    let domain = format!("gui/{}", rustix::process::geteuid().as_raw());
    let asked = machine.asked_of_tools();
    assert_eq!(asked.last().unwrap(), &format!("launchctl bootstrap {domain} {}", plist.display()));
    assert_eq!(service(&machine, "launchd", &["uninstall"]).code(), 0);
    let bootout = format!("launchctl bootout {domain}/local.codex-oauth.daemon");
    assert_eq!(machine.asked_of_tools(), [bootout]);
    assert!(!plist.exists());
}

#[test]
fn the_task_for_windows_is_whole_and_put_into_force() {
    let machine = machine("schtasks", "");
    let ran = service(&machine, "tasks", &["install"]);
    assert_eq!(ran.code(), 0, "{}", ran.stderr);
    let task = machine.path("home/data/codex-oauth/service/logon-task.xml");
    let script = "import sys, xml.etree.ElementTree as e; t = '{http://schemas.microsoft.com/windows/2004/02/mit/task}'; \
                  r = e.parse(sys.argv[1]).getroot(); \
                  print(r.find(f'{t}Actions/{t}Exec/{t}Arguments').text, [u.text for u in r.iter(f'{t}UserId')])";
    let command = machine.prefix().join("bin/codex-oauth").canonicalize().unwrap();
    let expected =
        format!("--headless \"{}\" daemon start ['HOUSE\\\\ada', 'HOUSE\\\\ada']", command.display());
    assert_eq!(parsed(script, &task), expected);
    let create = format!("schtasks /Create /F /TN codex-oauth /XML {}", task.display());
    assert_eq!(machine.asked_of_tools().last(), Some(&create));
    assert_eq!(service(&machine, "tasks", &["uninstall"]).code(), 0);
    assert_eq!(machine.asked_of_tools(), ["schtasks /Delete /F /TN codex-oauth"]);
    assert!(!task.parent().unwrap().exists());
}
