//! Where the person of a session sits, as far as its environment and the daemon's own view tell: a browser there may not
//! reach the loopback of this machine.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use codex_oauth_proto::api::account::Place;

/// What container runtimes leave in the root of a container: Docker, Podman.
const MARKS: [&str; 2] = ["/.dockerenv", "/run/.containerenv"];
/// In the control groups of a process in a container. With version 2 of them a container sees only `/`, and the marks tell.
const GROUPS: [&str; 4] = ["docker", "kubepods", "containerd", "/lxc/"];

/// This daemon runs in a container. That does not change in its life.
static IN_CONTAINER: LazyLock<bool> = LazyLock::new(|| {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    is_container(|path| Path::new(path).exists(), &groups)
});

/// Where the person of a session with this environment sits.
pub(crate) fn of(session: &BTreeMap<String, String>) -> Place {
    judge(session, *IN_CONTAINER)
}

/// The Windows Subsystem for Linux: loopback is shared with Windows, whose browser is the person's.
pub(crate) fn is_wsl(session: &BTreeMap<String, String>) -> bool {
    ["WSL_DISTRO_NAME", "WSL_INTEROP"].iter().any(|name| session.contains_key(*name))
}

/// SSH before everything else: it says that the person is on another machine, whatever this one is.
fn judge(session: &BTreeMap<String, String>, in_container: bool) -> Place {
    let has = |name: &str| session.contains_key(name);
    if has("SSH_CONNECTION") {
        Place::Ssh
    } else if is_wsl(session) {
        Place::Wsl
    } else if in_container {
        Place::Container
    } else if cfg!(target_os = "linux") && !has("DISPLAY") && !has("WAYLAND_DISPLAY") {
        Place::Headless
    } else {
        Place::Desktop
    }
}

fn is_container(exists: impl Fn(&str) -> bool, groups: &str) -> bool {
    MARKS.into_iter().any(exists) || GROUPS.iter().any(|word| groups.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn the_environment_tells_where_the_person_sits() {
        for (names, in_container, place) in [
            (&["DISPLAY"][..], false, Place::Desktop),
            (&["WAYLAND_DISPLAY"], false, Place::Desktop),
            (&[], false, Place::Headless),
            (&["DISPLAY", "SSH_CONNECTION"], false, Place::Ssh),
            (&["SSH_CONNECTION", "WSL_INTEROP"], true, Place::Ssh),
            (&["WSL_DISTRO_NAME"], false, Place::Wsl),
            (&["WSL_INTEROP", "DISPLAY"], true, Place::Wsl),
            (&["DISPLAY"], true, Place::Container),
            (&[], true, Place::Container),
        ] {
            let session = names.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
            assert_eq!(judge(&session, in_container), place, "{names:?} {in_container}");
        }
    }

    #[test]
    fn a_container_is_known_by_its_mark_or_its_control_group() {
        assert!(is_container(|path| path == "/.dockerenv", "0::/\n"));
        assert!(is_container(|path| path == "/run/.containerenv", ""));
        assert!(is_container(|_| false, "12:cpu:/kubepods/besteffort/pod1\n"));
        assert!(!is_container(|_| false, "0::/user.slice/user-1000.slice\n"));
    }
}
