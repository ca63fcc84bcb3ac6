//! `codex-oauth test`: everything once, from the login to an answer of one word, each step timed and explained.
//!
//! The first step that fails is the last one: its error says why, and the one next step.

mod demo;

use std::time::{Duration, Instant};

use codex_oauth_proto::api::account::{
    Check, CheckResult, LoginStatus, OfAccount, Read, ReadParams, ReadResult,
};
use codex_oauth_proto::api::model;
use codex_oauth_proto::api::trace::{self, Trace};
use codex_oauth_proto::api::turn::{COMPLETED, Completed, InputItem, Start, StartParams};
use codex_oauth_proto::people::status::person;
use codex_oauth_proto::people::words;
use codex_oauth_proto::{Client, ErrorCode, NextStep, Retry, Waited, WireError};

use crate::args::TestArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// What is asked.
const QUESTION: &str = "Answer with one word and nothing else: pong";

/// How long the answer of one word may take. What a plan's slowest model needs is a minute or two.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// Of an answer that is longer than it should be.
const SHOWN_CHARS: usize = 40;

/// Walks all steps.
pub(crate) fn run(context: &mut Context, args: TestArgs) -> Result<Exit, Failure> {
    if args.demo {
        return demo::run(context);
    }
    let mut steps = Steps { context, began: Instant::now() };
    let client = steps.begin()?;
    steps.walk(client, args.account)
}

/// The steps, told one after the other.
struct Steps<'a> {
    context: &'a mut Context,
    /// When the step that runs began.
    began: Instant,
}

impl Steps<'_> {
    /// The daemon.
    fn begin(&mut self) -> Result<Client, Failure> {
        self.began = Instant::now();
        let connected = self.context.connect();
        let client = self.wire("daemon", connected)?;
        let welcome = client.welcome();
        let what = format!("codex-oauthd {}, process {}", welcome.build, welcome.pid);
        self.ok("daemon", None, &what)?;
        Ok(client)
    }

    /// From the login to the answer.
    fn walk(&mut self, mut client: Client, account: Option<String>) -> Result<Exit, Failure> {
        let params = ReadParams { probe: false, account: account.clone() };
        let login = client
            .call::<Read>(&params)
            .map_err(Failure::from)
            .and_then(|login| signed_in(&login).map(|()| login));
        let login = self.wire("login", login)?;
        self.ok("login", None, &person(login.account.as_ref()))?;
        let whose = OfAccount { account: account.clone() };
        let checked = client.call::<Check>(&whose).map_err(Failure::from);
        let checked = self.wire("token", checked)?;
        self.token(&checked, login.expires_at)?;
        let listed = client.call::<model::List>(&whose).map_err(Failure::from);
        let list = self.wire("models", listed)?;
        let default = list.default.as_deref().unwrap_or("none");
        self.ok("models", None, &format!("{}, the default is {default}", list.models.len()))?;
        self.context.output.progress("asking for one word")?;
        let asked = ask(&mut client, account);
        let completed = self.wire("question", asked)?;
        let answer: String = completed.answer.unwrap_or_default().trim().chars().take(SHOWN_CHARS).collect();
        self.ok("question", Some(completed.duration_ms), &format!("\"{answer}\""))?;
        let params = trace::ListParams { turn_id: Some(completed.turn_id), limit: Some(1) };
        let traces = client.call::<trace::List>(&params)?.traces;
        if let Some(trace) = traces.first() {
            self.more(&phases(trace))?;
        }
        if let Some(summary) = completed.summary {
            self.more(&summary)?;
        }
        self.context.output.line("all of it works")?;
        Ok(Exit::Success)
    }

    /// Two steps that one call of the daemon makes: the token, and what is asked with it.
    fn token(&mut self, checked: &CheckResult, expires_at: Option<u64>) -> Result<(), Failure> {
        let Some(check_ms) = checked.check_ms else {
            let error = checked.error.clone().unwrap_or_else(|| untold("get an access token"));
            return self.wire("token", Err(error.into()));
        };
        let left = expires_at.and_then(|at| words::until(at, words::unix_now()));
        let valid = left.map_or_else(|| "it was renewed".to_owned(), |left| format!("valid for {left}"));
        self.ok("token", Some(checked.token_ms), &valid)?;
        if let Some(error) = checked.error.clone() {
            return self.wire("accounts/check", Err(error.into()));
        }
        let to = checked.origin.as_deref().unwrap_or("the configured backend");
        self.ok("accounts/check", Some(check_ms), &format!("questions go to {to}"))
    }

    /// Tells of a step that went well. `took_ms`: as the daemon measured it.
    fn ok(&mut self, step: &str, took_ms: Option<u64>, what: &str) -> Result<(), Failure> {
        let took = took_ms.map_or_else(|| self.began.elapsed(), Duration::from_millis);
        self.context.output.line(&format!("ok    {step:15} {:>8}  {what}", time(took)))?;
        self.began = Instant::now();
        Ok(())
    }

    /// A line below a step.
    fn more(&mut self, what: &str) -> Result<(), Failure> {
        Ok(self.context.output.line(&format!("{:6}{what}", ""))?)
    }

    /// What the step gave; a failure is told before it goes on its way.
    fn wire<T>(&mut self, step: &str, result: Result<T, Failure>) -> Result<T, Failure> {
        if let Err(Failure::Wire(_)) = &result {
            let took = time(self.began.elapsed());
            self.context.output.line(&format!("FAIL  {step:15} {took:>8}"))?;
        }
        result
    }
}

