//! What the systems tell differently about files and processes.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use unix::{file_size_limit, free_bytes, links, may_write, mode, owner, set_mode};
#[cfg(windows)]
pub(super) use windows::{file_size_limit, free_bytes, links, may_write, mode, owner, set_mode};
