//! A whole house in which something goes wrong: fake OpenAI, a real daemon, a real shim, the real command.

use std::process::Command;

use codex_oauth_rig::{Daemon, Home, Rig, Shim, binary, eventually, text_of};
use serde_json::{Value, json};

use crate::doctor::{check, run};
use crate::rig::Ran;

/// See the module.
pub(super) struct House {
    pub(super) rig: Rig,
    pub(super) daemon: Option<Daemon>,
}

impl House {
    /// With a daemon on which somebody is signed in.
    pub(super) fn signed_in() -> Self {
        let rig = Rig::new();
        let daemon = rig.signed_in();
        Self { rig, daemon: Some(daemon) }
    }

    /// With a daemon on which nobody is signed in.
    pub(super) fn signed_out() -> Self {
        let rig = Rig::new();
        let daemon = rig.daemon();
        Self { rig, daemon: Some(daemon) }
    }

    /// The same with another home, without its daemon: a login stays in its file.
    pub(super) fn with_home(self, change: impl FnOnce(Home) -> Home) -> Self {
        let Self { rig: Rig { fake, home }, daemon } = self;
        if let Some(daemon) = daemon {
            daemon.kill();
        }
        Self { rig: Rig { fake, home: change(home) }, daemon: None }
    }

    /// Starts a daemon of this home.
    pub(super) fn starts_a_daemon(mut self) -> Self {
        self.daemon = Some(self.rig.daemon());
        self
    }

    /// A tool's result in a session of its own, in surroundings with these variables.
    pub(super) fn tool_with(&self, variables: &[(&str, &str)], tool: &str, arguments: &Value) -> Value {
        let mut shim = Shim::of(&self.rig.home, &binary("codex-oauth-mcp"), variables);
        shim.initialize();
        shim.request_tool(tool, arguments)
    }

    /// The same without.
    pub(super) fn tool(&self, tool: &str, arguments: &Value) -> Value {
        self.tool_with(&[], tool, arguments)
    }

    /// Asks, and expects a failure with these words.
    pub(super) fn fails(&self, words: &[&str]) {
        let result = self.tool("codex_query", &json!({"prompt": "hello"}));
        says(&result, words);
    }

    /// Asks, and expects an answer.
    pub(super) fn answers(&self) {
        let result = self.tool("codex_query", &json!({"prompt": "hello"}));
        assert!(result["isError"] != true && text_of(&result).contains("hello"), "{result}");
    }

    /// Asks until there is an answer.
    pub(super) fn answers_in_the_end(&self) {
        eventually("an answer", || self.tool("codex_query", &json!({"prompt": "hello"}))["isError"] != true);
    }

    /// What `doctor` says of one thing: it must have this status; the first trouble must be this one when it is one.
    pub(super) fn doctor_names(&self, id: &str, status: &str, words: &[&str]) -> Value {
        let report = doctor(self.rig.home.command(&binary("codex-oauth")).arg("doctor"));
        named(&report, id, status, words);
        report
    }

    /// The same of what is written after the answer: it comes to say so.
    pub(super) fn doctor_comes_to_name(&self, id: &str, status: &str, words: &[&str]) -> Value {
        let report = || doctor(self.rig.home.command(&binary("codex-oauth")).arg("doctor"));
        eventually(id, || check(&report(), id)["status"] == status);
        self.doctor_names(id, status, words)
    }

    /// `doctor` finds nothing that keeps a question from being answered.
    pub(super) fn is_well(&self) {
        let report = doctor(self.rig.home.command(&binary("codex-oauth")).arg("doctor"));
        assert_ne!(report["status"], "fail", "{report}");
    }

    /// Runs the command with these arguments.
    pub(super) fn command(&self, args: &[&str]) -> Ran {
        run(self.rig.home.command(&binary("codex-oauth")).args(args))
    }

    /// Follows the step to sign in: `codex_login`, its link in a browser, `codex_status` until it is done.
    pub(super) fn sign_in(&self) {
        let mut shim = Shim::initialized(&self.rig.home);
        let text = text_of(&shim.request_tool("codex_login", &json!({})));
        let link = text.lines().find(|line| line.starts_with("http")).unwrap_or_else(|| panic!("{text}"));
        let page = self.rig.fake.authorize(link).unwrap();
        assert_eq!(page.status, 200, "{}", page.body);
        let status = shim.request_tool("codex_status", &json!({"wait_for_login": true}));
        assert!(text_of(&status).starts_with("signed in"), "{status}");
    }
}

/// The report of this `doctor`.
pub(super) fn doctor(command: &mut Command) -> Value {
    run(command.arg("--json")).json()
}

/// A check of a report, beside others that are bad.
pub(super) fn named_also(report: &Value, id: &str, status: &str, words: &[&str]) {
    let found = check(report, id);
    assert_eq!(found["status"], status, "{report}");
    let text = found.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{words:?} in {text}");
}

/// A check of a report. A failure must also be what is to be seen to first.
pub(super) fn named(report: &Value, id: &str, status: &str, words: &[&str]) {
    named_also(report, id, status, words);
    if status == "fail" {
        assert_eq!(report["first"], id, "{report}");
    }
}

/// A result that is an error with these words.
pub(super) fn says(result: &Value, words: &[&str]) {
    let text = text_of(result);
    assert_eq!(result["isError"], true, "{result}");
    assert!(words.iter().all(|word| text.contains(word)), "{words:?} in {text}");
}
