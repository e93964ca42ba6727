//! Follows a playlist as a viewer would and keeps every segment.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};

use super::{
    fmp4,
    playlist::{Playlist, resolve, variant},
    ts,
};
use crate::http::Site;

/// How often a playlist is read: twice in the shortest segment.
const POLL: Duration = Duration::from_millis(500);

/// A recording of one stream that goes on while it is [`Running`].
#[derive(Debug)]
pub struct Recorder {
    site: Site,
    /// Path of the media playlist.
    list: String,
    /// `NAME.mp4` or `NAME.ts`: everything that was fetched.
    file: PathBuf,
    out: File,
    next: Option<u64>,
    walker: Walker,
    /// Seconds of the segments by their EXTINF.
    seconds: f64,
    segments: usize,
    lists: usize,
    faults: Vec<String>,
}

#[derive(Debug)]
enum Walker {
    Start,
    Fmp4 { map: String, walker: Box<fmp4::Walker> },
    Ts(Box<ts::Walker>),
}

/// What a recording turned out to be.
#[derive(Debug)]
pub struct Recording {
    /// The recorded file.
    pub file: PathBuf,
    /// Seconds by the playlist.
    pub seconds: f64,
    /// Segments fetched.
    pub segments: usize,
    /// The walk through its movie fragments, if it has some.
    pub fmp4: Option<fmp4::Report>,
    /// The walk through its transport packets, if it has some.
    pub ts: Option<ts::Report>,
    /// Everything wrong with playlists and fetches.
    pub faults: Vec<String>,
}

/// Which packaging to record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packaging {
    /// Fragmented MP4.
    Fmp4,
    /// MPEG-TS.
    Ts,
}

impl Recorder {
    /// Starts at the oldest listed segment of `/{id}/`, which begins with a keyframe. Playlists are kept in `folder/playlists`.
    ///
    /// # Errors
    /// When there is no playlist yet.
    pub fn start(site: Site, id: &str, packaging: Packaging, folder: &Path) -> Result<Self> {
        let (list, file) = match packaging {
            Packaging::Ts => (format!("/{id}/ts/index.m3u8"), format!("{id}.ts")),
            Packaging::Fmp4 => {
                let index = format!("/{id}/index.m3u8");
                let text = site.get(&index)?.text();
                (resolve(&index, variant(&text).context("no variant")?), format!("{id}.mp4"))
            }
        };
        fs::create_dir_all(folder.join("playlists"))?;
        let file = folder.join(file);
        let out = File::create(&file)?;
        let mut recorder = Self {
            site,
            list,
            file,
            out,
            next: None,
            walker: Walker::Start,
            seconds: 0.0,
            segments: 0,
            lists: 0,
            faults: Vec::new(),
        };
        recorder.poll()?;
        Ok(recorder)
    }

    /// Fetches what is new.
    ///
    /// # Errors
    /// When an answer does not come or cannot be read.
    fn poll(&mut self) -> Result<()> {
        let text = self.site.get(&self.list)?.text();
        if self.lists < 12 {
            let name = self.file.file_name().unwrap_or_default().to_string_lossy();
            let kept = format!("playlists/{name}.{:02}.m3u8", self.lists);
            fs::write(self.file.with_file_name(kept), &text)?;
        }
        self.lists += 1;
        let list = Playlist::read(&text);
        for fault in list.faults() {
            self.fault(fault);
        }
        if self.next.is_none() {
            self.next = list.segments.first().map(|segment| segment.number);
        }
        for segment in &list.segments {
            let Some(next) = self.next.filter(|next| segment.number >= *next) else { continue };
            if segment.number > next {
                self.fault(format!("segments {next} to {} left the playlist unseen", segment.number - 1));
            }
            if segment.discontinuity {
                self.fault(format!("a discontinuity before {}", segment.uri));
            }
            self.segment(&list, &segment.uri)?;
            self.seconds += segment.seconds;
            self.segments += 1;
            self.next = Some(segment.number + 1);
        }
        Ok(())
    }

    /// Ends the recording.
    ///
    /// # Errors
    /// When nothing was recorded.
    fn finish(mut self) -> Result<Recording> {
        self.out.flush()?;
        ensure!(self.segments > 0, "{} never listed a segment", self.list);
        let (mut fmp4, mut ts) = (None, None);
        match self.walker {
            Walker::Start => {}
            Walker::Fmp4 { walker, .. } => fmp4 = Some(walker.report()),
            Walker::Ts(walker) => ts = Some(walker.report()),
        }
        let (file, seconds, segments, faults) = (self.file, self.seconds, self.segments, self.faults);
        Ok(Recording { file, seconds, segments, fmp4, ts, faults })
    }

    fn segment(&mut self, list: &Playlist, uri: &str) -> Result<()> {
        let path = resolve(&self.list, uri);
        let bytes = self.site.get(&path)?.body;
        if let Some(map) = &list.map {
            let known = matches!(&self.walker, Walker::Fmp4 { map: known, .. } if known == map);
            if !known {
                let init = self.site.get(&resolve(&self.list, map))?.body;
                if !matches!(self.walker, Walker::Start) {
                    self.fault(format!("a new description {map}"));
                }
                self.out.write_all(&init)?;
                self.walker = Walker::Fmp4 {
                    map: map.clone(),
                    walker: Box::new(fmp4::Walker::new(&init).context(path.clone())?),
                };
            }
        } else if matches!(self.walker, Walker::Start) {
            self.walker = Walker::Ts(Box::default());
        }
        match &mut self.walker {
            Walker::Fmp4 { walker, .. } => drop(walker.segment(&path, &bytes)?),
            Walker::Ts(walker) => walker.segment(&path, &bytes)?,
            Walker::Start => {}
        }
        Ok(self.out.write_all(&bytes)?)
    }

    fn fault(&mut self, words: String) {
        if self.faults.len() < 20 && !self.faults.contains(&words) {
            self.faults.push(words);
        }
    }
}

/// Recorders that go on in a thread of their own until they are finished.
#[derive(Debug)]
pub struct Running {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Recorder>>>,
}

impl Running {
    /// Polls these recorders twice a second.
    pub fn start(mut recorders: Vec<Recorder>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&over);
        let thread = thread::spawn(move || {
            while !asked.load(Ordering::Relaxed) {
                let next = Instant::now() + POLL;
                for recorder in &mut recorders {
                    recorder.poll().with_context(|| format!("recording {}", recorder.list))?;
                }
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            Ok(recorders)
        });
        Self { over, thread }
    }

    /// Ends the recordings.
    ///
    /// # Errors
    /// When one of them could not go on.
    pub fn finish(self) -> Result<Vec<Recording>> {
        self.over.store(true, Ordering::Relaxed);
        let recorders = self.thread.join().map_err(|_| anyhow!("a recorder panicked"))??;
        recorders.into_iter().map(Recorder::finish).collect()
    }
}
