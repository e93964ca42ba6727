//! ffmpeg as the judge: every picture and every audio frame that goes in comes out of both containers once, without a
//! warning.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clips::{Clip, directory, encode, ffmpeg_is_there, read, run};
use crate::viewer::Playlist;
use media::{Answer, Container, ObjectName, Options, Request, Stream, Track};

const H264: [&str; 8] = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-keyint_min", "25"];

#[test]
fn h264_baseline() {
    judge("baseline", &[&H264[..], &["-profile:v", "baseline"]].concat(), &[]);
}

#[test]
fn h264_main_with_a_gop_of_two_seconds_and_aac() {
    let video = ["-c:v", "libx264", "-profile:v", "main", "-bf", "0", "-g", "50", "-keyint_min", "50"];
    judge("main", &video, &["-c:a", "aac", "-b:a", "32k"]);
}

#[test]
fn h264_with_b_frames() {
    let video = ["-c:v", "libx264", "-profile:v", "main", "-bf", "3", "-b_strategy", "0", "-g", "30"];
    judge("b-frames", &video, &[]);
}

#[test]
fn h264_with_b_frames_and_aac() {
    let video = ["-c:v", "libx264", "-profile:v", "high", "-bf", "2", "-b_strategy", "0", "-g", "25"];
    judge("b-frames-aac", &video, &["-c:a", "aac"]);
}

#[test]
fn h265() {
    let video = [
        "-c:v",
        "libx265",
        "-tag:v",
        "hvc1",
        "-x265-params",
        "bframes=0:keyint=25:min-keyint=25:log-level=none",
    ];
    judge("h265", &video, &[]);
}

#[test]
fn h265_with_b_frames_and_aac() {
    let video = [
        "-c:v",
        "libx265",
        "-tag:v",
        "hvc1",
        "-x265-params",
        "bframes=3:keyint=25:min-keyint=25:open-gop=0:log-level=none",
    ];
    judge("h265-b-frames", &video, &["-c:a", "aac"]);
}

#[test]
fn pictures_two_seconds_apart() {
    let video = [&H264[..], &["-r", "0.5", "-g", "2"]].concat();
    judge("slow", &video, &[]);
}

fn judge(name: &str, video: &[&str], audio: &[&str]) {
    if !ffmpeg_is_there() {
        eprintln!("not judged: ffmpeg is not installed");
        return;
    }
    let directory = directory(name);
    let input = directory.join("in.mp4");
    encode(&input, if name == "slow" { 24 } else { 8 }, video, audio);
    let mut clip = read(&input);
    // Audio after the last picture belongs to no part.
    let end = clip.units.iter().rposition(|unit| unit.track == Track::Video).unwrap();
    clip.units.truncate(end + 1);
    let (mp4, ts) = package(&directory, &clip);

    // Decoders that give out B-frames late need more of the stream before they run dry.
    let live = Playlist::read(&fs::read_to_string(directory.join("live.m3u8")).unwrap());
    let held = live.control("PART-HOLD-BACK").unwrap();
    assert_eq!(held, if name.contains("b-frames") { 4 } else { 3 } * live.part_target.unwrap(), "{name}");

    let pictures = decoded_pictures(&input);
    assert!(pictures.len() >= 12, "{name}: the clip has pictures");
    for output in [&mp4, &ts] {
        assert!(decoded_pictures(output) == pictures, "{name}: pictures of {}", output.display());
        let quiet = ["-v", "warning", "-show_packets", "-show_frames", "-of", "csv"];
        let (_, warnings) = run("ffprobe", &[&quiet[..], &[output.to_str().unwrap()]].concat());
        assert_eq!(warnings, "", "{name}: ffprobe of {}", output.display());
        let copied = ["-v", "warning", "-i", output.to_str().unwrap(), "-c", "copy", "-f", "null", "-"];
        assert_eq!(run("ffmpeg", &copied).1, "", "{name}: ffmpeg -c copy of {}", output.display());
    }
    if !audio.is_empty() {
        let mut frames = audio_frames(&input);
        frames.truncate(clip.units.iter().filter(|unit| unit.track == Track::Audio).count());
        assert!(frames.len() > 100, "{name}: the clip has audio");
        assert!(audio_frames(&mp4) == frames, "{name}: audio of fMP4");
        assert!(audio_frames(&ts) == frames, "{name}: audio of MPEG-TS");
    }
}

/// Writes what a viewer of the whole clip would fetch, as one file per container.
fn package(directory: &Path, clip: &Clip) -> (PathBuf, PathBuf) {
    let options = Options { window: Duration::from_secs(600), window_bytes: 1 << 30, ..Options::default() };
    let mut stream = Stream::new(options, 1_700_000_000);
    stream.set_format(clip.format.clone()).unwrap();
    for unit in &clip.units {
        stream.push(unit.clone());
    }
    stream.interrupt();
    assert_eq!(stream.facts().dropped_units, 0);

    let mut mp4 = Vec::new();
    let mut ts = Vec::new();
    let live = text(stream.playlist(Container::Fmp4, Request::default()));
    let init =
        live.lines().find_map(|line| line.strip_prefix("#EXT-X-MAP:URI=\"")?.strip_suffix('"')).unwrap();
    for name in std::iter::once(init).chain(live.lines().filter(|line| !line.starts_with('#'))) {
        mp4.extend(body(stream.object(&ObjectName::parse(name).unwrap())));
    }
    let list = text(stream.playlist(Container::Ts, Request::default()));
    for name in list.lines().filter(|line| !line.starts_with('#')) {
        ts.extend(body(stream.object(&ObjectName::parse(&format!("ts/{name}")).unwrap())));
    }
    let (mp4_path, ts_path) = (directory.join("out.mp4"), directory.join("out.ts"));
    fs::write(&mp4_path, mp4).unwrap();
    fs::write(&ts_path, ts).unwrap();
    fs::write(directory.join("live.m3u8"), live).unwrap();
    (mp4_path, ts_path)
}

fn body(answer: Answer) -> Vec<u8> {
    let Answer::Ready(body) = answer else { panic!("{answer:?}") };
    let bytes = body.chunks.concat();
    assert_eq!(bytes.len() as u64, body.len);
    bytes
}

fn text(answer: Answer) -> String {
    String::from_utf8(body(answer)).unwrap()
}

/// Hashes of the decoded pictures, in the order of presentation.
fn decoded_pictures(path: &Path) -> Vec<String> {
    let arguments = [
        "-v",
        "error",
        "-i",
        path.to_str().unwrap(),
        "-map",
        "0:v",
        "-fps_mode",
        "passthrough",
        "-f",
        "framemd5",
        "-",
    ];
    hashes(&run("ffmpeg", &arguments).0)
}

/// Hashes of the audio frames, without ADTS.
fn audio_frames(path: &Path) -> Vec<String> {
    let ts = path.extension().is_some_and(|extension| extension == "ts");
    let mut arguments = vec!["-v", "error", "-i", path.to_str().unwrap(), "-map", "0:a", "-c", "copy"];
    if ts {
        arguments.extend(["-bsf:a", "aac_adtstoasc"]);
    }
    arguments.extend(["-f", "framemd5", "-"]);
    hashes(&run("ffmpeg", &arguments).0)
}

fn hashes(framemd5: &str) -> Vec<String> {
    let lines = framemd5.lines().filter(|line| !line.starts_with('#'));
    // stream, dts, pts, duration, size, hash, side data
    lines.map(|line| line.split(',').nth(5).unwrap().trim().to_owned()).collect()
}
