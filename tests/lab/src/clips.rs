//! The clips that cameras play: every frame differs, so that the hash of a decoded frame names its place.
//!
//! Made by `cameras/make_media.py`: 640x360, 20 frames/s, a key frame each second, 8 s long, looped without a
//! seam. The hashes are those of ffmpeg's own decoder on the source clip.

use std::{
    collections::HashMap,
    fmt::Write,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use nix::fcntl::{Flock, FlockArg};

use crate::paths;

/// Frames per second of every clip.
pub const FRAMES_PER_SECOND: f64 = 20.0;

/// One clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clip {
    /// Its name, also a legal camera id.
    pub name: &'static str,
    /// Whether it is H.264 (plays in Chromium) rather than H.265.
    pub h264: bool,
    /// Whether it has AAC sound.
    pub sound: bool,
}

const fn clip(name: &'static str, h264: bool, sound: bool) -> Clip {
    Clip { name, h264, sound }
}

/// Every codec and profile, with and without sound.
pub const CLIPS: [Clip; 10] = [
    clip("h264-baseline", true, false),
    clip("h264-baseline-aac", true, true),
    clip("h264-main", true, false),
    clip("h264-main-aac", true, true),
    clip("h264-bframes", true, false),
    clip("h264-bframes-aac", true, true),
    clip("h265", false, false),
    clip("h265-aac", false, true),
    clip("h265-bframes", false, false),
    clip("h265-bframes-aac", false, true),
];

impl Clip {
    /// One turn of the clip.
    pub fn file(&self) -> PathBuf {
        media(&format!("{}.mp4", self.name))
    }

    /// 24 minutes of turns, for servers that only play a file to its end.
    pub fn long_file(&self) -> PathBuf {
        media(&format!("{}.long.mp4", self.name))
    }
}

/// A file among the lab's clips.
pub fn media(name: &str) -> PathBuf {
    paths::lab().join("media").join(name)
}

/// A clip for simcam whose frames carry their number in the picture, so that a screen tells when what it shows was sent.
///
/// Noisy, so that it has its bit rate; 25 frames/s, a keyframe each second, 8 s. The number stands in the upper left
/// corner as eight squares of 32 of 640 pixels, lowest bit first, white for one.
#[derive(Debug, Clone, Copy)]
pub struct Numbered {
    /// Its name.
    pub name: &'static str,
    /// Width and height.
    pub size: (u32, u32),
    /// kbit/s.
    pub kbit: u32,
}

impl Numbered {
    /// Frames in one turn.
    pub const FRAMES: u64 = 200;
    /// Frames per second.
    pub const FRAMES_PER_SECOND: f64 = 25.0;

    /// The file, made when it is first asked for.
    ///
    /// # Errors
    /// When ffmpeg fails.
    pub fn file(&self) -> Result<PathBuf> {
        let Self { name, size: (width, height), kbit } = self;
        let file = media(&format!("{name}-{width}x{height}-{kbit}.h264"));
        if file.exists() {
            return Ok(file);
        }
        let mut picture = "noise=alls=30:allf=t,drawbox=w=256:h=32:color=black:t=fill".to_owned();
        for bit in 0..8 {
            let lit = format!("gt(mod(floor(n/{})\\,2)\\,0.5)", 1 << bit);
            write!(picture, ",drawbox=x={}:w=32:h=32:color=white:t=fill:enable='{lit}'", bit * 32)?;
        }
        write!(picture, ",scale={width}:{height}")?;
        let rate = format!("{kbit}k");
        let rate = ["-b:v", &rate, "-maxrate", &rate, "-bufsize", &rate];
        encode(&file, "testsrc2=size=640x360:rate=25:duration=8", &picture, "25", &rate)?;
        Ok(file)
    }
}

/// A clip for simcam with a keyframe so rarely: 640x360, 25 frames/s, 16 s.
#[derive(Debug, Clone, Copy)]
pub struct Paced {
    /// Seconds from one keyframe to the next, at most 16.
    pub seconds: u32,
}

impl Paced {
    /// The file, made when it is first asked for.
    ///
    /// # Errors
    /// When ffmpeg fails.
    pub fn file(&self) -> Result<PathBuf> {
        let file = media(&format!("paced-{}.h264", self.seconds));
        if !file.exists() {
            let gop = (25 * self.seconds).to_string();
            let rate = ["-b:v", "400k", "-maxrate", "450k", "-bufsize", "450k"];
            encode(&file, "testsrc2=size=640x360:rate=25:duration=16", "hue=h=60", &gop, &rate)?;
        }
        Ok(file)
    }
}

