//! Claude Code's own command line, asked to take the plugin in or to forget it. It edits its own files; nobody else should.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use codex_oauth_proto::env::Env;
use serde::Deserialize;

use crate::child;

/// For one call, which takes about a second. No network is needed for any of them.
const PATIENCE: Duration = Duration::from_secs(30);

/// The name in `.claude-plugin/marketplace.json`.
const MARKETPLACE: &str = "codex-oauth";

/// The plugin's id: `<plugin>@<marketplace>`.
pub(super) const PLUGIN: &str = "codex-oauth@codex-oauth";

/// Where Claude Code keeps its copies of our marketplace's plugins, a folder for each version. It leaves them there when the
/// plugin is unregistered.
pub(super) fn plugin_cache(env: &Env) -> Option<PathBuf> {
    let named = env.absolute("CLAUDE_CONFIG_DIR").ok().flatten();
    let profile = named.or_else(|| Some(env.home.as_ref()?.join(".claude")))?;
    Some(profile.join("plugins").join("cache").join(MARKETPLACE))
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unregistered {
    /// Claude Code has forgotten plugin and marketplace.
    Done,
    /// It knows no marketplace in this folder.
    NotRegistered,
    /// There is no `claude` on PATH.
    NoClaude,
    /// It could not be asked, or could not do it; why, in its words.
    Failed(String),
}

/// Makes Claude Code know the plugin of the marketplace in `folder`. `None`: there is no `claude` on PATH.
#[cfg(windows)]
pub(super) fn register(env: &Env, folder: &Path) -> Option<Result<(), String>> {
    let claude = child::find(env, "claude")?;
    // One of this name in the folder of the version before would stay there. The first time there is none.
    let _none_before = ask(&claude, &["marketplace", "remove", MARKETPLACE]);
    let add = ask(&claude, &["marketplace", "add", &folder.display().to_string()]);
    Some(add.and_then(|_| ask(&claude, &["install", PLUGIN])).map(drop))
}

/// Makes Claude Code forget the marketplace in `folder`, and its plugin. One of the same name in another place is
/// somebody else's choice and stays.
pub(super) fn unregister(env: &Env, folder: &Path) -> Unregistered {
    let Some(claude) = child::find(env, "claude") else { return Unregistered::NoClaude };
    let forget = || {
        if !knows(&ask(&claude, &["marketplace", "list", "--json"])?, folder)? {
            return Ok(Unregistered::NotRegistered);
        }
        // Its marketplace may be registered and the plugin not: then the second call is the one that counts.
        let uninstalled = ask(&claude, &["uninstall", PLUGIN]);
        ask(&claude, &["marketplace", "remove", MARKETPLACE]).map_err(|why| match uninstalled {
            Err(first) if first != why => format!("{first}; {why}"),
            _ => why,
        })?;
        Ok(Unregistered::Done)
    };
    forget().unwrap_or_else(Unregistered::Failed)
}

/// An entry of `claude plugin marketplace list --json`; `path` is there for folders only.
#[derive(Debug, Deserialize)]
struct Entry {
    name: String,
    path: Option<PathBuf>,
}

fn knows(list: &str, folder: &Path) -> Result<bool, String> {
    let entries: Vec<Entry> = serde_json::from_str(list)
        .map_err(|error| format!("its list of marketplaces is not known: {error}"))?;
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let here = real(folder);
    Ok(entries.iter().any(|entry| {
        entry.name == MARKETPLACE && entry.path.as_deref().is_some_and(|path| real(path) == here)
    }))
}

/// Runs `claude plugin <args>` and gives its standard output.
fn ask(claude: &Path, args: &[&str]) -> Result<String, String> {
    child::ask(Command::new(claude).arg("plugin").args(args), PATIENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_marketplace_in_this_folder_is_ours() {
        let here = Path::new("/h/.local/share/codex-oauth");
        for (list, ours) in [
            (
                r#"[{"name":"codex-oauth","source":"directory","path":"/h/.local/share/codex-oauth"}]"#,
                Ok(true),
            ),
            (r#"[{"name":"codex-oauth","source":"directory","path":"/elsewhere"}]"#, Ok(false)),
            (r#"[{"name":"codex-oauth","source":"github","repo":"a/b"}]"#, Ok(false)),
            (r#"[{"name":"other","source":"directory","path":"/h/.local/share/codex-oauth"}]"#, Ok(false)),
            ("[]", Ok(false)),
        ] {
            assert_eq!(knows(list, here), ours, "{list}");
        }
        assert!(knows("nothing configured", here).is_err());
    }
}
