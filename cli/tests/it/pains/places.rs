//! Pains with places: folders that may not be written, a home that is nowhere, a login that belongs elsewhere.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use codex_oauth_rig::{Home, Shim, User, binary, eventually};
use fake_openai::Identity;
use serde_json::json;

use super::house::{House, doctor, named_also, says};
use super::machine::Disk;
use crate::doctor::run;
use crate::rig::Ran;

fn set_mode(folder: &Path, mode: u32) {
    std::fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
}

/// Somebody for whom permissions hold.
struct Resident<'a> {
    user: User,
    home: &'a Home,
}

impl<'a> Resident<'a> {
    fn of(house: &'a House) -> Self {
        let (user, home) = (User::make(), &house.rig.home);
        for name in ["codex-oauth", "codex-oauthd", "codex-oauth-mcp"] {
            user.program(home, name);
        }
        user.moves_into(home);
        Self { user, home }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.user.command(self.home, &self.home.path().join(program));
        command.env("CODEX_OAUTH_DAEMON", self.home.path().join("codex-oauthd"));
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        run(self.command("codex-oauth").args(args))
    }

    fn asks(&self) -> serde_json::Value {
        let mut shim = Shim::start(self.command("codex-oauth-mcp"));
        shim.initialize();
        shim.request_tool("codex_query", &json!({"prompt": "hello"}))
    }
}

pub(super) fn a_folder_of_the_login_that_may_not_be_written() {
    let house = House::signed_in().with_home(Home::spawning);
    let his = Resident::of(&house);
    house.rig.fake.invalidate_access_tokens();
    let folder = house.rig.home.auth_file().parent().unwrap().to_owned();
    set_mode(&folder, 0o500);
    let step = format!("chmod u+rwx {}", folder.display());
    says(&his.asks(), &["Permission denied", &format!("next: make the folder writable (`{step}`)")]);
    assert!(Command::new("sh").args(["-c", &step]).status().unwrap().success());
    eventually("an answer", || his.asks()["isError"] != true);
}

pub(super) fn a_configuration_on_a_full_disk() {
    let house = House::signed_out();
    let folder = house.rig.home.path().join("config");
    let disk = Disk::on(folder.clone(), 64);
    disk.fill();
    let mut import = house.rig.home.command(&binary("codex-oauth"));
    let ran = run(import.args(["config", "import"]).env("HTTPS_PROXY", "http://127.0.0.1:9"));
    let step = format!("next: free some space on the disk of `{}`", folder.display());
    assert!(ran.code() == 1 && ran.stderr.contains(&step), "{}", ran.stderr);
}

pub(super) fn a_report_on_a_full_disk() {
    let house = House::signed_out();
    let folder = house.rig.home.path().join("reports");
    let disk = Disk::on(folder.clone(), 2_048);
    let filler = disk.fill();
    let file = folder.join("report.tar").display().to_string();
    let report = || house.command(&["bug-report", "-o", &file]);
    let ran = report();
    assert!(ran.code() == 1 && ran.stderr.contains("No space left on device"), "{}", ran.stderr);
    #[expect(clippy::disallowed_methods, reason = "space is freed")]
    std::fs::remove_file(filler).unwrap();
    assert_eq!(report().code(), 0);
}

pub(super) fn a_folder_of_records_that_was_closed_for_a_while() {
    let house = House::signed_in().with_home(Home::spawning);
    let his = Resident::of(&house);
    let folder = house.rig.home.path().join("state");
    for (mode, args) in [(0o700, &["status"][..]), (0o700, &["daemon", "stop"]), (0o500, &["status"])] {
        set_mode(&folder, mode);
        assert_eq!(his.run(args).code(), 0);
    }
    for command in ["explain", "answers"] {
        let said = his.run(&[command]).stderr;
        let words = ["could not use", "state.sqlite", "next: run `codex-oauth doctor --fix`"];
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    }
    let report = || doctor(his.command("codex-oauth").arg("doctor"));
    named_also(&report(), "folders", "fail", &[&format!("chmod u+rwx {}", folder.display())]);
    named_also(&report(), "records", "fail", &["the next use opens it again"]);
    set_mode(&folder, 0o700);
    // By the same daemon.
    eventually("it is opened again", || his.run(&["answers"]).code() == 0);
    named_also(&report(), "records", "ok", &[]);
}

pub(super) fn a_home_that_nobody_can_find() {
    let house = House::signed_in().with_home(|home| {
        let home = home.spawning().unset("CODEX_OAUTH_STATE_DIR").unset("CODEX_OAUTH_AUTH_FILE");
        home.unset("CODEX_OAUTH_CONFIG_DIR")
    });
    let his = Resident::of(&house);
    let at = |home: &str| run(his.command("codex-oauth").arg("status").env("HOME", home)).stderr;
    for (home, cause) in [
        ("", "no home folder is known"),
        ("rel", "could not use HOME=`rel`: it must be an absolute path"),
        ("/nonexistent/ada", "could not create `/nonexistent/ada/"),
        ("/", "could not create `/."),
    ] {
        let said = at(home);
        assert!(
            said.contains(cause) && said.contains("next: set HOME to your home folder"),
            "{home}: {said}"
        );
    }
    assert_eq!(his.run(&["status"]).code(), 0);
}

pub(super) fn a_login_of_another_workspace_than_the_configured_one() {
    let house =
        House::signed_in().with_home(|home| home.set("CODEX_OAUTH_WORKSPACE", "other")).starts_a_daemon();
    let own = Identity::default().account_id;
    let why = format!("it is of the workspace `{own}`, and CODEX_OAUTH_WORKSPACE allows only `other`");
    let step = "set CODEX_OAUTH_WORKSPACE, then run `codex-oauth daemon stop`";
    house.fails(&[&why, step]);
    let status = house.command(&["status"]);
    let page = status.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.starts_with("unusable ") && page.contains(&why) && page.contains(step), "{page}");
    house.doctor_names("login", "fail", &[&why, step]);
    // The step.
    assert_eq!(house.command(&["daemon", "stop"]).code(), 0);
    let house = House { daemon: None, ..house }.with_home(|home| home.set("CODEX_OAUTH_WORKSPACE", &own));
    let house = house.starts_a_daemon();
    house.answers();
    house.is_well();
}
