//! A text from the terminal that nobody sees, where the system can do that.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use unix::Prompt;
#[cfg(windows)]
pub(super) use windows::Prompt;
