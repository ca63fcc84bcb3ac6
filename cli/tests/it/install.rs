//! `install.sh` and the way back, on a machine without cargo.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::Stdio;

use codex_oauth_proto::lock::{FileLock, LockError};
use codex_oauth_proto::{BUILD, ErrorCode, Retry, WireError};
use serde_json::json;

use crate::machine::{Machine, PROGRAMS, built, copy, files, write_program};
use crate::rig::{Place, Ran, Running, Script, script};

/// A `claude` that knows the marketplace of this machine's home.
const CLAUDE: &str = r#"case $* in
    *'list --json'*) printf '[{"name":"codex-oauth","path":"%s"}]\n' "$HOME/.local/share/codex-oauth" ;;
esac"#;

#[test]
fn an_install_puts_one_command_on_path_and_names_the_next_step() {
    let machine = Machine::new();
    let ran = machine.install(&[]);
    assert_eq!((ran.code(), ran.stderr.as_str()), (0, ""));
    let prefix = machine.prefix();
    assert_eq!(files(&prefix.join("bin")), [prefix.join("bin/codex-oauth")]);
    let libexec = prefix.join("libexec/codex-oauth");
    assert_eq!(
        files(&libexec),
        ["codex-oauth-mcp", "codex-oauthd", "installed"].map(|name| libexec.join(name))
    );
    for path in
        [prefix.join("bin/codex-oauth"), libexec.join("codex-oauthd"), libexec.join("codex-oauth-mcp")]
    {
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o755, "{}", path.display());
    }
    let command = prefix.join("bin/codex-oauth").display().to_string();
    assert!(ran.stdout.contains(&format!("installed  codex-oauth {BUILD} in ")), "{}", ran.stdout);
    let share = prefix.join("share/codex-oauth");
    let later = format!(
        "\nplugin     claude is not on PATH; later:\n           claude plugin marketplace add '{}'\n           \
         claude plugin install codex-oauth@codex-oauth\n",
        share.display()
    );
    assert!(
        ran.stdout.contains("its folder is not on PATH") && ran.stdout.contains(&later),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.ends_with(&format!("next       {command} login\n")), "{}", ran.stdout);
    assert_eq!(machine.codex_oauth(&["-V"]).stdout, format!("codex-oauth {BUILD}\n"));
}

