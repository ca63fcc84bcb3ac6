//! A clean account: somebody who is made for this test, with nothing but a home, installs a release, signs in, asks,
//! upgrades while answers stream, and uninstalls. Nothing is lost and nothing is left.

use std::fs::Permissions;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use codex_oauth_rig::{User, eventually};
use fake_openai::{Config, Effect, Endpoint, FakeOpenAi};
use serde_json::{Value, json};

use crate::machine::{PROGRAMS, built, copy, files, repository, write_program};
use crate::rig::{Ran, Running};

/// What the upgrade calls itself: newer than any build of ours.
const NEWER: &str = "99.0.0";

/// A `claude` that knows the marketplace of its user.
const CLAUDE: &str = r#"#!/bin/sh
case $* in
    *'list --json'*) printf '[{"name":"codex-oauth","path":"%s"}]\n' "$HOME/.local/share/codex-oauth" ;;
esac
"#;

/// A person's home, two releases as they are unpacked by somebody else, and the services on loopback.
struct Account {
    dir: tempfile::TempDir,
    user: User,
    fake: FakeOpenAi,
    /// The command line that this person has.
    program: PathBuf,
}

impl Account {
    fn new() -> Self {
        let open = Permissions::from_mode(0o755);
        let dir = tempfile::Builder::new().prefix("cxa").permissions(open).tempdir_in("/tmp").unwrap();
        let fake = FakeOpenAi::start(Config::default()).unwrap();
        let program = dir.path().join("home/.local/bin/codex-oauth");
        let account = Self { dir, user: User::make(), fake, program };
        for folder in ["home/.config/codex-oauth", "tools"] {
            std::fs::create_dir_all(account.path(folder)).unwrap();
        }
        write_program(&account.path("tools/claude"), CLAUDE);
        for release in ["old", "new"] {
            std::fs::create_dir_all(account.path(release).join("bin")).unwrap();
            for part in ["install.sh", "plugin", ".claude-plugin"] {
                copy(&repository().join(part), &account.path(release));
            }
            // Copies: the folders above the build may be closed to this person.
            for name in PROGRAMS {
                copy(&built(name), &account.path(release).join("bin"));
            }
        }
        // The same daemon with another idea of its version.
        let daemon = format!(
            "#!/bin/sh\nexport CODEX_OAUTH_TEST_BUILD={NEWER}\nexec '{}' \"$@\"\n",
            account.path("old/bin/codex-oauthd").display()
        );
        write_program(&account.path("new/bin/codex-oauthd"), &daemon);
        account.configure();
        account
    }

    /// Where the services are, as a person writes it down; and the home becomes his.
    fn configure(&self) {
        let ports: Vec<TcpListener> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = ports.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        let text = format!(
            "issuer_url = \"{}\"\nbackend_url = \"{}\"\ncallback_ports = {ports:?}\n",
            self.fake.issuer_url(),
            self.fake.backend_url()
        );
        let mut file = std::fs::File::create(self.path("home/.config/codex-oauth/config.toml")).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        self.give_home();
    }

