//! When each video frame was handed to the kernel: the other half of a latency measurement.
//!
//! Invariant: an entry is made once per frame and client, right after the frame's last byte was taken by the kernel.

use std::{
    collections::VecDeque,
    fs::File,
    io::{BufWriter, Write},
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

/// Entries kept for the control socket: 40 s of 100 frames a second.
const KEPT: usize = 4096;

/// A frame on its way out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) camera: usize,
    pub(crate) client: u64,
    /// Number of the frame since the camera started.
    pub(crate) frame: u64,
    /// Its RTP stamp as sent.
    pub(crate) stamp: u32,
    pub(crate) key: bool,
}

/// The entries.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    total: u64,
    recent: VecDeque<(Sent, i64)>,
    file: Option<BufWriter<File>>,
}

/// Microseconds since 1970, UTC.
pub(crate) fn unix_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}

/// What a line of the log tells.
pub(crate) const COLUMNS: &str = "camera\tclient\tframe\trtp_stamp\tkey\tunix_us";

fn line((sent, at): &(Sent, i64)) -> String {
    let Sent { camera, client, frame, stamp, key } = sent;
    format!("{camera}\t{client}\t{frame}\t{stamp}\t{}\t{at}\n", u8::from(*key))
}

impl Log {
    /// Also writes every entry to a file.
    pub(crate) fn to_file(file: File) -> std::io::Result<Self> {
        let mut file = BufWriter::new(file);
        writeln!(file, "{COLUMNS}")?;
        Ok(Self(Mutex::new(Inner { file: Some(file), ..Inner::default() })))
    }

    /// A frame's last byte was taken by the kernel.
    pub(crate) fn note(&self, sent: Sent) {
        let entry = (sent, unix_us());
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.total += 1;
        if let Some(file) = &mut inner.file {
            let _ = file.write_all(line(&entry).as_bytes()); // a full disk must not stop the camera
        }
        if inner.recent.len() == KEPT {
            inner.recent.pop_front();
        }
        inner.recent.push_back(entry);
    }

    /// Writes the file out.
    pub(crate) fn flush(&self) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &mut inner.file {
            let _ = file.flush();
        }
    }

    /// The kept entries from number `from` on, as lines, and the number to ask from next.
    pub(crate) fn since(&self, from: u64) -> (String, u64) {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = inner.total - inner.recent.len() as u64;
        let skip = from.saturating_sub(first) as usize;
        (inner.recent.iter().skip(skip).map(line).collect(), inner.total)
    }
}
