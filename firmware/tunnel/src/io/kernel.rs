//! The few calls to the kernel that have no safe wrapper. The only `unsafe` of this crate.
#![allow(unsafe_code, reason = "the one module that may; each block has its proof")]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::libc;

nix::ioctl_write_int!(tun_set_iff, b'T', 202);

/// Opens a TUN device named `name` in the calling thread's network namespace, non-blocking, each packet behind a virtio
/// header.
///
/// # Errors
/// Without the right to do it, without the driver, when the name is taken or longer than 15 bytes.
pub(super) fn open_tun(name: &str) -> io::Result<OwnedFd> {
    use std::os::unix::fs::OpenOptionsExt as _;

    let tun = File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open("/dev/net/tun")?;
    // SAFETY: ifreq is a C structure of integers, for which zeroes are a value.
    let mut request: libc::ifreq = unsafe { core::mem::zeroed() };
    if name.is_empty() || name.len() >= request.ifr_name.len() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an interface name has 1 to 15 characters"));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one ifreq, which lives here for the whole call.
    unsafe { tun_set_iff(tun.as_raw_fd(), &raw mut request as libc::c_ulong) }?;
    Ok(tun.into())
}
