//! The few calls to the kernel that have no safe wrapper that can be used again and again. The only `unsafe` of this crate.
#![allow(unsafe_code, reason = "the one module that may; each block has its proof")]

use core::mem::{size_of, zeroed};
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{SockaddrLike as _, SockaddrStorage};

/// Messages per system call.
pub(super) const BATCH: usize = 32;
/// Room for the largest datagram, or for many that the kernel joined.
pub(super) const ROOM: usize = 1 << 16;
/// Room for one control message with a number in it, in words that are aligned for `cmsghdr`.
const CONTROL: usize = 4;

nix::ioctl_write_int!(tun_set_iff, b'T', 202);
nix::ioctl_write_int!(tun_set_offload, b'T', 208);

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
    let mut request: libc::ifreq = unsafe { zeroed() };
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

/// Lets the kernel hand over TCP packets larger than the MTU, with unfinished checksums.
///
/// # Errors
/// When the driver cannot.
pub(super) fn offload_tcp(tun: &impl AsFd) -> io::Result<()> {
    let offloads = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6;
    // SAFETY: TUNSETOFFLOAD takes an integer and touches no memory of ours.
    unsafe { tun_set_offload(tun.as_fd().as_raw_fd(), libc::c_ulong::from(offloads)) }?;
    Ok(())
}

/// Says whether datagrams of a UDP socket may be sent in fragments (RFC 791). Without, they carry DF, whatever the kernel
/// believes of the path.
///
/// # Errors
/// When the socket is no UDP socket.
pub(super) fn allow_fragments(socket: &impl AsFd, v6: bool, allowed: bool) -> io::Result<()> {
    let set = |level, name, value: libc::c_int| {
        // SAFETY: the option is an int, which lives for the whole call, and its size is given.
        let result = unsafe {
            libc::setsockopt(
                socket.as_fd().as_raw_fd(),
                level,
                name,
                (&raw const value).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        Errno::result(result).map(drop)
    };
    let (v4_value, v6_value) = if allowed {
        (libc::IP_PMTUDISC_DONT, libc::IPV6_PMTUDISC_DONT)
    } else {
        (libc::IP_PMTUDISC_PROBE, libc::IPV6_PMTUDISC_PROBE)
    };
    set(libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, v4_value)?;
    if v6 {
        set(libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, v6_value)?;
    }
    Ok(())
}

/// What one buffer holds after [`receive`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Received {
    /// Bytes in it.
    pub(super) length: usize,
    /// Bytes of each datagram in it but the last.
    pub(super) segment: usize,
    /// Who sent them, as the socket's family says it.
    pub(super) from: SocketAddr,
}

/// Nothing received.
pub(super) const NOTHING: Received =
    Received { length: 0, segment: 0, from: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0) };

/// Receives up to [`BATCH`] messages without waiting, the n-th into the n-th [`ROOM`] bytes of `buffer`.
///
/// # Errors
/// `WouldBlock` when there is nothing.
pub(super) fn receive(
    socket: &impl AsFd,
    buffer: &mut [u8],
    received: &mut [Received; BATCH],
) -> io::Result<usize> {
    // SAFETY: C structures of integers and pointers, for which zeroes are a value.
    let (mut names, mut pieces, mut headers): (
        [libc::sockaddr_storage; BATCH],
        [libc::iovec; BATCH],
        [libc::mmsghdr; BATCH],
    ) = unsafe { (zeroed(), zeroed(), zeroed()) };
    let mut control = [[0_u64; CONTROL]; BATCH];
    let mut count = 0;
    let places = names.iter_mut().zip(&mut pieces).zip(&mut control);
    for ((room, header), ((name, piece), control)) in
        buffer.chunks_exact_mut(ROOM).zip(&mut headers).zip(places)
    {
        *piece = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
        let header = &mut header.msg_hdr;
        header.msg_name = (&raw mut *name).cast();
        header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        header.msg_iov = &raw mut *piece;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of::<[u64; CONTROL]>() as _;
        count += 1;
    }
    // SAFETY: `count` headers are filled in. Each points to its own name, piece and control words, which live to the end
    // of this function, and through its piece to its own part of `buffer`, which is borrowed for as long; all with
    // their true sizes.
    let got = Errno::result(unsafe {
        libc::recvmmsg(
            socket.as_fd().as_raw_fd(),
            headers.as_mut_ptr(),
            count,
            libc::MSG_DONTWAIT as _,
            core::ptr::null_mut(),
        )
    })? as usize;
    for ((to, header), name) in received.iter_mut().zip(&headers).zip(&names).take(got) {
        // SAFETY: the kernel wrote `msg_namelen` bytes of an address into `name`, which is all initialised.
        let from =
            unsafe { SockaddrStorage::from_raw((&raw const *name).cast(), Some(header.msg_hdr.msg_namelen)) };
        let length = header.msg_len as usize;
        *to = Received { length, segment: length, from: from.and_then(address).unwrap_or(NOTHING.from) };
        // SAFETY: the kernel left a header that is either empty or a control message within `msg_controllen` bytes of the
        // control words, which are aligned for it; the number is read without asking for alignment.
        unsafe {
            let message = libc::CMSG_FIRSTHDR(&raw const header.msg_hdr);
            if !message.is_null()
                && (*message).cmsg_level == libc::SOL_UDP
                && (*message).cmsg_type == libc::UDP_GRO
            {
                let size = libc::CMSG_DATA(message).cast::<libc::c_int>().read_unaligned();
                to.segment = usize::try_from(size).unwrap_or(length);
            }
        }
    }
    Ok(got)
}

