//! The processes that read cameras, and who sits in which.
//!
//! A process has [`SEATS`] cameras at most, and ends when the last one leaves. From one that has died nobody can tell which of its
//! cameras was to blame, so each of them is read alone from then on: whoever did it does it to itself.

use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use camera::wire::Frame;
use feed::Link;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::{CAMERA, WATCHED, tell};

/// Cameras of one process: one look at 32 sockets costs little more than one at one, and a dead process interrupts no more.
const SEATS: usize = 32;
/// Most memory of a process with many cameras, and of one with a single camera, MiB. A camera takes half a MiB, and its largest
/// access unit (8 MiB) a few times that; a whole group never sends its largest at once.
const MEMORY_MIB: (u64, u64) = (160, 64);

/// All processes; a handle, cheap to clone.
#[derive(Clone, Default)]
pub(in crate::ingest) struct Pool(Arc<Mutex<Vec<Weak<Process>>>>);

struct Process {
    control: OwnedFd,
    taken: AtomicUsize,
    alone: bool,
    /// Nobody new is to come in.
    closed: AtomicBool,
    /// Ends with its last camera.
    _child: Child,
}

/// A camera's place in a process. Dropped, it is free again.
pub(in crate::ingest) struct Seat(Arc<Process>);

impl Pool {
    /// Has a camera read: its place and its link. `alone`: by a process of its own.
    ///
    /// # Errors
    /// When the system has no room for another process or socket. To be called within a runtime.
    pub(in crate::ingest) fn read(&self, source: &Frame, alone: bool) -> io::Result<(Link, Seat)> {
        let (mut ours, theirs) = StdUnixStream::pair()?;
        // What is written before anybody reads fits the socket: 64 KiB at most.
        ours.set_nonblocking(true)?;
        ours.write_all(&source.header)?;
        ours.write_all(&source.body)?;
        let seat = self.seat(alone)?;
        if let Err(error) = tell(seat.0.control.as_fd(), CAMERA, Some(theirs.as_fd())) {
            seat.close();
            return Err(error);
        }
        Ok((Link::new(UnixStream::from_std(ours)?), seat))
    }

    fn seat(&self, alone: bool) -> io::Result<Seat> {
        let mut processes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        processes.retain(|process| process.strong_count() > 0);
        if !alone {
            for process in processes.iter().filter_map(Weak::upgrade) {
                let free = !process.alone && !process.closed.load(Ordering::Relaxed);
                if free && process.taken.load(Ordering::Relaxed) < SEATS {
                    process.taken.fetch_add(1, Ordering::Relaxed);
                    return Ok(Seat(process));
                }
            }
        }
        let process = Arc::new(Process::start(alone)?);
        processes.push(Arc::downgrade(&process));
        Ok(Seat(process))
    }
}

impl Process {
    /// With its first seat taken.
    fn start(alone: bool) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (control, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        let memory = if alone { MEMORY_MIB.1 } else { MEMORY_MIB.0 };
        let child = Command::new("/proc/self/exe")
            .arg0("cloud")
            .args(["puller", &memory.to_string()])
            .env_clear()
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let (taken, closed) = (AtomicUsize::new(1), AtomicBool::new(false));
        Ok(Self { control, taken, alone, closed, _child: child })
    }
}

impl Seat {
    /// Somebody watches. What cannot be told need not be: a full socket holds the same word already.
    pub(in crate::ingest) fn watched(&self) {
        let _ = tell(self.0.control.as_fd(), WATCHED, None);
    }

    /// The process has died, or does not listen: nobody new is to sit here.
    pub(in crate::ingest) fn close(&self) {
        self.0.closed.store(true, Ordering::Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}
