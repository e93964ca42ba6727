//! An encoder of our own, written from the specifications: RTMP 1.0 and Enhanced RTMP v1.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Bytes of a chunk, said before the first message that is longer.
const CHUNK: usize = 4096;

/// A connection that has said its key.
pub(crate) struct Publisher {
    pub(crate) stream: TcpStream,
    /// Everything that was answered after the handshake.
    heard: Vec<u8>,
}

fn text(text: &str) -> Vec<u8> {
    [&[2][..], &(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

fn number(number: f64) -> Vec<u8> {
    [&[0][..], &number.to_be_bytes()].concat()
}

/// A message as chunks on a chunk stream of its own.
pub(crate) fn message(id: u8, kind: u8, stream: u32, timestamp: u32, body: &[u8]) -> Vec<u8> {
    let mut out = vec![id];
    out.extend(&timestamp.min(0x00ff_ffff).to_be_bytes()[1..]);
    out.extend(&(body.len() as u32).to_be_bytes()[1..]);
    out.push(kind);
    out.extend(stream.to_le_bytes());
    let extended = if timestamp >= 0x00ff_ffff { timestamp.to_be_bytes().to_vec() } else { Vec::new() };
    out.extend(&extended);
    for (place, piece) in body.chunks(CHUNK).enumerate() {
        if place > 0 {
            out.push(0xc0 | id);
            out.extend(&extended);
        }
        out.extend(piece);
    }
    out
}

impl Publisher {
    /// Shakes hands and says a key; what is answered to that is not waited for.
    pub(crate) fn connect(address: SocketAddr, key: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut hello = vec![3];
        hello.extend([0; 8]);
        hello.extend((0..1528).map(|place| place as u8));
        stream.write_all(&hello).unwrap();
        let mut answer = vec![0; 1 + 2 * 1536];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer[1 + 1536 + 8..], hello[9..], "our own bytes come back");
        stream.write_all(&answer[1..=1536]).unwrap();
        let object = [&b"\x03\0\x03app"[..], &text("live"), &[0, 0, 9]].concat();
        let connect = [text("connect"), number(1.0), object].concat();
        let create = [text("createStream"), number(2.0), vec![5]].concat();
        let publish = [text("publish"), number(3.0), vec![5], text(key), text("live")].concat();
        let mut said = message(2, 1, 0, 0, &(CHUNK as u32).to_be_bytes());
        for (stream, body) in [(0, connect), (0, create), (1, publish)] {
            said.extend(message(3, 20, stream, 0, &body));
        }
        stream.write_all(&said).unwrap();
        Self { stream, heard: Vec::new() }
    }

    /// Reads until the answer has these words in it; false when the cloud closes before.
    pub(crate) fn hears(&mut self, words: &str) -> bool {
        let mut buffer = [0; 4096];
        while !self.heard.windows(words.len()).any(|window| window == words.as_bytes()) {
            match self.stream.read(&mut buffer) {
                Ok(0) | Err(_) => return false,
                Ok(length) => self.heard.extend(&buffer[..length]),
            }
        }
        true
    }

    /// Waits for the cloud to close; panics when it does not within a time.
    pub(crate) fn is_closed_within(&mut self, limit: Duration) -> Duration {
        let began = Instant::now();
        self.stream.set_read_timeout(Some(limit)).unwrap();
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return began.elapsed(),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return began.elapsed(),
                Err(error) => panic!("not closed within {limit:?}: {error}"),
            }
        }
    }

    /// Sends a video message.
    pub(crate) fn video(&mut self, timestamp: u32, body: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(&message(6, 9, 1, timestamp, body))
    }
}

/// A picture of an MP4 file.
pub(crate) struct Sample {
    /// Milliseconds: presentation, decoding.
    pts: i64,
    dts: i64,
    key: bool,
    data: Vec<u8>,
}

/// The pictures of an MP4 file and its decoder configuration record, by the name of its box.
pub(crate) fn samples(file: &Path, record: [u8; 4]) -> (Vec<u8>, Vec<Sample>) {
    let bytes = std::fs::read(file).unwrap();
    let at = bytes.windows(4).position(|name| *name == record).expect("a record");
    let length = u32::from_be_bytes(bytes[at - 4..at].try_into().unwrap()) as usize;
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", "v:0", "-show_entries"]);
    command.args(["packet=pts_time,dts_time,size,pos,flags", "-of", "compact=p=0"]).arg(file);
    let output = command.output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let samples = lines.lines().map(|line| {
        let field = |name: &str| {
            let found = line.split('|').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
            found.unwrap_or_else(|| panic!("{name} in {line}"))
        };
        let time = |name| (field(name).parse::<f64>().unwrap() * 1000.0).round() as i64;
        let (start, size): (usize, usize) = (field("pos").parse().unwrap(), field("size").parse().unwrap());
        let data = bytes[start..start + size].to_vec();
        Sample { pts: time("pts_time"), dts: time("dts_time"), key: field("flags").starts_with('K'), data }
    });
    (bytes[at + 4..at - 4 + length].to_vec(), samples.collect())
}

/// Sends H.265 pictures by Enhanced RTMP as fast as they play, their clock beginning at `start`.
pub(crate) fn play_h265(publisher: &mut Publisher, record: &[u8], samples: &[Sample], start: u32) {
    let began = Instant::now();
    let first = samples[0].dts;
    publisher.video(start, &[b"\x90hvc1", record].concat()).unwrap();
    for sample in samples {
        let since = sample.dts - first;
        std::thread::sleep(Duration::from_millis(since as u64).saturating_sub(began.elapsed()));
        let frame = if sample.key { 0x90 } else { 0xa0 };
        let composition = sample.pts - sample.dts;
        // Where both times are one, the shorter form.
        let head = if composition == 0 {
            vec![frame | 3, b'h', b'v', b'c', b'1']
        } else {
            let mut head = vec![frame | 1, b'h', b'v', b'c', b'1'];
            head.extend(&(composition as i32).to_be_bytes()[1..]);
            head
        };
        publisher.video(start.wrapping_add(since as u32), &[head, sample.data.clone()].concat()).unwrap();
    }
}
