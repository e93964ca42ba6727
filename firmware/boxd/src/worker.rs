//! `boxd camera ID`: one camera's worker. It reads where its camera is from standard input (the link to the
//! supervisor), and writes what the camera sends to the same socket. It holds nothing else, and dies with the link. While
//! nobody watches it rests between looks at the camera ([`crate::rest`]).

use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use anyhow::Context as _;
use camera::errand::Errand;
use camera::{Event, Login, Output, Source, wire};
use model::CameraId;
use nix::sys::prctl;

use crate::rest::Rest;

/// Stack of the threads that resolve names, bytes; the C library's resolver needs some 100 KiB.
const RESOLVER_STACK: usize = 512 << 10;

/// Runs until the supervisor is gone.
///
/// # Errors
/// When the process was not started by a supervisor, the sandbox is refused, or the link ends.
pub(crate) fn run(id: &CameraId) -> anyhow::Result<()> {
    let mut socket: UnixStream = sandbox::inherited(0).context("a worker is started by boxd only")?.into();
    let sandbox = sandbox::enter(sandbox::Duty::Camera).context("cannot enter the sandbox")?;
    if let Ok(name) = std::ffi::CString::new(id.as_str()) {
        // Only a name to be seen in `ps` and `top`.
        let _ = prctl::set_name(&name);
    }
    if !sandbox.seccomp {
        tracing::warn!(camera = %id, "this kernel cannot restrict system calls: the worker runs without");
    }
    let task = read_task(&mut socket)
        .context("cannot read where the camera is: a worker is started by boxd only")?;
    let seed = RandomState::new().hash_one(id.as_str());
    let source = match task {
        Task::Stream(source) => source,
        Task::Errand(source, errand) => return bring(&socket, &source, errand, seed),
    };
    socket.set_nonblocking(true).context("cannot use the link")?;
    let rest = Arc::new(Rest::new(socket.try_clone().context("cannot use the link")?));
    let mut link = Link { socket, rest: rest.clone() };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .on_thread_park(move || rest.take())
        .max_blocking_threads(2)
        .thread_stack_size(RESOLVER_STACK)
        .build()
        .context("cannot start the runtime")?;
    let Err(error) = runtime.block_on(camera::run(source, &mut link, seed));
    Err(error).context("the link to boxd ended")
}

/// What a worker is for.
enum Task {
    /// To stream.
    Stream(Source),
    /// To ask the camera one thing, and end.
    Errand(Source, Errand),
}

/// Reads what is to be done: the first thing that the supervisor sends, before the link turns non-blocking.
fn read_task(link: &mut UnixStream) -> io::Result<Task> {
    let mut header = [0; wire::HEADER_BYTES];
    link.read_exact(&mut header)?;
    let header = wire::Header::decode(&header).map_err(io::Error::other)?;
    let mut body = vec![0; header.body_len()];
    link.read_exact(&mut body)?;
    if header.is_errand() {
        let (source, errand) = wire::decode_errand(&header, &body).map_err(io::Error::other)?;
        return Ok(Task::Errand(source, errand));
    }
    wire::decode_source(&header, &body).map(Task::Stream).map_err(io::Error::other)
}

/// Does an errand and hands over what it brought.
fn bring(mut socket: &UnixStream, source: &Source, errand: Errand, seed: u64) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(2)
        .thread_stack_size(RESOLVER_STACK)
        .build()
        .context("cannot start the runtime")?;
    let outcome = runtime.block_on(camera::errand::run(source, errand, seed));
    let frame = wire::encode_outcome(&outcome)?;
    socket.write_all(&frame.header).context("the link to boxd ended")?;
    socket.write_all(&frame.body).context("the link to boxd ended")
}

/// The worker's end of the link.
struct Link {
    socket: UnixStream,
    rest: Arc<Rest>,
}

impl Output for Link {
    async fn send(&mut self, event: Event) -> io::Result<()> {
        feed::send(&self.socket, &event).await
    }

    fn may_wait(&mut self, may: bool) {
        self.rest.allow(may);
    }

    /// Asks the supervisor. No rest is taken meanwhile, so whatever comes is read here.
    async fn may_log_in(&mut self) -> io::Result<()> {
        self.send(Event::Login(Login::Wanted)).await?;
        let socket = tokio::net::UnixStream::from_std(self.socket.try_clone()?)?;
        let mut words = [0; 64];
        loop {
            socket.readable().await?;
            match socket.try_read(&mut words) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(len) if words.get(..len).is_some_and(|words| words.contains(&wire::MAY_LOG_IN)) => {
                    return Ok(());
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn logged_in(&mut self, outcome: Login) -> io::Result<()> {
        self.send(Event::Login(outcome)).await
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use media::{AccessUnit, Track};

    use super::*;

    #[test]
    fn a_full_link_holds_the_camera_back_and_loses_nothing() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let unit = |stamp| {
            Event::Unit(AccessUnit {
                track: Track::Video,
                stamp,
                clock_rate: NonZeroU32::new(90_000).unwrap(),
                arrival_us: 1,
                random_access: true,
                loss: false,
                data: vec![stamp as u8; 300_000].into(),
            })
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let rest = Arc::new(Rest::new(ours.try_clone().unwrap()));
            let mut link = Link { socket: ours, rest };
            let full = async {
                for stamp in 0..8 {
                    link.send(unit(stamp)).await.unwrap();
                }
            };
            let mut full = std::pin::pin!(full);
            let early = tokio::time::timeout(Duration::from_millis(50), &mut full).await;
            assert!(early.is_err(), "2.4 MB do not fit a socket");
            let mut reader = feed::Link::new(tokio::net::UnixStream::from_std(theirs).unwrap());
            let read = async {
                for stamp in 0..8 {
                    assert_eq!(reader.next().await.unwrap(), unit(stamp));
                }
            };
            let both = async { tokio::join!(full, read) };
            tokio::time::timeout(Duration::from_secs(5), both).await.expect("the worker goes on");
        });
    }
}
