//! `codex-oauth login`: the ways to sign in, the wait, and who it was.
//!
//! With `--no-browser` the link is all that standard output gets, so that another program can take it from there. What is
//! pasted is not echoed, and goes to the daemon and nowhere else.

mod cancel;
mod paste;
mod show;

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use codex_oauth_proto::api::account::{
    LOGIN_COMPLETED, LOGIN_UPDATED, LoginCancel, LoginCancelParams, LoginCompleted, LoginPaste,
    LoginPasteParams, LoginStart, LoginStartParams, LoginStartResult, LoginStatus, LoginUpdated, Pasted,
    Place, Read, ReadParams, ReadResult,
};
use codex_oauth_proto::local::AsSource as _;
use codex_oauth_proto::people::{login as people, status::identity, words};
use codex_oauth_proto::{Asked, Client, ErrorCode, Heard, NextStep, Retry, Waited, WireError};

use self::paste::Prompt;
use crate::args::LoginArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// After the login's own end: time for the daemon to say so itself.
const GRACE: Duration = Duration::from_secs(15);

/// No login is waited for longer, whatever end the daemon names for it. It gives a login minutes.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// A login that is waited for.
struct Waiting<'a> {
    context: &'a mut Context,
    client: Client,
    interrupt: Interrupt,
    login: LoginStartResult,
    /// Once a text has been asked for.
    prompt: Option<Prompt>,
    /// A paste on its way.
    asked: Option<Asked>,
}

/// Signs in. Ctrl-C calls the login off unless it was waiting before this command joined it.
pub(crate) fn run(context: &mut Context, args: LoginArgs) -> Result<Exit, Failure> {
    if args.cancel {
        return cancel::run(context, args.account.as_deref());
    }
    let terminal = io::stdin().is_terminal() && context.output.stderr_is_terminal();
    if args.paste && !terminal {
        let message = "could not take what is pasted: standard input and standard error must be a terminal";
        return Err(WireError::caller(ErrorCode::InvalidArguments, message)
            .next(NextStep::FixArguments)
            .into());
    }
    let mut client = context.connect()?;
    let before = read(&mut client, args.account.as_deref())?;
    let quiet = args.no_browser || context.env.is_on("CODEX_OAUTH_NO_BROWSER") && !args.device && !args.paste;
    let open_browser = !quiet && !args.device && !args.paste;
    let device = if args.device { Some(true) } else { None };
    let named = args.account.clone();
    // First the watch: a Ctrl-C while the login is being begun must not leave it behind.
    let interrupt = Interrupt::watch()?;
    let params = LoginStartParams { open_browser, device, account: args.account };
    let login = match client.call::<LoginStart>(&params) {
        // Whoever has given up has no use for the reason.
        Err(_) if interrupt.happened() => {
            context.output.say_interrupted("login called off")?;
            interrupt.end_as_told();
            return Ok(Exit::Interrupted);
        }
        begun => begun?,
    };
    let joined = before.pending_login.is_some_and(|pending| pending.login_id == login.login_id);
    let elsewhere = matches!(login.place, Place::Ssh | Place::Container | Place::Headless);
    let pasting =
        args.paste || cfg!(unix) && terminal && !quiet && (elsewhere || login.redirect_port.is_none());
    let mut waiting = Waiting { context, client, interrupt, login, prompt: None, asked: None };
    let ended = if waiting.interrupt.happened() {
        Ok(None)
    } else {
        if quiet {
            show::link_alone(&mut waiting.context.output, &waiting.login)?;
        } else {
            show::ways(&mut waiting.context.output, &waiting.login, open_browser, pasting)?;
        }
        if pasting {
            waiting.prompt()?;
        }
        waiting.end()
    };
    // The terminal is as it was before, whatever is said last.
    waiting.prompt = None;
    let Waiting { context, mut client, login, interrupt, .. } = waiting;
    let Some(completed) = ended? else {
        if joined {
            let command = people::command(&login, " --cancel");
            let told =
                format!("stopped waiting; the login was begun elsewhere and goes on; {command} calls it off");
            context.output.say_interrupted(&told)?;
        } else {
            client.call::<LoginCancel>(&LoginCancelParams { login_id: login.login_id })?;
            context.output.say_interrupted("login called off")?;
        }
        interrupt.end_as_told();
        return Ok(Exit::Interrupted);
    };
    if completed.success {
        context.output.say(&format!("signed in as {}", identity(completed.account.as_ref())))?;
        if let Some(note) = completed.note {
            context.output.note(&note)?;
        }
        let account = named.map(|name| format!("--account {name} ")).unwrap_or_default();
        context.output.say(&format!("next: ask something, `codex-oauth ask {account}\"...\"`"))?;
        return Ok(Exit::Success);
    }
    let error = completed.error.unwrap_or_else(|| failed("could not sign in: the daemon does not say why"));
    context.output.error(&error)?;
    Ok(match before.status {
        LoginStatus::NotAuthenticated | LoginStatus::Expired => Exit::SignedOut,
        _ => Exit::of(error.code),
    })
}

