//! Folders that others could reach into, and places that are not there: each is used or refused by name. Tried by a user who
//! is not root.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use codex_oauth_proto::report::StartupReport;
use codex_oauth_rig::{daemon_at, eventually};
use rustix::process::{Pid, Signal, kill_process};

use crate::resident::{Resident, Told, chmod};

/// Root, as far as the resident is concerned.
const SOMEBODY_ELSE: u32 = 0;

#[test]
fn a_runtime_folder_that_others_may_enter_is_refused_with_its_mode() {
    let house = Resident::new();
    let dir = house.home.endpoint().dir;
    house.told().is_answered("0700");
    let pid = house.pid();
    chmod(&dir, 0o701);
    let mut shim = house.user.shim(&house.home);
    shim.initialize();
    for mode in 0o701..=0o777 {
        chmod(&dir, mode);
        let named = format!("`{}`: its mode is {mode:04o}", dir.display());
        Told::by(&mut shim).names("a session", &[&named, "others may enter", "codex-doctor fix"]);
    }
    for mode in [0o701, 0o710, 0o755, 0o777, 0o1777] {
        chmod(&dir, mode);
        let StartupReport::Failed(error) = house.refused_daemon() else { panic!("{mode:o}: no failure") };
        assert!(error.message.contains(&format!("{mode:04o}")), "{error}");
    }
    for mode in [0o700, 0o1700, 0o2700] {
        chmod(&dir, mode);
        house.told().is_answered(&format!("{mode:o}"));
    }
    Told::by(&mut shim).is_answered("the session from before");
    assert_eq!(house.pid(), pid);
}

#[test]
fn a_runtime_folder_that_is_a_link_a_file_foreign_too_long_or_nowhere_is_refused_by_name() {
    let house = Resident::new();
    let place = |name: &str| house.home.path().join(name);
    let (uid, good) = (house.user.uid(), house.home.endpoint().dir);
    symlink(&good, place("link")).unwrap();
    symlink(place("nothing"), place("dangling")).unwrap();
    std::fs::File::create(place("file")).unwrap();
    std::fs::create_dir(place("foreign")).unwrap();
    chmod(&place("foreign"), 0o700);
    std::fs::create_dir(place("closed")).unwrap();
    for ours in ["link", "dangling", "file"] {
        Resident::give(&place(ours), uid);
    }
    let long = place(&"d".repeat(200));
    let both =
        format!("it has {} bytes and the system allows 107", long.as_os_str().len() + "/daemon.sock".len());
    let owners = format!("it belongs to user {SOMEBODY_ELSE}, not to user {uid}");
    let rows: [(PathBuf, &str); 7] = [
        (place("link"), "it is not a directory (links are not followed)"),
        (place("dangling"), "it is not a directory (links are not followed)"),
        (place("file"), "it is not a directory"),
        (place("foreign"), &owners),
        (place("closed/run"), "could not create"),
        (long, &both),
        (PathBuf::from("run"), "it must be an absolute path"),
    ];
    for (dir, named) in rows {
        let dir = dir.to_str().unwrap();
        let told = house.told_with(&[("CODEX_OAUTH_RUNTIME_DIR", dir)]);
        told.names(dir, &[named, dir, "correct CODEX_OAUTH_RUNTIME_DIR"]);
    }
    assert!(!place("nothing").exists() && std::fs::read_dir(place("foreign")).unwrap().next().is_none());
    assert!(
        house.pid().is_none() && std::fs::read_dir(good).unwrap().next().is_none(),
        "nothing was started"
    );
}

/// The places that depend on the user's number alone, empty again at the end.
struct Places {
    run_user: PathBuf,
    fallback: PathBuf,
}

impl Places {
    fn of(uid: u32) -> Self {
        std::fs::create_dir_all("/run/user").unwrap();
        let places = Self {
            run_user: PathBuf::from(format!("/run/user/{uid}")),
            fallback: PathBuf::from(format!("/tmp/codex-oauth-{uid}")),
        };
        places.clear();
        places
    }

