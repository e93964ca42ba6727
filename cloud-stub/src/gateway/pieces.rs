//! Bytes of an object in pieces of their own, and the body that hands them out one by one.
//!
//! A viewer who reads slowly, or not at all, holds one piece, never the object: what the cache has dropped is freed,
//! whoever was reading it. Such a reader's connection ends in the middle, which players take as a reason to ask again.
//! With the door's buffer, a connection so costs less than two pieces: 128 MiB at the door's 1024 seats.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::object::Object;

/// Bytes of every piece but the last: what a connection takes at once, small beside what it may hold up.
pub(super) const PIECE: usize = 64 << 10;

/// The bytes of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pieces {
    list: Vec<Bytes>,
    len: u64,
}

/// Pieces that are still coming.
#[derive(Debug)]
pub(super) struct Coming {
    pieces: Pieces,
    open: Vec<u8>,
    left: u64,
}

/// What a viewer gets.
#[derive(Debug)]
pub enum Body {
    /// Bytes that nobody else needs, or one piece.
    Own(door::Body),
    /// A range of a shared object.
    Shared(Shared),
    /// Bytes that nobody else needs, handed out only as long as they may be.
    Guarded(Guarded),
}

/// What is left of a range of an object that is larger than a piece.
pub struct Shared {
    object: Weak<Object>,
    left: Range<u64>,
    still: Option<Still>,
}

/// Bytes of one reader, who may lose the right to them.
pub struct Guarded {
    body: door::Body,
    still: Still,
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").field("body", &self.body).finish_non_exhaustive()
    }
}

/// Whether the next piece may be handed out; asked before each.
pub(super) type Still = Box<dyn FnMut(&mut Context<'_>) -> Poll<bool> + Send>;

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("left", &self.left).finish_non_exhaustive()
    }
}

/// The object is no longer at hand, or no longer for this reader.
#[derive(Debug, thiserror::Error)]
#[error("the object was dropped or closed while it was being read")]
pub struct Dropped;

impl Pieces {
    /// Bytes of all together.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// All of them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.list.iter()
    }

    /// The bytes from `range.start` to the end of their piece or of the range.
    fn first(&self, range: &Range<u64>) -> Option<Bytes> {
        let piece = PIECE as u64;
        let bytes = self.list.get(usize::try_from(range.start / piece).ok()?)?;
        let from = (range.start % piece) as usize;
        let to = bytes.len().min(from.saturating_add(usize::try_from(range.end - range.start).ok()?));
        (from < to).then(|| bytes.slice(from..to))
    }
}

impl Coming {
    /// Room for so many bytes, taken piece by piece.
    pub(super) fn new(len: u64) -> Self {
        Self { pieces: Pieces { list: Vec::new(), len: 0 }, open: Vec::new(), left: len }
    }

