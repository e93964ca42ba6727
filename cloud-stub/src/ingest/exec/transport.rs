//! MPEG-TS (ISO/IEC 13818-1) to access units: the first program's first video (H.264, H.265) and first audio (AAC in ADTS).
//!
//! Sans-IO, and bounded whatever comes: half a packet, one section, one unfinished PES packet of each stream. The crate
//! mpeg2ts, which we write with, reads from a blocking source and stops for good at the first broken packet; a program's
//! output may begin anywhere and may be anything.

use std::num::NonZeroU32;

use bytes::Bytes;
use media::aac::AudioConfig;
use media::{AccessUnit, AudioFormat, Format, Track, VideoFormat, h264, h265, nal};

/// Bytes of a packet (2.4.3.2), and what it begins with.
const PACKET: usize = 188;
const SYNC: u8 = 0x47;
/// Bytes without a packet after which it is said that there are none.
const GARBAGE: usize = 64 << 10;
/// Most bytes of one access unit, as from a camera.
const UNIT: usize = camera::wire::MAX_UNIT_BYTES;
/// Most bytes of a PES packet of audio: a fifth of a second or so.
const AUDIO: usize = 256 << 10;
/// The clock of stamps, Hz (2.4.3.7). The compiler unwraps it: nothing that is read gets here.
const CLOCK: NonZeroU32 = NonZeroU32::new(90_000).unwrap();
/// Pictures after which sound that was announced is not waited for any more.
const PATIENCE: u32 = 50;
/// stream_type (table 2-34).
const AAC: u8 = 0x0f;
const H264: u8 = 0x1b;
const H265: u8 = 0x24;
/// Samples of an AAC frame.
const FRAME: i64 = 1024;

/// What came out.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    /// What the next units are made of.
    Format(Format),
    /// One access unit.
    Unit(AccessUnit),
}

/// Nothing of what comes is MPEG-TS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what it writes is no MPEG-TS")]
pub(super) struct Garbage;

/// Takes bytes, gives access units.
#[derive(Default)]
pub(super) struct Demux {
    /// A packet at most.
    rest: Vec<u8>,
    /// Whether a packet ended where `rest` begins.
    aligned: bool,
    skipped: usize,
    map: Option<u16>,
    video: Option<Elementary>,
    audio: Option<Elementary>,
    sets: Sets,
    sound: Option<AudioFormat>,
    told: Option<Format>,
    pictures: u32,
    /// The last stamp of any stream, extended beyond 33 bits.
    last: Option<i64>,
}

/// One elementary stream.
struct Elementary {
    pid: u16,
    kind: u8,
    pes: Vec<u8>,
    /// Whether `pes` is one from its beginning.
    whole: bool,
    counter: Option<u8>,
    loss: bool,
}

#[derive(Default)]
struct Sets {
    vps: Option<Bytes>,
    sps: Option<Bytes>,
    pps: Option<Bytes>,
}

impl Elementary {
    fn new(pid: u16, kind: u8) -> Self {
        Self { pid, kind, pes: Vec::new(), whole: false, counter: None, loss: false }
    }

    const fn most(&self) -> usize {
        if self.kind == AAC { AUDIO } else { UNIT }
    }

    /// Takes a packet's payload; gives the PES packet that it ends, if it ends one.
    fn take(&mut self, begins: bool, counter: u8, payload: &[u8]) -> Option<(Vec<u8>, bool)> {
        if self.counter.is_some_and(|last| (last + 1) & 15 != counter) {
            self.loss = true;
            self.whole = false;
        }
        self.counter = Some(counter);
        let ended = begins.then(|| self.end()).flatten();
        if begins {
            self.pes.clear();
            self.whole = true;
        }
        if self.whole && self.pes.len() + payload.len() <= self.most() {
            self.pes.extend_from_slice(payload);
        } else if self.whole {
            // Too large for any decoder: passed over up to the next one.
            (self.whole, self.loss) = (false, true);
            self.pes = Vec::new();
        }
        // A length of its own ends it at once; without one the next one's beginning does (2.4.3.7).
        let announced = self.pes.get(4..6).map_or(0, |len| usize::from(len[0]) << 8 | usize::from(len[1]));
        if announced > 0 && self.pes.len() >= announced + 6 {
            return ended.or_else(|| self.end());
        }
        ended
    }

