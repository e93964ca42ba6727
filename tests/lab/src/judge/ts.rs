//! Walks MPEG-TS packets (ISO/IEC 13818-1) and counts what a set-top box would stumble over.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};

/// Bytes of a packet, 2.4.3.2.
const PACKET: usize = 188;
/// Ticks of the system clock per second, 2.4.2.
const CLOCK: u64 = 27_000_000;

/// What was found.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Report {
    /// Packets walked.
    pub packets: usize,
    /// Continuity counters that jumped, 2.4.3.3.
    pub continuity_errors: usize,
    /// Longest time between two clock references, in milliseconds.
    pub pcr_gap_ms: f64,
    /// Clock references seen.
    pub pcrs: usize,
    /// Access units by PID.
    pub units: HashMap<u16, usize>,
    /// Everything else that is wrong, in words.
    pub faults: Vec<String>,
}

#[derive(Debug, Default)]
struct Stream {
    continuity: Option<u8>,
    kind: Option<u8>,
    last_dts: Option<u64>,
    last_pcr: Option<u64>,
}

/// One segment after the other of one stream.
#[derive(Debug, Default)]
pub struct Walker {
    report: Report,
    streams: HashMap<u16, Stream>,
    pmt: Option<u16>,
}

impl Walker {
    /// Walks the next segment.
    ///
    /// # Errors
    /// When it is not a whole number of packets.
    pub fn segment(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        ensure!(
            bytes.len().is_multiple_of(PACKET) && !bytes.is_empty(),
            "{name} is {} bytes long",
            bytes.len()
        );
        let (mut tables, mut described) = (false, false);
        for packet in bytes.chunks_exact(PACKET) {
            self.report.packets += 1;
            let header =
                Header::read(packet).with_context(|| format!("{name}, packet {}", self.report.packets))?;
            self.continuity(name, &header);
            if let Some(pcr) = header.pcr {
                self.pcr(name, header.pid, pcr);
            }
            let Some(payload) = header.payload else { continue };
            if header.pid == 0 && header.start {
                tables = true;
                self.association(name, payload);
            } else if Some(header.pid) == self.pmt && header.start {
                described = true;
                self.map(name, payload);
            } else if header.start && self.streams.get(&header.pid).is_some_and(|s| s.kind.is_some()) {
                if !(tables && described) {
                    self.fault(format!("{name}: media before its tables"));
                    (tables, described) = (true, true);
                }
                self.unit(name, header.pid, payload);
            }
        }
        if !(tables && described) {
            self.fault(format!("{name} has no PAT or PMT"));
        }
        Ok(())
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

    fn continuity(&mut self, name: &str, header: &Header) {
        if header.pid == 0x1fff {
            return;
        }
        let stream = self.streams.entry(header.pid).or_default();
        let expected = match (stream.continuity, header.payload) {
            (Some(last), Some(_)) => Some((last + 1) % 16),
            (last, _) => last,
        };
        if expected.is_some_and(|expected| expected != header.continuity) {
            self.report.continuity_errors += 1;
            let words = format!(
                "{name}: continuity of PID {} is {}, not {expected:?}",
                header.pid, header.continuity
            );
            stream.continuity = Some(header.continuity);
            self.fault(words);
            return;
        }
        stream.continuity = Some(header.continuity);
    }

    fn pcr(&mut self, name: &str, pid: u16, pcr: u64) {
        self.report.pcrs += 1;
        let stream = self.streams.entry(pid).or_default();
        let last = stream.last_pcr.replace(pcr);
        if let Some(last) = last {
            if pcr <= last {
                self.fault(format!("{name}: the clock reference goes back from {last} to {pcr}"));
            } else {
                let gap = (pcr - last) as f64 * 1000.0 / CLOCK as f64;
                self.report.pcr_gap_ms = self.report.pcr_gap_ms.max(gap);
            }
        }
    }

    fn association(&mut self, name: &str, payload: &[u8]) {
        match section(payload) {
            Some(body) => self.pmt = body.get(5..).and_then(|programs| pid(programs, 2)),
            None => self.fault(format!("{name}: the PAT is damaged")),
        }
    }

    fn map(&mut self, name: &str, payload: &[u8]) {
        let Some(body) = section(payload) else {
            return self.fault(format!("{name}: the PMT is damaged"));
        };
        let skip =
            body.get(7..9).map_or(0, |length| usize::from(length[0] & 0x0f) << 8 | usize::from(length[1]));
        let mut rest = body.get(9 + skip..).unwrap_or_default();
        while let [kind, _, _, high, low, ..] = *rest {
            if let Some(pid) = pid(rest, 1) {
                self.streams.entry(pid).or_default().kind = Some(kind);
            }
            let length = 5 + (usize::from(high & 0x0f) << 8 | usize::from(low));
            rest = rest.get(length..).unwrap_or_default();
        }
    }

    fn unit(&mut self, name: &str, pid: u16, payload: &[u8]) {
        *self.report.units.entry(pid).or_default() += 1;
        let Some((stamps, data)) = stamps(payload) else {
            return self.fault(format!("{name}: PID {pid} has a packet without a stamp"));
        };
        let pcr = self.streams.values().find_map(|stream| stream.last_pcr);
        if pcr.is_none_or(|pcr| stamps.dts * 300 < pcr) {
            self.fault(format!(
                "{name}: PID {pid} must be decoded at {} before the clock says so",
                stamps.dts
            ));
        }
        let Some(stream) = self.streams.get_mut(&pid) else { return };
        let kind = stream.kind;
        let last = stream.last_dts.replace(stamps.dts);
        if last.is_some_and(|last| stamps.dts <= last) {
            self.fault(format!("{name}: PID {pid} decodes at {} after {last:?}", stamps.dts));
        }
        if stamps.pts < stamps.dts {
            self.fault(format!("{name}: PID {pid} is shown at {} before it is decoded", stamps.pts));
        }
        // Access unit delimiters: H.264 NAL type 9 (2.14.1), H.265 NAL type 35 (2.17.1).
        let first =
            data.strip_prefix(&[0]).unwrap_or(data).strip_prefix(&[0, 0, 1]).and_then(|nal| nal.first());
        let delimiter = match kind {
            Some(0x1b) => first.map(|byte| byte & 0x1f) == Some(9),
            Some(0x24) => first.map(|byte| byte >> 1 & 0x3f) == Some(35),
            _ => true,
        };
        if !delimiter {
            self.fault(format!("{name}: PID {pid} starts a picture without a delimiter"));
        }
        if kind == Some(0x0f) && payload.get(4..6) == Some(&[0, 0]) {
            self.fault(format!("{name}: PID {pid} leaves the length of its sound open"));
        }
    }
}

struct Header<'a> {
    pid: u16,
    start: bool,
    continuity: u8,
    pcr: Option<u64>,
    payload: Option<&'a [u8]>,
}

