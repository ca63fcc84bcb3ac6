//! glibc's allocator, told to give large buffers back.
//!
//! By itself it learns from the first large answer to keep such buffers in the heap from then on (`mallopt(3)`:
//! `M_MMAP_THRESHOLD` is dynamic), where small things that live long hold them: after eight answers of 6 MB that nobody read,
//! 210 MB stayed for as long as the daemon lived.

use std::ffi::c_int;

/// `malloc.h`.
const M_MMAP_THRESHOLD: c_int = -3;

/// From this size on a buffer is a mapping of its own, which ends when it is dropped, and which grows without a copy. Most
/// answers stay far below it, and cost no system call.
const LARGE_BYTES: c_int = 512 * 1024;

#[expect(unsafe_code, reason = "glibc's own function (malloc.h), which no crate of ours offers")]
unsafe extern "C" {
    fn mallopt(parameter: c_int, value: c_int) -> c_int;
}

/// To be called while there is one thread.
#[expect(unsafe_code, reason = "a call into glibc")]
pub(crate) fn give_large_buffers_back() {
    // SAFETY: it takes two numbers, and there is one thread.
    let _refused = unsafe { mallopt(M_MMAP_THRESHOLD, LARGE_BYTES) };
}
