//! MPEG-TS read packet by packet, by a reader that shares nothing with the writer.

use std::collections::BTreeMap;

use media::{Container, ObjectName, Options, Request, Stream};

use crate::camera::{Camera, FIRST_MSN, format};
use crate::viewer::{Playlist, bytes, text};

const VIDEO: u16 = 0x100;
const AUDIO: u16 = 0x101;
const PMT: u16 = 0x1000;
const MS: i64 = 27_000;

/// A PES packet.
#[derive(Debug, Default)]
struct Pes {
    pts: i64,
    dts: i64,
    random_access: bool,
    declared: usize,
    counted: usize,
    payload: Vec<u8>,
}

/// What came over the packets of one or more segments.
#[derive(Debug, Default)]
struct Reader {
    counters: BTreeMap<u16, u8>,
    /// 27 MHz, from one discontinuity to the next.
    clocks: Vec<Vec<i64>>,
    pes: BTreeMap<u16, Vec<Pes>>,
    tables: usize,
    stream_types: Vec<u8>,
}

impl Reader {
    fn segment(&mut self, segment: &[u8]) {
        assert_eq!(segment.len() % 188, 0);
        for (index, packet) in segment.chunks(188).enumerate() {
            assert_eq!(packet[0], 0x47);
            let pid = u16::from_be_bytes([packet[1], packet[2]]) & 0x1fff;
            match index {
                0 => assert_eq!(pid, 0, "PAT first"),
                1 => assert_eq!(pid, PMT, "then PMT"),
                _ => {}
            }
            self.packet(pid, packet);
        }
    }

    fn packet(&mut self, pid: u16, packet: &[u8]) {
        assert_eq!(packet[1] & 0x80, 0, "no transport error");
        let start = packet[1] & 0x40 != 0;
        let (has_field, has_payload) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
        let counter = packet[3] & 15;
        if let Some(last) = self.counters.insert(pid, counter) {
            let expected = if has_payload { (last + 1) % 16 } else { last };
            assert_eq!(counter, expected, "continuity of {pid:#x}");
        }
        let mut at = 4;
        let mut random_access = false;
        if has_field {
            let length = usize::from(packet[4]);
            assert!(if has_payload { length <= 182 } else { length == 183 }, "{length}");
            if length > 0 {
                random_access = packet[5] & 0x40 != 0;
                if packet[5] & 0x80 != 0 || self.clocks.is_empty() {
                    self.clocks.push(Vec::new());
                }
                if packet[5] & 0x10 != 0 {
                    assert_eq!(pid, VIDEO);
                    let base = i64::from(u32::from_be_bytes([packet[6], packet[7], packet[8], packet[9]]))
                        << 1
                        | i64::from(packet[10] >> 7);
                    let extension = i64::from(u16::from_be_bytes([packet[10], packet[11]]) & 0x1ff);
                    self.clocks.last_mut().unwrap().push(base * 300 + extension);
                }
            }
            at += 1 + length;
        }
        let payload = &packet[at..];
        match pid {
            0 | PMT => self.table(pid, payload),
            _ if !has_payload => assert!(payload.is_empty()),
            _ => self.elementary(pid, start, random_access, payload),
        }
    }

    fn table(&mut self, pid: u16, payload: &[u8]) {
        assert_eq!(payload[0], 0, "pointer");
        let section = &payload[1..];
        let length = usize::from(u16::from_be_bytes([section[1], section[2]]) & 0xfff);
        let section = &section[..3 + length];
        assert_eq!(crc(section), 0, "CRC of {pid:#x}");
        self.tables += 1;
        if pid == PMT {
            self.stream_types = section[12..section.len() - 4].chunks(5).map(|stream| stream[0]).collect();
        } else {
            assert_eq!(section[8..12], [0, 1, 0xf0, 0], "program 1 has its PMT at 0x1000");
        }
    }

    fn elementary(&mut self, pid: u16, start: bool, random_access: bool, payload: &[u8]) {
        let all = self.pes.entry(pid).or_default();
        if !start {
            let pes = all.last_mut().unwrap();
            pes.counted += payload.len();
            pes.payload.extend_from_slice(payload);
            return;
        }
        assert_eq!(payload[..3], [0, 0, 1]);
        assert_eq!(payload[3], if pid == VIDEO { 0xe0 } else { 0xc0 });
        let header = 9 + usize::from(payload[8]);
        let stamp = |at: usize| {
            let byte = |index: usize| i64::from(payload[at + index]);
            (byte(0) >> 1 & 7) << 30 | byte(1) << 22 | (byte(2) >> 1) << 15 | byte(3) << 7 | byte(4) >> 1
        };
        let pts = stamp(9);
        all.push(Pes {
            pts,
            dts: if payload[7] & 0x40 != 0 { stamp(14) } else { pts },
            random_access,
            declared: usize::from(u16::from_be_bytes([payload[4], payload[5]])),
            counted: payload.len() - 6,
            payload: payload[header..].to_vec(),
        });
    }

