//! The plugin in Claude Code, asked of its own command line.

use std::process::Command;
use std::time::Duration;

use codex_oauth_proto::BUILD;
use codex_oauth_proto::env::Env;
use serde::Deserialize;

use super::programs::INSTALL;
use super::report::Finding;
use crate::child;
use crate::commands::claude::PLUGIN;

/// For one call, which takes about a second and needs no network.
const PATIENCE: Duration = Duration::from_secs(20);

/// The plugin's name, whichever marketplace it came from.
const NAME: &str = "codex-oauth@";

/// An entry of `claude plugin list --json` (Claude Code 2.1).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    id: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    enabled: bool,
    #[serde(default)]
    install_path: String,
}

/// Whether it is installed, enabled, once, and of this build.
pub(super) fn look(env: &Env) -> Finding {
    let Some(claude) = child::find(env, "claude") else {
        return Finding::skip("there is no `claude` on PATH");
    };
    let said = child::ask(Command::new(claude).args(["plugin", "list", "--json"]), PATIENCE);
    let entries = said.and_then(|said| {
        serde_json::from_str::<Vec<Entry>>(&said).map_err(|error| format!("its list is not known: {error}"))
    });
    match entries {
        Ok(entries) => {
            judge(&entries.into_iter().filter(|entry| entry.id.starts_with(NAME)).collect::<Vec<_>>())
        }
        Err(why) => Finding::skip(format!("Claude Code could not be asked: {why}")),
    }
}

fn judge(entries: &[Entry]) -> Finding {
    let mut findings = Vec::new();
    if entries.is_empty() {
        let install = format!("run `{INSTALL}`, or `claude plugin install {PLUGIN}`");
        return Finding::warn("it is not installed in Claude Code", install);
    }
    let enabled: Vec<&Entry> = entries.iter().filter(|entry| entry.enabled).collect();
    if enabled.is_empty() {
        let id = &entries[0].id;
        findings
            .push(Finding::warn("it is disabled in Claude Code", format!("run `claude plugin enable {id}`")));
    }
    if let [_, other, ..] = enabled.as_slice() {
        let detail = format!("it is there twice: {}", ids(&enabled));
        findings.push(Finding::warn(detail, format!("run `claude plugin uninstall {}`", other.id)));
    }
    for entry in &enabled {
        if entry.version != BUILD {
            let detail = format!(
                "the plugin in `{}` is of build {}, this command of {BUILD}",
                entry.install_path, entry.version
            );
            findings.push(Finding::warn(
                detail,
                format!("run `claude plugin update {}`, then restart Claude Code", entry.id),
            ));
        }
    }
    Finding::worst(findings, format!("{BUILD}, enabled in Claude Code"))
}

fn ids(entries: &[&Entry]) -> String {
    entries.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::report::Status;
    use super::*;

    fn judged(list: &str) -> (Status, Finding) {
        let entries: Vec<Entry> = serde_json::from_str(list).unwrap();
        let finding = judge(&entries);
        (finding.status, finding)
    }

    #[test]
    fn it_is_there_once_enabled_and_of_this_build() {
        let entry = |id: &str, version: &str, enabled: bool| {
            format!(
                r#"{{"id":"{id}","version":"{version}","scope":"user","enabled":{enabled},"installPath":"/p"}}"#
            )
        };
        let ours = entry(PLUGIN, BUILD, true);
        assert_eq!(judged(&format!("[{ours}]")).0, Status::Ok);
        for (list, remedy) in [
            ("[]".to_owned(), "claude plugin install codex-oauth@codex-oauth"),
            (format!("[{}]", entry(PLUGIN, BUILD, false)), "claude plugin enable codex-oauth@codex-oauth"),
            (format!("[{}]", entry(PLUGIN, "0.0.1", true)), "claude plugin update codex-oauth@codex-oauth"),
            (format!("[{ours},{}]", entry("codex-oauth@other", BUILD, true)), "uninstall codex-oauth@other"),
        ] {
            let (status, finding) = judged(&list);
            assert_eq!(status, Status::Warn, "{list}");
            assert!(format!("{finding:?}").contains(remedy), "{list}: {finding:?}");
        }
    }
}
