//! `CODEX_DEBUG=1`: what the shim says on its standard error, and the log for that session alone.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;

use codex_oauth_rig::{Home, Rig, Shim, binary, eventually, text_of};
use fake_openai::{Effect, Endpoint};
use serde_json::json;

use crate::support::end_token;

/// What the original prints when a question goes well, in its order.
const SUCCESS: [&str; 4] = [
    "[CODEX] Sending query to Codex",
    "[HTTP] Making POST request",
    "[HTTP] Response status: 200",
    "[CODEX] Extracted content from message: 250 chars",
];

/// A text that is in the prompts, and so in the answers.
const PROMPT: &str = "CANARY-prompt-51c0";

/// A text that is in the system prompts.
const INSTRUCTIONS: &str = "CANARY-instructions-8ae3";

/// A shim that was asked for debug lines.
struct Debugged {
    shim: Shim,
    stderr: PathBuf,
}

impl Debugged {
    fn new(home: &Home, name: &str) -> Self {
        let stderr = home.path().join(name);
        let mut command = home.command(&binary("codex-oauth-mcp"));
        command.env("CODEX_DEBUG", "1");
        let mut shim = Shim::start_with_stderr(command, File::create(&stderr).unwrap());
        shim.initialize();
        Self { shim, stderr }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap()
    }

    /// Waits until it has said these whole lines, in this order.
    fn says(&self, lines: &[&str]) {
        let all = || {
            let said = self.said();
            let mut told = said.lines();
            lines.iter().all(|line| told.any(|found| found == *line))
        };
        eventually(&format!("{lines:?}, in this order: {}", self.said()), all);
    }
}

/// The debug lines of a log.
fn tagged(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("codex_oauthd::debug: [")).collect()
}

#[test]
fn a_question_that_goes_well_says_what_it_says_in_the_original() {
    let rig = Rig::new();
    let daemon = rig.signed_in();
    let mut debugged = Debugged::new(&rig.home, "stderr");
    let mut silent = Shim::initialized(&rig.home);
    rig.fake.next(Endpoint::Responses, Effect::chat_completion(&"x".repeat(250)));
    debugged.shim.request_tool("codex_query", &json!({"prompt": "250 chars, please"}));
    debugged.says(&SUCCESS);
    debugged.says(&["[MCP] Request 2: codex_query"]);
    let said = debugged.said();
    let detail =
        |start: &str| said.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{said}"));
    assert!(detail("[HTTP]   after ").contains("request id "), "{said}");
    assert!(detail("[IPC] Connected to daemon ").contains(&format!("process {}", daemon.pid())), "{said}");
    assert!(detail("[TOKEN] Access token ready, good for ").ends_with(" s"), "{said}");
    assert!(said.lines().all(|line| line.starts_with('[')), "{said}");
    // The log has what the daemon said, for that session only.
    silent.request_tool("codex_query", &json!({"prompt": "in silence"}));
    eventually("the log has it", || daemon.log().contains("codex_query answered after "));
    let log = daemon.log();
    let lines = tagged(&log);
    for line in SUCCESS {
        assert!(
            lines.iter().any(|found| found.contains(&format!(": {line} session="))),
            "{line}: {lines:#?}"
        );
    }
    let sessions: BTreeSet<_> =
        lines.iter().filter_map(|line| line.rsplit_once(" session=")).map(|(_, n)| n).collect();
    assert_eq!(sessions.len(), 1, "{lines:#?}");
}

#[test]
fn each_failure_says_what_it_says_in_the_original() {
    let rig = Rig::new().limits(&[("turn_retries", 0)]);
    let _daemon = rig.signed_in();
    for (number, (effect, line)) in [
        (Effect::token_invalidated(), "[HTTP] HTTP error: 401 (missing/invalid token)"),
        (Effect::forbidden("FAKE detail"), "[HTTP] HTTP error: 403 (account not authorized)"),
        (Effect::too_many_requests(None), "[HTTP] HTTP error: 429 (rate limited)"),
        (Effect::junk(), "[CODEX] No response from Codex (parse error)"),
        (Effect::empty_answer(), "[CODEX] No response from Codex (parse error)"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut debugged = Debugged::new(&rig.home, &format!("stderr-{number}"));
        rig.fake.next(Endpoint::Responses, effect);
        debugged.shim.request_tool("codex_query", &json!({"prompt": "fail"}));
        debugged.says(&["[CODEX] Sending query to Codex", line]);
    }
}

#[test]
fn a_renewal_of_the_login_is_told_to_the_session_that_waits_for_it() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    let mut debugged = Debugged::new(&rig.home, "stderr");
    // Of an end that it knows the daemon may take care before it is asked, and tells nobody.
    rig.fake.expire_access_tokens();
    debugged.shim.request_tool("codex_query", &json!({"prompt": "renew"}));
    eventually("it is told", || debugged.said().contains("[TOKEN] Refreshing the access token: "));
    let said = debugged.said();
    assert!(said.contains("/oauth/token, "), "{said}");
}

