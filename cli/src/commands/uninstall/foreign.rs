//! Programs that came without `install.sh` and `install.ps1`: in a plugin, in a package, or as an unpacked release. Whoever
//! brought them takes them away, so they stay, and the way to remove them is told.

use std::env::consts::EXE_SUFFIX;
use std::path::{Path, PathBuf};

use codex_oauth_proto::env::APP;

/// What makes a folder a plugin of Claude Code.
const MANIFEST: &str = ".claude-plugin/plugin.json";

/// From a program up to the plugin that carries it: `bin/native/Linux-x86_64/codex-oauth` has the most folders between.
const PLUGIN_DEPTH: usize = 4;

/// Claude Code finds a plugin by its name, whatever the marketplace is called that it came from.
const UNINSTALL_PLUGIN: &str = "claude plugin uninstall codex-oauth";

/// A package leaves the command here that removes it; what it is called differs with each package manager.
const REMOVE_WITH: &str = "remove-with";

/// What makes an unpacked release, beside the folder of its programs.
const RELEASE: [&str; 2] = ["install.sh", "install.ps1"];

/// The command line, the daemon, the MCP shim.
const PROGRAMS: [&str; 3] = [APP, "codex-oauthd", "codex-oauth-mcp"];

/// Programs of somebody else's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Foreign {
    /// What stays, and what it is.
    pub(super) left: Vec<(PathBuf, &'static str)>,
    /// What removes it, where that is a command.
    pub(super) command: Option<String>,
    /// The folder that may be registered with Claude Code.
    pub(super) marketplace: Option<PathBuf>,
}

impl Foreign {
    /// Those that this program is one of.
    pub(super) fn of(program: &Path) -> Self {
        let mut found = Self { left: Vec::new(), command: None, marketplace: None };
        let folder = program.parent().unwrap_or(program);
        let prefix = folder.parent().unwrap_or(folder);
        let share = prefix.join("share").join(APP);
        if let Some(plugin) =
            program.ancestors().skip(1).take(PLUGIN_DEPTH).find(|dir| dir.join(MANIFEST).is_file())
        {
            found.left.push((plugin.to_owned(), "the plugin, which starts a daemon when it is asked"));
            found.command = Some(UNINSTALL_PLUGIN.to_owned());
        } else if let Some(command) = command_of(&share) {
            found.left.push((program.to_owned(), "of a package"));
            found.command = Some(command);
            found.marketplace = Some(share);
        } else if RELEASE.iter().any(|script| prefix.join(script).is_file()) && prefix.join("plugin").is_dir()
        {
            found.left.push((prefix.to_owned(), "unpacked by hand; delete it"));
        } else {
            let libexec = prefix.join("libexec").join(APP);
            let places =
                [folder, &libexec].map(|dir| PROGRAMS.map(|name| dir.join(format!("{name}{EXE_SUFFIX}"))));
            let programs = places.into_iter().flatten().filter(|path| path.is_file());
            found.left.extend(programs.map(|path| (path, "put there by hand; delete it")));
        }
        found
    }
}

/// The first line of a package's word on its removal.
fn command_of(share: &Path) -> Option<String> {
    let text = std::fs::read_to_string(share.join(REMOVE_WITH)).ok()?;
    text.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes these files, and gives the path of the first one.
    fn made(dir: &Path, files: &[&str]) -> PathBuf {
        for file in files {
            let path = dir.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::File::create(path).unwrap();
        }
        dir.join(files[0])
    }

    #[test]
    fn a_plugin_is_found_from_each_place_of_a_program_in_it() {
        for place in ["bin/codex-oauth", "bin/native/codex-oauth", "bin/native/Linux-x86_64/codex-oauth"] {
            let dir = tempfile::tempdir().unwrap();
            let found = Foreign::of(&made(dir.path(), &[place, MANIFEST]));
            assert_eq!(found.left[0].0, dir.path(), "{place}");
            assert_eq!(found.command.as_deref(), Some(UNINSTALL_PLUGIN), "{place}");
        }
    }

    #[test]
    fn an_unpacked_release_is_one_folder_and_other_programs_are_named_one_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let (command, daemon) = (format!("bin/{APP}{EXE_SUFFIX}"), format!("bin/codex-oauthd{EXE_SUFFIX}"));
        let program = made(dir.path(), &[&command, &daemon, "bin/other"]);
        let named = Foreign::of(&program).left.into_iter().map(|(path, _)| path).collect::<Vec<_>>();
        assert_eq!(named, [program.clone(), dir.path().join(daemon)]);
        made(dir.path(), &["install.sh", "plugin/README.md"]);
        assert_eq!(Foreign::of(&program).left[0].0, dir.path());
        assert_eq!(Foreign::of(&program).command, None);
    }
}