    /// The folder in which a daemon serves; there is exactly one.
    fn served(&self) -> (PathBuf, Pid) {
        let mut found = self.daemons();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    fn daemons(&self) -> Vec<(PathBuf, Pid)> {
        let folders = [self.run_user.join("codex-oauth"), self.fallback.clone()];
        folders.into_iter().filter_map(|dir| daemon_at(&dir).map(|pid| (dir, pid))).collect()
    }

    fn clear(&self) {
        for (dir, pid) in self.daemons() {
            // It may end by itself just now.
            let _ended = kill_process(pid, Signal::KILL);
            eventually("it is gone", || daemon_at(&dir).is_none());
        }
        for path in [&self.run_user, &self.fallback] {
            Command::new("rm").arg("-rf").arg(path).status().unwrap();
        }
    }

    fn make(path: &Path, owner: u32, mode: u32) {
        std::fs::create_dir(path).unwrap();
        Resident::give(path, owner);
        chmod(path, mode);
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.clear();
    }
}

#[test]
fn without_a_choice_the_place_follows_from_the_users_number_and_from_who_owns_it() {
    let house = Resident::new().furnish(|home| home.unset("CODEX_OAUTH_RUNTIME_DIR"));
    let uid = house.user.uid();
    let places = Places::of(uid);
    let (run_user, fallback) = (places.run_user.clone(), places.fallback.clone());
    let own = run_user.join("codex-oauth");
    let rows: [(&str, &dyn Fn(), &Path); 6] = [
        ("missing", &|| {}, &fallback),
        ("foreign", &|| Places::make(&run_user, SOMEBODY_ELSE, 0o700), &fallback),
        ("foreign and open", &|| Places::make(&run_user, SOMEBODY_ELSE, 0o777), &fallback),
        ("a link", &|| symlink(house.home.path(), &run_user).unwrap(), &fallback),
        ("ours", &|| Places::make(&run_user, uid, 0o700), &own),
        ("ours and 0755", &|| Places::make(&run_user, uid, 0o755), &own),
    ];
    for (row, lay, dir) in rows {
        lay();
        house.told().is_answered(row);
        assert_eq!(places.served().0, dir, "{row}");
        assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o7777, 0o700, "{row}");
        places.clear();
    }
    Places::make(&run_user, uid, 0o500);
    let step = format!("next: make the folder writable (`chmod u+rwx {}`)", run_user.display());
    house.told().names("ours and 0500", &["could not create", &own.display().to_string(), &step]);
    places.clear();
    // Anybody can make a folder in /tmp before we do.
    Places::make(&fallback, SOMEBODY_ELSE, 0o777);
    let path = fallback.display().to_string();
    house.told().names("the fallback is foreign", &[&path, "it belongs to user 0"]);
    places.clear();
    symlink(house.home.path(), &fallback).unwrap();
    house.told().names("the fallback is a link", &[&path, "links are not followed"]);
    places.clear();

    // A path that nobody could listen at is no matter as long as it is only the home's.
    let home = house.home.path().join("h".repeat(200));
    Places::make(&home, uid, 0o700);
    let unset = ["CODEX_OAUTH_STATE_DIR", "CODEX_OAUTH_CONFIG_DIR", "CODEX_OAUTH_AUTH_FILE"];
    let house = house.furnish(|house| {
        unset.iter().fold(house, |house, name| house.unset(name)).set("HOME", home.to_str().unwrap())
    });
    house.told().is_answered("a home with a path of more than 200 bytes");
    assert_eq!(places.served().0, fallback);
    assert!(home.join(".local/state/codex-oauth").is_dir());
}

#[test]
fn two_sessions_of_which_one_has_no_xdg_variable_find_one_daemon() {
    let unset = ["CODEX_OAUTH_RUNTIME_DIR", "CODEX_OAUTH_STATE_DIR", "CODEX_OAUTH_CONFIG_DIR"];
    let house = Resident::new().furnish(|home| unset.iter().fold(home, |home, name| home.unset(name)));
    let places = Places::of(house.user.uid());
    let xdg = house.home.path().join("xdg");
    Places::make(&xdg, house.user.uid(), 0o700);
    let (own, other) = (places.run_user.to_str().unwrap(), xdg.to_str().unwrap());
    let all = |runtime| {
        [
            ("XDG_RUNTIME_DIR", runtime),
            ("XDG_STATE_HOME", other),
            ("XDG_CONFIG_HOME", other),
            ("XDG_CACHE_HOME", other),
        ]
    };
    for there in [true, false] {
        for bare_first in [true, false] {
            if there {
                Places::make(&places.run_user, house.user.uid(), 0o700);
            }
            let mut sessions: Vec<Vec<(&str, &str)>> =
                vec![vec![], all(own).to_vec(), all(other).to_vec(), all("relative").to_vec()];
            if !bare_first {
                sessions.reverse();
            }
            let daemons: Vec<_> = sessions
                .iter()
                .map(|variables| {
                    house.told_with(variables).is_answered("a session");
                    places.served()
                })
                .collect();
            assert!(daemons.windows(2).all(|pair| pair[0] == pair[1]), "{daemons:?}");
            places.clear();
        }
    }
}
