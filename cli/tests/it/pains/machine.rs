//! Pains with the machine: programs, folders, sockets, disks.

use std::fs::{File, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use codex_oauth_proto::BUILD;
use codex_oauth_rig::{Home, Shim, User, binary, eventually, text_of};
use rustix::process::Signal;
use serde_json::json;

use super::house::{House, doctor, named, named_also, says};

pub(super) fn a_daemon_program_that_is_not_there() {
    let house = House::signed_in()
        .with_home(|home| home.spawning().set("CODEX_OAUTH_DAEMON", "/nonexistent/codex-oauthd"));
    house.fails(&["could not find `codex-oauthd`", "next: correct CODEX_OAUTH_DAEMON"]);
    house.doctor_names("programs", "fail", &["/nonexistent/codex-oauthd", "correct CODEX_OAUTH_DAEMON"]);
    let daemon = binary("codex-oauthd").display().to_string();
    let house = house.with_home(|home| home.set("CODEX_OAUTH_DAEMON", &daemon));
    house.answers();
    house.is_well();
}

pub(super) fn a_socket_that_nobody_listens_at() {
    // A daemon that is killed leaves its socket.
    let house = House::signed_in().with_home(Home::spawning);
    let socket = house.rig.home.endpoint().socket();
    assert!(socket.exists());
    let report = house.doctor_names("socket", "warn", &["left", "codex-oauth doctor --fix"]);
    named(&report, "daemon", "ok", &["started for this"]);
    house.answers();
    house.is_well();
}

pub(super) fn a_file_in_the_place_of_the_socket() {
    let house = House::signed_in().with_home(Home::spawning);
    let socket = house.rig.home.endpoint().socket();
    #[expect(clippy::disallowed_methods, reason = "of a daemon that was killed")]
    std::fs::remove_file(&socket).unwrap();
    File::create(&socket).unwrap();
    house.fails(&["it is not a socket of ours", "next: repair or move away"]);
    house.doctor_names("socket", "fail", &["it is not a socket of ours", "repair or move away"]);
    #[expect(clippy::disallowed_methods, reason = "the step that is followed: it is moved away")]
    std::fs::rename(&socket, socket.with_extension("old")).unwrap();
    house.answers();
    house.is_well();
}

pub(super) fn a_file_in_the_place_of_the_logins_folder() {
    let house = House::signed_out().with_home(Home::spawning);
    let file = house.rig.home.auth_file();
    let folder = file.parent().unwrap();
    let old = folder.with_extension("old");
    assert!(!file.exists());
    if folder.exists() {
        #[expect(clippy::disallowed_methods, reason = "a folder of this test's")]
        std::fs::rename(folder, folder.with_extension("before")).unwrap();
    }
    File::create(folder).unwrap();
    let shown = folder.display();
    house.fails(&[
        &format!("could not use `{shown}`: it is not a directory"),
        &format!("next: repair or move away `{shown}`"),
    ]);
    let words =
        [format!("`{shown}` is a file where a folder is expected"), format!("mv {shown} {}", old.display())];
    house.doctor_names("folders", "fail", &words.each_ref().map(String::as_str));
    #[expect(clippy::disallowed_methods, reason = "the step that is followed: it is moved away")]
    std::fs::rename(folder, &old).unwrap();
    house.sign_in();
    house.answers();
    house.is_well();
}

pub(super) fn a_stranger_that_listens_at_the_socket() {
    let house = House::signed_in().with_home(Home::spawning);
    let socket = house.rig.home.endpoint().socket();
    #[expect(clippy::disallowed_methods, reason = "of a daemon that was killed")]
    std::fs::remove_file(&socket).unwrap();
    // It never says a word; that connections are taken is the kernel's doing.
    let stranger = UnixListener::bind(&socket).unwrap();
    let pid = std::process::id();
    let listens = format!("process {pid} listens at `{}`", socket.display());
    house.fails(&[&listens, &format!("next: end process {pid}")]);
    let step = format!("end process {pid} (`kill -9 {pid}`)");
    let report = house.doctor_names("socket", "fail", &[&socket.display().to_string(), &step]);
    named_also(&report, "daemon", "skip", &["see `socket`"]);
    // The step, as far as this process can take it.
    drop(stranger);
    house.answers();
    house.is_well();
}

pub(super) fn a_daemon_that_is_frozen() {
    let mut house = House::signed_in().with_home(Home::spawning).starts_a_daemon();
    let daemon = house.daemon.as_mut().unwrap();
    daemon.signal(Signal::STOP);
    let pid = daemon.pid();
    let kill = format!("kill -9 {pid}");
    let step = format!("next: end process {pid} (`{kill}`), then try again");
    // Side by side: each waits its five seconds for the daemon's first word.
    let [status, stop, doctor] = std::thread::scope(|threads| {
        let commands = [&["status"][..], &["daemon", "stop"], &["doctor"]];
        commands.map(|args| threads.spawn(|| house.command(args))).map(|ran| ran.join().unwrap())
    });
    assert!(status.stderr.contains(&step), "{}", status.stderr);
    assert!(stop.stderr.contains(&step), "{}", stop.stderr);
    assert!(doctor.stdout.contains(&kill), "{}", doctor.stdout);
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    house.daemon.as_mut().unwrap().wait();
    house.answers();
    house.is_well();
}

pub(super) fn a_shim_whose_window_is_gone() {
    let house = House::signed_in().with_home(|home| home);
    // Of a user of its own: the shims of other tests are nobody's here.
    let user = User::make();
    let home = &house.rig.home;
    let [command, shim] = ["codex-oauth", "codex-oauth-mcp"].map(|name| user.program(home, name));
    user.moves_into(home);
    // Another process has kept the pipe of a client that is gone; the system's first process has taken over the shim.
    let init = home.path().join("tini");
    home.script(
        &init,
        "#!/bin/sh\nmkfifo \"$0.pipe\"\n\"$1\" <>\"$0.pipe\" >/dev/null &\necho $!\nread -r end\nwait\n",
    );
    let mut init = user.command(home, &init);
    let mut init = init.arg(&shim).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(init.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let pid = line.trim();
    let look = || doctor(user.command(home, &command).arg("doctor"));
    eventually("it is a shim", || crate::doctor::check(&look(), "shims")["status"] == "warn");
    named_also(&look(), "shims", "warn", &["1 shim whose window is gone", pid, &format!("kill {pid}")]);
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
    drop(init.stdin.take());
    init.wait().unwrap();
    named_also(&look(), "shims", "ok", &["none runs"]);
}

pub(super) fn a_runtime_folder_that_others_may_enter() {
    let house = House::signed_in().with_home(Home::spawning);
    let run = house.rig.home.path().join("run");
    std::fs::set_permissions(&run, Permissions::from_mode(0o777)).unwrap();
    let words = ["its mode is 0777, so others may enter", "next: run /codex-oauth:codex-doctor fix"];
    house.fails(&words);
    let status = house.command(&["status"]);
    assert!(status.stderr.contains("run `codex-oauth doctor --fix`"), "{}", status.stderr);
    house.doctor_names("folders", "fail", &["others may enter", "codex-oauth doctor --fix"]);
    // The step, as the command of the plugin takes it.
    let report = doctor(house.rig.home.command(&binary("codex-oauth")).args(["doctor", "--fix"]));
    assert_eq!(crate::doctor::check(&report, "folders")["mended"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(run.metadata().unwrap().permissions().mode() & 0o7777, 0o700);
    house.answers();
    house.is_well();
}

pub(super) fn a_runtime_folder_of_somebody_else() {
    let house = House::signed_in().with_home(Home::spawning);
    let user = User::make();
    let home = &house.rig.home;
    let [daemon, command] = ["codex-oauthd", "codex-oauth"].map(|name| user.program(home, name));
    user.moves_into(home);
    // Of root, and open to everybody: not this user's to close.
    let foreign = tempfile::tempdir().unwrap();
    std::fs::set_permissions(foreign.path(), Permissions::from_mode(0o777)).unwrap();
    let his = |args: &[&str]| {
        let mut command = user.command(home, &command);
        command.env("CODEX_OAUTH_DAEMON", &daemon).env("CODEX_OAUTH_RUNTIME_DIR", foreign.path());
        command.args(args);
        command
    };
    let report = doctor(&mut his(&["doctor", "--fix"]));
    named(&report, "folders", "fail", &["it belongs to user 0", "CODEX_OAUTH_RUNTIME_DIR"]);
    assert_eq!(foreign.path().metadata().unwrap().permissions().mode() & 0o777, 0o777, "{report}");
    let said = crate::doctor::run(&mut his(&["status"])).stderr;
    assert!(
        said.contains("it belongs to user 0") && said.contains("correct CODEX_OAUTH_RUNTIME_DIR"),
        "{said}"
    );
}

pub(super) fn a_daemon_that_may_not_be_started() {
    let house = House::signed_in().with_home(|home| home);
    house.fails(&["CODEX_OAUTH_NO_SPAWN=1 forbids", "next: unset CODEX_OAUTH_NO_SPAWN"]);
    house.doctor_names("daemon", "fail", &["CODEX_OAUTH_NO_SPAWN=1", "unset CODEX_OAUTH_NO_SPAWN"]);
    let house = house.with_home(|home| home.unset("CODEX_OAUTH_NO_SPAWN"));
    house.answers();
    house.is_well();
}

pub(super) fn another_credential_store() {
    let house = House::signed_in();
    let other = house.rig.home.path().join("other.json").display().to_string();
    let variables = [("CODEX_OAUTH_AUTH_FILE", other.as_str())];
    let result = house.tool_with(&variables, "codex_query", &json!({"prompt": "hello"}));
    says(&result, &[&other, "next: correct CODEX_OAUTH_AUTH_FILE"]);
    let mut command = house.rig.home.command(&binary("codex-oauth"));
    let report = doctor(command.envs(variables).arg("doctor"));
    named(&report, "daemon", "fail", &[&other, "correct CODEX_OAUTH_AUTH_FILE"]);
    house.answers();
    house.is_well();
}

/// A small disk of its own, as long as this lives.
pub(super) struct Disk(PathBuf);

impl Disk {
    pub(super) fn on(folder: PathBuf, kibibytes: u32) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        let options = format!("size={kibibytes}k,mode=0700");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&folder).status();
        let mounted = mounted.unwrap();
        assert!(mounted.success(), "a disk in memory: run these tests as root");
        Self(folder)
    }

    /// Writes a file until nothing fits any more.
    pub(super) fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = File::create(&path).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // With a daemon's file open on it, it goes with that daemon.
        let _gone = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

pub(super) fn a_disk_that_is_full() {
    let house = House::signed_out();
    let folder = house.rig.home.auth_file().parent().unwrap().to_owned();
    let house = house.with_home(|home| home);
    let disk = Disk::on(folder, 256);
    let house = house.starts_a_daemon();
    house.sign_in();
    house.rig.fake.invalidate_access_tokens();
    let filler = disk.fill();
    house.fails(&["No space left on device", "next: free some space on the disk of"]);
    house.doctor_names("disk", "fail", &["No space left on device", "free some space on the disk of"]);
    assert!(house.rig.fake.requests(fake_openai::Endpoint::Refresh).is_empty(), "no token was spent");
    #[expect(clippy::disallowed_methods, reason = "the step that is followed: space is freed")]
    std::fs::remove_file(filler).unwrap();
    house.answers_in_the_end();
    assert_ne!(house.doctor_names("disk", "warn", &["are free in"])["status"], "fail");
}

pub(super) fn a_disk_that_is_too_full_to_keep_answers() {
    let house = House::signed_in().with_home(|home| home);
    // Room for a database and not for much more.
    let disk = Disk::on(house.rig.home.path().join("state"), 2_048);
    let house = house.starts_a_daemon();
    house.answers();
    let filler = disk.fill();
    // A question is answered all the same; only a crash would lose its answer.
    house.answers();
    eventually("the answer could not be kept", || {
        text_of(&house.tool("codex_status", &json!({}))).contains("answers are not kept")
    });
    let report =
        house.doctor_names("disk", "fail", &["No space left on device", "free some space on the disk of"]);
    named_also(&report, "records", "fail", &["answers are not kept"]);
    #[expect(clippy::disallowed_methods, reason = "the step that is followed: space is freed")]
    std::fs::remove_file(filler).unwrap();
    house.answers();
    let report = house.doctor_comes_to_name("records", "ok", &[]);
    assert_ne!(report["status"], "fail", "{report}");
}

pub(super) fn a_home_that_is_read_only() {
    let house = House::signed_in().with_home(|home| home.spawning().unset("CODEX_OAUTH_STATE_DIR"));
    let user = User::make();
    let home = &house.rig.home;
    let [daemon, command, shim] =
        ["codex-oauthd", "codex-oauth", "codex-oauth-mcp"].map(|name| user.program(home, name));
    user.moves_into(home);
    let folder = home.path().join("home");
    let set_mode = |mode| std::fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
    set_mode(0o500);
    let his = |program: &Path| {
        let mut command = user.command(home, program);
        command.env("CODEX_OAUTH_DAEMON", &daemon);
        command
    };
    let ask = || {
        let mut shim = Shim::start(his(&shim));
        shim.initialize();
        shim.request_tool("codex_query", &json!({"prompt": "hello"}))
    };
    let step = format!("chmod u+rwx {}", folder.display());
    says(
        &ask(),
        &["could not create", "Permission denied", &format!("next: make the folder writable (`{step}`)")],
    );
    // What somebody has set is what is named.
    let chosen =
        his(&command).arg("status").env("CODEX_OAUTH_STATE_DIR", folder.join("state")).output().unwrap();
    let said = String::from_utf8(chosen.stderr).unwrap();
    assert!(said.contains("next: correct CODEX_OAUTH_STATE_DIR"), "{said}");
    let report = doctor(his(&command).arg("doctor"));
    named(&report, "folders", "fail", &["Permission denied", &step]);
    set_mode(0o700);
    let answer = ask();
    assert_ne!(answer["isError"], true, "{answer}");
    let report = doctor(his(&command).arg("doctor"));
    assert_ne!(report["status"], "fail", "{report}");
}

pub(super) fn an_older_daemon() {
    let house =
        House::signed_in().with_home(|home| home.set("CODEX_OAUTH_TEST_BUILD", "0.0.1")).starts_a_daemon();
    let mut newer = house.rig.home.command(&binary("codex-oauth"));
    newer.env_remove("CODEX_OAUTH_TEST_BUILD");
    let report = doctor(newer.arg("doctor"));
    named(&report, "daemon", "warn", &["0.0.1", BUILD, "codex-oauth daemon stop"]);
    house.answers();
    assert_eq!(house.command(&["daemon", "stop"]).code(), 0);
    let house = House { daemon: None, ..house }.with_home(|home| home.unset("CODEX_OAUTH_TEST_BUILD"));
    let house = house.starts_a_daemon();
    house.doctor_names("daemon", "ok", &[BUILD]);
    house.answers();
}

pub(super) fn two_installations() {
    let house = House::signed_in();
    let other = house.rig.home.path().join("opt");
    std::fs::create_dir(&other).unwrap();
    for name in ["codex-oauth", "codex-oauthd"] {
        house.rig.home.script(&other.join(name), &format!("#!/bin/sh\necho '{name} 0.0.9'\n"));
    }
    let report = |path: &str| {
        let mut command: Command = house.rig.home.command(&binary("codex-oauth"));
        doctor(command.env("PATH", path).arg("doctor"))
    };
    let there = other.display().to_string();
    named(
        &report(&there),
        "installs",
        "warn",
        &[&format!("0.0.9 in `{there}`"), BUILD, "remove the older one"],
    );
    house.answers();
    named(&report("/usr/bin"), "installs", "ok", &["one installation"]);
}

pub(super) fn a_setting_that_cannot_be_read() {
    let house = House::signed_in().with_home(Home::spawning);
    let file = house.rig.home.path().join("config/config.toml");
    File::create(&file).unwrap().write_all(b"[limits]\ndrian_ms = 1\n").unwrap();
    house.fails(&["drian_ms", "next: "]);
    house.doctor_names("daemon", "fail", &["drian_ms"]);
    File::create(&file).unwrap().write_all(b"[limits]\ndrain_ms = 1000\n").unwrap();
    house.answers();
    house.is_well();
}
