//! The catalogue of errors: what each code means and every way in which it is told. `docs/ERRORS.md` and
//! `codex-oauth explain CODE` are made of it.
//!
//! Promises: every code has an entry, or this does not compile; an error that is told in another way than its entry says
//! fails the daemon's tests ([`is_known`]).

use crate::{ErrorCode, NextStep, Origin, Retry, WireError};

/// One code.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What happened, in a sentence or two.
    pub meaning: &'static str,
    /// How it is usually told.
    pub usual: WireError,
    /// Where the circumstances call for another next step: when, and which.
    pub otherwise: Vec<(&'static str, NextStep)>,
    /// Every retry class that it comes with; the usual one first.
    pub retries: &'static [Retry],
}

impl Entry {
    /// Every next step, the usual one first.
    pub fn steps(&self) -> impl Iterator<Item = &NextStep> {
        self.usual.next_step.iter().chain(self.otherwise.iter().map(|(_, step)| step))
    }
}

/// Whether the catalogue has this way of telling the error: its next step and its retry class.
pub fn is_known(error: &WireError) -> bool {
    let entry = entry(error.code);
    let step = match &error.next_step {
        None => entry.usual.next_step.is_none(),
        Some(step) => entry.steps().any(|known| same(known, step)),
    };
    step && entry.retries.iter().any(|retry| same(retry, &error.retry))
}

/// What a retry class means to whoever thinks of sending the same again.
pub const fn retry_in_words(retry: Retry) -> &'static str {
    match retry {
        Retry::Never => "the same fails again until something else changes",
        Retry::Safe => "the same may be sent again: it was provably not carried out",
        Retry::After { .. } => "the same may be sent again after the time that is named",
        Retry::Unknown => "only a person can decide: it may have been carried out, and charged",
    }
}

