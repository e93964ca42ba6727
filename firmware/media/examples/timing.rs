//! What the crate costs: `cargo run --release -p media --example timing`.
//!
//! Thirty-two cameras of 4 Mbit/s (25 pictures per second, GOP of one second, AAC at 48 kHz) with the default window: time
//! per call, and memory beyond the units' own bytes.

#![expect(clippy::disallowed_methods, reason = "measuring is what a clock is for")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring tool")]

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use bytes::Bytes;
use media::{
    AccessUnit, Answer, AudioFormat, Container, Format, ObjectName, Options, Request, Stream, Track,
    VideoFormat,
};

const CAMERAS: usize = 32;
const SECONDS: i64 = 60;
const START_US: i64 = 1_700_000_000_000_000;
/// x264, 640x360.
const SPS: &[u8] =
    b"\x67\x4d\x40\x1e\xd9\x00\xa0\x2f\xf9\x70\x11\x00\x00\x03\x00\x01\x00\x00\x03\x00\x32\x0f\x16\x2e\x48";
const PPS: &[u8] = b"\x68\xeb\xc3\xcb\x20";

fn format() -> Format {
    let audio = AudioFormat::Aac {
        config: Bytes::from_static(&[0x11, 0x88]),
        sample_rate: NonZeroU32::new(48_000).unwrap(),
        channels: 1,
    };
    let video = VideoFormat::H264 { sps: Bytes::from_static(SPS), pps: Bytes::from_static(PPS) };
    Format { video, audio: Some(audio) }
}

fn unit(track: Track, key: bool, len: usize, stamp: i64, rate: u32) -> AccessUnit {
    let mut data = vec![0x55; len];
    data[..4].copy_from_slice(&(len as u32 - 4).to_be_bytes());
    data[4] = if key { 0x65 } else { 0x41 };
    AccessUnit {
        track,
        stamp,
        clock_rate: NonZeroU32::new(rate).unwrap(),
        arrival_us: START_US + stamp * 1_000_000 / i64::from(rate),
        random_access: key || track == Track::Audio,
        loss: false,
        data: data.into(),
    }
}

/// One second of a camera: 4 Mbit/s of pictures, 64 kbit/s of sound.
fn second(second: i64) -> Vec<AccessUnit> {
    let picture = |index: i64| {
        let key = index % 25 == 0;
        let len = if key { 120_000 } else { 15_833 };
        unit(Track::Video, key, len, (second * 25 + index) * 3600, 90_000)
    };
    let sound = |index: i64| unit(Track::Audio, true, 170, index * 1024, 48_000);
    let mut units: Vec<_> = (0..25).map(picture).collect();
    units.extend((second * 48_000 / 1024..(second + 1) * 48_000 / 1024).map(sound));
    units.sort_by_key(|unit| unit.arrival_us);
    units
}

/// Resident memory, bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn per(what: &str, total: Duration, count: u64) {
    println!("{what}: {} ns", total.as_nanos() / u128::from(count.max(1)));
}

fn main() {
    let before = resident();
    let mut streams: Vec<Stream> =
        (0..CAMERAS).map(|_| Stream::new(Options::default(), 1_700_000_000)).collect();
    for stream in &mut streams {
        stream.set_format(format()).unwrap();
    }
    let (mut pushing, mut longest, mut pushes) = (Duration::ZERO, Duration::ZERO, 0);
    for at in 0..SECONDS {
        for stream in &mut streams {
            for unit in second(at) {
                let start = Instant::now();
                stream.push(unit);
                let took = start.elapsed();
                pushing += took;
                longest = longest.max(took);
                pushes += 1;
            }
        }
    }
    per("push, nobody watching (reading the clock included)", pushing, pushes);
    println!("longest push: {} ns", longest.as_nanos());
    let facts = streams[0].facts();
    println!(
        "window of a stream: {:.1} s, {} units, {} bytes",
        facts.window_seconds, facts.window_units, facts.window_bytes
    );
    let held: u64 = streams.iter().map(|stream| stream.facts().window_bytes).sum();
    let units: u64 = streams.iter().map(|stream| stream.facts().window_units).sum();
    let memory = resident() - before;
    println!("resident memory of a stream: {:.2} MiB", memory as f64 / CAMERAS as f64 / 1_048_576.0);
    println!("memory beyond the units' bytes: {} bytes per unit", memory.saturating_sub(held) / units);

    let stream = &mut streams[0];
    let (mut listing, mut parts, mut fetching, mut count) = (Duration::ZERO, 0, Duration::ZERO, 0);
    for at in SECONDS..2 * SECONDS {
        for unit in second(at) {
            if stream.push(unit).part_closed {
                let start = Instant::now();
                let Answer::Ready(live) = stream.playlist(Container::Fmp4, Request::default()) else {
                    continue;
                };
                listing += start.elapsed();
                count += 1;
                let text = String::from_utf8(live.chunks.concat()).unwrap();
                let part = text.lines().rev().find_map(|line| {
                    line.split_once("URI=\"")?.1.split('"').next().filter(|_| line.contains("-PART:"))
                });
                let name = ObjectName::parse(part.unwrap_or_default());
                if let Some(name) = name {
                    let start = Instant::now();
                    assert!(matches!(stream.object(&name), Answer::Ready(_)));
                    fetching += start.elapsed();
                    parts += 1;
                }
            }
        }
    }
    per("low-latency playlist, first to ask", listing, count);
    per("part, first to ask", fetching, parts);
    let list = ObjectName::Playlist(Container::Ts);
    let Answer::Ready(list) = stream.object(&list) else { return };
    let text = String::from_utf8(list.chunks.concat()).unwrap();
    let start = Instant::now();
    let (mut segments, mut bytes) = (0, 0);
    for name in text.lines().filter(|line| !line.starts_with('#')) {
        let Some(name) = ObjectName::parse(&format!("ts/{name}")) else { continue };
        let Answer::Ready(body) = stream.object(&name) else { continue };
        segments += 1;
        bytes += body.len;
    }
    per("MPEG-TS segment of one second, first to ask", start.elapsed(), segments);
    println!("MPEG-TS: {} bytes a second", bytes / segments.max(1));
}
