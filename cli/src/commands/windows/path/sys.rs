//! The registry, which has no safe form without another library. `reg.exe` would do it, but prints in a code page that has not
//! every letter of a person's name.

#![expect(unsafe_code, reason = "there is no safe form of these calls")]

use std::io;
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::{ERROR_FILE_NOT_FOUND, ERROR_SUCCESS};
use windows_sys::Win32::System::Registry::{
    HKEY_CURRENT_USER, REG_EXPAND_SZ, REG_VALUE_TYPE, RRF_NOEXPAND, RRF_RT_REG_EXPAND_SZ, RRF_RT_REG_SZ,
    RegGetValueW, RegSetKeyValueW,
};
use windows_sys::Win32::UI::WindowsAndMessaging::{
    HWND_BROADCAST, SMTO_ABORTIFHUNG, SendMessageTimeoutW, WM_SETTINGCHANGE,
};
use windows_sys::core::{PCWSTR, w};

/// The key, and its value.
const PLACE: (PCWSTR, PCWSTR) = (w!("Environment"), w!("Path"));

/// Twice what the system lets a variable have, in bytes.
const MOST_BYTES: usize = 2 * 2 * 32_767;

/// For a program with a window that does not answer. Milliseconds.
const ANNOUNCEMENT: u32 = 1_000;

/// The value, empty when there is none, and its kind.
pub(super) fn read() -> io::Result<(String, REG_VALUE_TYPE)> {
    let mut units = vec![0_u16; MOST_BYTES / 2];
    let mut bytes = u32::try_from(MOST_BYTES).unwrap_or(u32::MAX);
    let mut kind = REG_EXPAND_SZ;
    // SAFETY: the buffer is as long as it says, the names end with a zero, and all of them live through the call.
    let error = unsafe {
        RegGetValueW(
            HKEY_CURRENT_USER,
            PLACE.0,
            PLACE.1,
            RRF_RT_REG_SZ | RRF_RT_REG_EXPAND_SZ | RRF_NOEXPAND,
            &raw mut kind,
            units.as_mut_ptr().cast(),
            &raw mut bytes,
        )
    };
    match error {
        ERROR_SUCCESS => {}
        ERROR_FILE_NOT_FOUND => return Ok((String::new(), REG_EXPAND_SZ)),
        error => return Err(io::Error::from_raw_os_error(error.cast_signed())),
    }
    let text = units.split(|unit| *unit == 0).next().unwrap_or_default();
    String::from_utf16(text).map(|text| (text, kind)).map_err(io::Error::other)
}

/// Replaces the value.
pub(super) fn write(text: &str, kind: REG_VALUE_TYPE) -> io::Result<()> {
    let units: Vec<u16> = text.encode_utf16().chain([0]).collect();
    let bytes = u32::try_from(size_of_val(units.as_slice())).map_err(io::Error::other)?;
    // SAFETY: the text is as long as it says, the names end with a zero, and all of them live through the call.
    let error =
        unsafe { RegSetKeyValueW(HKEY_CURRENT_USER, PLACE.0, PLACE.1, kind, units.as_ptr().cast(), bytes) };
    if error == ERROR_SUCCESS { Ok(()) } else { Err(io::Error::from_raw_os_error(error.cast_signed())) }
}

/// Tells running programs, the Explorer above all, that the environment has changed. Who does not hear it reads it at the
/// next log-in.
pub(super) fn announce() {
    // SAFETY: the text is static; no answer is asked for.
    let _heard = unsafe {
        SendMessageTimeoutW(
            HWND_BROADCAST,
            WM_SETTINGCHANGE,
            0,
            w!("Environment") as isize,
            SMTO_ABORTIFHUNG,
            ANNOUNCEMENT,
            null_mut(),
        )
    };
}
