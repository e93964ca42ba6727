//! The page's end of the socket pair to the box's main process: [`Desk::ask`] for many threads at once.
//!
//! Each question has a number; one thread reads the answers and hands each to whoever waits for it. Lines may hold camera
//! passwords, so they are wiped after they were sent.

#![allow(clippy::disallowed_methods, reason = "sockets and deadlines are what this module is for")]

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use zeroize::Zeroizing;

use crate::desk::{Ask, Asked, LINE_BYTES, Refusal, Replied, Reply};

/// An answer must be there after this: setting a camera up over ONVIF takes some seconds.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The main process takes a line in this, or it is not running any more.
const SEND_TIME: Duration = Duration::from_secs(5);
/// Stack of the thread that reads, bytes.
const STACK: usize = 256 << 10;

/// Whoever answers the page's questions.
pub trait Desk: Send + Sync {
    /// Asks, and waits for the answer. What goes wrong on the way is a refusal, too: `late` or `gone`.
    ///
    /// # Errors
    /// The refusal.
    fn ask(&self, ask: Ask) -> Reply;
}

/// The desk in the box's main process.
#[derive(Debug)]
pub struct Client {
    socket: Mutex<UnixStream>,
    last: AtomicU64,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    gone: bool,
    answers: HashMap<u64, SyncSender<Reply>>,
}

impl Client {
    /// Takes the socket into use. `gone` is called once, when the other end has left.
    ///
    /// # Errors
    /// When there is no thread to read it.
    pub fn start(socket: UnixStream, gone: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        socket.set_nonblocking(false)?;
        socket.set_write_timeout(Some(SEND_TIME))?;
        let reading = socket.try_clone()?;
        let waiting: Arc<Mutex<Waiting>> = Arc::default();
        let handed = waiting.clone();
        std::thread::Builder::new().name("desk".to_owned()).stack_size(STACK).spawn(move || {
            read(reading, &handed);
            let mut waiting = lock(&handed);
            waiting.gone = true;
            waiting.answers.clear();
            drop(waiting);
            gone();
        })?;
        Ok(Self { socket: Mutex::new(socket), last: AtomicU64::new(0), waiting })
    }

    fn send(&self, asked: &Asked) -> io::Result<()> {
        let mut line = Zeroizing::new(serde_json::to_vec(asked).map_err(io::Error::other)?);
        line.push(b'\n');
        if line.len() > LINE_BYTES {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        lock(&self.socket).write_all(&line)
    }
}

impl Desk for Client {
    fn ask(&self, ask: Ask) -> Reply {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (answer, answered) = sync_channel(1);
        {
            let mut waiting = lock(&self.waiting);
            if waiting.gone {
                return Err(gone());
            }
            waiting.answers.insert(id, answer);
        }
        let sent = self.send(&Asked { id, ask });
        let reply = match sent {
            Ok(()) => answered.recv_timeout(PATIENCE),
            Err(_) => Err(RecvTimeoutError::Disconnected),
        };
        lock(&self.waiting).answers.remove(&id);
        match reply {
            Ok(reply) => reply,
            Err(RecvTimeoutError::Timeout) => Err(refusal("late", "It took too long: try again.")),
            Err(RecvTimeoutError::Disconnected) => Err(gone()),
        }
    }
}

/// Hands out answers until the other end is gone or says what is no answer.
fn read(socket: UnixStream, waiting: &Mutex<Waiting>) {
    let mut reader = BufReader::new(socket);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LINE_BYTES as u64).read_until(b'\n', &mut line) {
            Ok(1..) if line.ends_with(b"\n") => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            _ => return,
        }
        let Ok(Replied { id, reply }) = serde_json::from_slice(&line) else { return };
        // Nobody waits any more when it came too late.
        if let Some(answer) = lock(waiting).answers.remove(&id) {
            let _ = answer.try_send(reply);
        }
    }
}

fn refusal(code: &str, sentence: &str) -> Refusal {
    Refusal { code: code.to_owned(), sentence: sentence.to_owned() }
}

fn gone() -> Refusal {
    refusal("gone", "The box is starting anew: wait a moment and try again.")
}

/// Nobody leaves a half-made value behind: a poisoned lock is used as it is.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use crate::desk::Answer;

    use super::*;

    fn pair() -> (Client, BufReader<UnixStream>, std::sync::mpsc::Receiver<()>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (told, gone) = channel();
        (Client::start(ours, move || told.send(()).unwrap()).unwrap(), BufReader::new(theirs), gone)
    }

    fn asked(reader: &mut BufReader<UnixStream>) -> Asked {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn reply(reader: &mut BufReader<UnixStream>, id: u64, reply: Reply) {
        let mut line = serde_json::to_vec(&Replied { id, reply }).unwrap();
        line.push(b'\n');
        reader.get_mut().write_all(&line).unwrap();
    }

    #[test]
    fn a_slow_answer_holds_back_no_other() {
        let (client, mut desk, _gone) = pair();
        std::thread::scope(|threads| {
            let slow = threads.spawn(|| client.ask(Ask::Events));
            let first = asked(&mut desk);
            let quick = threads.spawn(|| client.ask(Ask::Restart));
            let second = asked(&mut desk);
            assert!(matches!((&first.ask, &second.ask), (Ask::Events, Ask::Restart)));
            reply(&mut desk, 77, Ok(Answer::Done));
            reply(&mut desk, second.id, Ok(Answer::Done));
            assert!(matches!(quick.join().unwrap(), Ok(Answer::Done)));
            reply(&mut desk, first.id, Err(refusal("x", "y")));
            assert_eq!(slow.join().unwrap().unwrap_err().code, "x");
        });
    }

    #[test]
    fn whoever_waits_learns_that_the_box_is_gone() {
        let (client, mut desk, gone_told) = pair();
        std::thread::scope(|threads| {
            let waiting = threads.spawn(|| client.ask(Ask::Overview));
            asked(&mut desk);
            drop(desk);
            assert_eq!(waiting.join().unwrap().unwrap_err().code, "gone");
        });
        gone_told.recv_timeout(Duration::from_secs(5)).unwrap();
        assert_eq!(client.ask(Ask::Overview).unwrap_err().code, "gone");
    }

    #[test]
    fn an_endless_line_ends_the_link() {
        let (client, mut desk, gone_told) = pair();
        let _ = desk.get_mut().write_all(&vec![b' '; LINE_BYTES + 1]);
        gone_told.recv_timeout(Duration::from_secs(5)).unwrap();
        drop(client);
    }
}
