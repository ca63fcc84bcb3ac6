//! Pains with the login.

use std::net::TcpListener;
use std::process::Stdio;

use codex_oauth_rig::{Shim, binary, text_of};
use fake_openai::{Effect, Endpoint, Identity, RefreshError, Script};
use serde_json::{Value, json};

use super::house::House;
use crate::rig::Running;

/// The step after a login that has ended.
const SIGN_IN: &str = "next: run /codex-oauth:codex-config";

pub(super) fn a_refresh_token_that_another_program_spent() {
    let house = House::signed_in();
    house.rig.fake.invalidate_access_tokens();
    let reused = Effect::refresh_refused(401, RefreshError::Reused);
    house.rig.fake.script(Script::always(Endpoint::Refresh, reused));
    house.fails(&["Token expired", "refresh_token_reused", SIGN_IN]);
    let report = house.doctor_names("login", "fail", &["refresh_token_reused", "codex-oauth login"]);
    super::house::named(&report, "history", "warn", &["refused", "codex-oauth account history"]);
    assert!(house.command(&["account", "history"]).stdout.contains("refused"));
    house.sign_in();
    house.answers();
    house.is_well();
}

pub(super) fn a_login_that_was_revoked() {
    let house = House::signed_in();
    house.rig.fake.revoke_everything();
    house.fails(&["Token expired", SIGN_IN]);
    house.doctor_names("login", "fail", &["has ended", "codex-oauth login"]);
    // The token itself would have days to live.
    let ended = house.command(&["status"]);
    let tool = text_of(&house.tool("codex_status", &json!({})));
    for (page, step) in [(&ended.stdout, "`codex-oauth login`"), (&tool, "/codex-oauth:codex-config")] {
        assert!(page.starts_with("login ended  ada@example.com (Plus) · refused by OpenAI "), "{page}");
        assert!(page.contains(step) && !page.contains("signed in") && !page.contains("· token"), "{page}");
    }
    assert_eq!(ended.code(), 3);
    let read = house.command(&["status", "--json"]).json();
    assert!(read["account"]["status"] == "expired" && read["account"]["refusedAt"].is_u64(), "{read}");
    house.sign_in();
    let status = house.command(&["status"]);
    assert!(status.stdout.starts_with("signed in  ada@example.com (Plus) · token "), "{}", status.stdout);
    house.answers();
    house.is_well();
}

/// The code in `… and enter the code FAKE-1234`.
fn code_in(text: &str) -> String {
    let after = text.split("enter the code ").nth(1).unwrap_or_else(|| panic!("no code in {text}"));
    after.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect()
}

pub(super) fn a_machine_without_a_browser() {
    let house = House::signed_out();
    house.doctor_names("login", "fail", &["nobody is signed in", "codex-oauth login"]);
    let ssh = [("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22")];
    let mut shim = Shim::of(&house.rig.home, &binary("codex-oauth-mcp"), &ssh);
    shim.initialize();
    let text = text_of(&shim.request_tool("codex_login", &json!({})));
    assert!(text.contains("in a browser anywhere"), "{text}");
    assert!(house.rig.fake.approve_device(&code_in(&text), Identity::default()));
    let status = text_of(&shim.request_tool("codex_status", &json!({"wait_for_login": true})));
    assert!(status.starts_with("signed in"), "{status}");
    house.answers();
    house.is_well();
}

