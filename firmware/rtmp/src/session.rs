//! One publisher's side of a conversation: handshake, commands, acknowledgements. It takes what a publisher sends, and
//! nothing of its media before somebody has accepted its stream key.

use model::Private;

use crate::amf::{self, Value};
use crate::chunk::{Bounds, Chunks, MOST_CHUNK_STREAMS, Message, write};
use crate::handshake::Handshake;
use crate::tracks::MOST_UNIT_BYTES;

/// Most memory that a session holds before its key is accepted, bytes.
pub const STRANGER_BYTES: usize = 64 << 10;
/// Most memory that a session holds after that, bytes: a picture of the largest size beside unfinished sound.
pub const PUBLISHER_BYTES: usize = 10 << 20;

/// Before a key is accepted only commands come. The longest that publishers send, with lists of all their codecs, are of
/// 1 KiB.
const STRANGER: Bounds = Bounds { message: 16 << 10, unfinished: 32 << 10 };
/// FLV and Enhanced RTMP headers come on top of a unit's bytes.
const PUBLISHER: Bounds = Bounds { message: MOST_UNIT_BYTES + 4096, unfinished: 9 << 20 };
/// Answers that lie unread beyond this end the conversation, bytes.
const MOST_OUTPUT: usize = 8 << 10;

/// Bytes after which either side wants an acknowledgement (5.4.4); what ffmpeg and librtmp use.
const WINDOW: u32 = 2_500_000;
/// Chunks that we send, bytes: the size that needs no word about it.
const CHUNK: usize = 128;
/// The one message stream that a connection gets.
const STREAM: u32 = 1;
/// The application in `rtmp://HOST/live/KEY`.
const APPLICATION: &str = "live";

/// Message types (5.4, 7.1).
mod kind {
    pub(super) const SET_CHUNK_SIZE: u8 = 1;
    pub(super) const ABORT: u8 = 2;
    pub(super) const ACKNOWLEDGEMENT: u8 = 3;
    pub(super) const USER_CONTROL: u8 = 4;
    pub(super) const WINDOW_SIZE: u8 = 5;
    pub(super) const PEER_BANDWIDTH: u8 = 6;
    pub(super) const AUDIO: u8 = 8;
    pub(super) const VIDEO: u8 = 9;
    pub(super) const COMMAND_AMF3: u8 = 17;
    pub(super) const COMMAND: u8 = 20;
}

/// User control events (7.1.7).
const STREAM_BEGIN: u16 = 0;
const PING: u16 = 6;
const PONG: u16 = 7;

/// What the caller has to do something about.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody wants to publish with this key: accept or refuse. An address that is not `/live/KEY` has the empty key.
    Publish(Private<String>),
    /// A video message of an accepted publisher (FLV VIDEODATA).
    Video {
        /// Milliseconds, modulo 2^32: decode time.
        timestamp: u32,
        /// The message.
        body: Vec<u8>,
    },
    /// An audio message of an accepted publisher (FLV AUDIODATA).
    Audio {
        /// Milliseconds, modulo 2^32.
        timestamp: u32,
        /// The message.
        body: Vec<u8>,
    },
    /// The publisher says that it is done. Nothing more of it is taken; it closes the connection by itself, and some take it
    /// for an error when somebody else does.
    End,
}

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The first byte is no version of RTMP.
    #[error("it does not speak RTMP")]
    NotRtmp,
    /// More than [`MOST_CHUNK_STREAMS`].
    #[error("it uses more than {MOST_CHUNK_STREAMS} chunk streams")]
    TooManyChunkStreams,
    /// A message, or all unfinished ones together, are too large.
    #[error("it sends more than {most} bytes at once")]
    TooLarge {
        /// How many were allowed.
        most: usize,
    },
    /// The protocol does not allow it.
    #[error("it sends {0}")]
    Broken(&'static str),
    /// It wants something else than to publish.
    #[error("it wants to play, and only publishers are served here")]
    Player,
    /// It asks without reading the answers.
    #[error("it does not read its answers")]
    Unread,
}

/// Where the conversation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Handshake, then `connect`.
    New,
    /// `connect` was answered.
    Connected,
    /// A key was given to the caller.
    Asked,
    /// Media may come.
    Accepted,
    /// The key was refused, or the publisher is done.
    Over,
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    handshake: Handshake,
    seed: u64,
    chunks: Chunks,
    stage: Stage,
    /// The application is [`APPLICATION`].
    right_application: bool,
    /// Bytes that came since the handshake, and up to where they were acknowledged; modulo 2^32 (5.4.3).
    received: u32,
    acknowledged: u32,
    /// The peer's window, bytes.
    window: u32,
    out: Vec<u8>,
}

