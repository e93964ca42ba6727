//! Clips of which no two pictures are equal, and the hashes by which their pictures and sound are known again.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::stage::Folder;

/// Pictures per second.
pub(crate) const RATE: usize = 25;

/// A clip in MP4.
pub(crate) struct Clip {
    pub(crate) file: PathBuf,
    pub(crate) seconds: usize,
    /// Hashes of its pictures as they are shown.
    pub(crate) pictures: Vec<String>,
    _folder: Folder,
}

fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("ffmpeg is installed");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

impl Clip {
    /// Pictures with two B-frames between references, a keyframe each second, and AAC.
    pub(crate) fn new(encoder: &str, seconds: usize) -> Self {
        let folder = Folder::new();
        let file = folder.0.join("clip.mp4");
        let picture = format!("testsrc2=size=320x240:rate={RATE}:duration={seconds}");
        let sound = format!("sine=frequency=440:beep_factor=4:sample_rate=44100:duration={seconds}");
        let key = RATE.to_string();
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &sound]);
        command.args([
            "-pix_fmt",
            "yuv420p",
            "-c:v",
            encoder,
            "-preset",
            "ultrafast",
            "-bf",
            "2",
            "-g",
            &key,
        ]);
        if encoder == "libx265" {
            let words =
                format!("keyint={key}:min-keyint={key}:scenecut=0:bframes=2:open-gop=0:log-level=error");
            command.args(["-x265-params", &words]);
        } else {
            command.args(["-keyint_min", &key, "-sc_threshold", "0"]);
        }
        command.args(["-c:a", "aac", "-b:a", "64k"]).arg(&file);
        run(&mut command);
        let pictures = pictures(&file);
        assert_eq!(pictures.len(), RATE * seconds);
        Self { file, seconds, pictures, _folder: folder }
    }

    /// ffmpeg that pushes it as fast as it plays.
    pub(crate) fn pushed(&self, url: &str) -> Child {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-re", "-i"]).arg(&self.file).args(["-c", "copy", "-f", "flv", url]);
        command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

/// The hash of each decoded picture.
pub(crate) fn pictures(file: &Path) -> Vec<String> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-i"]).arg(file);
    hashes(command.args(["-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framemd5", "-"]))
}

/// The hash of each frame of sound, as it is coded.
pub(crate) fn sound(file: &Path) -> Vec<String> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-i"]).arg(file);
    hashes(command.args(["-map", "0:a:0", "-c", "copy", "-f", "framemd5", "-"]))
}

fn hashes(command: &mut Command) -> Vec<String> {
    let lines = run(command);
    let lines = lines.lines().filter(|line| !line.starts_with('#'));
    // Stream, times, duration, size, hash; side data may follow.
    lines.map(|line| line.split(',').nth(5).unwrap().trim().to_owned()).collect()
}
