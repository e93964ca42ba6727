//! A box without a box: a running slot, a target slot in memory, mirrors that do what a test tells them, virtual time.

use std::collections::{BTreeMap, HashMap, VecDeque};

use ring::digest::{SHA256, digest};
use update::install::{Action, Event, Failure, Fault, Installer, Lengths, Limits};
use update::{Chunk, FORMAT, Image, ImageKind, Release};

pub(crate) const CHUNK: usize = 4096;

pub(crate) fn hex(bytes: &[u8]) -> String {
    let hash = digest(&SHA256, bytes);
    hash.as_ref().iter().fold(String::new(), |digits, byte| digits + &format!("{byte:02x}"))
}

/// Two images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Images {
    pub(crate) fit: Vec<u8>,
    pub(crate) root: Vec<u8>,
}

impl Images {
    pub(crate) fn of(&self, kind: ImageKind) -> &Vec<u8> {
        match kind {
            ImageKind::Fit => &self.fit,
            ImageKind::Root => &self.root,
        }
    }

    fn of_mut(&mut self, kind: ImageKind) -> &mut Vec<u8> {
        match kind {
            ImageKind::Fit => &mut self.fit,
            ImageKind::Root => &mut self.root,
        }
    }

    pub(crate) fn lengths(&self) -> Lengths {
        Lengths { fit: self.fit.len() as u64, root: self.root.len() as u64 }
    }

    /// As long as another one's, full of zeros.
    pub(crate) fn blank_like(other: &Self) -> Self {
        Self { fit: vec![0; other.fit.len()], root: vec![0; other.root.len()] }
    }
}

/// Bytes that look like a program's: every chunk its own, and half of each compressible.
pub(crate) fn bytes(seed: u8, chunks: usize) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let mut bytes = Vec::new();
    for index in 0..chunks * CHUNK {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.push(if index % 2 == 0 { (state >> 56) as u8 } else { seed });
    }
    bytes
}

/// A release of these images and the files that its mirrors serve.
pub(crate) fn release(images: &Images) -> (Release, BTreeMap<String, Vec<u8>>) {
    let mut files = BTreeMap::new();
    let mut cut = |bytes: &[u8]| {
        let chunks = bytes.chunks(CHUNK).map(|plain| {
            let packed = zstd::bulk::compress(plain, 3).unwrap();
            let chunk = Chunk(hex(plain), packed.len() as u32);
            files.insert(chunk.path(), packed);
            chunk
        });
        Image { bytes: bytes.len() as u64, chunks: chunks.collect(), sha256: hex(bytes) }
    };
    let release = Release {
        format: FORMAT,
        board: "test".into(),
        version: "2".into(),
        security: 1,
        schema: 1,
        chunk_bytes: CHUNK as u32,
        fit: cut(&images.fit),
        root: cut(&images.root),
    };
    (release, files)
}

/// What a mirror does with a request.
pub(crate) type Serve = Box<dyn FnMut(&str, &[u8]) -> Event>;

/// Everything around an installer.
pub(crate) struct World {
    pub(crate) running: Images,
    pub(crate) target: Images,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) mirrors: Vec<Serve>,
    /// Ranges of the running slot that cannot be read.
    pub(crate) rotten: Vec<(ImageKind, u64)>,
    /// Number of the write that the disk refuses.
    pub(crate) write_fails_at: Option<usize>,
    pub(crate) log: Log,
    pub(crate) now: u64,
}

/// What happened, for a test to look at.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) asked: Vec<(usize, String, u64)>,
    pub(crate) fetched_bytes: u64,
    pub(crate) writes: usize,
    pub(crate) begun: usize,
    /// Requests before Begin.
    pub(crate) asked_before_begin: usize,
    pub(crate) completed: usize,
    pub(crate) waits: Vec<u64>,
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    Failed(Failure),
    /// Stopped after so many actions, as a power cut does.
    Cut,
}