    fn end(&mut self) -> Option<(Vec<u8>, bool)> {
        let whole = std::mem::take(&mut self.whole);
        (whole && !self.pes.is_empty())
            .then(|| (std::mem::take(&mut self.pes), std::mem::take(&mut self.loss)))
    }
}

impl Demux {
    /// Takes what has come at this time, microseconds since 1970, and appends what that makes.
    ///
    /// # Errors
    /// When none of it is MPEG-TS, for long.
    pub(super) fn push(&mut self, bytes: &[u8], arrival_us: i64, out: &mut Vec<Item>) -> Result<(), Garbage> {
        self.rest.extend_from_slice(bytes);
        let taken = std::mem::take(&mut self.rest);
        let mut rest = &taken[..];
        while rest.len() >= PACKET {
            // A byte alone may be anything: to find the first packet, the next one must begin where it ends.
            let next = rest.get(PACKET).copied();
            if !self.aligned && next.is_none() {
                break;
            }
            self.aligned = rest.first() == Some(&SYNC) && next.is_none_or(|next| next == SYNC);
            if self.aligned {
                let (packet, after) = rest.split_at(PACKET);
                self.packet(packet, arrival_us, out);
                self.skipped = 0;
                rest = after;
            } else {
                self.skipped += 1;
                if self.skipped > GARBAGE {
                    return Err(Garbage);
                }
                rest = rest.get(1..).unwrap_or_default();
            }
        }
        self.rest = rest.to_vec();
        Ok(())
    }

    fn packet(&mut self, packet: &[u8], arrival_us: i64, out: &mut Vec<Item>) {
        let [_, one, two, three, body @ ..] = packet else { return };
        if one & 0x80 != 0 {
            return; // transport_error_indicator
        }
        let (begins, pid) = (one & 0x40 != 0, u16::from(one & 0x1f) << 8 | u16::from(*two));
        let (adapted, filled) = (three & 0x20 != 0, three & 0x10 != 0);
        let skip = if adapted { 1 + usize::from(body.first().copied().unwrap_or_default()) } else { 0 };
        let Some(payload) = body.get(skip..).filter(|payload| filled && !payload.is_empty()) else { return };
        if pid == 0 {
            if begins {
                self.map = program(payload).or(self.map);
            }
        } else if Some(pid) == self.map {
            if begins {
                self.streams(payload);
            }
        } else {
            let counter = three & 15;
            let stream =
                [&mut self.video, &mut self.audio].into_iter().flatten().find(|stream| stream.pid == pid);
            let Some(stream) = stream else { return };
            let kind = stream.kind;
            if let Some((pes, loss)) = stream.take(begins, counter, payload) {
                self.pes(kind, &pes, loss, arrival_us, out);
            }
        }
    }

    /// Reads a program map section (2.4.4.8).
    fn streams(&mut self, payload: &[u8]) {
        let Some(section) = section(payload, 2) else { return };
        let Some(skip) = length(section, 10) else { return };
        let mut rest = section.get(12 + skip..section.len().saturating_sub(4)).unwrap_or_default();
        let (mut video, mut audio) = (None, None);
        while let [kind, high, low, _, _, ..] = rest {
            let pid = u16::from(high & 0x1f) << 8 | u16::from(*low);
            match *kind {
                H264 | H265 => video = video.or(Some((pid, *kind))),
                AAC => audio = audio.or(Some((pid, *kind))),
                _ => {}
            }
            let Some(skip) = length(rest, 3) else { break };
            rest = rest.get(5 + skip..).unwrap_or_default();
        }
        let same = |now: &Option<Elementary>, then: Option<(u16, u8)>| {
            now.as_ref().map(|stream| (stream.pid, stream.kind)) == then
        };
        if !same(&self.video, video) {
            self.video = video.map(|(pid, kind)| Elementary::new(pid, kind));
            self.sets = Sets::default();
        }
        if !same(&self.audio, audio) {
            self.audio = audio.map(|(pid, kind)| Elementary::new(pid, kind));
            self.sound = None;
            self.pictures = 0;
        }
    }

