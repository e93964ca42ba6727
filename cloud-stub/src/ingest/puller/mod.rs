//! `cloud puller MIB`: a process that reads many cameras, none of which is trusted.
//!
//! ```text
//! cloud: Pool ──control: a camera's link, "somebody watches"──▶ cloud puller (sandboxed)
//!   keeper of a camera ◀──its link: formats, access units, states── one task for each camera
//! ```
//!
//! What RTSP servers send is read here, where a mistake costs little: the process has given up files, programs and most
//! memory first. A camera that makes it die is read by a process of its own from then on ([`Pool`]), so it disturbs the
//! others once. The address to contact comes with the camera; no name is resolved here.

mod pool;
mod rest;

use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::Context as _;
use camera::{Event, Login, Output, Source, wire};
use model::CameraState;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};
use sandbox::Duty;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt as _, Interest};
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::task::LocalSet;

pub(super) use pool::{Pool, Seat};
use rest::{Rest, Restless};

/// On the control socket: a camera's link comes along.
const CAMERA: u8 = b'c';
/// On the control socket: somebody watches one of the cameras.
const WATCHED: u8 = b'w';

/// Runs until whoever started it is gone; `data` is the most memory of its own, bytes.
///
/// # Errors
/// When it was not started by a cloud, or the sandbox is refused.
pub fn run(data: u64) -> anyhow::Result<()> {
    sandbox::limit_heaps(1);
    let control = sandbox::inherited(0).context("a puller is started by the cloud only")?;
    let sandbox = sandbox::enter(Duty::Cameras { data }).context("cannot enter the sandbox")?;
    if !sandbox.seccomp {
        tracing::warn!("this kernel cannot restrict system calls: cameras are read without");
    }
    let rest = Arc::new(Rest::new(control.try_clone().context("cannot use the control socket")?));
    let parked = rest.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .on_thread_park(move || parked.take())
        .build()
        .context("cannot start the runtime")?;
    let cameras = LocalSet::new();
    let ended = cameras.block_on(&runtime, serve(control, rest)).context("the control socket failed");
    // A session that is dropped says goodbye in a task of its own, which takes a runtime to begin.
    let _guard = runtime.enter();
    drop(cameras);
    ended
}

async fn serve(control: OwnedFd, rest: Arc<Rest>) -> io::Result<()> {
    let control = readable(control)?;
    loop {
        let mut ready = control.readable().await?;
        match ready.try_io(|control| receive(control.as_fd())) {
            Err(_) => {}
            Ok(Ok(None)) => return Ok(()),
            Ok(Ok(Some(Word::Watched))) => rest.watched(),
            Ok(Ok(Some(Word::Camera(link)))) => {
                tokio::task::spawn_local(look_after(link, rest.clone()));
            }
            Ok(Err(error)) => return Err(error),
        }
    }
}

/// Watches a socket for what comes in only.
#[allow(
    deprecated,
    reason = "the safe way to name an interest; it is sound for what owns its descriptor, as both sockets do"
)]
fn readable<T: AsFd + AsRawFd>(socket: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(socket, Interest::READABLE)
}

/// What comes on the control socket.
enum Word {
    Camera(StdUnixStream),
    Watched,
}