impl World {
    pub(crate) fn new(running: Images, target: Images, files: &BTreeMap<String, Vec<u8>>) -> Self {
        Self {
            running,
            target,
            files: files.clone(),
            mirrors: vec![good()],
            rotten: Vec::new(),
            write_fails_at: None,
            log: Log::default(),
            now: 0,
        }
    }

    pub(crate) fn installer(&self, release: &Release) -> Installer {
        let room = self.target.lengths();
        Installer::new(release.clone(), self.mirrors.len(), self.running.lengths(), room, Limits::default())
    }

    pub(crate) fn run(&mut self, release: &Release) -> End {
        let mut installer = self.installer(release);
        self.drive(&mut installer, usize::MAX)
    }

    /// Does what the installer says, at most so many times.
    pub(crate) fn drive(&mut self, installer: &mut Installer, most: usize) -> End {
        for _ in 0..most {
            match installer.next(self.now) {
                Action::Done => return End::Done,
                Action::Failed { why } => return End::Failed(why),
                Action::Wait { until_ms } => {
                    assert!(until_ms > self.now, "time goes on");
                    self.log.waits.push(until_ms - self.now);
                    self.now = until_ms;
                }
                action => {
                    let event = self.answer(action);
                    self.now += 1;
                    installer.event(event, self.now, u32::MAX);
                }
            }
        }
        End::Cut
    }

    pub(crate) fn answer(&mut self, action: Action) -> Event {
        match action {
            Action::ReadRunning { image, range } => {
                if self.rotten.iter().any(|(kind, at)| *kind == image && range.contains(at)) {
                    return Event::Unreadable;
                }
                Event::Read(self.running.of(image)[range.start as usize..range.end as usize].to_vec())
            }
            Action::ReadTarget { image, range } => {
                let there = self.target.of(image).get(range.start as usize..range.end as usize);
                there.map_or(Event::Unreadable, |bytes| Event::Read(bytes.to_vec()))
            }
            Action::Fetch { mirror, path, bytes, stall_ms, whole_ms } => {
                assert!(stall_ms == 30_000 && whole_ms >= stall_ms && whole_ms < 120_000);
                self.log.asked.push((mirror, path.clone(), self.now));
                self.log.asked_before_begin += usize::from(self.log.begun == 0);
                let file = self.files.get(&path).cloned().unwrap_or_default();
                let event = self.mirrors[mirror](&path, &file);
                if let Event::Fetched(body) = &event {
                    assert!(body.len() <= bytes as usize, "no byte more than signed is read");
                    self.log.fetched_bytes += body.len() as u64;
                }
                event
            }
            Action::Begin => {
                self.log.begun += 1;
                Event::Begun
            }
            Action::Write { image, at, bytes } => {
                assert!(self.log.begun > 0, "nothing is written before Begin");
                self.log.writes += 1;
                if self.write_fails_at == Some(self.log.writes) {
                    return Event::Refused("Input/output error".into());
                }
                let place = &mut self.target.of_mut(image)[at as usize..][..bytes.len()];
                place.copy_from_slice(&bytes);
                Event::Written
            }
            Action::Complete => {
                self.log.completed += 1;
                Event::Completed
            }
            Action::Wait { .. } | Action::Done | Action::Failed { .. } => unreachable!(),
        }
    }
}

/// A mirror without faults.
pub(crate) fn good() -> Serve {
    Box::new(|_, file| Event::Fetched(file.to_vec()))
}

/// One that answers so for the first times, and well then.
pub(crate) fn first(answers: Vec<Event>) -> Serve {
    let mut answers = VecDeque::from(answers);
    Box::new(move |_, file| answers.pop_front().unwrap_or_else(|| Event::Fetched(file.to_vec())))
}

/// One that never answers otherwise.
pub(crate) fn always(answer: Event) -> Serve {
    Box::new(move |_, _| answer.clone())
}

pub(crate) fn fault(fault: Fault) -> Event {
    Event::NotFetched(fault)
}

/// How often each path was asked for.
pub(crate) fn counts(log: &Log) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for (_, path, _) in &log.asked {
        *counts.entry(path.as_str()).or_default() += 1;
    }
    counts
}