    /// Reads a PES packet (2.4.3.6).
    fn pes(&mut self, kind: u8, pes: &[u8], loss: bool, arrival_us: i64, out: &mut Vec<Item>) {
        let [0, 0, 1, _, _, _, mark, flags, skip, rest @ ..] = pes else { return };
        if mark & 0xc0 != 0x80 || flags & 0x80 == 0 {
            return;
        }
        let (Some(stamp), Some(data)) = (stamp(rest), rest.get(usize::from(*skip)..)) else { return };
        let stamp = self.extended(stamp);
        if kind == AAC {
            self.frames(data, stamp, loss, arrival_us, out);
        } else {
            self.picture(kind, data, stamp, loss, arrival_us, out);
        }
    }

    /// A stamp of 33 bits as the one nearest to the last one.
    fn extended(&mut self, stamp: i64) -> i64 {
        const WRAP: i64 = 1 << 33;
        let stamp = match self.last {
            None => stamp,
            Some(last) => {
                let ahead = (stamp - last).rem_euclid(WRAP);
                last.saturating_add(if ahead < WRAP / 2 { ahead } else { ahead - WRAP })
            }
        };
        self.last = Some(stamp);
        stamp
    }

    fn picture(
        &mut self,
        kind: u8,
        data: &[u8],
        stamp: i64,
        loss: bool,
        arrival_us: i64,
        out: &mut Vec<Item>,
    ) {
        let mut units: Vec<&[u8]> = Vec::new();
        let mut random_access = false;
        for unit in nal::annex_b_units(data) {
            let set = if kind == H264 {
                match h264::unit_type(unit) {
                    7 => Some(&mut self.sets.sps),
                    8 => Some(&mut self.sets.pps),
                    9 | 12 => continue,
                    other => {
                        random_access |= other == 5;
                        None
                    }
                }
            } else {
                match h265::unit_type(unit) {
                    32 => Some(&mut self.sets.vps),
                    33 => Some(&mut self.sets.sps),
                    34 => Some(&mut self.sets.pps),
                    35 | 38 => continue,
                    other => {
                        random_access |= (16..=21).contains(&other);
                        None
                    }
                }
            };
            match set {
                Some(set) if set.as_deref() == Some(unit) => {}
                Some(set) => *set = Some(Bytes::copy_from_slice(unit)),
                None => units.push(unit),
            }
        }
        if units.is_empty() {
            return;
        }
        self.pictures = self.pictures.saturating_add(1);
        if random_access {
            self.tell(kind, out);
        }
        let mut data = Vec::with_capacity(units.iter().map(|unit| unit.len() + 4).sum());
        for unit in units {
            nal::write_unit(unit, &mut data);
        }
        let unit = AccessUnit {
            track: Track::Video,
            stamp,
            clock_rate: CLOCK,
            arrival_us,
            random_access,
            loss,
            data: data.into(),
        };
        if self.told.is_some() {
            out.push(Item::Unit(unit));
        }
    }

    /// Tells the format if it is another one than before, once all of it is known.
    fn tell(&mut self, kind: u8, out: &mut Vec<Item>) {
        if self.audio.is_some() && self.sound.is_none() && self.pictures < PATIENCE {
            return;
        }
        let Sets { vps, sps: Some(sps), pps: Some(pps) } = &self.sets else { return };
        let (sps, pps) = (sps.clone(), pps.clone());
        let video = match (kind, vps) {
            (H264, _) => VideoFormat::H264 { sps, pps },
            (_, Some(vps)) => VideoFormat::H265 { vps: vps.clone(), sps, pps },
            _ => return,
        };
        let format = Format { video, audio: self.sound.clone() };
        if self.told.as_ref() != Some(&format) {
            out.push(Item::Format(format.clone()));
            self.told = Some(format);
        }
    }