impl<'a> Header<'a> {
    fn read(packet: &'a [u8]) -> Result<Self> {
        let [sync, high, low, control, rest @ ..] = packet else {
            anyhow::bail!("too short");
        };
        ensure!(*sync == 0x47, "no sync byte");
        ensure!(high & 0x80 == 0, "marked as damaged");
        let adaptation = control & 0x20 != 0;
        let length = if adaptation { rest.first().map_or(0, |length| usize::from(*length)) } else { 0 };
        let field = if adaptation { rest.get(1..=length).context("adaptation field too long")? } else { &[] };
        // 2.4.3.5: 33 bits of base, 6 reserved, 9 of extension.
        let pcr =
            field.get(1..7).filter(|_| field.first().is_some_and(|flags| flags & 0x10 != 0)).map(|bytes| {
                let word = bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
                (word >> 15) * 300 + (word & 0x1ff)
            });
        let payload =
            (control & 0x10 != 0).then(|| rest.get(usize::from(adaptation) + length..).unwrap_or_default());
        Ok(Self {
            pid: u16::from(high & 0x1f) << 8 | u16::from(*low),
            start: high & 0x40 != 0,
            continuity: control & 0x0f,
            pcr,
            payload,
        })
    }
}

fn pid(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at + 2)?;
    Some(u16::from(pair[0] & 0x1f) << 8 | u16::from(pair[1]))
}

