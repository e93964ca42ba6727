//! The few calls to the kernel and the C library that have no safe wrapper. The only `unsafe` of this crate.
#![allow(unsafe_code, reason = "the one module that may; each block has its proof")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::time::Duration;

use nix::libc;

/// What the kernel counts for a TCP connection (`struct tcp_info` of linux/tcp.h, which only ever grows at its end).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TcpInfo {
    /// How long there was data under way or waiting, since the connection was opened.
    pub(crate) busy: Duration,
    /// Bytes that the other end acknowledged.
    pub(crate) bytes_acked: u64,
    /// The shortest round trip of the last minutes.
    pub(crate) min_rtt: Duration,
    /// There is data under way or waiting now.
    pub(crate) under_way: bool,
}

/// Asks the kernel about a TCP connection.
///
/// # Errors
/// When it is none, or on kernels before Linux 4.10, which do not tell all of it.
pub(crate) fn tcp_info(socket: BorrowedFd<'_>) -> io::Result<TcpInfo> {
    // Offsets in bytes.
    const UNACKED: usize = 24;
    const BYTES_ACKED: usize = 120;
    const NOTSENT: usize = 144;
    const MIN_RTT: usize = 148;
    const BUSY: usize = 168;
    let mut bytes = [0_u8; 256];
    let mut len = bytes.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes into `bytes`, which is that long and lives over the call; it sets
    // `len` to what it wrote.
    let asked = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            bytes.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if asked == -1 {
        return Err(io::Error::last_os_error());
    }
    if (len as usize) < BUSY + 8 {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let word =
        |at: usize| bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_ne_bytes);
    let long = |at: usize| {
        bytes.get(at..at + 8).and_then(|eight| eight.try_into().ok()).map_or(0, u64::from_ne_bytes)
    };
    // Not measured yet: the kernel says so with all bits set.
    let min_rtt = Some(word(MIN_RTT)).filter(|rtt| *rtt != u32::MAX).unwrap_or(0);
    Ok(TcpInfo {
        busy: Duration::from_micros(long(BUSY)),
        bytes_acked: long(BYTES_ACKED),
        min_rtt: Duration::from_micros(min_rtt.into()),
        under_way: word(UNACKED) > 0 || word(NOTSENT) > 0,
    })
}