impl Waiting<'_> {
    /// Waits for the login's end; `None` after Ctrl-C.
    fn end(&mut self) -> Result<Option<LoginCompleted>, Failure> {
        let began = Instant::now();
        loop {
            let left = Duration::from_secs(self.login.expires_at.saturating_sub(words::unix_now())) + GRACE;
            let deadline = (Instant::now() + left).min(began + LONGEST);
            let heard = self.client.hear(self.asked, Some(deadline), Some(self.interrupt.as_source()))?;
            let waited = match heard {
                Heard::Answer(answer) => {
                    self.asked = None;
                    // The end of the login is told by itself.
                    if let Err(error) = answer {
                        self.refused(&error)?;
                    }
                    continue;
                }
                Heard::Other(waited) => waited,
            };
            match waited {
                Waited::Woken if self.interrupt.happened() => {
                    self.close_prompt()?;
                    return Ok(None);
                }
                Waited::Woken => {
                    self.stopped()?;
                    self.pasted()?;
                }
                Waited::TimedOut => {
                    self.close_prompt()?;
                    return Err(failed("could not sign in: nobody came back in time").into());
                }
                Waited::Notification(incoming) if incoming.method == LOGIN_COMPLETED => {
                    let completed: LoginCompleted = incoming.read()?;
                    if completed.login_id == self.login.login_id {
                        self.close_prompt()?;
                        return Ok(Some(completed));
                    }
                }
                Waited::Notification(incoming) if incoming.method == LOGIN_UPDATED => {
                    let now = incoming.read::<LoginUpdated>()?.login;
                    if now.login_id == self.login.login_id {
                        self.updated(now)?;
                    }
                }
                Waited::Notification(_) | Waited::Alive => {}
            }
        }
    }

    /// Follows Ctrl-Z, and asks again once the command goes on: the screen and the terminal were the shell's in between.
    fn stopped(&mut self) -> Result<(), Failure> {
        let Some(prompt) = &mut self.prompt else { return Ok(()) };
        if self.interrupt.stop_asked() {
            if prompt.is_open() {
                self.context.output.say("")?;
            }
            prompt.stop(&self.interrupt)?;
        }
        if prompt.went_on(&self.interrupt)? {
            self.context.output.err(show::PROMPT)?;
        }
        Ok(())
    }

    /// Says what has changed. A prompt on the screen is put below it.
    fn updated(&mut self, now: LoginStartResult) -> Result<(), Failure> {
        let mut before = std::mem::replace(&mut self.login, now);
        if self.asked.is_some() {
            // Whoever pasted is told by the answer.
            before.last_failure.clone_from(&self.login.last_failure);
        }
        let lines = show::changes(&before, &self.login);
        // Nobody is asked while the login is on its way; when that led to nothing, it waits for its person again.
        let asked = self.prompt.is_some() && before.step != self.login.step;
        if lines.is_empty() && !asked {
            return Ok(());
        }
        let prompted = self.close_prompt()?;
        for line in lines {
            self.context.output.say(&line)?;
        }
        if prompted || asked { self.prompt() } else { Ok(()) }
    }

    /// Sends on what was pasted, if anything was.
    fn pasted(&mut self) -> Result<(), Failure> {
        let Some(text) = self.prompt.as_mut().and_then(Prompt::line) else { return Ok(()) };
        // The Enter was not shown either.
        self.context.output.say("")?;
        if text.trim().is_empty() {
            return self.prompt();
        }
        let params = LoginPasteParams { login_id: self.login.login_id.clone(), text: Pasted(text) };
        self.asked = Some(self.client.ask::<LoginPaste>(&params)?);
        Ok(())
    }

    /// What was pasted led to nothing: says why, and asks again.
    fn refused(&mut self, error: &WireError) -> Result<(), Failure> {
        // Of a login that has ended the daemon tells the end by itself.
        let pending = read(&mut self.client, self.login.account.as_deref())?.pending_login;
        let Some(now) = pending.filter(|pending| pending.login_id == self.login.login_id) else {
            return Ok(());
        };
        // An update that comes behind this answer says nothing new.
        (self.login.step, self.login.last_failure) = (now.step, now.last_failure);
        self.context.output.say(&error.message)?;
        self.prompt()
    }

    /// Asks for a paste while that is of use.
    fn prompt(&mut self) -> Result<(), Failure> {
        if self.asked.is_some() || !show::can_paste(&self.login) || people::step(self.login.step).is_some() {
            return Ok(());
        }
        let prompt = match &mut self.prompt {
            Some(prompt) => prompt,
            none => none.insert(Prompt::new(&self.interrupt)?),
        };
        // First the silence: what is typed while the prompt is being written must not be seen either.
        prompt.open()?;
        Ok(self.context.output.err(show::PROMPT)?)
    }

    /// Nothing is asked for any more, and the cursor is at the beginning of a line. Whether something was.
    fn close_prompt(&mut self) -> Result<bool, Failure> {
        let was_open = self.prompt.as_mut().is_some_and(Prompt::close);
        if was_open {
            self.context.output.say("")?;
        }
        Ok(was_open)
    }
}

/// How it stands with this account, or with the one that is chosen where there is none of that name yet.
fn read(client: &mut Client, account: Option<&str>) -> Result<ReadResult, WireError> {
    let of = |account: Option<&str>| ReadParams { probe: false, account: account.map(str::to_owned) };
    match client.call::<Read>(&of(account)) {
        Err(error) if account.is_some() && error.next_step == Some(NextStep::ChooseAccount) => {
            client.call::<Read>(&of(None))
        }
        read => read,
    }
}

fn failed(message: &str) -> WireError {
    WireError::daemon(ErrorCode::LoginFailed, Retry::Safe, message).next(NextStep::Login)
}