    /// What holds over the whole.
    fn check(&self) {
        for pair in self.clocks.iter().flat_map(|clocks| clocks.windows(2)) {
            assert!(pair[0] <= pair[1] && pair[1] - pair[0] <= 100 * MS, "PCR {pair:?}");
        }
        for (pid, all) in &self.pes {
            for pair in all.windows(2) {
                assert!(pair[0].dts < pair[1].dts, "DTS of {pid:#x}");
            }
            for pes in all {
                assert!(pes.pts >= pes.dts);
                if pes.declared == 0 {
                    assert!(*pid == VIDEO && pes.counted > 65_535);
                } else {
                    assert_eq!(pes.declared, pes.counted, "PES_packet_length");
                }
            }
        }
    }
}

/// The CRC of MPEG-2 sections (ISO/IEC 13818-1 annex A), bit by bit; 0 over a section that ends with its own.
fn crc(section: &[u8]) -> u32 {
    section.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 }
        })
    })
}

/// All segments in the list, fetched in this order, read in theirs.
fn read(stream: &mut Stream, backwards: bool) -> Reader {
    let playlist = Playlist::read(&text(stream.playlist(Container::Ts, Request::default())));
    let mut numbers: Vec<u64> = playlist.segments.iter().map(|segment| segment.msn).collect();
    if backwards {
        numbers.reverse();
    }
    let mut segments: Vec<_> = numbers
        .into_iter()
        .map(|msn| (msn, bytes(stream.object(&ObjectName::Segment(Container::Ts, msn)))))
        .collect();
    segments.sort();
    let mut reader = Reader::default();
    for (_, segment) in &segments {
        reader.segment(segment);
    }
    reader
}

#[test]
fn packets_are_in_order_whatever_was_fetched_first() {
    for backwards in [false, true] {
        let mut stream = Stream::new(Options::default(), FIRST_MSN);
        stream.set_format(format(0, true)).unwrap();
        let mut camera = Camera::new(25, 25, true);
        // Keyframes of 150,000 bytes have no PES length.
        camera.picture_bytes = 30_000;
        camera.run(&mut stream, 25 * 12);
        stream.interrupt();
        camera.run(&mut stream, 25 * 3);
        let reader = read(&mut stream, backwards);
        reader.check();
        assert_eq!(reader.clocks.len(), 2, "the interruption is said");
        assert_eq!(reader.stream_types, [0x1b, 0x0f]);
        assert!(reader.tables >= 2 * 2 * 10, "twice a second");
        assert!(reader.pes[&VIDEO].len() >= 225);
        assert!(reader.pes[&VIDEO].iter().any(|pes| pes.declared == 0));
    }
}

#[test]
fn the_clock_never_rests() {
    for fps in [1, 2, 3, 7, 10, 12, 15, 60] {
        let mut stream = Stream::new(Options::default(), FIRST_MSN);
        stream.set_format(format(0, true)).unwrap();
        let mut camera = Camera::new(fps, fps * 2, true);
        camera.run(&mut stream, fps * 30);
        let reader = read(&mut stream, false);
        reader.check();
        let clocks = &reader.clocks[0];
        let seconds = (clocks.last().unwrap() - clocks[0]) / (1000 * MS);
        assert!(seconds >= 8, "{fps} pictures per second: {seconds} s");
    }
}

#[test]
fn pictures_carry_what_a_decoder_needs_to_start() {
    for (number, delimiter, sets) in
        [(0, &[9, 0xf0][..], &[0x67, 0x68][..]), (2, &[0x46, 1, 0x50], &[0x40, 0x42, 0x44])]
    {
        let mut stream = Stream::new(Options::default(), FIRST_MSN);
        stream.set_format(format(number, false)).unwrap();
        Camera::new(25, 10, false).run(&mut stream, 100);
        let reader = read(&mut stream, false);
        assert_eq!(reader.stream_types, [if number == 2 { 0x24 } else { 0x1b }]);
        let pictures = &reader.pes[&VIDEO];
        assert!(
            pictures.iter().any(|pes| pes.random_access) && pictures.iter().any(|pes| !pes.random_access)
        );
        for pes in pictures {
            let starts: Vec<usize> =
                (0..pes.payload.len() - 4).filter(|at| pes.payload[*at..at + 4] == [0, 0, 0, 1]).collect();
            let units: Vec<&[u8]> = starts.iter().map(|at| &pes.payload[at + 4..]).collect();
            assert!(units[0].starts_with(delimiter));
            let kinds: Vec<u8> = units[1..].iter().map(|unit| unit[0]).collect();
            if pes.random_access {
                assert_eq!(kinds[..sets.len()], *sets);
                assert_eq!(kinds.len(), sets.len() + 1);
            } else {
                assert_eq!(kinds.len(), 1);
            }
        }
    }
}

#[test]
fn sound_is_adts_at_its_own_time() {
    let mut stream = Stream::new(Options::default(), FIRST_MSN);
    stream.set_format(format(0, true)).unwrap();
    Camera::new(25, 25, true).run(&mut stream, 250);
    let reader = read(&mut stream, false);
    let sounds = &reader.pes[&AUDIO];
    assert!(sounds.len() > 130);
    for pair in sounds.windows(2) {
        // 1,024 samples of 16 kHz.
        assert!((pair[1].pts - pair[0].pts - 5760).abs() <= 1);
    }
    for sound in sounds {
        assert_eq!(sound.payload[..2], [0xff, 0xf1]);
        let length = usize::from(sound.payload[3] & 3) << 11
            | usize::from(sound.payload[4]) << 3
            | usize::from(sound.payload[5] >> 5);
        assert_eq!(length, sound.payload.len());
    }
}