/// One word; `None` at the end.
fn receive(control: BorrowedFd<'_>) -> io::Result<Option<Word>> {
    let mut word = [0];
    let mut space = nix::cmsg_space!([RawFd; 1]);
    let mut slices = [IoSliceMut::new(&mut word)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<UnixAddr>(control.as_raw_fd(), &mut slices, Some(&mut space), flags)?;
    let read = message.bytes;
    let mut link = None;
    for message in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(descriptors) = message {
            for descriptor in descriptors {
                link = Some(sandbox::inherited(descriptor)?);
            }
        }
    }
    match (read, word, link) {
        (0, ..) => Ok(None),
        (_, [CAMERA], Some(link)) => Ok(Some(Word::Camera(link.into()))),
        (_, [WATCHED], _) => Ok(Some(Word::Watched)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Sends one word, if there is room for it.
fn tell(control: BorrowedFd<'_>, word: u8, link: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let word = [word];
    let slices = [IoSlice::new(&word)];
    let descriptors = link.map(|link| [link.as_raw_fd()]);
    let rights = descriptors.as_ref().map(|descriptors| ControlMessage::ScmRights(descriptors));
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendmsg::<UnixAddr>(control.as_raw_fd(), &slices, rights.as_slice(), flags, None)?;
    Ok(())
}

/// Reads one camera until nobody wants it any more.
async fn look_after(link: StdUnixStream, rest: Arc<Rest>) {
    let allowed = Rc::new(Notify::new());
    let Ok((link, source)) = begin(link).await else { return };
    let Ok(words) = link.try_clone() else { return };
    let seed = RandomState::new().hash_one(source.id.as_str());
    let mut output = Wire { link, restless: Restless::new(rest), allowed: allowed.clone() };
    tokio::select! {
        _ = camera::run(source, &mut output, seed) => {}
        _ = listen(words, &allowed) => {}
    }
}

/// Reads where the camera is: the first that the link brings.
async fn begin(link: StdUnixStream) -> io::Result<(StdUnixStream, Source)> {
    link.set_nonblocking(true)?;
    let mut link = UnixStream::from_std(link)?;
    let mut header = [0; wire::HEADER_BYTES];
    link.read_exact(&mut header).await?;
    let header = wire::Header::decode(&header).map_err(io::Error::other)?;
    let mut body = vec![0; header.body_len()];
    link.read_exact(&mut body).await?;
    let source = wire::decode_source(&header, &body).map_err(io::Error::other)?;
    Ok((link.into_std()?, source))
}

/// Hears what the cloud says to this camera's reader; returns when it is wanted no more.
async fn listen(link: StdUnixStream, allowed: &Notify) -> io::Result<()> {
    // Room for more is made with every frame that the cloud reads: that wakes nobody.
    let link = readable(link)?;
    loop {
        let mut words = [0; 64];
        let mut ready = link.readable().await?;
        match ready.try_io(|link| io::Read::read(&mut link.get_ref(), &mut words)) {
            Err(_) => {}
            Ok(Ok(0)) => return Ok(()),
            Ok(Ok(len)) => {
                if words.get(..len).is_some_and(|words| words.contains(&wire::MAY_LOG_IN)) {
                    allowed.notify_one();
                }
            }
            Ok(Err(error)) => return Err(error),
        }
    }
}

/// Where a camera's reader writes.
struct Wire {
    link: StdUnixStream,
    restless: Restless,
    allowed: Rc<Notify>,
}

impl Output for Wire {
    async fn send(&mut self, event: Event) -> io::Result<()> {
        match &event {
            Event::State(CameraState::Connecting) => self.restless.set(true),
            Event::State(CameraState::Waiting { .. } | CameraState::Stopped { .. }) => {
                self.restless.set(false);
            }
            _ => {}
        }
        feed::send(&self.link, &event).await
    }

    fn may_wait(&mut self, may: bool) {
        self.restless.set(!may);
    }

    async fn may_log_in(&mut self) -> io::Result<()> {
        self.send(Event::Login(Login::Wanted)).await?;
        self.allowed.notified().await;
        Ok(())
    }

    async fn logged_in(&mut self, outcome: Login) -> io::Result<()> {
        self.send(Event::Login(outcome)).await
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

    use super::*;

    #[test]
    fn words_and_links_come_as_they_were_sent() {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
        let (mut link, far) = StdUnixStream::pair().unwrap();
        tell(ours.as_fd(), WATCHED, None).unwrap();
        tell(ours.as_fd(), CAMERA, Some(far.as_fd())).unwrap();
        drop(far);
        assert!(matches!(receive(theirs.as_fd()).unwrap(), Some(Word::Watched)));
        let Some(Word::Camera(mut far)) = receive(theirs.as_fd()).unwrap() else { panic!() };
        io::Write::write_all(&mut link, b"x").unwrap();
        let mut byte = [0];
        io::Read::read_exact(&mut far, &mut byte).unwrap();
        assert_eq!(byte, *b"x");
        assert_eq!(receive(theirs.as_fd()).err().unwrap().kind(), io::ErrorKind::WouldBlock);
        tell(ours.as_fd(), CAMERA, None).unwrap();
        assert_eq!(receive(theirs.as_fd()).err().unwrap().kind(), io::ErrorKind::InvalidData);
        drop(ours);
        assert!(receive(theirs.as_fd()).unwrap().is_none());
    }
}
