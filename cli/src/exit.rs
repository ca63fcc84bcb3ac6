//! Exit codes: part of the contract with scripts.

use std::process::ExitCode;

use codex_oauth_proto::ErrorCode;

/// The table of `--help`.
pub(crate) const TABLE: &str = "\
Exit codes:
  0    done
  1    another failure; the message says which
  2    wrong usage
  3    signed out, or the login has expired: run `codex-oauth login`
  4    a limit of your plan is reached, or too many requests
  5    OpenAI could not be reached
  6    no daemon is there, or it could not serve this
  130  stopped with Ctrl-C
  141  the reader of the output went away";

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Success = 0,
    /// Any failure that has no code of its own.
    Failure = 1,
    /// Wrong usage; clap's own code too.
    Usage = 2,
    /// Nobody is signed in, or the login is over.
    SignedOut = 3,
    /// A limit of the plan, or of the moment.
    Limit = 4,
    /// Issuer or backend could not be reached.
    Network = 5,
    /// No daemon, or one that could not serve this.
    Daemon = 6,
    /// SIGINT: 128 + 2, as a shell reports it.
    Interrupted = 130,
    /// Nobody reads the output: 128 + SIGPIPE, as a shell reports it.
    PipeClosed = 141,
}

impl Exit {
    /// The exit code of an error.
    pub(crate) const fn of(code: ErrorCode) -> Self {
        match code {
            ErrorCode::InvalidArguments => Self::Usage,
            ErrorCode::NotLoggedIn | ErrorCode::LoginExpired => Self::SignedOut,
            ErrorCode::UsageLimitReached | ErrorCode::RateLimited => Self::Limit,
            ErrorCode::UpstreamUnreachable | ErrorCode::AuthUnavailable => Self::Network,
            ErrorCode::DaemonUnavailable
            | ErrorCode::Draining
            | ErrorCode::Overloaded
            | ErrorCode::UnsupportedVersion
            | ErrorCode::OtherCredentialStore
            | ErrorCode::MethodNotFound
            | ErrorCode::Malformed => Self::Daemon,
            ErrorCode::AccountMismatch
            | ErrorCode::LoginElsewhere
            | ErrorCode::CredentialFile
            | ErrorCode::LoginFailed
            | ErrorCode::UpstreamOverloaded
            | ErrorCode::UpstreamRejected
            | ErrorCode::ModelNotAvailable
            | ErrorCode::PromptTooLong
            | ErrorCode::StreamInterrupted
            | ErrorCode::NoAnswer
            // An answer may exist: not a failure that a script should repeat by itself.
            | ErrorCode::OutcomeUnknown
            | ErrorCode::Cancelled
            | ErrorCode::LineTooLong
            | ErrorCode::Configuration
            | ErrorCode::Internal
            | ErrorCode::Unknown => Self::Failure,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_in_the_table_of_the_help() {
        for exit in [
            Exit::Success,
            Exit::Failure,
            Exit::Usage,
            Exit::SignedOut,
            Exit::Limit,
            Exit::Network,
            Exit::Daemon,
            Exit::Interrupted,
            Exit::PipeClosed,
        ] {
            let row = format!("\n  {} ", exit as u8);
            assert!(TABLE.contains(&row), "{exit:?}");
        }
    }

    #[test]
    fn no_error_ends_as_success_or_as_a_signal() {
        for code in ErrorCode::ALL {
            assert!((1..=6).contains(&(Exit::of(*code) as u8)), "{code:?}");
        }
    }
}