#[test]
fn no_secret_and_no_word_of_anybodys_is_in_a_debug_line() {
    let rig = Rig::new().limits(&[("backoff_first_ms", 1), ("turn_retries", 1)]);
    let daemon = rig.signed_in();
    let mut debugged = Debugged::new(&rig.home, "stderr");
    let question = json!({"prompt": PROMPT, "system_prompt": INSTRUCTIONS});
    let answer = debugged.shim.request_tool("codex_query", &question);
    assert!(text_of(&answer).contains(PROMPT), "{answer}");
    let quoted = format!("FAKE {PROMPT} quoted");
    for effect in [
        Effect::bad_request(&quoted),
        Effect::forbidden(&quoted),
        Effect::invalid_prompt(&quoted),
        Effect::server_error(&quoted),
        Effect::cut_after(3),
        Effect::junk(),
        Effect::token_invalidated(),
    ] {
        rig.fake.next(Endpoint::Responses, effect);
        debugged.shim.request_tool("codex_query", &question);
    }
    end_token(&rig, -60);
    rig.fake.next(Endpoint::Refresh, Effect::internal_error());
    debugged.shim.request_tool("codex_query", &question);
    debugged.shim.request_tool("codex_query", &json!({"prompt": PROMPT, "model": PROMPT}));
    debugged.shim.request_tool("codex_query", &json!({"prompt": PROMPT, "effort": INSTRUCTIONS}));
    debugged.shim.call(&json!("other"), PROMPT, &json!({PROMPT: INSTRUCTIONS}));
    debugged.shim.answer(&json!("other"));
    for tool in ["codex_models", "codex_status", "codex_login", "codex_clear"] {
        debugged.shim.request_tool(tool, &json!({}));
    }
    debugged.says(&["[MCP] Request 17: codex_clear"]);
    eventually("the log has it", || daemon.log().contains("codex_clear answered after "));
    let (said, log) = (debugged.said(), daemon.log());
    let lines = tagged(&log).join("\n");
    assert!(lines.matches("[HTTP] Making ").count() > 10, "there is something to look at: {lines}");
    let mut forbidden = vec![PROMPT.to_owned(), INSTRUCTIONS.to_owned(), "@".to_owned()];
    let secrets = rig.fake.secrets_seen();
    assert!(secrets.len() > 5);
    // The claims of a token, since its header and signature are those of all.
    forbidden.extend(secrets.iter().map(|secret| secret.split('.').nth(1).unwrap_or(secret).to_owned()));
    for secret in forbidden {
        for (place, text) in [("standard error", &said), ("log", &lines)] {
            assert!(!text.contains(&secret), "`{secret}` is in the {place}: {text}");
        }
    }
}

#[test]
fn a_client_that_does_not_read_standard_error_gets_its_answers_and_the_count_of_what_it_missed() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    let (reader, mut writer) = std::io::pipe().unwrap();
    // As much as a pipe holds.
    writer.write_all("[--------------\n".repeat(4_096).as_bytes()).unwrap();
    let mut command = rig.home.command(&binary("codex-oauth-mcp"));
    command.env("CODEX_DEBUG", "1");
    let mut shim = Shim::start_with_stderr(command, writer);
    shim.initialize();
    for _ in 0..20 {
        let result = shim.request_tool("codex_query", &json!({"prompt": "unread"}));
        assert!(text_of(&result).contains("unread"), "{result}");
    }
    let (send, lines) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        for line in std::io::BufReader::new(reader).lines() {
            send.send(line.unwrap()).unwrap();
        }
    });
    let mut said = Vec::new();
    eventually("what was lost is told", || {
        shim.request_tool("codex_status", &json!({}));
        said.extend(lines.try_iter());
        said.iter().any(|line| line.ends_with(" debug lines were lost"))
    });
    assert!(said.iter().all(|line| line.starts_with('[')), "whole lines only: {said:#?}");
    drop(shim);
    reading.join().unwrap();
}
