//! A camera whose every unit is told from every other: the bytes count up.

use std::num::NonZeroU32;

use bytes::Bytes;
use media::{AccessUnit, AudioFormat, Format, Progress, Stream, Track, VideoFormat};

pub(crate) const START_US: i64 = 1_700_000_000_000_000;
pub(crate) const FIRST_MSN: u64 = 1_700_000_000;
pub(crate) const AUDIO_RATE: u32 = 16_000;
const AAC_FRAME: i64 = 1024;

/// x264 640x360 Main, x264 1280x720 High, x265 640x360 Main; 25 pictures per second by their VUI.
const PARAMETERS: [[&str; 3]; 3] = [
    ["", "674d401ed900a02ff97011000003000100000300320f162e48", "68ebc3cb20"],
    ["", "6764001facb200a00b760220000003002000000641e30649", "68ebc3cb22c0"],
    [
        "40010c01ffff01600000030090000003000003003f959809",
        "42010101600000030090000003000003003fa00502016965959a4932bc05a02000000300200000030321",
        "4401c172b46240",
    ],
];

/// One of three formats.
pub(crate) fn format(number: usize, audio: bool) -> Format {
    let set = |index: usize| {
        let text = PARAMETERS[number % 3][index].as_bytes().chunks(2);
        text.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect::<Bytes>()
    };
    let video = match number % 3 {
        2 => VideoFormat::H265 { vps: set(0), sps: set(1), pps: set(2) },
        _ => VideoFormat::H264 { sps: set(1), pps: set(2) },
    };
    let sample_rate = NonZeroU32::new(AUDIO_RATE).unwrap();
    let aac = AudioFormat::Aac { config: vec![0x14, 0x08].into(), sample_rate, channels: 1 };
    Format { video, audio: audio.then_some(aac) }
}

/// A unit whose content is its number, `size` bytes long: at least 13.
pub(crate) fn unit(
    track: Track,
    number: u64,
    key: bool,
    size: usize,
    stamp: i64,
    arrival_us: i64,
) -> AccessUnit {
    let body = size.max(13) - 4;
    let mut data = Vec::with_capacity(body + 4);
    if track == Track::Video {
        data.extend_from_slice(&(body as u32).to_be_bytes());
        data.push(if key { 0x65 } else { 0x41 });
    } else {
        data.extend_from_slice(&[0x21; 5]);
    }
    data.extend_from_slice(format!("{number:08}").as_bytes());
    data.resize(body + 4, 0x55);
    let clock_rate = NonZeroU32::new(if track == Track::Video { 90_000 } else { AUDIO_RATE }).unwrap();
    AccessUnit {
        track,
        stamp,
        clock_rate,
        arrival_us,
        random_access: key || track == Track::Audio,
        loss: false,
        data: data.into(),
    }
}

/// A steady camera: pictures and sound in step, sound arriving when it is complete.
pub(crate) struct Camera {
    pub(crate) fps: i64,
    pub(crate) gop: i64,
    pub(crate) picture_bytes: usize,
    pub(crate) audio: bool,
    pub(crate) pictures: i64,
    pub(crate) sounds: i64,
}

impl Camera {
    pub(crate) fn new(fps: i64, gop: i64, audio: bool) -> Self {
        Self { fps, gop, picture_bytes: 1000, audio, pictures: 0, sounds: 0 }
    }

    /// The next unit in the order of arrival.
    pub(crate) fn next(&mut self) -> AccessUnit {
        let picture_us = self.pictures * 1_000_000 / self.fps;
        let sound_us = (self.sounds + 1) * AAC_FRAME * 1_000_000 / i64::from(AUDIO_RATE);
        if self.audio && sound_us < picture_us {
            let number = self.sounds;
            self.sounds += 1;
            let stamp = number * AAC_FRAME;
            return unit(Track::Audio, number as u64, true, 160, stamp, START_US + sound_us);
        }
        let number = self.pictures;
        self.pictures += 1;
        let stamp = number * 90_000 / self.fps;
        let key = number % self.gop == 0;
        // Any fill of the last transport packet.
        let size = if key { self.picture_bytes * 5 } else { self.picture_bytes } + number as usize * 37 % 188;
        unit(Track::Video, number as u64, key, size, stamp, START_US + picture_us)
    }

    /// Pushes this many pictures, with their sound.
    pub(crate) fn run(&mut self, stream: &mut Stream, pictures: i64) -> Progress {
        let end = self.pictures + pictures;
        let mut all = Progress::default();
        while self.pictures < end {
            let progress = stream.push(self.next());
            all.part_closed |= progress.part_closed;
            all.segment_closed |= progress.segment_closed;
        }
        all
    }
}
