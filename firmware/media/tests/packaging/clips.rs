//! Clips that ffmpeg encodes, as a camera session would hand them over.

use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use media::{AccessUnit, AudioFormat, Format, Track, VideoFormat};
use mp4_atom::{Atom, Codec, Decode, Header, Moov, ReadFrom, Trak};

/// Whether the judge is installed.
pub(crate) fn ffmpeg_is_there() -> bool {
    let there = |program: &str| {
        Command::new(program).arg("-version").output().is_ok_and(|output| output.status.success())
    };
    there("ffmpeg") && there("ffprobe")
}

/// A directory of this test, empty.
pub(crate) fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// What a program says on both outputs; it must succeed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> (String, String) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {err}");
    (out.into_owned(), err.into_owned())
}

/// Encodes a moving test picture. Times of an MP4 file are exact: 90 kHz, sample rate.
pub(crate) fn encode(path: &Path, seconds: u32, video: &[&str], audio: &[&str]) {
    let path = path.to_str().unwrap();
    let length = seconds.to_string();
    let mut arguments = vec!["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25"];
    if !audio.is_empty() {
        arguments.extend(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=16000"]);
    }
    arguments.extend(["-t", &length, "-pix_fmt", "yuv420p"]);
    arguments.extend(video);
    arguments.extend(audio);
    arguments.extend(["-video_track_timescale", "90000", path]);
    run("ffmpeg", &arguments);
}

/// A clip in the order of arrival.
pub(crate) struct Clip {
    pub(crate) format: Format,
    pub(crate) units: Vec<AccessUnit>,
}

/// Reads an MP4 file that [`encode`] wrote.
pub(crate) fn read(path: &Path) -> Clip {
    let file = fs::read(path).unwrap();
    let moov = moov(&file);
    let mut video = None;
    let mut audio = None;
    let mut units = Vec::new();
    for trak in &moov.trak {
        match &trak.mdia.minf.stbl.stsd.codecs[0] {
            Codec::Avc1(avc1) => {
                let sps = Bytes::copy_from_slice(&avc1.avcc.sequence_parameter_sets[0]);
                let pps = Bytes::copy_from_slice(&avc1.avcc.picture_parameter_sets[0]);
                video = Some(VideoFormat::H264 { sps, pps });
                units.extend(samples(&file, trak, Track::Video));
            }
            Codec::Hvc1(hvc1) => {
                let set = |kind| {
                    let array = hvc1.hvcc.arrays.iter().find(|array| array.nal_unit_type == kind).unwrap();
                    Bytes::copy_from_slice(&array.nalus[0])
                };
                video = Some(VideoFormat::H265 { vps: set(32), sps: set(33), pps: set(34) });
                units.extend(samples(&file, trak, Track::Video));
            }
            Codec::Mp4a(mp4a) => {
                let config = mp4a.esds.es_desc.dec_config.dec_specific.as_ref().unwrap().raw.clone().into();
                let sample_rate = NonZeroU32::new(trak.mdia.mdhd.timescale).unwrap();
                audio = Some(AudioFormat::Aac { config, sample_rate, channels: mp4a.audio.channel_count });
                units.extend(samples(&file, trak, Track::Audio));
            }
            other => panic!("{other:?}"),
        }
    }
    units.sort_by_key(|unit| unit.arrival_us);
    Clip { format: Format { video: video.unwrap(), audio }, units }
}

fn moov(file: &[u8]) -> Moov {
    let mut at = 0;
    loop {
        let mut rest = &file[at..];
        let header = Header::read_from(&mut rest).unwrap();
        let size = header.size.unwrap();
        let body = file.len() - rest.len();
        if header.kind == Moov::KIND {
            return Moov::decode(&mut &file[at..body + size]).unwrap();
        }
        at = body + size;
    }
}

/// The samples of a track. Arrival is the decode time: a camera sends pictures as it encodes them.
fn samples(file: &[u8], trak: &Trak, track: Track) -> Vec<AccessUnit> {
    const START_US: i64 = 1_700_000_000_000_000;
    let table = &trak.mdia.minf.stbl;
    let clock_rate = trak.mdia.mdhd.timescale;
    let sizes: Vec<u32> = match &table.stsz.samples {
        mp4_atom::StszSamples::Identical { count, size } => vec![*size; *count as usize],
        mp4_atom::StszSamples::Different { sizes } => sizes.clone(),
    };
    let mut durations =
        table.stts.entries.iter().flat_map(|run| vec![run.sample_delta; run.sample_count as usize]);
    let offsets: Vec<i64> = table
        .ctts
        .iter()
        .flat_map(|ctts| &ctts.entries)
        .flat_map(|run| vec![run.sample_offset; run.sample_count as usize])
        .collect();
    let sync: Option<Vec<u32>> = table.stss.as_ref().map(|stss| stss.entries.clone());
    let chunks = table.stco.as_ref().unwrap().entries.clone();
    let mut runs = table.stsc.entries.iter().peekable();
    let mut per_chunk = 0;
    let mut units = Vec::new();
    let mut time = 0_i64;
    for (chunk, offset) in (1_u32..).zip(chunks) {
        if let Some(run) = runs.next_if(|run| run.first_chunk == chunk) {
            per_chunk = run.samples_per_chunk;
        }
        let mut at = offset as usize;
        for _ in 0..per_chunk {
            let index = units.len();
            let size = sizes[index] as usize;
            let stamp = time + offsets.get(index).copied().unwrap_or(0);
            units.push(AccessUnit {
                track,
                stamp,
                clock_rate: NonZeroU32::new(clock_rate).unwrap(),
                arrival_us: START_US + time * 1_000_000 / i64::from(clock_rate),
                random_access: sync.as_ref().is_none_or(|sync| sync.contains(&(index as u32 + 1))),
                loss: false,
                data: Bytes::copy_from_slice(&file[at..at + size]),
            });
            at += size;
            time += i64::from(durations.next().unwrap());
        }
    }
    units
}
