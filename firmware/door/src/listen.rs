//! A listening socket, and what to do when there is none.

#![allow(clippy::disallowed_types, reason = "sockets are what this module is for")]

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait to be taken.
const BACKLOG: i32 = 256;

/// Why nothing can listen there. `key` is where the owner chose the address, such as `[http] listen`.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another program listens there.
    #[error(
        "port {} is taken by another program: stop that program, or choose another port in the configuration \
         ({key} = \"{}:{}\")",
        .address.port(), .address.ip(), .address.port().checked_add(1).unwrap_or(8080)
    )]
    Taken {
        /// The address that was chosen.
        address: SocketAddr,
        /// Where it was chosen.
        key: &'static str,
    },
    /// The port is one of the system's.
    #[error("only root may listen on port {}: choose one from 1024 on in the configuration ({key})", .address.port())]
    Forbidden {
        /// The address that was chosen.
        address: SocketAddr,
        /// Where it was chosen.
        key: &'static str,
    },
    /// Anything else.
    #[error("cannot listen on {address} ({key})")]
    Other {
        /// The address that was chosen.
        address: SocketAddr,
        /// Where it was chosen.
        key: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

/// Listens, without blocking, on an address that was chosen at `key`.
///
/// # Errors
/// When the port is taken, forbidden, or the address is not this machine's.
pub fn listen(address: SocketAddr, key: &'static str) -> Result<TcpListener, ListenError> {
    let listen = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // Connections of an earlier run that still wait in the kernel do not keep the port.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    listen().map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::Taken { address, key },
        io::ErrorKind::PermissionDenied => ListenError::Forbidden { address, key },
        _ => ListenError::Other { address, key, source },
    })
}