/// The body of a PSI section after its length field, without its checksum, if that is right.
fn section(payload: &[u8]) -> Option<&[u8]> {
    let pointer = usize::from(*payload.first()?);
    let table = payload.get(1 + pointer..)?;
    let length = usize::from(table.get(1)? & 0x0f) << 8 | usize::from(*table.get(2)?);
    let whole = table.get(..3 + length)?;
    (crc(whole) == 0).then(|| whole.get(3..whole.len().checked_sub(4)?))?
}

/// The CRC of Annex A; over a section with its checksum it is 0.
fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            crc << 1 ^ if crc & 0x8000_0000 == 0 { 0 } else { 0x04c1_1db7 }
        })
    })
}

struct Stamps {
    pts: u64,
    dts: u64,
}

/// The stamps of a PES packet and the data after its header, 2.4.3.7.
fn stamps(payload: &[u8]) -> Option<(Stamps, &[u8])> {
    let rest = payload.strip_prefix(&[0, 0, 1])?;
    let (flags, length) = (*rest.get(4)?, usize::from(*rest.get(5)?));
    let fields = rest.get(6..)?;
    if flags & 0x80 == 0 {
        return None;
    }
    let pts = stamp(fields)?;
    let dts = if flags & 0x40 == 0 { pts } else { stamp(fields.get(5..)?)? };
    Some((Stamps { pts, dts }, fields.get(length..)?))
}

/// 33 bits in five bytes with marker bits between, 2.4.3.6.
fn stamp(bytes: &[u8]) -> Option<u64> {
    let word = bytes.get(..5)?.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    Some((word >> 33 & 7) << 30 | (word >> 17 & 0x7fff) << 15 | word >> 1 & 0x7fff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(pid: u16, continuity: u8, pcr: Option<u64>) -> Vec<u8> {
        let mut bytes = vec![0x47, (pid >> 8) as u8, pid as u8, 0x30 | continuity];
        match pcr.map(|pcr| pcr / 300) {
            Some(base) => {
                bytes.extend([7, 0x10]);
                bytes.extend(((base >> 1) as u32).to_be_bytes());
                bytes.extend([((base & 1) as u8) << 7 | 0x7e, 0]);
            }
            None => bytes.extend([1, 0]),
        }
        bytes.resize(PACKET, 0xff);
        bytes
    }

    fn report(packets: &[Vec<u8>]) -> Report {
        let mut walker = Walker::default();
        walker.segment("test", &packets.concat()).unwrap();
        walker.report()
    }

    #[test]
    fn a_jump_of_the_counter_is_an_error() {
        assert_eq!(report(&[packet(256, 15, None), packet(256, 0, None)]).continuity_errors, 0);
        assert_eq!(report(&[packet(256, 1, None), packet(256, 3, None)]).continuity_errors, 1);
    }

    #[test]
    fn the_longest_gap_between_clock_references_is_told() {
        let at = |ms: u64| Some(ms * CLOCK / 1000);
        let seen = report(&[packet(256, 0, at(0)), packet(256, 1, at(90)), packet(256, 2, at(240))]);
        assert!((seen.pcr_gap_ms - 150.0).abs() < 0.1, "{seen:?}");
    }

    #[test]
    fn a_segment_without_tables_is_a_fault() {
        assert!(report(&[packet(256, 0, None)]).faults.iter().any(|fault| fault.contains("no PAT")));
    }

    #[test]
    fn crc_of_annex_a() {
        assert_eq!(crc(b"123456789"), 0x0376_e6e7);
    }
}
