//! Walks movie fragments (ISO/IEC 14496-12) and checks that each track's time goes on without gap or overlap.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};

/// What was found.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Report {
    /// Fragments walked.
    pub fragments: usize,
    /// Samples by track.
    pub samples: HashMap<u32, usize>,
    /// Seconds of media by track.
    pub seconds: HashMap<u32, f64>,
    /// Everything that is wrong, in words.
    pub faults: Vec<String>,
}

#[derive(Debug)]
struct Track {
    timescale: u32,
    next: Option<u64>,
}

/// One segment or part after the other of one stream.
#[derive(Debug, Default)]
pub struct Walker {
    report: Report,
    tracks: HashMap<u32, Track>,
    sequence: Option<u32>,
}

impl Walker {
    /// Starts from an initialisation segment.
    ///
    /// # Errors
    /// When it describes no track.
    pub fn new(init: &[u8]) -> Result<Self> {
        let movie = only(init, *b"moov")?;
        let mut tracks = HashMap::new();
        for track in boxes(movie)?.into_iter().filter(|(kind, _)| kind == b"trak") {
            let header = full(only(track.1, *b"tkhd")?)?;
            let id = header.number(if header.version == 0 { 8 } else { 16 })?;
            let media = full(only(only(track.1, *b"mdia")?, *b"mdhd")?)?;
            let timescale = media.number(if media.version == 0 { 8 } else { 16 })?;
            ensure!(timescale > 0, "track {id} has no timescale");
            tracks.insert(id, Track { timescale, next: None });
        }
        ensure!(!tracks.is_empty(), "no track");
        Ok(Self { tracks, ..Self::default() })
    }

    /// Walks the next segment or part; gives the seconds of media it adds on the longest track.
    ///
    /// # Errors
    /// When its boxes cannot be read.
    pub fn segment(&mut self, name: &str, bytes: &[u8]) -> Result<f64> {
        let mut samples = 0_usize;
        let mut seconds: HashMap<u32, f64> = HashMap::new();
        for (kind, body) in boxes(bytes).with_context(|| name.to_owned())? {
            match &kind {
                b"moof" => {
                    self.report.fragments += 1;
                    samples = self.fragment(name, body, &mut seconds)?;
                }
                b"mdat" if body.len() != samples => {
                    self.fault(format!("{name}: {} bytes of media, but samples of {samples}", body.len()));
                }
                b"mdat" | b"styp" | b"sidx" | b"prft" | b"emsg" => {}
                other => self.fault(format!("{name}: a stray {} box", String::from_utf8_lossy(other))),
            }
        }
        for (id, length) in &seconds {
            *self.report.seconds.entry(*id).or_default() += length;
        }
        Ok(seconds.into_values().fold(0.0, f64::max))
    }

    /// What was found in all of them.
    pub fn report(self) -> Report {
        self.report
    }

    fn fault(&mut self, words: String) {
        if self.report.faults.len() < 20 {
            self.report.faults.push(words);
        }
    }

    /// Gives the bytes of all samples.
    fn fragment(&mut self, name: &str, body: &[u8], seconds: &mut HashMap<u32, f64>) -> Result<usize> {
        let sequence = full(only(body, *b"mfhd")?)?.number(0)?;
        if self.sequence.replace(sequence).is_some_and(|last| sequence <= last) {
            self.fault(format!("{name}: fragment {sequence} comes after a later one"));
        }
        let mut bytes = 0;
        for (_, track) in boxes(body)?.into_iter().filter(|(kind, _)| kind == b"traf") {
            let run = Run::read(track).with_context(|| name.to_owned())?;
            let Some(known) = self.tracks.get_mut(&run.track) else {
                bail!("{name}: track {} is not described", run.track);
            };
            let length: u64 = run.durations.iter().map(|duration| u64::from(*duration)).sum();
            let expected = known.next.replace(run.start + length);
            *seconds.entry(run.track).or_default() += length as f64 / f64::from(known.timescale);
            *self.report.samples.entry(run.track).or_default() += run.durations.len();
            if expected.is_some_and(|expected| expected != run.start) {
                self.fault(format!("{name}: track {} starts at {}, not {expected:?}", run.track, run.start));
            }
            if run.durations.contains(&0) {
                self.fault(format!("{name}: track {} has a sample without length", run.track));
            }
            bytes += run.bytes;
        }
        Ok(bytes)
    }
}

/// One track of a fragment.
struct Run {
    track: u32,
    start: u64,
    durations: Vec<u32>,
    bytes: usize,
}

