//! The reset button, as edges: down, up.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

/// The contact closed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// It is pressed.
    Down,
    /// It is let go.
    Up,
}

/// Something that somebody can press.
pub trait Button: Send {
    /// Waits for the next edge, for as long as it takes.
    ///
    /// # Errors
    /// When no further edge will ever come.
    fn edge(&mut self) -> io::Result<Edge>;
}

/// Bytes of the kernel's `struct input_event` (linux/input.h): two longs of time, then type, code and value.
const EVENT: usize = 2 * size_of::<usize>() + 8;
/// `EV_KEY` (linux/input-event-codes.h).
const KEY: u16 = 1;

/// A key of Linux's input layer, such as one of `gpio-keys`. Any key of the device counts: a reset button is its only one.
#[derive(Debug)]
pub struct Keys {
    device: File,
}

impl Keys {
    /// The device of this name in `directory`, which is `/dev/input` on a real board.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(directory: &Path, name: &str) -> io::Result<Self> {
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{name:?} names no input device"),
            ));
        }
        let path = directory.join(name);
        let device = File::open(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        Ok(Self { device })
    }
}

impl Button for Keys {
    fn edge(&mut self) -> io::Result<Edge> {
        loop {
            let mut event = [0; EVENT];
            self.device.read_exact(&mut event)?;
            if let Some(edge) = edge_of(&event) {
                return Ok(edge);
            }
        }
    }
}

/// What an event says of a key; `None` for other events, and for a key that repeats while it is held.
fn edge_of(event: &[u8; EVENT]) -> Option<Edge> {
    let [.., t0, t1, _, _, v0, v1, v2, v3] = *event;
    match (u16::from_ne_bytes([t0, t1]), i32::from_ne_bytes([v0, v1, v2, v3])) {
        (KEY, 1) => Some(Edge::Down),
        (KEY, 0) => Some(Edge::Up),
        _ => None,
    }
}

/// A simulated button: a named pipe that takes the lines `down` and `up`, from one writer after the other.
#[derive(Debug)]
pub struct Pipe {
    path: PathBuf,
    reader: Option<BufReader<File>>,
}

/// Longest line of a [`Pipe`], bytes.
const LINE: u64 = 64;

impl Pipe {
    /// A button in this named pipe, which must be there.
    pub const fn new(path: PathBuf) -> Self {
        Self { path, reader: None }
    }
}

impl Button for Pipe {
    fn edge(&mut self) -> io::Result<Edge> {
        loop {
            let Some(reader) = &mut self.reader else {
                // Waits for a writer.
                self.reader = Some(BufReader::new(File::open(&self.path)?));
                continue;
            };
            let mut line = String::new();
            match reader.take(LINE).read_line(&mut line) {
                Ok(0) => self.reader = None,
                Ok(_) => match line.trim() {
                    "down" => return Ok(Edge::Down),
                    "up" => return Ok(Edge::Up),
                    _ => {}
                },
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;
    use std::process::Command;
    use std::thread;

    use super::*;

    /// A directory that goes when the test does.
    pub(crate) struct Scratch(pub(crate) PathBuf);

    impl Scratch {
        pub(crate) fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("board-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        pub(crate) fn pipe(&self, name: &str) -> PathBuf {
            let path = self.0.join(name);
            assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
            path
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// An event as the kernel writes it: time, type, code, value.
    fn event(kind: u16, code: u16, value: i32) -> Vec<u8> {
        let mut bytes = vec![0x5a; 2 * size_of::<usize>()];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(code.to_ne_bytes());
        bytes.extend(value.to_ne_bytes());
        bytes
    }

    #[test]
    fn the_kernels_events_become_edges() {
        let scratch = Scratch::new("keys");
        let path = scratch.pipe("event3");
        let writer = thread::spawn(move || {
            const RESTART: u16 = 0x198;
            let mut told = Vec::new();
            // Down, the report's end, three repeats, a switch and not a key, up.
            for (kind, value) in [(1, 1), (0, 0), (1, 2), (1, 2), (1, 2), (5, 1), (1, 0)] {
                told.extend(event(kind, RESTART, value));
            }
            // Torn off in the middle of an event: the device has gone.
            told.extend_from_slice(&event(1, RESTART, 1)[..7]);
            fs::write(path, told).unwrap();
        });
        let mut keys = Keys::open(&scratch.0, "event3").unwrap();
        assert_eq!(keys.edge().unwrap(), Edge::Down);
        assert_eq!(keys.edge().unwrap(), Edge::Up);
        assert!(keys.edge().is_err());
        writer.join().unwrap();
    }

    #[test]
    fn an_event_has_the_kernels_size() {
        // 64-bit kernels: struct timeval of 16 bytes, then 8.
        #[cfg(target_pointer_width = "64")]
        assert_eq!(EVENT, 24);
        assert_eq!(event(1, 2, 3).len(), EVENT);
    }

    #[test]
    fn a_device_outside_the_directory_is_not_opened() {
        let scratch = Scratch::new("keys-outside");
        fs::write(scratch.0.join("outside"), "").unwrap();
        fs::create_dir(scratch.0.join("input")).unwrap();
        for name in ["../outside", "", "..", "absent"] {
            assert!(Keys::open(&scratch.0.join("input"), name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_simulated_button_is_pressed_by_one_writer_after_the_other() {
        let scratch = Scratch::new("pipe");
        let path = scratch.pipe("button");
        let mut pipe = Pipe::new(path.clone());
        let writer = thread::spawn(move || {
            fs::write(&path, "down\nnonsense\n").unwrap();
            fs::write(&path, b"\xff\xfe\nup\n").unwrap();
        });
        assert_eq!(pipe.edge().unwrap(), Edge::Down);
        assert_eq!(pipe.edge().unwrap(), Edge::Up);
        writer.join().unwrap();
    }
}
