//! Other people's tools as judges of a recording or a live stream.

use std::{collections::BTreeMap, fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{cameras, factory::Host};

/// Everything that ffmpeg warns of while it demuxes and copies a recording.
///
/// # Errors
/// When ffmpeg cannot start.
pub fn ffmpeg_warnings(recording: &Path) -> Result<Vec<String>> {
    said(
        Command::new("ffmpeg")
            .args(["-nostdin", "-v", "warning", "-i"])
            .arg(recording)
            .args(["-c", "copy", "-f", "null", "-"]),
    )
}

/// Everything that ffprobe warns of in a recording.
///
/// # Errors
/// When ffprobe cannot start.
pub fn ffprobe_warnings(recording: &Path) -> Result<Vec<String>> {
    said(Command::new("ffprobe").args(["-v", "warning", "-show_streams", "-of", "json"]).arg(recording))
}

/// How many pictures are shown less than a quarter of a frame after another: presentation times that were bent.
///
/// # Errors
/// When ffprobe fails.
pub fn crowded_pictures(recording: &Path, frames_per_second: f64) -> Result<usize> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time", "-of", "csv=p=0"])
        .arg(recording)
        .output()
        .context("ffprobe")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut shown: Vec<f64> = text.lines().filter_map(|line| line.trim_matches(',').parse().ok()).collect();
    anyhow::ensure!(!shown.is_empty(), "ffprobe finds no picture in {}", recording.display());
    shown.sort_by(f64::total_cmp);
    Ok(shown.windows(2).filter(|pair| pair[1] - pair[0] < 0.25 / frames_per_second).count())
}

/// Everything that ffprobe, as a client of a live playlist, warns of.
///
/// # Errors
/// When it fails.
pub fn ffprobe_live(viewer: &Host, url: &str, log: &str) -> Result<(Value, Vec<String>)> {
    let mut command = viewer.command("ffprobe");
    command.args(["-v", "warning", "-show_streams", "-show_format", "-of", "json", url]);
    let printed = viewer.output(log, command, Duration::from_secs(30))?;
    let warnings = fs::read_to_string(viewer.log(log))?;
    Ok((serde_json::from_str(&printed)?, lines(&warnings)))
}

/// What tshark finds wrong in a transport stream: jumps of continuity, damaged packets and tables.
///
/// # Errors
/// When tshark cannot read the recording.
pub fn tshark_faults(recording: &Path) -> Result<Vec<String>> {
    let filter = "mp2t.cc.drop || mp2t.tei == 1 || mpeg_sect.crc.status == \"Bad\"";
    let output =
        Command::new("tshark").arg("-r").arg(recording).args(["-Y", filter]).output().context("tshark")?;
    anyhow::ensure!(output.status.success(), "tshark: {}", String::from_utf8_lossy(&output.stderr));
    Ok(lines(&String::from_utf8_lossy(&output.stdout)))
}

/// What hls-parser (strict) and m3u8-parser find wrong in a folder of playlists: each kind of fault once, with the
/// number of playlists that have it and one of them.
///
/// # Errors
/// When the judge itself fails.
pub fn playlist_faults(viewer: &Host, folder: &Path, log: &str) -> Result<Vec<String>> {
    let mut command = cameras::node(viewer, "players/playlists.mjs")?;
    command.arg(folder);
    let printed = viewer.output(log, command, Duration::from_secs(60))?;
    let mut kinds: BTreeMap<(String, String), (usize, String)> = BTreeMap::new();
    for line in printed.lines() {
        let fault: Value = serde_json::from_str(line)?;
        let text = |key: &str| fault[key].as_str().unwrap_or_default().to_owned();
        let kind = kinds.entry((text("judge"), text("message"))).or_insert((0, text("file")));
        kind.0 += 1;
    }
    let told =
        |((judge, message), (count, file))| format!("{judge}: {message} ({count} playlists, {file} is one)");
    Ok(kinds.into_iter().map(told).collect())
}

/// Plays a live playlist for `seconds` with GStreamer's hlsdemux2 and gives the number of decoded frames.
///
/// # Errors
/// When GStreamer reports an error.
pub fn gstreamer_frames(viewer: &Host, url: &str, seconds: u64, log: &str) -> Result<usize> {
    let mut command = viewer.command("timeout");
    command.args(["--signal=INT", &seconds.to_string(), "gst-launch-1.0", "--verbose", "--eos-on-shutdown"]);
    command.arg("playbin3").arg(format!("uri={url}"));
    command.arg("video-sink=fakesink name=sink silent=false sync=true").arg("audio-sink=fakesink sync=true");
    command.env("GST_PLUGIN_FEATURE_RANK", "hlsdemux2:MAX,hlsdemux:NONE");
    let printed = viewer.output(log, command, Duration::from_secs(seconds + 30)).or_else(|error| {
        // timeout(1) tells that it had to interrupt by its exit code.
        let printed = fs::read_to_string(viewer.log(log).with_extension("out"))?;
        if printed.contains("ERROR") { Err(error) } else { Ok(printed) }
    })?;
    Ok(printed.matches("chain   ******* (sink:sink)").count())
}

fn said(command: &mut Command) -> Result<Vec<String>> {
    let output = command.output().with_context(|| format!("starting {}", command.get_program().display()))?;
    Ok(lines(&String::from_utf8_lossy(&output.stderr)))
}

fn lines(text: &str) -> Vec<String> {
    text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
}
