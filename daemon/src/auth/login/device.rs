//! The way of the device code (WIRE §3, RFC 8628): a code for the person, then asking until it is approved.

use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep_until};

use super::DeviceCode;
use crate::auth::callback::Denial;
use crate::auth::issuer::{Issuer, IssuerError, Poll};
use crate::limits::Limits;
use crate::secret::Secret;

/// Added to the pause at each `slow_down` (RFC 8628 §3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);
/// No pause is longer, whatever the issuer names: a person waits for the end.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What the issuer gives for an approved device code; the verifier is the issuer's own.
#[derive(Debug)]
pub(super) struct DeviceGrant {
    pub(super) code: Secret,
    pub(super) verifier: Secret,
}

pub(super) type DeviceEnd = Result<DeviceGrant, DeviceError>;

/// Why a device code led to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// 404 or 403 instead of a code: the account or its workspace does not allow it.
    #[error("device login is not enabled here (the issuer answered {status})")]
    Disabled {
        /// HTTP status.
        status: u16,
    },
    /// Nobody approved it in time.
    #[error("the device code was not used in time")]
    Expired,
    /// The person said no (RFC 8628 §3.5).
    #[error("{0}")]
    Denied(Denial),
    /// The issuer gave no code.
    #[error("could not get a device code")]
    NoCode(#[source] IssuerError),
    /// The issuer ended it.
    #[error("could not go on with the device code")]
    Ended(#[source] IssuerError),
}

impl DeviceError {
    /// A person's no ends the whole login, not this way alone.
    pub(super) fn into_denial(self) -> Result<Denial, Self> {
        match self {
            Self::Denied(denial) => Ok(denial),
            other => Err(other),
        }
    }
}

/// Gets a code, shows it with `opened`, and asks until it is approved, refused or over.
pub(super) async fn sign_in(
    issuer: &Issuer,
    limits: &Limits,
    opened: impl FnOnce(DeviceCode),
) -> Result<DeviceGrant, DeviceError> {
    let asked = issuer.device_code().await.map_err(|error| match error {
        IssuerError::Status { status: status @ (403 | 404), .. } => DeviceError::Disabled { status },
        error => DeviceError::NoCode(error),
    })?;
    let end = Instant::now() + limits.device_login;
    opened(DeviceCode {
        verification_url: issuer.device_page(),
        user_code: asked.user_code.clone(),
        expires_at: SystemTime::now() + limits.device_login,
    });
    let mut pause = first_pause(asked.interval, limits.device_poll);
    loop {
        let next = Instant::now() + pause;
        sleep_until(next.min(end)).await;
        if next >= end {
            return Err(DeviceError::Expired);
        }
        match issuer.device_poll(&asked).await {
            Ok(Poll::Granted { code, verifier }) => return Ok(DeviceGrant { code, verifier }),
            Ok(Poll::Pending) => {}
            Ok(Poll::SlowDown) => pause = slower(pause, Some(SLOW_DOWN)),
            Err(error) if error.may_pass() => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the device code is asked for again"
                );
                pause = slower(pause, None);
            }
            Err(error) => return Err(ended(error)),
        }
    }
}

fn first_pause(interval: Duration, shortest: Duration) -> Duration {
    interval.min(LONGEST_PAUSE).max(shortest)
}

/// RFC 8628 §3.5: five seconds more when the issuer says so, twice as long when it cannot be reached.
fn slower(pause: Duration, by: Option<Duration>) -> Duration {
    (pause + by.unwrap_or(pause)).min(LONGEST_PAUSE.max(pause))
}

fn ended(error: IssuerError) -> DeviceError {
    match error {
        IssuerError::Status { ref code, ref message, .. } => match code.as_deref() {
            Some(word @ "access_denied") => DeviceError::Denied(Denial::new(word, Some(message))),
            Some("deviceauth_expired" | "expired_token") => DeviceError::Expired,
            _ => DeviceError::Ended(error),
        },
        error => DeviceError::Ended(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_issuer_makes_the_pause_too_short_or_too_long() {
        let (floor, seconds) = (Duration::from_secs(1), Duration::from_secs);
        for (interval, expected) in [(0, 1), (5, 5), (60, 60), (86_400, 60)] {
            assert_eq!(first_pause(seconds(interval), floor), seconds(expected));
        }
        assert_eq!(slower(seconds(5), Some(SLOW_DOWN)), seconds(10));
        assert_eq!(slower(seconds(5), None), seconds(10));
        assert_eq!(slower(seconds(58), Some(SLOW_DOWN)), seconds(60));
    }

    #[test]
    fn the_words_of_the_issuer_are_told_apart() {
        let status = |code: &str| IssuerError::Status {
            status: 400,
            code: Some(code.to_owned()),
            message: "why".to_owned(),
        };
        assert!(matches!(ended(status("access_denied")), DeviceError::Denied(_)));
        assert!(matches!(ended(status("deviceauth_expired")), DeviceError::Expired));
        assert!(matches!(ended(status("deviceauth_spent")), DeviceError::Ended(_)));
    }
}