impl Run {
    fn read(track: &[u8]) -> Result<Self> {
        let header = full(only(track, *b"tfhd")?)?;
        let id = header.number(0)?;
        // 8.8.7.1: optional fields in this order.
        let mut at = 4;
        let mut optional = |flag: u32, length: usize| -> Result<Option<u32>> {
            if header.flags & flag == 0 {
                return Ok(None);
            }
            at += length;
            header.number(at - 4).map(Some)
        };
        optional(0x01, 8)?;
        optional(0x02, 4)?;
        let duration = optional(0x08, 4)?;
        let size = optional(0x10, 4)?;
        let time = full(only(track, *b"tfdt")?)?;
        let start = if time.version == 0 {
            u64::from(time.number(0)?)
        } else {
            u64::from(time.number(0)?) << 32 | u64::from(time.number(4)?)
        };
        let mut run = Self { track: id, start, durations: Vec::new(), bytes: 0 };
        for (_, body) in boxes(track)?.into_iter().filter(|(kind, _)| kind == b"trun") {
            run.samples(&full(body)?, duration, size)?;
        }
        Ok(run)
    }

    fn samples(&mut self, table: &Full, duration: Option<u32>, size: Option<u32>) -> Result<()> {
        let count = table.number(0)?;
        // 8.8.8.1: data offset and first sample's flags come before the rows.
        let mut at = 4 + [0x01, 0x04].iter().filter(|flag| table.flags & **flag != 0).count() * 4;
        for _ in 0..count {
            let mut cell = |flag: u32| -> Result<Option<u32>> {
                if table.flags & flag == 0 {
                    return Ok(None);
                }
                at += 4;
                table.number(at - 4).map(Some)
            };
            let own_duration = cell(0x100)?;
            let own_size = cell(0x200)?;
            cell(0x400)?;
            cell(0x800)?;
            self.durations.push(own_duration.or(duration).context("a sample without duration")?);
            self.bytes += own_size.or(size).context("a sample without size")? as usize;
        }
        Ok(())
    }
}

/// A box with version and flags, 4.2.2.
struct Full<'a> {
    version: u8,
    flags: u32,
    body: &'a [u8],
}

impl Full<'_> {
    fn number(&self, at: usize) -> Result<u32> {
        number(self.body, at)
    }
}

fn full(body: &[u8]) -> Result<Full<'_>> {
    let word = number(body, 0)?;
    Ok(Full {
        version: (word >> 24) as u8,
        flags: word & 0x00ff_ffff,
        body: body.get(4..).unwrap_or_default(),
    })
}

fn number(bytes: &[u8], at: usize) -> Result<u32> {
    let word = bytes.get(at..at + 4).context("a box ends early")?;
    Ok(u32::from_be_bytes(word.try_into()?))
}

/// The boxes side by side in some bytes: type and body, 4.2.
fn boxes(mut bytes: &[u8]) -> Result<Vec<([u8; 4], &[u8])>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let size = number(bytes, 0)? as usize;
        let kind: [u8; 4] = bytes.get(4..8).context("a box ends early")?.try_into()?;
        let body =
            bytes.get(8..size).with_context(|| format!("{} ends early", String::from_utf8_lossy(&kind)))?;
        found.push((kind, body));
        bytes = bytes.get(size..).unwrap_or_default();
    }
    Ok(found)
}

fn only(bytes: &[u8], kind: [u8; 4]) -> Result<&[u8]> {
    let found = boxes(bytes)?.into_iter().find(|(is, _)| *is == kind);
    Ok(found.with_context(|| format!("no {} box", String::from_utf8_lossy(&kind)))?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes()[..], &kind, body].concat()
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    fn init() -> Vec<u8> {
        let header = boxed(*b"tkhd", &words(&[0, 0, 0, 1]));
        let media = boxed(*b"mdia", &boxed(*b"mdhd", &words(&[0, 0, 0, 1000])));
        boxed(*b"moov", &boxed(*b"trak", &[header, media].concat()))
    }

    fn part(sequence: u32, start: u32, sizes: u32, media: usize) -> Vec<u8> {
        let run = boxed(*b"trun", &words(&[0x300, 1, 200, sizes]));
        let head = [boxed(*b"tfhd", &words(&[0, 1])), boxed(*b"tfdt", &words(&[0, start]))].concat();
        let traf = boxed(*b"traf", &[head, run].concat());
        let moof = boxed(*b"moof", &[boxed(*b"mfhd", &words(&[0, sequence])), traf].concat());
        [moof, boxed(*b"mdat", &vec![0; media])].concat()
    }

    fn faults(parts: &[Vec<u8>]) -> usize {
        let mut walker = Walker::new(&init()).unwrap();
        for part in parts {
            walker.segment("part", part).unwrap();
        }
        walker.report().faults.len()
    }

    #[test]
    fn time_goes_on_exactly() {
        assert_eq!(faults(&[part(1, 50, 9, 9), part(2, 250, 9, 9)]), 0);
        assert_eq!(faults(&[part(1, 50, 9, 9), part(2, 251, 9, 9)]), 1, "a gap of one tick");
        assert_eq!(faults(&[part(1, 50, 9, 9), part(1, 250, 9, 9)]), 1, "the same fragment number");
        assert_eq!(faults(&[part(1, 50, 9, 8)]), 1, "media missing");
    }
}