pub(super) fn ports_that_another_program_has() {
    let squatter: Vec<TcpListener> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let ports: Vec<String> =
        squatter.iter().map(|port| port.local_addr().unwrap().port().to_string()).collect();
    let house = House::signed_out()
        .with_home(|home| home.set("CODEX_OAUTH_CALLBACK_PORTS", &ports.join(",")))
        .starts_a_daemon();
    let us = format!("({})", std::process::id());
    house.doctor_names("callback", "warn", &["taken by", &us, "codex-oauth login --device"]);
    let text = text_of(&house.tool("codex_login", &json!({})));
    assert!(text.contains("The browser cannot come back here") && text.contains("login --paste"), "{text}");
    // A login that waits has no port either.
    house.doctor_names("callback", "warn", &["taken by", &us, "login --device", "--paste"]);
    let mut command = house.rig.home.command(&binary("codex-oauth"));
    let device = command.args(["login", "--device"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = Running::start(device);
    house.rig.fake.wait_for_request(Endpoint::DevicePoll, 1).unwrap();
    let status = text_of(&house.tool("codex_status", &json!({})));
    assert!(house.rig.fake.approve_device(&code_in(&status), Identity::default()));
    assert_eq!(running.finish().code(), 0);
    house.answers();
}

pub(super) fn a_workspace_that_is_not_allowed() {
    let own = Identity::default().account_id;
    let house =
        House::signed_out().with_home(|home| home.set("CODEX_OAUTH_WORKSPACE", &own)).starts_a_daemon();
    let other =
        Identity { account_id: "99999999-2222-4333-8444-555555555555".to_owned(), ..Identity::default() };
    house.rig.fake.configure(|behaviour| behaviour.identity = other);
    let mut shim = Shim::initialized(&house.rig.home);
    let text = text_of(&shim.request_tool("codex_login", &json!({})));
    let link = text.lines().find(|line| line.starts_with("http")).unwrap();
    house.rig.fake.authorize(link).unwrap();
    house.fails(&["nobody is signed in", SIGN_IN]);
    house.doctor_names("login", "fail", &["nobody is signed in"]);
    house.rig.fake.configure(|behaviour| behaviour.identity = Identity::default());
    house.sign_in();
    house.answers();
    house.is_well();
}

pub(super) fn a_workspace_that_was_closed() {
    let house = House::signed_in();
    for endpoint in [Endpoint::Responses, Endpoint::Usage] {
        house.rig.fake.script(Script::always(endpoint, Effect::deactivated_workspace()));
    }
    house.fails(&["the workspace is deactivated", SIGN_IN, "choose another workspace"]);
    let words = ["the workspace is deactivated", "run `codex-oauth login`, and choose another workspace"];
    house.doctor_names("login", "fail", &words);
    // In another workspace nothing is refused.
    house.rig.fake.clear_scripts();
    let other =
        Identity { account_id: "99999999-2222-4333-8444-555555555555".to_owned(), ..Identity::default() };
    house.rig.fake.configure(|behaviour| behaviour.identity = other);
    house.sign_in();
    house.answers();
    house.is_well();
}

pub(super) fn device_codes_that_are_switched_off() {
    let house = House::signed_out();
    house.rig.fake.configure(|behaviour| behaviour.device_enabled = false);
    let ssh = [("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22")];
    let text = text_of(&house.tool_with(&ssh, "codex_login", &json!({})));
    assert!(text.contains("No device code: "), "{text}");
    house.doctor_names("login", "fail", &["nobody is signed in"]);
    house.sign_in();
    house.answers();
    house.is_well();
}

pub(super) fn a_credential_file_that_is_torn() {
    let house = House::signed_in();
    let file = house.rig.home.auth_file();
    write(&file, "{ torn");
    let path = file.display().to_string();
    house.fails(&["could not", &path, SIGN_IN]);
    let status = text_of(&house.tool("codex_status", &json!({})));
    assert!(status.contains("next       run /codex-oauth:codex-config"), "{status}");
    let kept = format!("{path}.unreadable-");
    let words = ["cannot be understood", "line 1, column 3", "codex-oauth login", &kept];
    let report = house.doctor_names("credentials", "fail", &words);
    super::house::named_also(&report, "login", "fail", &[&path, "codex-oauth login"]);
    assert!(!report.to_string().contains("torn"), "nothing of the file is shown: {report}");
    house.sign_in();
    house.answers();
    house.is_well();
    let folder = std::fs::read_dir(file.parent().unwrap()).unwrap();
    let kept: Vec<_> = folder
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.display().to_string().starts_with(&kept))
        .collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(std::fs::read_to_string(&kept[0]).unwrap(), "{ torn");
}

pub(super) fn a_login_that_cannot_be_renewed_any_more() {
    // A copy of another machine's file, whose access token is still good.
    let house = House::signed_in().with_home(|home| home);
    of_another_machine(&house);
    let house = house.starts_a_daemon();
    house.answers();
    let status = text_of(&house.tool("codex_status", &json!({})));
    let words =
        ["signed in", "cannot be renewed: ", "another machine", "next       run /codex-oauth:codex-config"];
    assert!(words.iter().all(|word| status.contains(word)), "{status}");
    let shown = house.command(&["status"]).stdout;
    assert!(shown.ends_with("next       run `codex-oauth login`\n"), "{shown}");
    house.doctor_names("login", "warn", &["not for long", "another machine", "run `codex-oauth login`"]);
    house.sign_in();
    let status = text_of(&house.tool("codex_status", &json!({})));
    assert!(!status.contains("next "), "{status}");
    house.doctor_names("login", "ok", &[]);
}

/// Makes the login one that was copied from another machine; no daemon may run.
fn of_another_machine(house: &House) {
    let file = house.rig.home.auth_file();
    let mut record: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    record["openai_codex"]["grant"]["machine"] = json!("0123456789abcdef");
    write(&file, &record.to_string());
    #[expect(
        clippy::disallowed_methods,
        reason = "it did not come along: a copy of the file is what was carried over"
    )]
    std::fs::remove_file(file.with_file_name(".auth.json.copy")).unwrap();
}

pub(super) fn a_login_of_another_machine() {
    let house = House::signed_in().with_home(|home| home);
    of_another_machine(&house);
    // So that it has to be renewed, which only the machine that it belongs to may do.
    house.rig.fake.invalidate_access_tokens();
    let house = house.starts_a_daemon();
    house.fails(&["another machine", SIGN_IN]);
    house.doctor_names("login", "fail", &["codex-oauth login"]);
    house.sign_in();
    house.answers();
    house.is_well();
}

fn write(file: &std::path::Path, text: &str) {
    use std::io::Write as _;
    std::fs::File::create(file).unwrap().write_all(text.as_bytes()).unwrap();
}
