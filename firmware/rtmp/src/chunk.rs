//! Messages out of chunks (RTMP 1.0, 5.3), interleaved as they may be. A chunk is never held as such: its header is
//! gathered in 18 bytes, and what it carries goes straight to its message.
//!
//! Bounded are the chunk streams, the bytes of one message, and the memory of all unfinished messages together, which
//! grows only with what has come.

use crate::handshake::split;
use crate::session::Fault;

/// Most chunk streams of one connection. Publishers use three to five.
pub const MOST_CHUNK_STREAMS: usize = 16;

/// Basic header, message header, extended timestamp (5.3.1).
const LONGEST_HEADER: usize = 3 + 11 + 4;
/// What stands for an extended timestamp (5.3.1.3).
const EXTENDED: u32 = 0x00ff_ffff;
/// Where the memory of a message begins, bytes.
const FIRST_BYTES: usize = 512;
/// Chunks are of 128 bytes until the peer says otherwise (5.4.1).
const CHUNK_BYTES: u32 = 128;
/// The least that may be said to follow a full header is its own time (5.3.1.2.4). Some writers mean "no time at all" instead,
/// and no publisher waits longer than this for its second message, milliseconds.
const LONGEST_FIRST_DELTA: u32 = 10_000;

/// What came over one chunk stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// Message type id (5.4, 7.1).
    pub(crate) kind: u8,
    /// Message stream id.
    pub(crate) stream: u32,
    /// Milliseconds, modulo 2^32.
    pub(crate) timestamp: u32,
    pub(crate) body: Vec<u8>,
}

/// How much may be held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Bytes of one message.
    pub(crate) message: usize,
    /// Memory of all unfinished messages, bytes.
    pub(crate) unfinished: usize,
}

/// The reader of one connection.
#[derive(Debug)]
pub(crate) struct Chunks {
    bounds: Bounds,
    chunk_bytes: u32,
    streams: Vec<ChunkStream>,
    header: [u8; LONGEST_HEADER],
    gathered: usize,
    /// The chunk whose payload is being read: its stream's place, and the bytes still due.
    open: Option<(usize, usize)>,
    /// Memory of unfinished messages, bytes.
    held: usize,
}

#[derive(Debug)]
struct ChunkStream {
    id: u32,
    timestamp: u32,
    /// Timestamp or delta as it was said last.
    delta: u32,
    /// It was said in the extended field.
    extended: bool,
    length: usize,
    kind: u8,
    stream: u32,
    /// A message has begun and lacks something.
    unfinished: bool,
    body: Vec<u8>,
}

