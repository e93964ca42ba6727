//! The few calls to the kernel and the C library that have no safe wrapper. The only `unsafe` of this crate.
#![allow(unsafe_code, reason = "the one module that may; each block has its proof")]

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};

use nix::libc;

/// Takes over a descriptor that the process that started this one left open, and checks that it is open. It is not
/// passed on to children.
///
/// # Errors
/// When no such descriptor is open.
pub fn inherited(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_SETFD takes an integer and touches no memory; a closed descriptor gives EBADF.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open (fcntl succeeded). Callers name descriptors that their own protocol hands to
    // this process (standard input of a worker, LISTEN_FDS), so nothing else in the process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Closes every descriptor from `first` on.
///
/// # Errors
/// On kernels before Linux 5.9.
pub(crate) fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: called before the process has made anything that owns a descriptor from `first` on (see the caller),
    // so no owner is left with a closed descriptor. The call touches no memory.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0u32) };
    if closed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Keeps glibc to this many heaps: media buffers are freed by another thread than the one that made them, and each
/// heap would keep its own free space.
pub fn limit_heaps(heaps: i32) {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt only sets a number in the allocator.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, heaps);
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = heaps;
}