/// The entry of `code`.
pub fn entry(code: ErrorCode) -> Entry {
    use ErrorCode as Code;
    use NextStep as Step;
    use Origin::{Caller, Daemon, Upstream};
    use Retry::{Never, Safe, Unknown};
    const LATER: Retry = Retry::After { seconds: 30 };
    let file = || Step::FixFile { path: "~/.claude/auth.json".to_owned() };
    let folder = || "~/.claude".to_owned();
    let full = || ("the disk is full", Step::FreeSpace { path: folder() });
    let closed = || ("a folder of yours may not be written", Step::MakeWritable { path: folder() });
    let address = |of: &str| Step::CheckAddress { name: format!("CODEX_OAUTH_{of}_URL") };
    let setting = |name: &str| Step::FixConfiguration { name: name.to_owned() };
    let entry = |meaning, origin, retries: &'static [Retry], message: &str, step, otherwise| Entry {
        meaning,
        usual: WireError {
            code,
            origin,
            retry: retries.first().copied().unwrap_or(Never),
            message: message.to_owned(),
            next_step: step,
            turn_id: None,
        },
        otherwise,
        retries,
    };
    match code {
        Code::NotLoggedIn => entry(
            "Nobody is signed in.",
            Daemon,
            &[Never],
            "Not authenticated: nobody is signed in to Codex",
            Some(Step::Login),
            vec![
                ("another account is signed in", Step::UseAccount { name: "NAME".to_owned() }),
                ("several others are", Step::ChooseAccount),
                ("the account uses the Codex CLI's login", Step::UseCodexCli),
            ],
        ),
        Code::LoginExpired => entry(
            "There was a login; it can no longer be used or renewed. The message says who ended it, where that is known.",
            Daemon,
            &[Never, Safe],
            "Token expired: could not renew the access token: the login was copied from another machine",
            Some(Step::Login),
            vec![("the login is borrowed from the Codex CLI", Step::UseCodexCli)],
        ),
        Code::AccountMismatch => entry(
            "Another account signed in while this was under way. What was begun with the first is not continued with the other.",
            Daemon,
            &[Safe],
            "could not go on as account `one`: account `other` has signed in meanwhile",
            Some(Step::Retry),
            vec![("another workspace was chosen while signing in", Step::OtherWorkspace)],
        ),
        Code::LoginElsewhere => entry(
            "The login belongs to another issuer, backend or workspace than the configured one, and is not sent anywhere.",
            Daemon,
            &[Never],
            "could not use the login: it belongs to the issuer `https://auth.openai.com`, and the configured one is \
             `https://issuer.example`",
            Some(Step::Login),
            vec![(
                "it is of another workspace than the configured ones",
                Step::Reconfigure { name: "CODEX_OAUTH_WORKSPACE".to_owned() },
            )],
        ),
        Code::CredentialFile => entry(
            "The credential file cannot be read or written as it is. It was left untouched.",
            Daemon,
            &[Never, Safe, LATER],
            "could not get an access token: the credential file `~/.claude/auth.json` keeps changing",
            Some(file()),
            vec![
                (
                    "what is in it cannot be understood: a login keeps it beside, as `auth.json.unreadable-…`",
                    Step::Login,
                ),
                full(),
                closed(),
                (
                    "its folder is not yours, or on a disk that is read-only",
                    Step::Reconfigure { name: "CODEX_OAUTH_AUTH_FILE".to_owned() },
                ),
            ],
        ),
        Code::OtherCredentialStore => entry(
            "The running daemon keeps the login in another file than this program expects.",
            Daemon,
            &[Never],
            "could not open a session: the running daemon keeps the login in `~/.claude/auth.json`, and this \
             program expects `~/other/auth.json`",
            Some(setting("CODEX_OAUTH_AUTH_FILE")),
            Vec::new(),
        ),
        Code::LoginFailed => entry(
            "A login was started and failed, or could not be started. A login from before stays in force.",
            Upstream,
            &[Safe, Never],
            "could not sign in: it was not finished in time",
            Some(Step::Login),
            vec![
                ("a proxy or a CA stands in the way", Step::Reconfigure { name: "HTTPS_PROXY".to_owned() }),
                ("this machine's clock is wrong", Step::SetClock),
                ("Cloudflare keeps this network out", Step::OtherNetwork),
                ("another address than OpenAI's is configured, and nothing answers there", address("ISSUER")),
                ("the issuer cannot be reached", Step::CheckNetwork),
            ],
        ),
        Code::AuthUnavailable => entry(
            "The issuer could not be reached or is in trouble. The login is intact.",
            Upstream,
            &[LATER, Safe, Never],
            "could not renew the access token: could not reach the issuer",
            Some(Step::RetryIn { seconds: 30 }),
            vec![
                ("the daemon was about to end", Step::Retry),
                ("a proxy or a CA stands in the way", Step::Reconfigure { name: "HTTPS_PROXY".to_owned() }),
                ("this machine's clock is wrong", Step::SetClock),
                ("Cloudflare keeps this network out", Step::OtherNetwork),
                ("another address than OpenAI's is configured, and nothing answers there", address("ISSUER")),
                ("the issuer cannot be reached", Step::CheckNetwork),
            ],
        ),
        Code::UpstreamUnreachable => entry(
            "The backend could not be reached. The question was provably not sent.",
            Upstream,
            &[Safe, Never],
            "could not connect to the Codex backend",
            Some(Step::CheckNetwork),
            vec![
                ("a proxy or a CA stands in the way", Step::Reconfigure { name: "HTTPS_PROXY".to_owned() }),
                ("this machine's clock is wrong", Step::SetClock),
                (
                    "another address than OpenAI's is configured, and nothing answers there",
                    address("BACKEND"),
                ),
            ],
        ),
        Code::RateLimited => entry(
            "Too many requests for the moment.",
            Upstream,
            &[LATER, Safe, Never, Unknown],
            "HTTP 429: rate limit exceeded",
            Some(Step::RetryIn { seconds: 30 }),
            vec![
                ("the backend names no time", Step::CheckPlan),
                ("the time is over", Step::Retry),
                ("a part of the answer had come", Step::AskAgain),
            ],
        ),
        Code::UsageLimitReached => entry(
            "The plan's usage limit is reached. Until it is lifted, questions fail at once and without a request.",
            Upstream,
            &[Never, LATER, Safe, Unknown],
            "the usage limit of the plus plan is reached",
            Some(Step::CheckPlan),
            Vec::new(),
        ),
        Code::UpstreamOverloaded => entry(
            "The backend is overloaded or failing. It was asked several times before this was said.",
            Upstream,
            &[Safe, LATER, Unknown, Never],
            "the selected model is at capacity",
            Some(Step::Retry),
            vec![
                ("the backend names a time", Step::RetryIn { seconds: 30 }),
                ("a part of the answer had come", Step::AskAgain),
                ("the same would fail again", Step::Rephrase),
            ],
        ),
        Code::UpstreamRejected => entry(
            "The backend refused this request and said why.",
            Upstream,
            &[Never, Safe, LATER, Unknown],
            "the ChatGPT plan does not include Codex",
            Some(Step::CheckPlan),
            vec![
                ("the workspace is deactivated", Step::OtherWorkspace),
                ("Cloudflare keeps this network out", Step::OtherNetwork),
                ("a proxy or a portal answered instead of the backend", Step::CheckNetwork),
                ("the question was refused for what it says", Step::Rephrase),
                ("an argument was refused", Step::FixArguments),
                ("the backend does not know what this build sends", Step::Upgrade),
                ("the backend failed and may not do so again", Step::Retry),
                ("the backend names a time", Step::RetryIn { seconds: 30 }),
                ("a part of the answer had come", Step::AskAgain),
            ],
        ),
        Code::ModelNotAvailable => entry(
            "The account has no model of that name.",
            Caller,
            &[Never],
            "could not use the model `gpt-5.5-max`: this account has none of that name; nearest: gpt-5.5",
            Some(Step::ListModels),
            vec![("the backend offers this account no model at all", Step::CheckPlan)],
        ),
        Code::PromptTooLong => entry(
            "The question does not fit the model.",
            Upstream,
            &[Never],
            "the conversation is too long for the model's context window",
            Some(Step::ShortenPrompt),
            Vec::new(),
        ),
        Code::StreamInterrupted => entry(
            "The answer began, or may have begun, and did not end. What had come of it is shown.",
            Upstream,
            &[Unknown, Never, Safe],
            "the stream was cut before it was complete (12 events, 4096 bytes)",
            Some(Step::AskAgain),
            vec![
                ("the answer was cut for what it says", Step::Rephrase),
                ("it was no question but a request that costs nothing", Step::Retry),
            ],
        ),
        Code::NoAnswer => entry(
            "The backend answered with nothing usable.",
            Upstream,
            &[Unknown, Never, Safe],
            "No response from Codex",
            Some(Step::AskAgain),
            vec![("a list of the backend cannot be read by this build", Step::Upgrade)],
        ),
        Code::OutcomeUnknown => entry(
            "The question was sent and its fate is unknown. It is never repeated by itself.",
            Daemon,
            &[Unknown],
            "could not get the answer: the daemon was lost after the question had been sent",
            Some(Step::AskAgain),
            vec![("the daemon hangs", Step::EndProcess { pid: 4711 })],
        ),
        Code::Overloaded => entry(
            "The daemon has as much to do as it takes on.",
            Daemon,
            &[Safe],
            "could not take this on: 64 turns are running, as many as the daemon takes at once",
            Some(Step::Retry),
            Vec::new(),
        ),
        Code::Draining => entry(
            "The daemon is going away; the next one takes it.",
            Daemon,
            &[Safe],
            "could not take this on: the daemon is shutting down",
            Some(Step::Retry),
            vec![("the one before holds the login for a moment more", Step::RetryIn { seconds: 30 })],
        ),
        Code::Cancelled => entry(
            "It was called off.",
            Caller,
            &[Never, Safe],
            "the question was called off",
            None,
            vec![("its client had gone before it began", Step::Retry)],
        ),
        Code::InvalidArguments => entry(
            "An argument is missing, unknown or of the wrong kind.",
            Caller,
            &[Never],
            "prompt is required, and it is empty",
            Some(Step::FixArguments),
            vec![
                ("the login that it is about has ended", Step::Login),
                ("it comes too early", Step::Retry),
                ("no account is called so", Step::ChooseAccount),
                ("the account uses the Codex CLI's login", Step::UseCodexCli),
                ("the daemon is of another version", Step::Upgrade),
            ],
        ),
        Code::MethodNotFound => entry(
            "The daemon does not know the method that a program called.",
            Caller,
            &[Never],
            "could not find the method `thread/start`",
            None,
            Vec::new(),
        ),
        Code::LineTooLong => entry(
            "A line of the socket, or of an MCP client, is over the cap of 8 MiB.",
            Caller,
            &[Never, Unknown],
            "could not read a request: it is longer than 8388608 bytes",
            None,
            vec![("it is an MCP client's", Step::ShortenPrompt)],
        ),
        Code::Malformed => entry(
            "A line of the socket is not what `docs/SOCKET_API.md` says.",
            Caller,
            &[Never, Unknown],
            "could not read a request: not JSON-RPC (column 7)",
            None,
            vec![("the daemon is of another version", Step::Upgrade)],
        ),
        Code::UnsupportedVersion => entry(
            "Program and daemon have no version of the conversation in common.",
            Caller,
            &[Never],
            "could not open a session: client 9.0.0 and daemon 0.1.0 have no protocol version in common (the \
             daemon is older)",
            Some(Step::Upgrade),
            Vec::new(),
        ),
        Code::DaemonUnavailable => entry(
            "No daemon is there, and none could be started.",
            Daemon,
            &[Safe, Unknown, Never],
            "could not start the daemon: it ended before it was ready",
            Some(Step::ReadLog { path: "~/.local/state/codex-oauth/daemon.log".to_owned() }),
            vec![
                ("it has no log", Step::RunDaemon),
                ("`CODEX_OAUTH_NO_SPAWN=1` forbids to start one", Step::AllowSpawn),
                ("its folder or its program is not what it should be", setting("CODEX_OAUTH_DAEMON")),
                ("something else lies where its socket should", file()),
                full(),
                closed(),
                ("others may enter the folder of its socket", Step::Mend),
                ("another program listens at its socket, or it hangs", Step::EndProcess { pid: 4711 }),
                ("another start is under way, or the connection was lost", Step::Retry),
                ("the daemon that runs has lost its socket", Step::RetryIn { seconds: 60 }),
                ("it is of another version", Step::Upgrade),
                ("a service manager listens in its place", Step::UseService),
            ],
        ),
        Code::Configuration => entry(
            "A setting cannot be used.",
            Daemon,
            &[Never],
            "could not use CODEX_OAUTH_BACKEND_URL: not an https URL",
            Some(setting("CODEX_OAUTH_BACKEND_URL")),
            vec![
                ("the setting is in a file", Step::FixFile { path: "config.toml".to_owned() }),
                full(),
                closed(),
                ("others may enter a folder of ours", Step::Mend),
                ("the system has no service manager for this user", Step::NoService),
            ],
        ),
        Code::Internal => entry(
            "A fault of codex-oauth itself. The log has it.",
            Daemon,
            &[Unknown, Safe, Never],
            "could not encode an answer: a fault of the daemon",
            Some(Step::Retry),
            vec![
                ("a file could not be written", Step::FixArguments),
                ("the daemon's database cannot be used", Step::Mend),
            ],
        ),
        Code::Unknown => entry(
            "A failure that this build does not know: the daemon is newer.",
            Daemon,
            &[Unknown],
            "could not tell how it ended: the daemon is of a newer version",
            Some(Step::Upgrade),
            Vec::new(),
        ),
    }
}

