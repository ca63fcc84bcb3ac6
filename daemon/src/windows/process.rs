//! What this process costs, and whether another one of ours still runs.

use codex_oauth_proto::local;
use windows_sys::Win32::Foundation::ERROR_INVALID_PARAMETER;

use crate::windows::sys;

/// Its private memory in bytes.
pub(crate) fn pss_bytes() -> Option<u64> {
    sys::private_bytes()
}

/// Its open handles.
pub(crate) fn open_files() -> Option<u64> {
    sys::handles()
}

/// Whether a process of this id may still run. In doubt it does.
pub(crate) fn may_run(pid: u32) -> bool {
    let asked = local::process_user(Some(pid));
    asked.map_err(|error| error.raw_os_error()) != Err(Some(ERROR_INVALID_PARAMETER.cast_signed()))
}

/// Who started it: Windows keeps no such tie.
pub(crate) fn parent() -> String {
    "unknown".to_owned()
}
