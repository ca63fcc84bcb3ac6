//! No service manager of Windows listens at a pipe for somebody else.

use std::path::Path;

/// There is none.
#[derive(Debug)]
pub(crate) enum Passed {}

/// Nothing can be wrong with it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActivationError {}

/// Nothing was passed.
#[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
pub(crate) const fn take() -> Result<Option<Passed>, ActivationError> {
    Ok(None)
}

/// Never called.
pub(crate) fn check(socket: &Passed, _: &Path) -> Result<(), ActivationError> {
    match *socket {}
}
