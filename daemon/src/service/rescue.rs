//! Every failure of `auth` and `upstream` as the one error that crosses the socket. Nothing else maps errors.

use std::error::Error;
use std::io::ErrorKind as IoErrorKind;
use std::time::{Duration, SystemTime};

use codex_oauth_proto::connect::with_causes;
use codex_oauth_proto::{ErrorCode, NextStep, Retry, WireError, dir, local};

use super::summary;
use crate::auth::{AuthError, Evidence, LoginError, NotRefreshable, PasteError, StoreError};
use crate::fsx::{FsError, ReadError};
use crate::network::{EdgeBlock, Fault};
use crate::upstream::{self, ErrorKind, Facts, UpstreamError};

impl AuthError {
    /// The same for the wire.
    pub(super) fn to_wire(&self) -> WireError {
        use ErrorCode as Code;
        let daemon = |code, retry, message: String| WireError::daemon(code, retry, message);
        let message = with_causes(self);
        match self {
            Self::NotLoggedIn => daemon(
                Code::NotLoggedIn,
                Retry::Never,
                "Not authenticated: nobody is signed in to Codex".to_owned(),
            )
            .next(NextStep::Login),
            Self::Expired { why: NotRefreshable::Borrowed } => {
                daemon(Code::LoginExpired, Retry::Never, format!("Token expired: {message}"))
                    .next(NextStep::UseCodexCli)
            }
            Self::Expired { .. }
            | Self::Refused(_)
            | Self::Spent { .. }
            | Self::Rejected { .. }
            | Self::OtherMachine => {
                let proof = proof(self);
                daemon(Code::LoginExpired, Retry::Never, format!("Token expired: {message}{proof}"))
                    .next(NextStep::Login)
            }
            Self::GrantElsewhere { .. } => {
                daemon(Code::LoginElsewhere, Retry::Never, message).next(NextStep::Login)
            }
            // The login is good, and the same person who signs in again gets the same one.
            Self::Workspace { wanted, .. } => daemon(Code::LoginElsewhere, Retry::Never, message)
                .next(NextStep::Reconfigure { name: wanted.by.clone() }),
            Self::AccountMismatch { .. } => {
                daemon(Code::AccountMismatch, Retry::Safe, message).next(NextStep::Retry)
            }
            Self::Unavailable { retry_at, .. } | Self::OutcomeUnknown { retry_at, .. } => {
                let seconds = seconds_until(*retry_at);
                WireError::upstream(Code::AuthUnavailable, Retry::After { seconds }, message)
                    .next(step_of(self).unwrap_or(NextStep::RetryIn { seconds }))
            }
            Self::Store(error) => unusable(error, message),
            Self::NotSaved { retry_at, source } => {
                let seconds = seconds_until(*retry_at);
                daemon(Code::CredentialFile, Retry::After { seconds }, message).next(file_step(source))
            }
            Self::Unsettled { path } => daemon(Code::CredentialFile, Retry::Safe, message)
                .next(NextStep::FixFile { path: path.display().to_string() }),
            Self::NoSuchAccount { .. } | Self::DefaultAccount { .. } => {
                WireError::caller(Code::InvalidArguments, message).next(NextStep::ChooseAccount)
            }
            Self::CodexOwns { .. } => {
                WireError::caller(Code::InvalidArguments, message).next(NextStep::UseCodexCli)
            }
            Self::NoCodexLogin { .. } => {
                daemon(Code::NotLoggedIn, Retry::Never, message).next(NextStep::UseCodexCli)
            }
            Self::NoSuchLogin { .. } | Self::BadAccount { .. } => {
                WireError::caller(Code::InvalidArguments, message).next(NextStep::FixArguments)
            }
            Self::Closed => crate::session::draining(),
            Self::Internal => daemon(Code::Internal, Retry::Safe, message).next(NextStep::Retry),
        }
    }
}