    /// All that is in the home becomes this person's.
    fn give_home(&self) {
        let owner = format!("{0}:{0}", self.user.uid());
        let given = Command::new("chown").args(["-R", &owner]).arg(self.path("home")).status();
        assert!(given.unwrap().success());
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.path("home"))
            .env("PATH", format!("{}:/usr/bin:/bin", self.path("tools").display()))
            .uid(self.user.uid())
            .gid(self.user.uid())
            .current_dir(self.path("home"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// The programs as somebody else's means bring them, in these folders below the place: the command line is in the first.
    fn unpack(&mut self, place: &str, folders: [&str; 2]) {
        let [command, others] = folders.map(|folder| self.path(place).join(folder));
        for (folder, name) in [(&command, PROGRAMS[0]), (&others, PROGRAMS[1]), (&others, PROGRAMS[2])] {
            std::fs::create_dir_all(folder).unwrap();
            copy(&self.path("old/bin").join(name), folder);
        }
        self.program = command.join(PROGRAMS[0]);
    }

    /// The installed command line, of the build that is installed at that time.
    fn codex_oauth(&self, build: Option<&str>, args: &[&str]) -> Command {
        let mut command = self.command(&self.program);
        command.args(args).envs(build.map(|build| ("CODEX_OAUTH_TEST_BUILD", build)));
        command
    }

    fn ask(&self, build: Option<&str>, args: &[&str]) -> Ran {
        Running::start(&mut self.codex_oauth(build, args)).finish()
    }

    fn install(&self, release: &str) -> Ran {
        Running::start(&mut self.command(&self.path(release).join("install.sh"))).finish()
    }

    fn sign_in(&self, to: &[&str]) {
        let args = [&["login", "--no-browser"], to].concat();
        let mut login = Running::start(&mut self.codex_oauth(None, &args));
        let link = login.line();
        assert_eq!(self.fake.authorize(&link).unwrap().status, 200);
        let ran = login.finish();
        assert_eq!(ran.code(), 0, "{}", ran.stderr);
    }

    /// A session of the installed plugin that has been asked one question.
    fn session(&self, prompt: &str) -> Running {
        let plugin = self.path("home/.local/share/codex-oauth/plugin/bin/codex-oauth-mcp");
        let mut session = Running::start(self.command(&plugin).stdin(Stdio::piped()));
        let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        session.say(&json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello}));
        let welcome: Value = serde_json::from_str(&session.line()).unwrap();
        assert!(welcome["result"].is_object(), "{welcome}");
        session.say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        let query = json!({"name": "codex_query", "arguments": {"prompt": prompt}});
        session.say(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": query}));
        session
    }

    /// Until this many answers are on their way in pieces.
    fn streaming(&self, answers: usize) {
        let begun = |entries: &[fake_openai::Entry]| {
            let begun =
                entries.iter().filter(|entry| entry.endpoint == Endpoint::Responses && entry.events >= 4);
            begun.count() >= answers
        };
        self.fake.wait_for(begun).unwrap();
    }

    /// Processes of this person that live.
    fn processes(&self) -> Vec<String> {
        let owner = format!("\nUid:\t{}\t", self.user.uid());
        let folders = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        // One that ends meanwhile has no status any more; a zombie waits for the machine's first process only.
        let all = folders.filter_map(|folder| std::fs::read_to_string(folder.path().join("status")).ok());
        all.filter(|status| status.contains(&owner) && !status.contains("\nState:\tZ")).collect()
    }

    /// What this person owns in the folder for everybody.
    fn in_tmp(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir("/tmp").unwrap().filter_map(Result::ok);
        entries
            .filter(|entry| entry.metadata().is_ok_and(|found| found.uid() == self.user.uid()))
            .map(|entry| entry.path())
            .collect()
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        // Whatever a failed test has left running.
        let mut stop = self.command(&self.path("old/bin/codex-oauth"));
        let _stopped = stop.args(["daemon", "stop"]).output();
        for path in self.in_tmp() {
            let _removed = std::fs::remove_dir_all(path);
        }
    }
}

#[test]
fn an_upgrade_during_a_stream_loses_nothing_and_a_purge_leaves_nothing_on_a_clean_account() {
    let account = Account::new();
    let installed = account.install("old");
    assert_eq!((installed.code(), installed.stderr.as_str()), (0, ""));
    account.sign_in(&[]);
    account.sign_in(&["--account", "work"]);
    account.sign_in(&["--account", "home"]);
    assert_eq!(account.ask(None, &["account", "use", "work"]).code(), 0);
    let first = account.ask(None, &["ask", "the first question"]);
    assert!(first.code() == 0 && first.stdout.contains("the first question"), "{}", first.stderr);
    let old = account.ask(None, &["daemon", "status", "--json"]).json();

    // Two answers on their way: one to the command line, one to a session of the plugin.
    account.fake.next(Endpoint::Responses, Effect::hold_after(4, "gate"));
    account.fake.next(Endpoint::Responses, Effect::hold_after(4, "gate"));
    let asking = Running::start(&mut account.codex_oauth(None, &["ask", "a long question"]));
    let mut session = account.session("another long question");
    account.streaming(3);

    let upgraded = account.install("new");
    assert_eq!((upgraded.code(), upgraded.stderr.as_str()), (0, ""));
    let fresh = account.ask(Some(NEWER), &["ask", "a question to the new build"]);
    assert!(fresh.code() == 0 && fresh.stdout.contains("a question to the new build"), "{}", fresh.stderr);
    let new = account.ask(Some(NEWER), &["daemon", "status", "--json"]).json();
    assert_eq!(new["build"], NEWER, "{new}");
    assert_ne!(new["pid"], old["pid"]);

    account.fake.release("gate");
    let answered = asking.finish();
    assert!(answered.code() == 0 && answered.stdout.contains("a long question"), "{}", answered.stderr);
    let answer = loop {
        let line: Value = serde_json::from_str(&session.line()).unwrap();
        if line["id"] == 1 {
            break line["result"].clone();
        }
    };
    assert!(answer["isError"] != true && answer.to_string().contains("another long question"), "{answer}");
    session.feed(b"");
    assert_eq!(session.finish().code(), 0);
    assert_eq!(account.fake.requests(Endpoint::Responses).len(), 4, "each was sent once");

    // One revocation fails: that is said in full, in 80 columns, and keeps nothing here.
    account.fake.next(Endpoint::Revoke, Effect::gateway_error(502));
    let removed = account.ask(Some(NEWER), &["uninstall", "--purge", "--yes"]);
    let wide = removed.stdout.lines().find(|line| line.chars().count() > 80);
    assert_eq!(wide, None, "{}", removed.stdout);
    assert!(
        removed.stdout.contains("login      default: signed out here; the issuer could not"),
        "{}",
        removed.stdout
    );
    assert_eq!((removed.code(), removed.stderr.as_str()), (0, ""), "{}", removed.stdout);
    for said in [
        "daemon     stopped\n",
        "plugin     unregistered",
        "login      work: signed out here and at OpenAI\n",
    ] {
        assert!(removed.stdout.contains(said), "{said}: {}", removed.stdout);
    }
    assert_eq!(account.fake.requests(Endpoint::Revoke).len(), 3, "every login is revoked");
    assert_eq!(files(&account.path("home")), Vec::<PathBuf>::new(), "{}", removed.stdout);
    assert_eq!(account.in_tmp(), Vec::<PathBuf>::new());
    eventually("every process has ended", || account.processes().is_empty());
}

/// What another program keeps in the credential file.
const SHARED: &str = r#"{"other":{"key":1}}"#;

/// Signs in beside another program, to two accounts, and purges: the logins are revoked, and of this person's files only
/// that program's stays, with the programs. Gives what was said.
fn sign_in_and_purge(account: &Account, programs: &Path) -> String {
    let shared = account.path("home/.claude/auth.json");
    std::fs::create_dir_all(shared.parent().unwrap()).unwrap();
    std::fs::File::create(&shared).unwrap().write_all(SHARED.as_bytes()).unwrap();
    account.give_home();
    account.sign_in(&[]);
    account.sign_in(&["--account", "work"]);
    assert_eq!(account.ask(None, &["ask", "a question"]).code(), 0);
    let before = files(programs);
    let removed = account.ask(None, &["uninstall", "--purge", "--yes"]);
    assert_eq!((removed.code(), removed.stderr.as_str()), (0, ""), "{}", removed.stdout);
    assert!(removed.stdout.contains("daemon     stopped\n"), "{}", removed.stdout);
    assert_eq!(account.fake.requests(Endpoint::Revoke).len(), 2, "every login is revoked");
    assert_eq!(files(programs), before);
    let left: Vec<_> =
        files(&account.path("home")).into_iter().filter(|file| !file.starts_with(programs)).collect();
    assert_eq!(left, std::slice::from_ref(&shared), "{}", removed.stdout);
    let kept: Value = serde_json::from_slice(&std::fs::read(shared).unwrap()).unwrap();
    assert_eq!(kept, serde_json::from_str::<Value>(SHARED).unwrap());
    assert_eq!(account.in_tmp(), Vec::<PathBuf>::new());
    eventually("every process has ended", || account.processes().is_empty());
    removed.stdout
}

#[test]
fn a_purge_from_the_plugin_archive_leaves_the_plugin_and_says_how_it_goes() {
    let mut account = Account::new();
    let plugin = account.path("home/.claude/plugins/cache/codex-oauth/codex-oauth/0.1.0");
    std::fs::create_dir_all(&plugin).unwrap();
    copy(&repository().join("plugin/."), &plugin);
    let native = format!("bin/native/Linux-{}", std::env::consts::ARCH);
    account.unpack("home/.claude/plugins/cache/codex-oauth/codex-oauth/0.1.0", [&native, &native]);
    let said = sign_in_and_purge(&account, &plugin);
    let left = format!(
        "left       {} (the plugin, which starts a daemon when it is asked)\nnext       claude plugin uninstall codex-oauth\n",
        plugin.display()
    );
    assert!(said.ends_with(&left) && !said.contains("plugin     "), "{said}");
}

#[test]
fn a_purge_from_a_package_ends_its_service_unregisters_its_plugin_and_leaves_the_programs_to_it() {
    let mut account = Account::new();
    account.unpack("usr", ["bin", "libexec/codex-oauth"]);
    let share = account.path("usr/share/codex-oauth");
    std::fs::create_dir_all(&share).unwrap();
    for part in ["plugin", ".claude-plugin"] {
        copy(&repository().join(part), &share);
    }
    std::fs::File::create(share.join("remove-with"))
        .unwrap()
        .write_all(b"sudo apt remove codex-oauth\n")
        .unwrap();
    let list = format!("#!/bin/sh\necho '[{{\"name\":\"codex-oauth\",\"path\":\"{}\"}}]'\n", share.display());
    write_program(&account.path("tools/claude"), &list);
    // What `systemctl --user enable` has left, and what disables it.
    let link = account.path("home/.config/systemd/user/sockets.target.wants/codex-oauthd.socket");
    std::fs::create_dir_all(link.parent().unwrap()).unwrap();
    symlink("/usr/lib/systemd/user/codex-oauthd.socket", &link).unwrap();
    let systemctl = format!("#!/bin/sh\ncase $* in *disable*) rm '{}' ;; esac\n", link.display());
    write_program(&account.path("tools/systemctl"), &systemctl);
    let said = sign_in_and_purge(&account, &account.path("usr"));
    for part in ["service    ended\n", "plugin     unregistered from Claude Code\n"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let left = format!(
        "left       {} (of a package)\nnext       sudo apt remove codex-oauth\n",
        account.program.display()
    );
    assert!(said.ends_with(&left), "{said}");
}
