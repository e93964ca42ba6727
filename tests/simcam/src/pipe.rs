//! A client's TCP connection for writing: media and replies, from any thread, never waiting.
//!
//! Invariant: bytes leave in the order in which they were given, whole; what the kernel does not take at once is kept
//! (at most [`LIMIT`] bytes, then the client is given up) and leaves when the connection is writable again.

use std::{
    collections::VecDeque,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::{net::TcpStream, sync::Notify};

use crate::log::{Log, Sent};

/// Bytes kept for a client that does not read.
const LIMIT: usize = 16 << 20;

/// A connection.
#[derive(Debug)]
pub(crate) struct Pipe {
    stream: TcpStream,
    queue: Mutex<Queue>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    taken: usize,
    /// What to note when so many more bytes have left.
    marks: VecDeque<(usize, Sent)>,
    broken: bool,
}

impl Pipe {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, queue: Mutex::default(), changed: Notify::new() }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands bytes to the kernel, now or as soon as it takes them; then notes `sent` in `log`.
    pub(crate) fn send(&self, bytes: &[u8], sent: Option<Sent>, log: &Log) {
        let mut queue = self.queue();
        let mut taken = 0;
        if queue.taken == queue.bytes.len() {
            while taken < bytes.len() && !queue.broken {
                match self.stream.try_write(&bytes[taken..]) {
                    Ok(count) => taken += count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(_) => queue.broken = true,
                }
            }
        }
        if taken == bytes.len() {
            if let Some(sent) = sent {
                log.note(sent);
            }
            return;
        }
        queue.bytes.extend_from_slice(&bytes[taken..]);
        let end = queue.bytes.len();
        if let Some(sent) = sent {
            queue.marks.push_back((end, sent));
        }
        queue.broken |= end - queue.taken > LIMIT;
        self.changed.notify_one();
    }

    /// Waits until something was kept, or the client was given up.
    pub(crate) async fn stuck(&self) -> io::Result<()> {
        loop {
            {
                let queue = self.queue();
                if queue.broken {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                if queue.taken < queue.bytes.len() {
                    break;
                }
            }
            self.changed.notified().await;
        }
        self.stream.writable().await
    }

    /// Hands on what was kept, as far as the kernel takes it.
    pub(crate) fn flush(&self, log: &Log) -> io::Result<()> {
        let mut queue = self.queue();
        while queue.taken < queue.bytes.len() {
            match self.stream.try_write(&queue.bytes[queue.taken..]) {
                Ok(count) => queue.taken += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            while queue.marks.front().is_some_and(|(end, _)| *end <= queue.taken) {
                if let Some((_, sent)) = queue.marks.pop_front() {
                    log.note(sent);
                }
            }
        }
        if queue.taken == queue.bytes.len() {
            queue.bytes.clear();
            queue.taken = 0;
        }
        Ok(())
    }

    /// Waits for bytes from the client and appends them; none: it closed.
    pub(crate) async fn read(&self, into: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            self.stream.readable().await?;
            let mut buffer = [0; 4096];
            match self.stream.try_read(&mut buffer) {
                Ok(count) => {
                    into.extend_from_slice(&buffer[..count]);
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}