    /// Reads the ADTS frames (ISO/IEC 14496-3, 1.A.2) of a PES packet.
    fn frames(&mut self, mut data: &[u8], stamp: i64, mut loss: bool, arrival_us: i64, out: &mut Vec<Item>) {
        let mut count = 0;
        while let Some((sound, header, len)) = adts(data) {
            let AudioFormat::Aac { sample_rate, .. } = &sound;
            let rate = *sample_rate;
            let Some(frame) = data.get(header..len) else { return };
            if self.sound.as_ref() != Some(&sound) {
                self.sound = Some(sound);
            }
            let at = stamp.saturating_mul(rate.get().into()) / i64::from(CLOCK.get()) + count * FRAME;
            if self.told.as_ref().is_some_and(|told| told.audio.is_some()) {
                out.push(Item::Unit(AccessUnit {
                    track: Track::Audio,
                    stamp: at,
                    clock_rate: rate,
                    arrival_us,
                    random_access: true,
                    loss: std::mem::take(&mut loss),
                    data: Bytes::copy_from_slice(frame),
                }));
            }
            count += 1;
            data = data.get(len..).unwrap_or_default();
        }
    }
}

/// The whole section of this table in a payload that begins one.
fn section(payload: &[u8], table: u8) -> Option<&[u8]> {
    let start = 1 + usize::from(*payload.first()?);
    let section = payload.get(start..)?;
    let len = length(section, 1)?;
    (*section.first()? == table).then(|| section.get(..3 + len))?
}

/// A length of twelve bits.
fn length(bytes: &[u8], at: usize) -> Option<usize> {
    let [high, low] = *bytes.get(at..)?.first_chunk()?;
    Some(usize::from(high & 0x0f) << 8 | usize::from(low))
}

/// Where the first program's map is (2.4.4.3).
fn program(payload: &[u8]) -> Option<u16> {
    let section = section(payload, 0)?;
    let programs = section.get(8..section.len().checked_sub(4)?)?;
    programs.chunks_exact(4).find_map(|entry| match entry {
        [0, 0, ..] => None, // the network's
        [_, _, high, low] => Some(u16::from(high & 0x1f) << 8 | u16::from(*low)),
        _ => None,
    })
}

/// A presentation stamp of 33 bits (2.4.3.7).
fn stamp(bytes: &[u8]) -> Option<i64> {
    let [top, high, middle, low, last] = bytes.first_chunk()?.map(i64::from);
    Some((top >> 1 & 7) << 30 | high << 22 | (middle >> 1) << 15 | low << 7 | last >> 1)
}

/// The format of an ADTS frame, its header's length and its own.
fn adts(data: &[u8]) -> Option<(AudioFormat, usize, usize)> {
    let [sync, kind, coding, more, high, low, _] = *data.first_chunk()?;
    if sync != 0xff || kind & 0xf6 != 0xf0 {
        return None;
    }
    let header = if kind & 1 == 0 { 9 } else { 7 };
    let len = usize::from(more & 3) << 11 | usize::from(high) << 3 | usize::from(low) >> 5;
    let (object, rate, channels) = ((coding >> 6) + 1, coding >> 2 & 15, (coding & 1) << 2 | more >> 6);
    let config = [object << 3 | rate >> 1, rate << 7 | channels << 3];
    let parsed = AudioConfig::parse(&config).ok()?;
    let format = AudioFormat::Aac {
        config: Bytes::copy_from_slice(&config),
        sample_rate: NonZeroU32::new(parsed.rate)?,
        channels: parsed.channels().filter(|channels| *channels > 0)?,
    };
    (len > header).then_some((format, header, len))
}

#[cfg(test)]
mod tests;