impl Session {
    /// A conversation that has not begun. `seed` should differ from one to the next; nothing rests on that it is secret.
    pub fn new(seed: u64) -> Self {
        Self {
            handshake: Handshake::Version,
            seed,
            chunks: Chunks::new(STRANGER),
            stage: Stage::New,
            right_application: false,
            received: 0,
            acknowledged: 0,
            window: WINDOW,
            out: Vec::new(),
        }
    }

    /// The next thing that the caller has to do something about. Takes what it read off the front of `input`; `None`
    /// once nothing is left of it.
    ///
    /// # Errors
    /// Why the connection has to be closed.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Fault> {
        if !self.handshake.take(input, &mut self.out, self.seed)? {
            return Ok(None);
        }
        let mut before = input.len();
        let event = loop {
            let Some(message) = self.chunks.next(input)? else { break None };
            self.count(before - input.len());
            before = input.len();
            let event = self.message(message)?;
            if self.out.len() > MOST_OUTPUT {
                return Err(Fault::Unread);
            }
            if event.is_some() {
                break event;
            }
        };
        self.count(before - input.len());
        Ok(event)
    }

    /// What is to be sent; nothing of it is kept.
    pub fn output(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.out)
    }

    /// The key of the last [`Event::Publish`] is right.
    pub fn accept(&mut self) {
        if self.stage == Stage::Asked {
            self.stage = Stage::Accepted;
            self.chunks.set_bounds(PUBLISHER);
            let mut begin = STREAM_BEGIN.to_be_bytes().to_vec();
            begin.extend_from_slice(&STREAM.to_be_bytes());
            self.control(kind::USER_CONTROL, begin);
            self.status("status", "NetStream.Publish.Start", "Go on.");
        }
    }

    /// It is not, or may not publish now. The caller sends this and closes the connection.
    pub fn refuse(&mut self, reason: &str) {
        self.stage = Stage::Over;
        self.status("error", "NetStream.Publish.BadName", reason);
    }

    /// Memory that the session holds, bytes.
    pub fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.handshake.held() + self.chunks.held() + self.out.capacity()
    }

    /// Acknowledges what came, a window at a time.
    fn count(&mut self, bytes: usize) {
        self.received = self.received.wrapping_add(bytes as u32);
        if self.received.wrapping_sub(self.acknowledged) >= self.window {
            self.acknowledged = self.received;
            self.control(kind::ACKNOWLEDGEMENT, self.received.to_be_bytes().to_vec());
        }
    }

    fn message(&mut self, message: Message) -> Result<Option<Event>, Fault> {
        let Message { kind, timestamp, body, .. } = message;
        let number = || body.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        match kind {
            kind::SET_CHUNK_SIZE => {
                self.chunks.set_chunk_bytes(number().ok_or(Fault::Broken("a chunk size of no bytes"))?)?;
            }
            kind::ABORT => self.chunks.abort(number().unwrap_or_default()),
            // A window of a few bytes would have each of them acknowledged.
            kind::WINDOW_SIZE => self.window = number().unwrap_or(WINDOW).max(WINDOW / 16),
            kind::USER_CONTROL => {
                if let [0, event, stamp @ ..] = body.as_slice()
                    && u16::from(*event) == PING
                {
                    let mut pong = PONG.to_be_bytes().to_vec();
                    pong.extend_from_slice(stamp.get(..4).unwrap_or_default());
                    self.control(kind::USER_CONTROL, pong);
                }
            }
            kind::VIDEO if self.stage == Stage::Accepted => {
                return Ok(Some(Event::Video { timestamp, body }));
            }
            kind::AUDIO if self.stage == Stage::Accepted => {
                return Ok(Some(Event::Audio { timestamp, body }));
            }
            kind::COMMAND => return self.command(&body),
            kind::COMMAND_AMF3 => {
                // A byte that says which AMF follows; commands are AMF 0 here, too.
                return self.command(body.get(1..).unwrap_or_default());
            }
            _ => {}
        }
        Ok(None)
    }

    fn command(&mut self, body: &[u8]) -> Result<Option<Event>, Fault> {
        let values = amf::read(body).ok_or(Fault::Broken("a command that is no AMF 0"))?;
        let name = values.first().and_then(Value::text).unwrap_or_default();
        let transaction = values.get(1).and_then(Value::number).unwrap_or_default();
        let (object, argument) = (values.get(2), values.get(3).and_then(Value::text));
        match (name, self.stage) {
            ("connect", Stage::New) => {
                let application =
                    object.and_then(|object| object.get("app")).and_then(Value::text).unwrap_or_default();
                self.right_application = plain(application) == APPLICATION;
                self.stage = Stage::Connected;
                self.connected(transaction);
            }
            ("connect", _) => return Err(Fault::Broken("a second connect")),
            (_, Stage::New) => return Err(Fault::Broken("a command before connect")),
            ("createStream", _) => self.result(transaction, &[Value::Null, Value::Number(f64::from(STREAM))]),
            ("releaseStream" | "FCPublish", _) => self.result(transaction, &[Value::Null, Value::Other]),
            ("publish", Stage::Connected) => {
                self.stage = Stage::Asked;
                let key = argument.filter(|_| self.right_application).map(plain).unwrap_or_default();
                return Ok(Some(Event::Publish(Private::new(key.to_owned()))));
            }
            ("publish", _) => return Err(Fault::Broken("a second publish")),
            ("play" | "play2", _) => return Err(Fault::Player),
            ("FCUnpublish" | "deleteStream" | "closeStream", Stage::Accepted) => {
                self.stage = Stage::Over;
                return Ok(Some(Event::End));
            }
            // What publishers say beside that needs no answer (_checkbw, FCSubscribe, getStreamLength …).
            _ => {}
        }
        Ok(None)
    }

    /// The answer to `connect` (7.2.1.1), with what Enhanced RTMP v2 wants to know: which codecs go through.
    fn connected(&mut self, transaction: f64) {
        let text = |text: &str| Value::Text(text.to_owned());
        let pair = |name: &str, value: Value| (name.to_owned(), value);
        // CanForward
        let codecs =
            |names: &[&str]| Value::Object(names.iter().map(|name| pair(name, Value::Number(4.0))).collect());
        self.control(kind::WINDOW_SIZE, WINDOW.to_be_bytes().to_vec());
        let mut bandwidth = WINDOW.to_be_bytes().to_vec();
        bandwidth.push(2); // dynamic (5.4.5)
        self.control(kind::PEER_BANDWIDTH, bandwidth);
        let server = vec![pair("fmsVer", text("FMS/3,0,1,123")), pair("capabilities", Value::Number(31.0))];
        let status = vec![
            pair("level", text("status")),
            pair("code", text("NetConnection.Connect.Success")),
            pair("description", text("Connection succeeded.")),
            pair("objectEncoding", Value::Number(0.0)),
            pair("videoFourCcInfoMap", codecs(&["avc1", "hvc1"])),
            pair("audioFourCcInfoMap", codecs(&["mp4a"])),
        ];
        self.result(transaction, &[Value::Object(server), Value::Object(status)]);
    }

    fn result(&mut self, transaction: f64, values: &[Value]) {
        let mut body = Vec::new();
        amf::write(&mut body, &Value::Text("_result".into()));
        amf::write(&mut body, &Value::Number(transaction));
        for value in values {
            amf::write(&mut body, value);
        }
        write(&mut self.out, 3, &Message { kind: kind::COMMAND, stream: 0, timestamp: 0, body }, CHUNK);
    }

    /// onStatus of our message stream (7.3).
    fn status(&mut self, level: &str, code: &str, description: &str) {
        let pair = |name: &str, value: &str| (name.to_owned(), Value::Text(value.to_owned()));
        let info = vec![pair("level", level), pair("code", code), pair("description", description)];
        let mut body = Vec::new();
        for value in [Value::Text("onStatus".into()), Value::Number(0.0), Value::Null, Value::Object(info)] {
            amf::write(&mut body, &value);
        }
        write(&mut self.out, 5, &Message { kind: kind::COMMAND, stream: STREAM, timestamp: 0, body }, CHUNK);
    }

    /// A message of the protocol itself: chunk stream 2, message stream 0 (5.4).
    fn control(&mut self, kind: u8, body: Vec<u8>) {
        write(&mut self.out, 2, &Message { kind, stream: 0, timestamp: 0, body }, CHUNK);
    }
}

/// A part of an address without its query and slashes.
fn plain(part: &str) -> &str {
    part.split('?').next().unwrap_or_default().trim_matches('/')
}

#[cfg(test)]
mod tests;