#[test]
fn an_install_where_somebody_is_signed_in_asks_for_no_login() {
    // The variable is all that moves the file: no config.toml can (docs/CONFIGURATION.md).
    for (place, variable, login) in [
        ("home/.claude/auth.json", None, r#"{"openai_codex": {}}"#),
        ("home/.claude/auth.json", None, r#"{"openai_codex_accounts": {"logins": {"work": {}}}}"#),
        ("else/where.json", Some("else/where.json"), r#"{"openai_codex": {}}"#),
    ] {
        let machine = Machine::new();
        let file = machine.path(place);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::File::create(file).unwrap().write_all(login.as_bytes()).unwrap();
        let mut install = machine.command(machine.path("release/install.sh"));
        install.envs(variable.map(|moved| ("CODEX_OAUTH_AUTH_FILE", machine.path(moved))));
        let ran = Running::start(&mut install).finish();
        let command = machine.prefix().join("bin/codex-oauth").display().to_string();
        let next = format!("next       {command} status    (a login is here already)\n");
        assert!(ran.stdout.ends_with(&next), "{place}: {}", ran.stdout);
    }
}

#[test]
fn the_installed_plugin_runs_the_installed_program_wherever_it_is_copied() {
    let machine = Machine::new();
    let prefix = machine.path("else where");
    assert_eq!(machine.install(&["--prefix", prefix.to_str().unwrap()]).code(), 0);
    std::fs::create_dir(machine.path("cache")).unwrap();
    copy(&prefix.join("share/codex-oauth/plugin"), &machine.path("cache"));
    for plugin in [prefix.join("share/codex-oauth/plugin"), machine.path("cache/plugin")] {
        let mut command = machine.command(plugin.join("bin/codex-oauth-mcp"));
        let mut shim = command.env("CODEX_OAUTH_NO_SPAWN", "1").stdin(Stdio::piped()).spawn().unwrap();
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"codex_status"}}"#;
        writeln!(shim.stdin.take().unwrap(), "{call}").unwrap();
        let ran = Running::from(shim).finish();
        // Only the program knows this variable.
        assert!(ran.stdout.contains("CODEX_OAUTH_NO_SPAWN"), "{} {}", ran.stdout, ran.stderr);
    }
}

#[test]
fn claude_is_told_of_the_copy_and_its_failure_is_not_ours() {
    let machine = Machine::new();
    machine.claude(CLAUDE);
    let ran = machine.install(&[]);
    assert!(ran.stdout.contains("registered in Claude Code"), "{}", ran.stdout);
    let share = machine.prefix().join("share/codex-oauth").display().to_string();
    let asked = format!("plugin marketplace add {share}\nplugin install codex-oauth@codex-oauth\n");
    assert_eq!(machine.asked_of_claude(), asked);
    machine.claude("echo no such luck >&2; exit 1");
    let ran = machine.install(&[]);
    assert_eq!(ran.code(), 0);
    assert!(ran.stdout.contains("could not be registered: no such luck"), "{}", ran.stdout);
    let asked = machine.asked_of_claude();
    assert_eq!(machine.install(&["--no-plugin"]).code(), 0);
    assert_eq!(machine.asked_of_claude(), asked);
}

#[test]
fn a_second_install_upgrades_and_says_how_to_restart_the_daemon() {
    let machine = Machine::new();
    machine.install(&["--no-plugin"]);
    let daemon = machine.prefix().join("libexec/codex-oauth/codex-oauthd");
    let first = daemon.metadata().unwrap().ino();
    assert_eq!(machine.codex_oauth(&["daemon", "start"]).code(), 0);
    let same = machine.install(&["--no-plugin"]);
    assert!(same.stdout.contains("next       nothing"), "{}", same.stdout);
    // A newer build: the same program, and a byte that no loader looks at.
    let newer = machine.path("newer");
    std::fs::create_dir(&newer).unwrap();
    for name in PROGRAMS {
        copy(&built(name), &newer);
    }
    let mut program = std::fs::OpenOptions::new().append(true).open(newer.join("codex-oauthd")).unwrap();
    program.write_all(b"\0").unwrap();
    let ran = machine.install(&["--no-plugin", "--from", newer.to_str().unwrap()]);
    assert_eq!((ran.code(), ran.stderr.as_str()), (0, ""));
    // No newer version, so the one that runs would not make way for it.
    assert!(ran.stdout.contains("codex-oauth daemon stop"), "{}", ran.stdout);
    assert_ne!(daemon.metadata().unwrap().ino(), first);
    assert_eq!(machine.codex_oauth(&["daemon", "status"]).code(), 0, "the running daemon goes on");
    assert_eq!(files(daemon.parent().unwrap()).len(), 3, "nothing is left of the way there");
}

#[test]
fn an_upgrade_to_a_newer_version_hands_over_and_one_to_an_older_says_what_to_do() {
    let machine = Machine::new();
    let install_as = |version: &str| {
        let from = machine.path(version);
        std::fs::create_dir(&from).unwrap();
        for name in PROGRAMS {
            let script = format!("#!/bin/sh\n# {version}\nexec '{}' \"$@\"\n", built(name).display());
            write_program(&from.join(name), &script);
        }
        let mut install = machine.command(machine.path("release/install.sh"));
        install
            .args(["--no-plugin", "--from", from.to_str().unwrap()])
            .env("CODEX_OAUTH_TEST_BUILD", version);
        Running::start(&mut install).finish()
    };
    assert_eq!(install_as("98.0.0").code(), 0);
    let mut start = machine.command(machine.prefix().join("bin/codex-oauth"));
    start.args(["daemon", "start"]).env("CODEX_OAUTH_TEST_BUILD", "98.0.0");
    assert_eq!(Running::start(&mut start).finish().code(), 0);
    let newer = install_as("99.0.0");
    let said =
        "daemon     98.0.0 has handed over to 99.0.0, and finishes what it was asked\nnext       nothing";
    assert!(newer.stdout.contains(said), "{}", newer.stdout);
    let older = install_as("97.0.0");
    let said = "daemon     the one that runs is another build, of version 99.0.0\nnext       ";
    assert!(
        older.stdout.contains(said) && older.stdout.contains("codex-oauth daemon stop"),
        "{}",
        older.stdout
    );
}

#[test]
fn programs_that_do_not_run_here_replace_nothing() {
    let machine = Machine::new();
    machine.install(&["--no-plugin"]);
    let before = machine.files_at_home();
    let other = machine.path("other");
    std::fs::create_dir(&other).unwrap();
    for name in PROGRAMS {
        write_program(&other.join(name), "#!/nonexistent\n");
    }
    let ran = machine.install(&["--from", other.to_str().unwrap()]);
    assert_eq!(ran.code(), 1);
    assert!(ran.stderr.contains("it was built for another machine"), "{}", ran.stderr);
    assert_eq!(machine.files_at_home(), before);
    assert_eq!(machine.codex_oauth(&["-V"]).code(), 0);
}

#[test]
fn a_mistake_in_the_arguments_installs_nothing() {
    let machine = Machine::new();
    for args in [&["--prefix"][..], &["--form", "x"], &["now"]] {
        let ran = machine.install(args);
        assert_eq!(ran.code(), 2, "{args:?}");
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
    }
    let ran = machine.install(&["--from", "/nonexistent"]);
    assert_eq!(ran.code(), 1);
    assert!(machine.install(&["--help"]).stdout.contains("--no-plugin"));
    assert_eq!(machine.files_at_home(), Vec::<PathBuf>::new());
}

#[test]
fn uninstall_ends_the_daemon_and_leaves_nothing_but_what_it_says() {
    let machine = Machine::new();
    machine.claude(CLAUDE);
    machine.install(&[]);
    assert_eq!(machine.codex_oauth(&["daemon", "start"]).code(), 0);
    let ran = machine.codex_oauth(&["uninstall", "--yes"]);
    assert_eq!((ran.code(), ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains("daemon     stopped\nplugin     unregistered"), "{}", ran.stdout);
    assert!(
        machine.asked_of_claude().ends_with(
            "plugin marketplace list --json\n\
             plugin uninstall codex-oauth@codex-oauth\n\
             plugin marketplace remove codex-oauth\n"
        ),
        "{}",
        machine.asked_of_claude()
    );
    let left: Vec<PathBuf> = ran
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("left       ")?.split_once(" (").map(|(path, _)| path.into()))
        .collect();
    for file in machine.files_at_home() {
        let named = left.iter().any(|path| file.starts_with(path));
        assert!(named, "{} is left and not named:\n{}", file.display(), ran.stdout);
    }
    assert!(!machine.prefix().join("bin").exists());
    assert_eq!(machine.uninstalled_codex_oauth(&["daemon", "status"]).code(), 6);
}

#[test]
fn a_purge_leaves_only_what_other_programs_keep() {
    let machine = Machine::new();
    machine.install(&["--no-plugin"]);
    let auth = machine.path("home/.claude/auth.json");
    let config = machine.path("home/.config/codex-oauth");
    for folder in [auth.parent().unwrap(), &config] {
        std::fs::create_dir_all(folder).unwrap();
    }
    std::fs::File::create(config.join("config.toml")).unwrap();
    std::fs::File::create(&auth).unwrap().write_all(b"{\"other\":{\"key\":1}}\n").unwrap();
    let ran = machine.codex_oauth(&["uninstall", "--purge", "--yes"]);
    assert_eq!((ran.code(), ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    assert!(ran.stdout.contains("login      nobody was signed in"), "{}", ran.stdout);
    assert!(
        ran.stdout.ends_with(&format!("left       {} (what other programs keep there)\n", auth.display()))
    );
    assert_eq!(machine.files_at_home(), std::slice::from_ref(&auth));
    assert_eq!(std::fs::read_to_string(auth).unwrap(), "{\"other\":{\"key\":1}}\n");
    assert!(!machine.path("codex-oauth").exists());
}

#[test]
fn the_copy_of_the_plugin_that_claude_code_keeps_is_named_and_left() {
    let machine = Machine::new();
    let cache = machine.path("home/.claude/plugins/cache/codex-oauth");
    let copy = cache.join(format!("codex-oauth/{BUILD}"));
    std::fs::create_dir_all(&copy).unwrap();
    std::fs::File::create(copy.join("README.md")).unwrap();
    let named = format!("left       {} (kept by Claude Code)\n", cache.display());
    for args in [&["uninstall", "--yes"][..], &["uninstall", "--purge", "--yes"]] {
        machine.install(&["--no-plugin"]);
        let ran = machine.codex_oauth(args);
        assert_eq!(ran.code(), 0, "{}", ran.stderr);
        assert!(ran.stdout.ends_with(&named), "{args:?}: {}", ran.stdout);
        assert!(copy.join("README.md").exists());
    }
}

#[test]
fn nobody_starts_a_daemon_while_it_is_uninstalled() {
    let place = Place::new();
    let lock = place.path().join("spawn.lock");
    let ran = uninstall_beside(
        &place,
        &[],
        script(move |mut session| {
            let request = session.request("daemon/drain");
            let start = FileLock::try_acquire(&lock);
            assert!(matches!(start, Err(LockError::Held { .. })), "{start:?}");
            session.reply(&request, json!({}));
        }),
    );
    assert_eq!((ran.code(), ran.stderr.as_str()), (0, ""));
}

#[test]
fn a_daemon_that_does_not_end_keeps_everything_installed() {
    let place = Place::new();
    let ran = uninstall_beside(
        &place,
        &[],
        script(|mut session| {
            let request = session.request("daemon/drain");
            session.fail(
                &request,
                &WireError::daemon(ErrorCode::Internal, Retry::Never, "could not end: a test"),
            );
        }),
    );
    assert_eq!((ran.code(), ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.contains("could not end: a test"), "{}", ran.stderr);
}

#[test]
fn a_login_that_cannot_be_removed_keeps_everything_installed() {
    let place = Place::new();
    let ran = uninstall_beside(
        &place,
        &["--purge"],
        script(|mut session| {
            let request = session.request("account/list");
            let alone = json!({ "name": "default", "isDefault": true, "status": "authenticated", "account": null,
                                "codexMode": null, "codexFile": null });
            session.reply(&request, json!({ "accounts": [alone] }));
            let request = session.request("account/remove");
            let error =
                WireError::daemon(ErrorCode::CredentialFile, Retry::Never, "could not read the login");
            session.fail(&request, &error);
        }),
    );
    assert_eq!((ran.code(), ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.contains("could not read the login"), "{}", ran.stderr);
}

#[test]
fn a_marketplace_in_another_place_is_not_unregistered() {
    let machine = Machine::new();
    machine.install(&[]);
    machine.claude(r#"echo '[{"name":"codex-oauth","source":"github","repo":"codex-oauth/codex-oauth"}]'"#);
    let ran = machine.codex_oauth(&["uninstall", "--yes"]);
    assert_eq!((ran.code(), machine.asked_of_claude().as_str()), (0, "plugin marketplace list --json\n"));
    assert!(!ran.stdout.contains("plugin     "), "{}", ran.stdout);
}

#[test]
fn what_claude_cannot_do_is_said_and_keeps_nothing_installed() {
    let machine = Machine::new();
    machine.install(&[]);
    machine.claude("echo it is a bad day >&2; exit 1");
    let ran = machine.codex_oauth(&["uninstall", "--yes"]);
    assert_eq!(ran.code(), 0);
    assert!(ran.stderr.starts_with("note: ") && ran.stderr.contains("it is a bad day"), "{}", ran.stderr);
    assert!(!machine.prefix().join("libexec").exists());
}

#[test]
fn nothing_is_removed_without_a_yes() {
    let machine = Machine::new();
    machine.install(&["--no-plugin"]);
    let before = machine.files_at_home();
    let ran = machine.codex_oauth(&["uninstall"]);
    assert_eq!(ran.code(), 2);
    assert!(ran.stderr.contains("`--yes` uninstalls without asking"), "{}", ran.stderr);
    assert_eq!(machine.files_at_home(), before);
}

#[test]
fn what_nobody_installed_is_left_and_named_and_all_else_of_ours_ends() {
    let machine = Machine::new();
    assert_eq!(machine.uninstalled_codex_oauth(&["daemon", "start"]).code(), 0);
    let ran = machine.uninstalled_codex_oauth(&["uninstall", "--yes"]);
    assert_eq!((ran.code(), ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.starts_with("daemon     stopped\n"), "{}", ran.stdout);
    for name in PROGRAMS {
        let left = format!("left       {} (put there by hand; delete it)\n", built(name).display());
        assert!(ran.stdout.contains(&left), "{}", ran.stdout);
    }
    assert_eq!(machine.uninstalled_codex_oauth(&["daemon", "status"]).code(), 6);
}

#[test]
fn a_release_that_was_only_unpacked_is_named_as_one_folder() {
    let machine = Machine::new();
    for name in PROGRAMS {
        let bin = machine.path("release/bin");
        #[expect(clippy::disallowed_methods, reason = "a link of this test")]
        std::fs::remove_file(bin.join(name)).unwrap();
        copy(&built(name), &bin);
    }
    let ran = machine.run(machine.path("release/bin/codex-oauth"), &["uninstall", "--purge", "--yes"]);
    let left = format!("left       {} (unpacked by hand; delete it)\n", machine.path("release").display());
    assert_eq!((ran.code(), ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.ends_with(&left), "{}", ran.stdout);
    assert_eq!(machine.files_at_home(), Vec::<PathBuf>::new());
}

/// Runs an installed `uninstall --yes` against a scripted daemon with one connection. Unless it went well, nothing may be
/// missing.
fn uninstall_beside(place: &Place, args: &[&str], script: Script) -> Ran {
    let machine = Machine::new();
    machine.install(&["--no-plugin"]);
    let before = machine.files_at_home();
    let daemon = place.daemon(vec![script]);
    let mut command = machine.command(machine.prefix().join("bin/codex-oauth"));
    command.args(["uninstall", "--yes"]).args(args).env("CODEX_OAUTH_RUNTIME_DIR", place.path());
    let ran = Running::start(&mut command).finish();
    daemon.done();
    assert_eq!(machine.files_at_home() == before, !ran.status.success());
    ran
}