impl Chunks {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            chunk_bytes: CHUNK_BYTES,
            streams: Vec::new(),
            header: [0; LONGEST_HEADER],
            gathered: 0,
            open: None,
            held: 0,
        }
    }

    pub(crate) fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// The peer's chunks carry up to so many bytes from here on (5.4.1).
    ///
    /// # Errors
    /// When it says none, or more than 31 bits.
    pub(crate) fn set_chunk_bytes(&mut self, bytes: u32) -> Result<(), Fault> {
        if bytes == 0 || bytes > u32::MAX >> 1 {
            return Err(Fault::Broken("a chunk size out of range"));
        }
        self.chunk_bytes = bytes;
        Ok(())
    }

    /// The peer gives up the message that it began on this chunk stream (5.4.2).
    pub(crate) fn abort(&mut self, id: u32) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == id) {
            stream.unfinished = false;
            self.held -= stream.body.capacity();
            stream.body = Vec::new();
        }
    }

    /// Memory that is held, bytes.
    pub(crate) fn held(&self) -> usize {
        self.held + self.streams.capacity() * size_of::<ChunkStream>()
    }

    /// The next whole message. Takes what it read off the front of `input`; `None` once nothing is left of it.
    ///
    /// # Errors
    /// When a bound is passed or the rules are broken. Nothing can be read after that.
    pub(crate) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Fault> {
        while !input.is_empty() {
            let finished = match self.open.take() {
                Some((place, due)) => self.payload(place, due, input)?,
                None => self.head(input)?,
            };
            if finished.is_some() {
                return Ok(finished);
            }
        }
        Ok(None)
    }

    /// Reads on in a chunk's payload.
    fn payload(&mut self, place: usize, due: usize, input: &mut &[u8]) -> Result<Option<Message>, Fault> {
        let Some(stream) = self.streams.get_mut(place) else { return Ok(None) };
        let came = split(input, due);
        let wanted = stream.body.len() + came.len();
        if wanted > stream.body.capacity() {
            let capacity = wanted.max(FIRST_BYTES).max(2 * stream.body.capacity()).min(stream.length);
            self.held -= stream.body.capacity();
            if self.held + capacity > self.bounds.unfinished {
                return Err(Fault::TooLarge { most: self.bounds.unfinished });
            }
            stream.body.reserve_exact(capacity - stream.body.len());
            self.held += stream.body.capacity();
        }
        stream.body.extend_from_slice(came);
        if came.len() < due {
            self.open = Some((place, due - came.len()));
            return Ok(None);
        }
        Ok((stream.body.len() == stream.length).then(|| self.finish(place)).flatten())
    }

    fn finish(&mut self, place: usize) -> Option<Message> {
        let stream = self.streams.get_mut(place)?;
        stream.unfinished = false;
        let body = core::mem::take(&mut stream.body);
        self.held -= body.capacity();
        Some(Message { kind: stream.kind, stream: stream.stream, timestamp: stream.timestamp, body })
    }

    /// Gathers a header; when it is whole, opens its chunk. A message without a body is whole with its header.
    fn head(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Fault> {
        loop {
            let missing = self.header_bytes() - self.gathered;
            if missing == 0 {
                break;
            }
            let came = split(input, missing);
            if let Some(place) = self.header.get_mut(self.gathered..self.gathered + came.len()) {
                place.copy_from_slice(came);
            }
            self.gathered += came.len();
            if came.len() < missing {
                return Ok(None);
            }
        }
        self.gathered = 0;
        let (place, due) = self.begin()?;
        if due == 0 {
            return Ok(self.finish(place));
        }
        self.open = Some((place, due));
        Ok(None)
    }

    /// How long the header is, as far as what has been gathered tells.
    fn header_bytes(&self) -> usize {
        if self.gathered == 0 {
            return 1;
        }
        let basic = self.basic_bytes();
        let whole = basic + self.message_header_bytes();
        if self.gathered < basic {
            return basic;
        }
        if self.gathered < whole {
            return whole;
        }
        let extended = match self.format() {
            3 => self.streams.iter().any(|stream| stream.id == self.id() && stream.extended),
            _ => self.number(basic, 3) == EXTENDED,
        };
        whole + if extended { 4 } else { 0 }
    }

    fn first(&self) -> u8 {
        let [first, ..] = self.header;
        first
    }

    fn format(&self) -> u8 {
        self.first() >> 6
    }

    /// Basic headers are of one to three bytes (5.3.1.1).
    fn basic_bytes(&self) -> usize {
        match self.first() & 0x3f {
            0 => 2,
            1 => 3,
            _ => 1,
        }
    }

    /// Message headers by their format (5.3.1.2).
    fn message_header_bytes(&self) -> usize {
        match self.format() {
            0 => 11,
            1 => 7,
            2 => 3,
            _ => 0,
        }
    }

    fn id(&self) -> u32 {
        let [first, second, third, ..] = self.header;
        match first & 0x3f {
            0 => 64 + u32::from(second),
            1 => 64 + u32::from(second) + 256 * u32::from(third),
            id => u32::from(id),
        }
    }

    /// A big-endian number within the header.
    fn number(&self, at: usize, bytes: usize) -> u32 {
        let field = self.header.get(at..at + bytes).unwrap_or_default();
        field.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
    }

    /// Takes a whole header; gives its stream's place and how many bytes the chunk has.
    fn begin(&mut self) -> Result<(usize, usize), Fault> {
        let (format, id, basic) = (self.format(), self.id(), self.basic_bytes());
        let known = self.streams.iter().position(|stream| stream.id == id);
        let place = match known {
            Some(place) => place,
            None if self.streams.len() >= MOST_CHUNK_STREAMS => return Err(Fault::TooManyChunkStreams),
            // librtmp begins with format 1, too.
            None if format > 1 => return Err(Fault::Broken("a chunk stream that begins without a header")),
            None => {
                self.streams.push(ChunkStream::new(id));
                self.streams.len() - 1
            }
        };
        let (field, end) = (self.number(basic, 3), basic + self.message_header_bytes());
        let said = |chunks: &Self| if field == EXTENDED { chunks.number(end, 4) } else { field };
        let (delta, length, kind) =
            (said(self), self.number(basic + 3, 3) as usize, self.number(basic + 6, 1));
        // The one little-endian field (5.3.1.2.1).
        let message_stream = self.number(basic + 7, 4).swap_bytes();
        let (bounds, chunk_bytes) = (self.bounds, self.chunk_bytes as usize);
        let Some(stream) = self.streams.get_mut(place) else { return Err(Fault::TooManyChunkStreams) };
        if stream.unfinished {
            if format != 3 {
                return Err(Fault::Broken("a message that begins inside another"));
            }
        } else {
            if format <= 1 {
                (stream.length, stream.kind) = (length, kind as u8);
            }
            if format != 3 {
                (stream.delta, stream.extended) = (delta, field == EXTENDED);
            }
            if format == 0 {
                (stream.timestamp, stream.stream) = (delta, message_stream);
                stream.delta = if delta > LONGEST_FIRST_DELTA { 0 } else { delta };
            } else {
                stream.timestamp = stream.timestamp.wrapping_add(stream.delta);
            }
            if stream.length > bounds.message {
                return Err(Fault::TooLarge { most: bounds.message });
            }
            stream.unfinished = true;
        }
        Ok((place, (stream.length - stream.body.len()).min(chunk_bytes)))
    }
}

impl ChunkStream {
    fn new(id: u32) -> Self {
        Self {
            id,
            timestamp: 0,
            delta: 0,
            extended: false,
            length: 0,
            kind: 0,
            stream: 0,
            unfinished: false,
            body: Vec::new(),
        }
    }
}

/// Appends a message as chunks of at most `chunk_bytes` bytes, all with full or no header.
pub(crate) fn write(out: &mut Vec<u8>, id: u8, message: &Message, chunk_bytes: usize) {
    let [_, length @ ..] = (message.body.len() as u32).to_be_bytes();
    out.push(id & 0x3f);
    out.extend_from_slice(&[0; 3]); // no message of ours has a time
    out.extend_from_slice(&length);
    out.push(message.kind);
    out.extend_from_slice(&message.stream.to_le_bytes());
    for (place, piece) in message.body.chunks(chunk_bytes.max(1)).enumerate() {
        if place > 0 {
            out.push(0xc0 | id);
        }
        out.extend_from_slice(piece);
    }
}

#[cfg(test)]
mod tests;