fn address(name: SockaddrStorage) -> Option<SocketAddr> {
    match (name.as_sockaddr_in(), name.as_sockaddr_in6()) {
        (Some(v4), _) => Some(SocketAddr::V4((*v4).into())),
        (None, Some(v6)) => Some(SocketAddr::V6((*v6).into())),
        (None, None) => None,
    }
}

/// One message for [`send`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    /// To whom, as the socket's family says it.
    pub(super) to: SocketAddr,
    /// One datagram, or several of one size but the last.
    pub(super) bytes: &'a [u8],
    /// That size; the kernel cuts (UDP_SEGMENT) when there are more bytes.
    pub(super) segment: u16,
}

/// Sends up to [`BATCH`] messages; gives how many were taken.
///
/// # Errors
/// What is wrong with the first; `WouldBlock` when the socket is full.
pub(super) fn send(socket: &impl AsFd, messages: &[Message<'_>]) -> io::Result<usize> {
    // SAFETY: C structures of integers and pointers, for which zeroes are a value.
    let (mut pieces, mut headers): ([libc::iovec; BATCH], [libc::mmsghdr; BATCH]) =
        unsafe { (zeroed(), zeroed()) };
    let mut names = [SockaddrStorage::from(NOTHING.from); BATCH];
    let mut control = [[0_u64; CONTROL]; BATCH];
    let mut count = 0;
    let places = names.iter_mut().zip(&mut pieces).zip(&mut control);
    for ((message, header), ((name, piece), control)) in messages.iter().zip(&mut headers).zip(places) {
        *name = SockaddrStorage::from(message.to);
        *piece =
            libc::iovec { iov_base: message.bytes.as_ptr().cast_mut().cast(), iov_len: message.bytes.len() };
        let header = &mut header.msg_hdr;
        header.msg_name = name.as_ptr().cast_mut().cast();
        header.msg_namelen = name.len();
        header.msg_iov = &raw mut *piece;
        header.msg_iovlen = 1;
        if message.bytes.len() > usize::from(message.segment) {
            header.msg_control = control.as_mut_ptr().cast();
            // SAFETY: a pure computation.
            header.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<u16>() as u32) } as _;
            // SAFETY: the control words are aligned for cmsghdr and larger than the space of one u16, so the first
            // header is there and its data is within them.
            unsafe {
                let first = libc::CMSG_FIRSTHDR(&raw const *header);
                (*first).cmsg_level = libc::SOL_UDP;
                (*first).cmsg_type = libc::UDP_SEGMENT;
                (*first).cmsg_len = libc::CMSG_LEN(size_of::<u16>() as u32) as _;
                libc::CMSG_DATA(first).cast::<u16>().write_unaligned(message.segment);
            }
        }
        count += 1;
    }
    // SAFETY: `count` headers are filled in. Each points to its own name, piece and control words, which live to the end
    // of this function, and to bytes borrowed for as long, all with their true sizes. The kernel only reads them.
    let sent = Errno::result(unsafe {
        libc::sendmmsg(socket.as_fd().as_raw_fd(), headers.as_mut_ptr(), count, libc::MSG_DONTWAIT as _)
    })?;
    Ok(sent as usize)
}