/// What to do about the way to the server, where that is what is wrong.
fn step_of(error: &(dyn Error + 'static)) -> Option<NextStep> {
    let mut chain = std::iter::successors(Some(error), |error| (*error).source());
    if chain.any(<dyn Error + 'static>::is::<EdgeBlock>) {
        return Some(NextStep::OtherNetwork);
    }
    Fault::of(error)?.next_step()
}

/// What the history of the token proves, for the end of a message.
pub(super) fn proof(error: &AuthError) -> String {
    let clock = |at: &SystemTime| {
        summary::clock(at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs())
    };
    let (evidence, reused) = match error {
        AuthError::Spent { at } => return format!("; it was spent at {}", clock(at)),
        AuthError::Refused(refusal) if !refusal.interrupted => {
            (&refusal.evidence, refusal.code.as_deref() == Some("refresh_token_reused"))
        }
        _ => return String::new(),
    };
    match evidence {
        Evidence::None => String::new(),
        Evidence::SpentHere { at } => {
            format!(
                "; this daemon used it at {}, and the file was put back to an older copy since",
                clock(at)
            )
        }
        Evidence::WrittenByOther { at } => {
            format!("; not this daemon: the file was changed at {} by another program", clock(at))
        }
        Evidence::NeverSentHere { since } => {
            // Only that it was used already proves a second holder. Otherwise it was ended at the issuer.
            let so = if reused { "so another program has a copy" } else { "so it was ended at OpenAI" };
            format!(
                "; not this daemon: it got the token at {} and had not sent it before, {so}",
                clock(since)
            )
        }
    }
}

impl LoginError {
    /// The same for the wire. The login from before, if any, is still in force.
    pub(super) fn to_wire(&self) -> WireError {
        let message = with_causes(self);
        match self {
            Self::Store(error) => unusable(error, message),
            Self::Workspace { .. } => WireError::daemon(ErrorCode::AccountMismatch, Retry::Safe, message)
                .next(NextStep::OtherWorkspace),
            _ => {
                // To sign in again leads nowhere while there is no way to the issuer.
                let unreached = Fault::of(self).map(|_| NextStep::CheckNetwork);
                let step = step_of(self).or(unreached).unwrap_or(NextStep::Login);
                WireError::upstream(ErrorCode::LoginFailed, Retry::Safe, message).next(step)
            }
        }
    }
}

impl PasteError {
    /// The same for the wire.
    pub(super) fn to_wire(&self) -> WireError {
        let caller = |step| WireError::caller(ErrorCode::InvalidArguments, self.to_string()).next(step);
        match self {
            Self::Login(error) => error.to_wire(),
            Self::NotPending | Self::LinkOver => caller(NextStep::Login),
            Self::Busy => caller(NextStep::Retry),
            _ => caller(NextStep::FixArguments),
        }
    }
}

impl UpstreamError {
    /// The same for the wire, with status and request id where there are any.
    pub(super) fn to_wire(&self) -> WireError {
        let (code, step) = class(self);
        let retry = match self.retry {
            // What the backend answered it also counts; `Never` would say that asking again is of no use.
            upstream::Retry::Never if step == NextStep::AskAgain => Retry::Unknown,
            upstream::Retry::Never => Retry::Never,
            upstream::Retry::Safe => Retry::Safe,
            upstream::Retry::After(wait) => Retry::After { seconds: ceil_seconds(wait) },
            upstream::Retry::Unknown => Retry::Unknown,
        };
        WireError::upstream(code, retry, self.message()).next(as_retry_allows(step, retry))
    }

    fn message(&self) -> String {
        let mut message = self.words();
        if let ErrorKind::UsageLimit { resets_at: Some(at), .. } = &self.kind {
            let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
            message = format!("{message}; it is lifted at {}", summary::clock(seconds));
        }
        if let Some(promo) = &self.facts.promo {
            message = format!("{message}; {promo}");
        }
        if self.attempts > 1 {
            message = format!("{message}, tried {} times", self.attempts);
        }
        message += &facts(&self.facts, &message);
        if is_unread_refusal(self)
            && let Some(sample) = &self.facts.sample
            && !message.contains(sample.as_str())
        {
            message = format!("{message}\nthe backend sent: {sample}");
        }
        message
    }

    /// The error with its causes. A status is named once, and only the one that came.
    fn words(&self) -> String {
        let text = with_causes(self);
        let Some(status) = self.facts.status else { return text };
        let named = format!("HTTP {status}");
        let rest = match &self.kind {
            // `slow_down` comes with 503 and inside a stream too.
            ErrorKind::RateLimited { .. } if status != 429 => text.strip_prefix("HTTP 429: "),
            // A body that is no JSON error is quoted with its status.
            _ => text
                .strip_prefix(&named)
                .and_then(|rest| rest.strip_prefix(": "))
                .filter(|rest| rest.starts_with(&named)),
        };
        rest.map(str::to_owned).unwrap_or(text)
    }
}

/// The code that a client branches on, and the next step. [`NextStep::Retry`] stands for what the retry class allows.
fn class(error: &UpstreamError) -> (ErrorCode, NextStep) {
    use ErrorCode as Code;
    use ErrorKind as Kind;
    let (code, step) = match &error.kind {
        Kind::Setup => {
            (Code::Configuration, NextStep::FixConfiguration { name: "CODEX_OAUTH_CA_FILE".to_owned() })
        }
        Kind::Connect => (Code::UpstreamUnreachable, step_of(error).unwrap_or(NextStep::CheckNetwork)),
        Kind::Unauthorized { .. } => (Code::LoginExpired, NextStep::Login),
        Kind::Edge { .. } => (Code::UpstreamRejected, NextStep::OtherNetwork),
        Kind::DeactivatedWorkspace => (Code::UpstreamRejected, NextStep::OtherWorkspace),
        Kind::Forbidden { .. } | Kind::UsageNotIncluded | Kind::QuotaExceeded => {
            (Code::UpstreamRejected, NextStep::CheckPlan)
        }
        Kind::ModelNotSupported { .. } => (Code::ModelNotAvailable, NextStep::ListModels),
        Kind::UsageLimit { .. } => (Code::UsageLimitReached, NextStep::CheckPlan),
        // No time was named: what is left of the plan is all that can be looked at.
        Kind::RateLimited { .. } if error.retry == upstream::Retry::Never => {
            (Code::RateLimited, NextStep::CheckPlan)
        }
        Kind::RateLimited { .. } => (Code::RateLimited, NextStep::Retry),
        Kind::Overloaded | Kind::ServerError { .. } => (Code::UpstreamOverloaded, NextStep::Retry),
        Kind::ContextLength | Kind::PayloadTooLarge => (Code::PromptTooLong, NextStep::ShortenPrompt),
        Kind::Timeout { .. } | Kind::Interrupted { .. } | Kind::StreamIdle { .. } | Kind::TooLarge { .. } => {
            (Code::StreamInterrupted, NextStep::Retry)
        }
        Kind::LostInSleep { .. } => (Code::StreamInterrupted, NextStep::AskAgain),
        // WIRE §8.3: cut for its length; the next answer may be shorter.
        Kind::Incomplete { reason } if reason == "max_output_tokens" => {
            (Code::StreamInterrupted, NextStep::AskAgain)
        }
        // A verdict on the answer is repeated, and charged, each time.
        Kind::Incomplete { .. } => (Code::StreamInterrupted, NextStep::Rephrase),
        // A document (models, usage) that never parses.
        Kind::Unparsable if error.retry == upstream::Retry::Never => (Code::NoAnswer, NextStep::Upgrade),
        Kind::EmptyAnswer | Kind::Unparsable => (Code::NoAnswer, NextStep::AskAgain),
        Kind::Policy { .. } => (Code::UpstreamRejected, NextStep::Rephrase),
        _ if is_unread_refusal(error) => (Code::UpstreamRejected, NextStep::CheckNetwork),
        Kind::UnexpectedStatus { .. } if error.facts.status == Some(402) => {
            (Code::UpstreamRejected, NextStep::CheckPlan)
        }
        Kind::BadRequest { message } if !is_our_form(message) => {
            (Code::UpstreamRejected, NextStep::FixArguments)
        }
        // The backend does not know what this build sends.
        Kind::Routing(_)
        | Kind::BadRequest { .. }
        | Kind::InstructionsRequired
        | Kind::NotFound { .. }
        | Kind::UnexpectedStatus { .. } => (Code::UpstreamRejected, NextStep::Upgrade),
        Kind::Failed { .. } => (Code::UpstreamRejected, NextStep::Retry),
    };
    (code, step)
}

/// "Try again" only where the same request may be sent again.
fn as_retry_allows(step: NextStep, retry: Retry) -> NextStep {
    match (step, retry) {
        (NextStep::Retry, Retry::Never) => NextStep::Rephrase,
        (NextStep::Retry, Retry::Unknown) => NextStep::AskAgain,
        (NextStep::Retry, Retry::After { seconds: seconds @ 1.. }) => NextStep::RetryIn { seconds },
        (step, _) => step,
    }
}

/// What the backend says about the form of a request (WIRE §7.5), which no caller decides. The effort is the caller's.
fn is_our_form(message: &str) -> bool {
    const OUR_FORM: [&str; 5] = [
        "unsupported parameter",
        "store must be",
        "stream must be",
        "input must be a list",
        "system messages are not allowed",
    ];
    let message = message.to_ascii_lowercase();
    OUR_FORM.iter().any(|words| message.contains(words)) && !message.contains("reasoning")
}

/// A refusal without the JSON that the backend writes: a proxy, a portal or a gateway stands in between.
fn is_unread_refusal(error: &UpstreamError) -> bool {
    let refused = matches!(
        error.kind,
        ErrorKind::BadRequest { .. } | ErrorKind::NotFound { .. } | ErrorKind::UnexpectedStatus { .. }
    );
    // In a stream that began well the refusal is one of its events.
    let in_stream = error.facts.status.is_some_and(|status| (200..300).contains(&status));
    let is_json = error.facts.sample.as_ref().is_some_and(|sample| sample.starts_with(['{', '[']));
    refused && !in_stream && !is_json
}

/// What a bug report needs and `message` does not say yet.
fn facts(facts: &Facts, message: &str) -> String {
    let mut known = Vec::new();
    let unsaid = facts.status.filter(|status| !message.contains(&format!("HTTP {status}")));
    known.extend(unsaid.map(|status| format!("status {status}")));
    known.extend(facts.request_id.as_ref().map(|id| format!("request id {id}")));
    known.extend(facts.cf_ray.as_ref().map(|ray| format!("cf-ray {ray}")));
    if known.is_empty() { String::new() } else { format!(" ({})", known.join(", ")) }
}

/// A credential file that is left as it is.
fn unusable(error: &StoreError, message: String) -> WireError {
    let kept = match error {
        StoreError::Unreadable { source: ReadError::Parse(_), .. } => {
            "; a new login keeps it beside, as `….unreadable-…`"
        }
        _ => "",
    };
    WireError::daemon(ErrorCode::CredentialFile, Retry::Never, message + kept).next(file_step(error))
}

/// A login takes the place of what cannot be understood; what cannot be read at all is in its way too.
pub(super) fn file_step(error: &StoreError) -> NextStep {
    match error {
        StoreError::Unreadable { source: ReadError::Parse(_), .. } | StoreError::BadRecord { .. } => {
            NextStep::Login
        }
        StoreError::Unwritable { source, .. } | StoreError::Slot { source, .. } => {
            unwritten(source).unwrap_or_else(|| NextStep::FixFile { path: path_of(error) })
        }
        error => NextStep::FixFile { path: path_of(error) },
    }
}

/// Where the disk or the folder is at fault, the file is sound: moved away, it would sign the person out.
fn unwritten(error: &FsError) -> Option<NextStep> {
    let FsError::Io { path, source, .. } = error else { return None };
    let elsewhere = matches!(source.kind(), IoErrorKind::PermissionDenied | IoErrorKind::ReadOnlyFilesystem);
    let elsewhere = elsewhere.then(|| NextStep::Reconfigure { name: "CODEX_OAUTH_AUTH_FILE".to_owned() });
    dir::write_step(path, source, local::current_user()).or(elsewhere)
}

fn path_of(error: &StoreError) -> String {
    match error {
        StoreError::Unreadable { path, .. }
        | StoreError::BadRecord { path, .. }
        | StoreError::Slot { path, .. }
        | StoreError::Locked { path, .. }
        | StoreError::Unwritable { path, .. } => path.display().to_string(),
    }
}

fn seconds_until(time: SystemTime) -> u64 {
    ceil_seconds(time.duration_since(SystemTime::now()).unwrap_or_default())
}

fn ceil_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn try_again_is_said_only_where_the_same_request_may_be_sent_again() {
        let rows = [
            (Retry::Never, NextStep::Rephrase),
            (Retry::Safe, NextStep::Retry),
            (Retry::After { seconds: 0 }, NextStep::Retry),
            (Retry::After { seconds: 3 }, NextStep::RetryIn { seconds: 3 }),
            (Retry::Unknown, NextStep::AskAgain),
        ];
        for (retry, step) in rows {
            assert_eq!(as_retry_allows(NextStep::Retry, retry), step, "{retry:?}");
            assert_eq!(as_retry_allows(NextStep::Login, retry), NextStep::Login, "{retry:?}");
        }
    }

    #[test]
    fn a_parameter_that_only_this_build_chooses_is_not_the_callers_argument() {
        for ours in ["Unsupported parameter: top_p", "Store must be set to false", "Input must be a list"] {
            assert!(is_our_form(ours), "{ours}");
        }
        for theirs in ["Unsupported parameter: reasoning.effort", "Invalid value: 'ultra'"] {
            assert!(!is_our_form(theirs), "{theirs}");
        }
    }
}
