//! `boxd camera ID`: one camera's worker. It reads where its camera is from standard input (the link to the
//! supervisor), and writes what the camera sends to the same socket. It holds nothing else, and dies with the link.

use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, IoSlice};
use std::os::unix::net::UnixStream as StdUnixStream;

use anyhow::Context as _;
use camera::{Event, Output, Source, wire};
use model::CameraId;
use nix::sys::prctl;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::{kernel, sandbox};

/// Stack of the threads that resolve names, bytes; the C library's resolver needs some 100 KiB.
const RESOLVER_STACK: usize = 512 << 10;

/// Runs until the supervisor is gone.
///
/// # Errors
/// When the process was not started by a supervisor, the sandbox is refused, or the link ends.
pub(crate) fn run(id: &CameraId) -> anyhow::Result<()> {
    let link = StdUnixStream::from(kernel::inherited(0).context("a worker is started by boxd only")?);
    link.set_nonblocking(true).context("a worker is started by boxd only")?;
    let sandbox = sandbox::enter().context("cannot enter the sandbox")?;
    if let Ok(name) = std::ffi::CString::new(id.as_str()) {
        // Only a name to be seen in `ps` and `top`.
        let _ = prctl::set_name(&name);
    }
    if !sandbox.seccomp {
        tracing::warn!(camera = %id, "this kernel cannot restrict system calls: the worker runs without");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(2)
        .thread_stack_size(RESOLVER_STACK)
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let mut link = Link(UnixStream::from_std(link).context("cannot watch the link")?);
        let source = link.source().await.context("cannot read where the camera is")?;
        let seed = RandomState::new().hash_one(id.as_str());
        let Err(error) = camera::run(source, &mut link, seed).await;
        Err(error).context("the link to boxd ended")
    })
}

/// The worker's end of the link.
struct Link(UnixStream);

impl Link {
    async fn source(&mut self) -> io::Result<Source> {
        let mut header = [0; wire::HEADER_BYTES];
        self.0.read_exact(&mut header).await?;
        let header = wire::Header::decode(&header).map_err(io::Error::other)?;
        let mut body = vec![0; header.body_len()];
        self.0.read_exact(&mut body).await?;
        wire::decode_source(&header, &body).map_err(io::Error::other)
    }
}

impl Output for Link {
    /// One system call for header and body, as long as the supervisor keeps up.
    async fn send(&mut self, event: Event) -> io::Result<()> {
        let frame = wire::encode_event(&event).map_err(io::Error::other)?;
        let mut slices = [IoSlice::new(&frame.header), IoSlice::new(&frame.body)];
        let mut rest = &mut slices[..];
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match self.0.write_vectored(rest).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => IoSlice::advance_slices(&mut rest, written),
            }
        }
        Ok(())
    }
}
