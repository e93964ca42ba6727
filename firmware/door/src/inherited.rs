//! A listening socket that whoever started this process has opened (sd_listen_fds(3)): systemd, or a program that gives
//! its own port to a process in another network. The only `unsafe` of this crate.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "sockets are what this module is for, and the environment is how this one is announced"
)]
#![allow(unsafe_code, reason = "the one module that may; each block has its proof")]

use std::env;
use std::io;
use std::net::TcpListener;
use std::os::fd::{BorrowedFd, OwnedFd};

/// The first descriptor that is handed over.
const FIRST: i32 = 3;

/// Why a socket that was announced cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// More than one, or no number.
    #[error("LISTEN_FDS is {0:?}, but exactly 1 listening socket is taken")]
    Count(String),
    /// It is not there, or no listening TCP socket.
    #[error("LISTEN_FDS is set, but descriptor 3 is no listening TCP socket")]
    Socket(#[source] io::Error),
}

/// The inherited socket, without blocking; `None` when there is none.
///
/// # Errors
/// When one was announced that cannot be used.
pub fn inherited() -> Result<Option<TcpListener>, InheritError> {
    let variable = |name| env::var_os(name).map(|text| text.to_string_lossy().into_owned());
    let for_another = variable("LISTEN_PID").is_some_and(|pid| pid != std::process::id().to_string());
    let Some(count) = variable("LISTEN_FDS").filter(|_| !for_another) else { return Ok(None) };
    if count != "1" {
        return Err(InheritError::Count(count));
    }
    // SAFETY: borrowed only for the call that copies it; a descriptor that is not open gives EBADF there.
    let copy = unsafe { BorrowedFd::borrow_raw(FIRST) }.try_clone_to_owned();
    copy.and_then(listening).map(Some).map_err(InheritError::Socket)
}

fn listening(socket: OwnedFd) -> io::Result<TcpListener> {
    let listener = TcpListener::from(socket);
    listener.local_addr()?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