/// Encodes a picture that ffmpeg draws, as Annex B; `gop` in frames. The file is whole when it is there, and made once, whoever
/// asks for it at the same time.
fn encode(file: &Path, source: &str, picture: &str, gop: &str, rate: &[&str]) -> Result<()> {
    let turn = File::options().create(true).append(true).open(file.with_extension("lock"))?;
    let _turn = Flock::lock(turn, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
    if file.exists() {
        return Ok(());
    }
    let draft = file.with_extension("draft.h264");
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", source, "-vf", picture]);
    command.args(["-c:v", "libx264", "-preset", "veryfast", "-profile:v", "main", "-bf", "0"]);
    command.args(["-g", gop, "-keyint_min", gop, "-sc_threshold", "0", "-pix_fmt", "yuv420p"]);
    command.args(rate).args(["-f", "h264"]).arg(&draft);
    let output = command.output().context("starting ffmpeg")?;
    ensure!(output.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(fs::rename(&draft, file)?)
}

/// The places of decoded frames in one turn of a clip, by hash.
#[derive(Debug)]
pub struct Places(HashMap<String, usize>);

/// What a recording holds, against the clip that was played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Frames decoded.
    pub frames: usize,
    /// Every place where it is not the looped clip going on, in words.
    pub breaks: Vec<String>,
}

impl Places {
    /// Decodes a clip.
    ///
    /// # Errors
    /// When ffmpeg fails or two frames look the same.
    pub fn of(clip: &Path) -> Result<Self> {
        let hashes = hashes(clip)?;
        let count = hashes.len();
        let places: HashMap<_, _> = hashes.into_iter().zip(0..).collect();
        ensure!(places.len() == count && count > 0, "{} has frames that look the same", clip.display());
        Ok(Self(places))
    }

    /// Compares a recording, frame by frame, with the clip going round.
    ///
    /// # Errors
    /// When ffmpeg fails on the recording.
    pub fn compare(&self, recording: &Path) -> Result<Run> {
        Ok(self.follow(&hashes(recording)?))
    }

    /// Compares hashes in output order with the clip going round.
    pub fn follow(&self, hashes: &[String]) -> Run {
        let mut breaks = Vec::new();
        let mut expected = None;
        for (index, hash) in hashes.iter().enumerate() {
            let place = self.0.get(hash).copied();
            match (place, expected) {
                (None, _) => breaks.push(format!("frame {index} is none of the clip's")),
                (Some(is), Some(should)) if is != should => {
                    breaks.push(format!("frame {index} is the clip's {is}, not {should}"));
                }
                _ => {}
            }
            expected = place.or(expected).map(|place| (place + 1) % self.0.len());
        }
        Run { frames: hashes.len(), breaks }
    }
}

/// The hash of every decoded video frame of a file, in output order.
///
/// # Errors
/// When ffmpeg fails.
pub fn hashes(file: &Path) -> Result<Vec<String>> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(file)
        .args(["-map", "0:v", "-fps_mode", "passthrough", "-f", "framemd5", "-"])
        .output()
        .context("starting ffmpeg")?;
    ensure!(
        output.status.success(),
        "ffmpeg on {}: {}",
        file.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(framemd5(&String::from_utf8_lossy(&output.stdout)))
}

/// The last column of ffmpeg's framemd5 listing.
pub fn framemd5(listing: &str) -> Vec<String> {
    listing
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit(',').next())
        .map(|hash| hash.trim().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(sequence: &[&str]) -> Vec<String> {
        let places = Places(["a", "b", "c"].iter().map(ToString::to_string).zip(0..).collect());
        let hashes: Vec<String> = sequence.iter().map(ToString::to_string).collect();
        places.follow(&hashes).breaks
    }

    #[test]
    fn loss_doubles_and_strangers_are_breaks() {
        assert!(run(&["b", "c", "a", "b"]).is_empty(), "a loop may start anywhere");
        assert_eq!(run(&["a", "c"]).len(), 1, "lost");
        assert_eq!(run(&["a", "a", "b"]).len(), 1, "doubled");
        assert_eq!(run(&["a", "c", "b"]).len(), 2, "swapped");
        assert_eq!(run(&["a", "x", "c"]).len(), 1, "garbled, then going on");
    }
}