    /// Adds what has come.
    pub(super) fn push(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            if self.open.capacity() == 0 {
                // Of exactly the size that it will have; more than was announced never comes.
                self.open.reserve_exact(usize::try_from(self.left).unwrap_or(PIECE).clamp(1, PIECE));
            }
            let (now, later) = data.split_at(data.len().min(PIECE - self.open.len()));
            self.open.extend_from_slice(now);
            self.left = self.left.saturating_sub(now.len() as u64);
            data = later;
            if self.open.len() == PIECE {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        let open = std::mem::take(&mut self.open);
        self.pieces.len += open.len() as u64;
        self.pieces.list.push(open.into());
    }

    /// What has come.
    pub(super) fn finish(mut self) -> Pieces {
        if !self.open.is_empty() {
            self.close();
        }
        self.pieces
    }
}

impl Body {
    /// A range of an object's bytes.
    pub(super) fn range(object: &Arc<Object>, pieces: &Pieces, range: Range<u64>) -> Self {
        match pieces.first(&range) {
            None => Self::Own(door::Body::empty()),
            // Playlists are dropped within a moment: who has asked for one gets it.
            Some(bytes) if pieces.len() <= PIECE as u64 => Self::Own(bytes.into()),
            Some(_) => Self::Shared(Shared { object: Arc::downgrade(object), left: range, still: None }),
        }
    }
}

impl Body {
    /// Hands out large bodies only as long as this says so; what is small is gone in a moment.
    #[must_use]
    pub(super) fn only_while(self, still: impl FnOnce() -> Still) -> Self {
        match self {
            Self::Own(body) if HttpBody::size_hint(&body).lower() > PIECE as u64 => {
                Self::Guarded(Guarded { body, still: still() })
            }
            Self::Shared(shared) => Self::Shared(Shared { still: Some(still()), ..shared }),
            other => other,
        }
    }
}

fn own(body: &mut door::Body, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Dropped>>> {
    let frame = Pin::new(body).poll_frame(cx);
    frame.map(|frame| frame.map(|frame| frame.map_err(|never| match never {})))
}

impl Shared {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Dropped>>> {
        let still = match &mut self.still {
            Some(still) => ready!(still(cx)),
            None => true,
        };
        Poll::Ready(if still { self.next() } else { Some(Err(Dropped)) })
    }

    fn next(&mut self) -> Option<Result<Frame<Bytes>, Dropped>> {
        if self.left.is_empty() {
            return None;
        }
        let object = self.object.upgrade();
        let bytes = match object.as_deref() {
            Some(Object::Media(media)) => media.pieces.first(&self.left),
            _ => None,
        };
        let Some(bytes) = bytes else { return Some(Err(Dropped)) };
        self.left.start += bytes.len() as u64;
        Some(Ok(Frame::data(bytes)))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Dropped;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Dropped>>> {
        match self.get_mut() {
            Self::Own(body) => own(body, cx),
            Self::Guarded(guarded) => {
                if ready!((guarded.still)(cx)) {
                    own(&mut guarded.body, cx)
                } else {
                    Poll::Ready(Some(Err(Dropped)))
                }
            }
            Self::Shared(shared) => shared.poll_next(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(body) | Self::Guarded(Guarded { body, .. }) => body.is_end_stream(),
            Self::Shared(shared) => shared.left.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(body) | Self::Guarded(Guarded { body, .. }) => body.size_hint(),
            Self::Shared(shared) => SizeHint::with_exact(shared.left.end - shared.left.start),
        }
    }
}

#[cfg(test)]
impl From<&[u8]> for Pieces {
    fn from(bytes: &[u8]) -> Self {
        let mut coming = Coming::new(bytes.len() as u64);
        coming.push(bytes);
        coming.finish()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn a_range_is_what_it_names_wherever_pieces_end() {
        let whole: Vec<u8> = (0..PIECE as u32 * 2 + 99).flat_map(u32::to_be_bytes).collect();
        let mut coming = Coming::new(whole.len() as u64);
        whole.chunks(10_007).for_each(|chunk| coming.push(chunk));
        let (object, _) = Object::media(coming.finish(), None);
        let object = Arc::new(object);
        let Object::Media(media) = &*object else { panic!() };
        assert_eq!(media.pieces.iter().map(Bytes::len).max(), Some(PIECE));
        let (piece, len) = (PIECE as u64, whole.len() as u64);
        for range in [0..len, 0..1, piece - 1..piece + 1, piece..2 * piece, 5..len - 5, len - 1..len] {
            let body = Body::range(&object, &media.pieces, range.clone());
            assert_eq!(body.size_hint().exact(), Some(range.end - range.start));
            let got = body.collect().await.unwrap().to_bytes();
            assert!(got == whole[range.start as usize..range.end as usize], "{range:?}");
        }
    }

    #[tokio::test]
    async fn a_large_body_ends_when_its_reader_may_not_have_it_any_more() {
        let large = vec![Bytes::from(vec![1; PIECE]); 4];
        for allowed in 0..4 {
            let mut left = allowed;
            let still: Still = Box::new(move |_| {
                left -= 1;
                Poll::Ready(left >= 0)
            });
            let mut body = Body::Own(door::Body::chunks(large.clone())).only_while(|| still);
            for _ in 0..allowed {
                assert!(body.frame().await.unwrap().is_ok());
            }
            assert!(body.frame().await.unwrap().is_err(), "after {allowed}");
        }
        let small = Body::Own(vec![1; PIECE].into()).only_while(|| Box::new(|_| Poll::Ready(false)));
        assert_eq!(small.collect().await.unwrap().to_bytes().len(), PIECE);
    }
}
