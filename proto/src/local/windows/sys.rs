//! The system calls that have no safe form: whose a process, a pipe or a path is, a folder for its owner alone, and
//! calling back a read.

#![expect(unsafe_code, reason = "there is no safe form of these calls")]

use std::ffi::c_void;
use std::io;
use std::os::windows::ffi::OsStrExt as _;
use std::os::windows::io::{AsHandle, AsRawHandle, FromRawHandle as _, OwnedHandle};
use std::path::Path;
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::{ERROR_SUCCESS, HANDLE, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertStringSecurityDescriptorToSecurityDescriptorW, GetNamedSecurityInfoW, GetSecurityInfo,
    SDDL_REVISION_1, SE_FILE_OBJECT, SE_KERNEL_OBJECT,
};
use windows_sys::Win32::Security::{
    GetLengthSid, GetTokenInformation, OWNER_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, PSID,
    SECURITY_ATTRIBUTES, TOKEN_QUERY, TOKEN_USER, TokenUser,
};
use windows_sys::Win32::Storage::FileSystem::CreateDirectoryW;
use windows_sys::Win32::System::IO::CancelIoEx;
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, OpenProcess, OpenProcessToken, PROCESS_QUERY_LIMITED_INFORMATION,
};

use super::Sid;

/// A `TOKEN_USER` and the longest SID behind it, in words so that it is aligned.
const TOKEN_USER_WORDS: usize = 16;

/// What the system gave us to free.
struct Local(*mut c_void);

impl Drop for Local {
    fn drop(&mut self) {
        // SAFETY: made by the system with LocalAlloc, and freed nowhere else.
        unsafe { LocalFree(self.0) };
    }
}

/// The user whose rights a process has; `None`: this process.
pub fn process_user(pid: Option<u32>) -> io::Result<Sid> {
    // SAFETY: plain calls; each handle that they return is owned at once, the pseudo handle needs no owner.
    let token = unsafe {
        let process =
            pid.map(|pid| owned(OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, pid))).transpose()?;
        let handle = process.as_ref().map_or_else(|| GetCurrentProcess(), AsRawHandle::as_raw_handle);
        let mut token: HANDLE = null_mut();
        succeeded(OpenProcessToken(handle, TOKEN_QUERY, &raw mut token))?;
        owned(token)?
    };
    let mut buffer = [0_u64; TOKEN_USER_WORDS];
    let mut len = 0;
    // SAFETY: the buffer is as long as it says and aligned for a TOKEN_USER, whose SID the system puts into it.
    unsafe {
        succeeded(GetTokenInformation(
            token.as_raw_handle(),
            TokenUser,
            buffer.as_mut_ptr().cast(),
            u32::try_from(size_of_val(&buffer)).unwrap_or(0),
            &raw mut len,
        ))?;
        copied((*buffer.as_ptr().cast::<TOKEN_USER>()).User.Sid)
    }
}

/// The owner of a pipe, from its descriptor: of the first instance, which all others share.
pub fn owner_of_pipe(pipe: &impl AsHandle) -> io::Result<Sid> {
    let (mut owner, mut descriptor): (PSID, PSECURITY_DESCRIPTOR) = (null_mut(), null_mut());
    // SAFETY: the handle is borrowed for the call; `owner` points into `descriptor`, which is freed after the copy.
    unsafe {
        let error = GetSecurityInfo(
            pipe.as_handle().as_raw_handle(),
            SE_KERNEL_OBJECT,
            OWNER_SECURITY_INFORMATION,
            &raw mut owner,
            null_mut(),
            null_mut(),
            null_mut(),
            &raw mut descriptor,
        );
        let _freed = Local(descriptor);
        if error == ERROR_SUCCESS { copied(owner) } else { Err(system_error(error)) }
    }
}

/// The owner of a file or folder.
pub(crate) fn owner_of(path: &Path) -> io::Result<Sid> {
    let path = wide(path);
    let (mut owner, mut descriptor): (PSID, PSECURITY_DESCRIPTOR) = (null_mut(), null_mut());
    // SAFETY: the path ends with a zero; `owner` points into `descriptor`, which is freed after the copy.
    unsafe {
        let error = GetNamedSecurityInfoW(
            path.as_ptr(),
            SE_FILE_OBJECT,
            OWNER_SECURITY_INFORMATION,
            &raw mut owner,
            null_mut(),
            null_mut(),
            null_mut(),
            &raw mut descriptor,
        );
        let _freed = Local(descriptor);
        if error == ERROR_SUCCESS { copied(owner) } else { Err(system_error(error)) }
    }
}

/// Makes a folder with a descriptor in the security descriptor definition language.
pub(crate) fn create_folder(path: &Path, descriptor: &str) -> io::Result<()> {
    let path = wide(path);
    let text: Vec<u16> = descriptor.encode_utf16().chain([0]).collect();
    let mut descriptor: PSECURITY_DESCRIPTOR = null_mut();
    // SAFETY: both strings end with a zero; the descriptor is freed after the folder is made.
    unsafe {
        succeeded(ConvertStringSecurityDescriptorToSecurityDescriptorW(
            text.as_ptr(),
            SDDL_REVISION_1,
            &raw mut descriptor,
            null_mut(),
        ))?;
        let freed = Local(descriptor);
        let attributes = SECURITY_ATTRIBUTES {
            nLength: u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).unwrap_or(0),
            lpSecurityDescriptor: freed.0,
            bInheritHandle: 0,
        };
        succeeded(CreateDirectoryW(path.as_ptr(), &raw const attributes))
    }
}

/// Ends every read and write that any thread is in on this handle.
pub(super) fn cancel_io(pipe: &impl AsHandle) {
    // SAFETY: the handle is borrowed for the call. That nothing was under way is no failure.
    unsafe { CancelIoEx(pipe.as_handle().as_raw_handle(), null()) };
}

fn wide(path: &Path) -> Vec<u16> {
    path.as_os_str().encode_wide().chain([0]).collect()
}

/// # Safety
/// `handle` is null or an open handle that nobody else owns.
unsafe fn owned(handle: HANDLE) -> io::Result<OwnedHandle> {
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as this function asks for.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// # Safety
/// `sid` points to a SID.
unsafe fn copied(sid: PSID) -> io::Result<Sid> {
    // SAFETY: as this function asks for; a SID is as long as it says.
    let bytes =
        unsafe { std::slice::from_raw_parts(sid.cast::<u8>(), GetLengthSid(sid).try_into().unwrap_or(0)) };
    Sid::from_bytes(bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn succeeded(result: i32) -> io::Result<()> {
    if result == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn system_error(code: u32) -> io::Error {
    io::Error::from_raw_os_error(code.cast_signed())
}
