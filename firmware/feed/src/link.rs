//! The link to a worker: frames, one buffer of the exact size each.
//!
//! The worker is hostile input: lengths are checked before anything is allocated, and whatever breaks the protocol
//! ends the link. Nothing is queued here: what the reader does not take stays in the socket and holds the worker back.

use std::io::{self, IoSlice, IoSliceMut, Write as _};
use std::os::unix::net::UnixStream as StdUnixStream;

use bytes::Bytes;
use camera::{Event, wire};
use nix::sys::uio::readv;
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The worker is gone.
    #[error("the worker is gone")]
    Closed,
    /// The socket failed.
    #[error("cannot read from the worker: {0}")]
    Io(#[from] io::Error),
    /// The worker broke the protocol.
    #[error("the worker broke the protocol: {0}")]
    Wire(#[from] wire::WireError),
}

/// Reads frames from a worker.
#[derive(Debug)]
pub struct Link {
    socket: UnixStream,
    header: [u8; wire::HEADER_BYTES],
    /// How much of `header` is there.
    have: usize,
}

impl Link {
    /// Takes the supervisor's end of the socket pair.
    pub fn new(socket: UnixStream) -> Self {
        Self { socket, header: [0; wire::HEADER_BYTES], have: 0 }
    }

    /// Lets the worker show the camera its login.
    ///
    /// # Errors
    /// When the worker is gone.
    pub async fn allow_login(&self) -> io::Result<()> {
        loop {
            self.socket.writable().await?;
            match self.socket.try_write(&[wire::MAY_LOG_IN]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done.map(|_| ()),
            }
        }
    }

    /// The next event.
    ///
    /// # Errors
    /// When the worker is gone or breaks the protocol.
    pub async fn next(&mut self) -> Result<Event, LinkError> {
        let whole = wire::HEADER_BYTES;
        while self.have < whole {
            let rest = self.header.get_mut(self.have..).unwrap_or_default();
            self.have += read(&self.socket, &mut [IoSliceMut::new(rest)]).await?;
        }
        let header = wire::Header::decode(&self.header)?;
        self.have = 0;
        let mut body = vec![0; header.body_len()];
        let mut filled = 0;
        // The read that ends the body takes the next header along, if it is there already.
        while filled < body.len() {
            let rest = body.get_mut(filled..).unwrap_or_default();
            let wanted = rest.len();
            let got =
                read(&self.socket, &mut [IoSliceMut::new(rest), IoSliceMut::new(&mut self.header)]).await?;
            filled += got.min(wanted);
            self.have = got.saturating_sub(wanted);
        }
        Ok(wire::decode_event(&header, Bytes::from(body))?)
    }
}

/// Writes an event on a worker's socket that does not block. One system call for header and body, as long as the other end
/// keeps up.
///
/// The socket is watched only while it is full: one that is always watched would wake the worker once for each frame, just
/// to say that its reader has read it.
///
/// # Errors
/// When nobody reads any more.
pub async fn send(mut socket: &StdUnixStream, event: &Event) -> io::Result<()> {
    let frame = wire::encode_event(event).map_err(io::Error::other)?;
    let mut slices = [IoSlice::new(&frame.header), IoSlice::new(&frame.body)];
    let mut rest = &mut slices[..];
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match socket.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                UnixStream::from_std(socket.try_clone()?)?.writable().await?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// One read, as soon as something is there. A short one has emptied the socket, so the readiness is given back at once
/// instead of by another call that finds nothing (`epoll` reports every later arrival anew).
async fn read(socket: &UnixStream, buffers: &mut [IoSliceMut<'_>]) -> Result<usize, LinkError> {
    let room: usize = buffers.iter().map(|buffer| buffer.len()).sum();
    loop {
        socket.readable().await?;
        let mut got = None;
        let outcome = socket.try_io(Interest::READABLE, || {
            let read = readv(socket, buffers)?;
            got = Some(read);
            if read < room && read > 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match (got, outcome) {
            (Some(0), _) => return Err(LinkError::Closed),
            (Some(read), _) => return Ok(read),
            (None, Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
            (None, Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => {
                return Err(LinkError::Closed);
            }
            (None, Err(error)) => return Err(error.into()),
            (None, Ok(())) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use media::{AccessUnit, Track};
    use model::CameraState;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    fn unit(len: usize, stamp: i64) -> Event {
        Event::Unit(AccessUnit {
            track: Track::Video,
            stamp,
            clock_rate: NonZeroU32::new(90_000).unwrap(),
            arrival_us: 7,
            random_access: stamp == 0,
            loss: false,
            data: (0..len).map(|i| (i as i64 + stamp) as u8).collect::<Vec<_>>().into(),
        })
    }

    fn bytes(events: &[Event]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for event in events {
            let frame = wire::encode_event(event).unwrap();
            bytes.extend_from_slice(&frame.header);
            bytes.extend_from_slice(&frame.body);
        }
        bytes
    }

    fn on_a_runtime<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
    }

    #[test]
    fn events_arrive_whole_however_the_bytes_are_cut() {
        let events = [
            Event::State(CameraState::Connecting),
            unit(20_000, 0),
            Event::Interrupted,
            unit(0, 1),
            unit(1, 2),
            unit(500_000, 3),
        ];
        let all = bytes(&events);
        for piece in [1, 31, 32, 33, 4096, all.len()] {
            on_a_runtime(async {
                let (ours, mut theirs) = UnixStream::pair().unwrap();
                let mut link = Link::new(ours);
                let write = async {
                    for chunk in all.chunks(piece.max(all.len() / 4096)) {
                        theirs.write_all(chunk).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                    drop(theirs);
                };
                let read = async {
                    for event in &events {
                        assert_eq!(&link.next().await.unwrap(), event);
                    }
                    assert!(matches!(link.next().await, Err(LinkError::Closed)));
                };
                tokio::join!(write, read);
            });
        }
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the worker really is slow")]
    fn a_slow_worker_is_waited_for() {
        on_a_runtime(async {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            let mut link = Link::new(ours);
            let all = bytes(&[unit(100, 0), unit(100, 1)]);
            // Half a header, half a body, a whole and half the next: each after the reader found the socket empty.
            let write = async {
                let mut from = 0;
                for to in [16, 80, 140, 170, all.len()] {
                    theirs.write_all(&all[from..to]).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    from = to;
                }
            };
            let read = async {
                assert_eq!(link.next().await.unwrap(), unit(100, 0));
                assert_eq!(link.next().await.unwrap(), unit(100, 1));
            };
            let both = async { tokio::join!(write, read) };
            tokio::time::timeout(Duration::from_secs(5), both).await.expect("no wake-up is lost");
        });
    }

    #[test]
    fn a_worker_that_announces_too_much_is_cut_off() {
        on_a_runtime(async {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            let mut header = wire::encode_event(&unit(1, 0)).unwrap().header;
            header[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
            theirs.write_all(&header).await.unwrap();
            assert!(matches!(Link::new(ours).next().await, Err(LinkError::Wire(_))));
        });
    }
}
