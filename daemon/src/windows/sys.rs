//! The system calls that have no safe form: what this process costs, which machine this is and how long it slept, a further
//! instance of a pipe, and giving up the report pipe.

#![expect(unsafe_code, reason = "there is no safe form of these calls")]

use std::io;
use std::path::Path;
use std::ptr::null_mut;
use std::time::Duration;

use interprocess::os::windows::security_descriptor::{AsSecurityDescriptor as _, SecurityDescriptor};
use tokio::net::windows::named_pipe::{NamedPipeServer, ServerOptions};
use windows_sys::Win32::Foundation::CloseHandle;
use windows_sys::Win32::Security::SECURITY_ATTRIBUTES;
use windows_sys::Win32::System::Console::{GetStdHandle, STD_OUTPUT_HANDLE, SetStdHandle};
use windows_sys::Win32::System::ProcessStatus::{
    GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS, PROCESS_MEMORY_COUNTERS_EX,
};
use windows_sys::Win32::System::Registry::{
    HKEY_LOCAL_MACHINE, RRF_RT_REG_SZ, RRF_SUBKEY_WOW6464KEY, RegGetValueW,
};
use windows_sys::Win32::System::SystemInformation::GetTickCount64;
use windows_sys::Win32::System::Threading::{GetCurrentProcess, GetProcessHandleCount};
use windows_sys::Win32::System::WindowsProgramming::QueryUnbiasedInterruptTime;
use windows_sys::w;

/// A GUID has 36 characters; twice that is no GUID.
const GUID_CHARACTERS: usize = 72;

/// Memory that only this process has, in bytes: nearest to what a proportional set size is elsewhere.
pub(crate) fn private_bytes() -> Option<u64> {
    let mut found = PROCESS_MEMORY_COUNTERS_EX::default();
    let size = u32::try_from(size_of_val(&found)).ok()?;
    // SAFETY: the structure is as long as it says; the pseudo handle needs no owner.
    let known = unsafe {
        GetProcessMemoryInfo(GetCurrentProcess(), (&raw mut found).cast::<PROCESS_MEMORY_COUNTERS>(), size)
    };
    (known != 0).then_some(found.PrivateUsage as u64)
}

/// Open handles.
pub(crate) fn handles() -> Option<u64> {
    let mut count = 0;
    // SAFETY: the count lives through the call; the pseudo handle needs no owner.
    let known = unsafe { GetProcessHandleCount(GetCurrentProcess(), &raw mut count) };
    (known != 0).then_some(u64::from(count))
}

/// The id that the installation of Windows was given.
pub(crate) fn machine_guid() -> Option<String> {
    let mut text = [0_u16; GUID_CHARACTERS];
    let mut bytes = u32::try_from(size_of_val(&text)).ok()?;
    // SAFETY: the buffer is as long as it says, and both names end with a zero.
    let error = unsafe {
        RegGetValueW(
            HKEY_LOCAL_MACHINE,
            w!(r"SOFTWARE\Microsoft\Cryptography"),
            w!("MachineGuid"),
            RRF_RT_REG_SZ | RRF_SUBKEY_WOW6464KEY,
            null_mut(),
            text.as_mut_ptr().cast(),
            &raw mut bytes,
        )
    };
    let text = text.split(|unit| *unit == 0).next()?;
    (error == 0).then(|| String::from_utf16_lossy(text))
}

/// How long the computer has slept since it was started: its ticks go on meanwhile, its unbiased interrupt time (in units of
/// 100 ns) does not. Right to the 16 ms of a tick.
pub(crate) fn slept() -> Duration {
    let mut awake = 0;
    // SAFETY: both are plain calls; the number lives through its own.
    let (known, ticks) = unsafe { (QueryUnbiasedInterruptTime(&raw mut awake), GetTickCount64()) };
    if known == 0 {
        return Duration::ZERO;
    }
    Duration::from_millis(ticks).saturating_sub(Duration::from_millis(awake / 10_000))
}

/// An instance of the pipe `path` beside those that are there, or the first of a pipe with this descriptor.
pub(crate) fn further_instance(path: &Path, security: &SecurityDescriptor) -> io::Result<NamedPipeServer> {
    let mut attributes = SECURITY_ATTRIBUTES {
        nLength: u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).unwrap_or(0),
        lpSecurityDescriptor: security.as_sd().cast_mut(),
        bInheritHandle: 0,
    };
    let mut options = ServerOptions::new();
    options.first_pipe_instance(false).reject_remote_clients(true);
    // SAFETY: the attributes and the descriptor that they point to live through the call, which writes to neither.
    unsafe { options.create_with_security_attributes_raw(path, (&raw mut attributes).cast()) }
}

/// Closes the standard output for good. What is written to it later goes nowhere.
pub(crate) fn close_stdout() -> io::Result<()> {
    // SAFETY: the standard library asks for the handle at each use, so nobody uses it after it was replaced by none.
    unsafe {
        let stdout = GetStdHandle(STD_OUTPUT_HANDLE);
        if SetStdHandle(STD_OUTPUT_HANDLE, null_mut()) == 0 || CloseHandle(stdout) == 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