/// Whether both are the same word, whatever they say besides.
fn same<T>(one: &T, other: &T) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_told_in_a_way_that_its_entry_knows() {
        for code in ErrorCode::ALL {
            let entry = entry(*code);
            assert!(is_known(&entry.usual), "{code:?}");
            assert!(entry.meaning.ends_with('.') && !entry.usual.message.ends_with('.'), "{code:?}");
            let mut steps: Vec<_> = entry.steps().map(std::mem::discriminant).collect();
            let told = steps.len();
            steps.dedup();
            assert_eq!(steps.len(), told, "{code:?} names a step twice");
        }
    }

    #[test]
    fn every_code_has_a_registered_http_status_that_fits_whose_doing_it_is() {
        // RFC 9110 §15.5 and §15.6, without 407 and 417, which are about other parts of a message, and 418.
        const REGISTERED: [u16; 24] = [
            400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 411, 412, 413, 414, 415, 416, 421, 422, 426,
            500, 501, 502, 503, 504,
        ];
        // RFC 6585 §4.
        const TOO_MANY: u16 = 429;
        for code in ErrorCode::ALL {
            let (status, usual) = (code.http_status(), entry(*code).usual);
            assert!(REGISTERED.contains(&status) || status == TOO_MANY, "{code:?}: {status}");
            let may_wait = [TOO_MANY, 503].contains(&status);
            let is_told = matches!(usual.retry, Retry::After { .. });
            assert!(may_wait || !is_told, "{code:?}: Retry-After goes with 429 and 503, not {status}");
            // Who speaks another version of the socket is the program that serves HTTP, not its client.
            let is_callers = usual.origin == Origin::Caller && *code != ErrorCode::UnsupportedVersion;
            assert!(!is_callers || status < 500, "{code:?}: {status} blames the daemon");
            // An SDK sends again what ended with one of these; the daemon never has it sent again by itself.
            let by_itself = [408, 409].contains(&status);
            assert!(!by_itself || usual.retry == Retry::Safe, "{code:?}: {status} would be sent again");
            let json = serde_json::to_value(&usual).unwrap();
            assert_eq!(json["http_status"], status);
            assert_eq!(serde_json::from_value::<WireError>(json).unwrap(), usual);
        }
    }

    #[test]
    fn another_step_or_retry_class_is_not_known() {
        let usual = entry(ErrorCode::NotLoggedIn).usual;
        assert!(!is_known(&WireError { retry: Retry::Unknown, ..usual.clone() }));
        assert!(!is_known(&usual.clone().next(NextStep::ListModels)));
        assert!(!is_known(&WireError { next_step: None, ..usual }));
    }
}