fn signed_in(login: &ReadResult) -> Result<(), Failure> {
    let error = |code, message: &str| {
        Err(WireError::daemon(code, Retry::Never, message).next(NextStep::Login).into())
    };
    let note = login.note.as_deref();
    match login.status {
        LoginStatus::NotAuthenticated => {
            error(ErrorCode::NotLoggedIn, "Not authenticated: nobody is signed in to Codex")
        }
        LoginStatus::Expired => error(ErrorCode::LoginExpired, note.unwrap_or("Token expired")),
        LoginStatus::Unreadable | LoginStatus::Unknown => {
            let message = note.unwrap_or("could not use the stored login");
            let step = NextStep::FixFile { path: login.credential_file.clone() };
            Err(WireError::daemon(ErrorCode::CredentialFile, Retry::Never, message).next(step).into())
        }
        LoginStatus::Authenticated | LoginStatus::NeedsRefresh => Ok(()),
    }
}

/// Asks, and waits for the end.
fn ask(client: &mut Client, account: Option<String>) -> Result<Completed, Failure> {
    let input = vec![InputItem::Text { text: QUESTION.to_owned() }];
    let started = client.call::<Start>(&StartParams { input, account, ..StartParams::default() })?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match client.wait(Some(deadline), None)? {
            Waited::Notification(incoming) if incoming.method == COMPLETED => {
                let completed: Completed = incoming.read()?;
                if completed.turn_id == started.turn_id {
                    return match completed.error {
                        Some(error) => Err(error.into()),
                        None => Ok(completed),
                    };
                }
            }
            Waited::Notification(_) | Waited::Woken | Waited::Alive => {}
            Waited::TimedOut => {
                let minutes = PATIENCE.as_secs() / 60;
                let message = format!("could not get an answer of one word within {minutes} min");
                let error = WireError::daemon(ErrorCode::OutcomeUnknown, Retry::Unknown, message);
                return Err(error.next(NextStep::AskAgain).into());
            }
        }
    }
}

/// Where the time of the question went.
fn phases(trace: &Trace) -> String {
    let after = |at: Option<u64>| at.map_or_else(|| "-".to_owned(), |ms| time(Duration::from_millis(ms)));
    let connected = trace.attempts.iter().find_map(|attempt| attempt.connect_ms);
    let connected = connected.map_or_else(String::new, |ms| format!("connected in {}, ", after(Some(ms))));
    let (byte, word) = (after(trace.phases.first_byte_ms), after(trace.phases.first_token_ms));
    format!("{connected}first byte {byte}, first word {word}")
}

fn untold(what: &str) -> WireError {
    WireError::daemon(
        ErrorCode::Internal,
        Retry::Unknown,
        format!("could not {what}: the daemon does not say why"),
    )
    .next(NextStep::Retry)
}

/// `12 ms`, `1.9 s`.
fn time(took: Duration) -> String {
    if took.as_secs() == 0 { format!("{} ms", took.as_millis()) } else { words::duration(took) }
}
