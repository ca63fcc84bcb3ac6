//! Windows: a process without a console, in a group of its own, that inherits three handles and no other.
//!
//! The standard library lets a child inherit every handle that may be inherited, and the pipes of an MCP client that
//! started us may: it would then wait for their end for as long as the daemon lives. So the handles are listed.

#![expect(unsafe_code, reason = "a process with a list of inherited handles has no safe form")]

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::windows::ffi::OsStrExt as _;
use std::os::windows::io::{AsHandle, AsRawHandle as _, FromRawHandle as _, OwnedHandle};
use std::path::Path;
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, HANDLE, HANDLE_FLAG_INHERIT, SetHandleInformation,
};
use windows_sys::Win32::System::Threading::{
    CREATE_BREAKAWAY_FROM_JOB, CREATE_NEW_PROCESS_GROUP, CREATE_UNICODE_ENVIRONMENT, CreateProcessW,
    DETACHED_PROCESS, DeleteProcThreadAttributeList, EXTENDED_STARTUPINFO_PRESENT,
    InitializeProcThreadAttributeList, LPPROC_THREAD_ATTRIBUTE_LIST, PROC_THREAD_ATTRIBUTE_HANDLE_LIST,
    PROCESS_INFORMATION, STARTF_USESTDHANDLES, STARTUPINFOEXW, UpdateProcThreadAttribute,
};

use super::{environment, open_log};
use crate::env::Env;
use crate::local::Inlet;
use crate::report::REPORT_FLAG;

/// The process that was started. Windows keeps nothing of an ended process for its parent.
#[derive(Debug)]
pub(crate) struct Child;

/// Where its report comes from.
pub(crate) type ReportPipe = Inlet;

/// `CREATE_NO_WINDOW` would be ignored beside `DETACHED_PROCESS`, which gives no console at all.
const FLAGS: u32 =
    DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP | CREATE_UNICODE_ENVIRONMENT | EXTENDED_STARTUPINFO_PRESENT;

/// Starts `daemon run --report`; its standard output is the report pipe, its standard error goes to `log`.
///
/// A client may keep its servers in a job that ends with it. The daemon leaves that job where the job allows it.
pub(crate) fn spawn(daemon: &Path, log: Option<&Path>, env: &Env) -> io::Result<(Child, ReportPipe)> {
    let (reader, report) = io::pipe()?;
    let null = File::options().read(true).write(true).open("NUL")?;
    let log = log.and_then(open_log);
    let stderr = log.as_ref().map_or_else(|| null.as_handle(), AsHandle::as_handle);
    let standard = [null.as_handle(), report.as_handle(), stderr].map(|handle| handle.as_raw_handle());
    for handle in standard {
        // SAFETY: the three are open until the end of this function.
        succeeded(unsafe { SetHandleInformation(handle, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT) })?;
    }
    match create(daemon, standard, env, FLAGS | CREATE_BREAKAWAY_FROM_JOB) {
        Err(error) if error.raw_os_error() == Some(ERROR_ACCESS_DENIED.cast_signed()) => {
            create(daemon, standard, env, FLAGS)?;
        }
        created => created?,
    }
    // Our copy of the writing end closes here: the pipe ends with the daemon.
    drop(report);
    Ok((Child, Inlet::new(reader)?))
}

/// Nothing to do.
pub(crate) fn take_leave(_: &mut Child) {}

/// Nothing to do.
pub(crate) fn reap_all() {}

fn create(daemon: &Path, standard: [HANDLE; 3], env: &Env, flags: u32) -> io::Result<()> {
    let program = wide(daemon.as_os_str());
    let mut command: Vec<u16> = command_line(daemon).encode_utf16().chain([0]).collect();
    let block = environment_block(env);
    // A folder that is always there, and that no uninstaller will find occupied.
    let folder = env.get_os("SYSTEMROOT").map(|root| wide(root));
    let mut listed = standard.to_vec();
    listed.sort();
    listed.dedup();
    let attributes = Attributes::inheriting(&listed)?;
    let mut startup = STARTUPINFOEXW { lpAttributeList: attributes.list(), ..STARTUPINFOEXW::default() };
    startup.StartupInfo.cb = u32::try_from(size_of::<STARTUPINFOEXW>()).unwrap_or(0);
    startup.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
    [startup.StartupInfo.hStdInput, startup.StartupInfo.hStdOutput, startup.StartupInfo.hStdError] = standard;
    let mut made = PROCESS_INFORMATION::default();
    // SAFETY: every string and block ends with a zero, `command` may be written to, and whatever the pointers name lives
    // until the call returns. The two handles that come back are owned at once.
    unsafe {
        succeeded(CreateProcessW(
            program.as_ptr(),
            command.as_mut_ptr(),
            null(),
            null(),
            1,
            flags,
            block.as_ptr().cast(),
            folder.as_ref().map_or(null(), Vec::as_ptr),
            (&raw const startup).cast(),
            &raw mut made,
        ))?;
        drop([made.hProcess, made.hThread].map(|handle| OwnedHandle::from_raw_handle(handle)));
    }
    Ok(())
}

/// The list of the handles that a process inherits.
struct Attributes {
    /// The system's, in words so that it is aligned.
    list: Vec<usize>,
}

impl Attributes {
    /// `handles` must live as long as this.
    fn inheriting(handles: &[HANDLE]) -> io::Result<Self> {
        let mut len = 0;
        // SAFETY: the first call only tells the length; the second one gets a list of that length.
        unsafe {
            InitializeProcThreadAttributeList(null_mut(), 1, 0, &raw mut len);
            let mut list = vec![0_usize; len.div_ceil(size_of::<usize>())];
            succeeded(InitializeProcThreadAttributeList(list.as_mut_ptr().cast(), 1, 0, &raw mut len))?;
            let attributes = Self { list };
            succeeded(UpdateProcThreadAttribute(
                attributes.list(),
                0,
                PROC_THREAD_ATTRIBUTE_HANDLE_LIST as usize,
                handles.as_ptr().cast(),
                size_of_val(handles),
                null_mut(),
                null(),
            ))?;
            Ok(attributes)
        }
    }

    fn list(&self) -> LPPROC_THREAD_ATTRIBUTE_LIST {
        self.list.as_ptr().cast_mut().cast()
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialized in `inheriting`.
        unsafe { DeleteProcThreadAttributeList(self.list()) };
    }
}

/// A path cannot hold a quote, and our arguments need none.
fn command_line(daemon: &Path) -> String {
    format!("\"{}\" run {REPORT_FLAG}", daemon.display())
}

/// `NAME=value` and a zero for each, sorted by name, and a last zero.
fn environment_block(env: &Env) -> Vec<u16> {
    let mut block = Vec::new();
    for (name, value) in environment(env) {
        block.extend(name.encode_utf16().chain(['=' as u16]));
        block.extend(value.encode_wide().chain([0]));
    }
    block.push(0);
    if block.len() == 1 {
        block.push(0);
    }
    block
}

fn wide(text: &OsStr) -> Vec<u16> {
    text.encode_wide().chain([0]).collect()
}

fn succeeded(result: i32) -> io::Result<()> {
    if result == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
