//! Ports for tests that name them before they are used.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// Below those that Linux gives to connections by itself (`ip_local_port_range`, 32768 and up), so that none of these takes one
/// between the look and the use.
const FIRST: u32 = 10_000;
const COUNT: u32 = 22_000;
/// Tests of one program are neighbours; those of others begin elsewhere.
const STRIDE: u32 = 7_919;

static TURN: AtomicU32 = AtomicU32::new(0);

/// A TCP port that nobody has now and that no other test is given soon.
///
/// # Errors
/// When none is free.
pub fn free(host: Ipv4Addr) -> io::Result<u16> {
    let mut last = io::ErrorKind::AddrInUse.into();
    for _ in 0..COUNT {
        let turn = TURN.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + process::id().wrapping_mul(STRIDE).wrapping_add(turn) % COUNT;
        let port = u16::try_from(port).unwrap_or(u16::MAX);
        match TcpListener::bind((host, port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = error,
        }
    }
    Err(last)
}
