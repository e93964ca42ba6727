//! MPEG-TS (ISO/IEC 13818-1): one segment at a time, each playable by itself, its continuity counters going on from
//! the segment before, whichever segments are asked for.
//!
//! PAT and PMT begin a segment and come again every half second; each picture starts with an access unit delimiter
//! and carries the clock, each random access point carries the parameter sets; where pictures are far apart, packets
//! with the clock alone keep it within 100 ms (2.7.2).

use bytes::Bytes;
use mpeg2ts::es::{StreamId, StreamType};
use mpeg2ts::pes::PesHeader;
use mpeg2ts::time::{ClockReference, Timestamp};
use mpeg2ts::ts::payload::{Bytes as Payload, Pat, Pes, Pmt};
use mpeg2ts::ts::{
    AdaptationField, ContinuityCounter, EsInfo, Pid, ProgramAssociation, TransportScramblingControl,
    TsHeader, TsPacket, TsPacketWriter, TsPayload, VersionNumber, WriteTsPacket,
};

use crate::nal;
use crate::packaging::Packaging;
use crate::unit::VideoFormat;
use crate::window::{Sample, Segment, VIDEO_RATE};

const PMT_PID: u16 = 0x1000;
const VIDEO_PID: u16 = 0x100;
const AUDIO_PID: u16 = 0x101;
const PROGRAM: u16 = 1;

/// Bytes of a packet after its header.
const PACKET_ROOM: usize = TsPacket::SIZE - 4;
/// Bytes of an adaptation field with nothing but the clock (2.4.3.4).
const CLOCK_FIELD: usize = 8;
/// Bytes of a PES header with a presentation time (2.4.3.6), and of the decode time that may follow.
const PES_HEADER: usize = 14;
const PES_DECODE_TIME: usize = 5;
/// Bytes of a PES header that PES_packet_length does not count.
const PES_UNCOUNTED: usize = 6;

/// PAT and PMT come again after this, video ticks (0.5 s).
const TABLES_EVERY: i64 = VIDEO_RATE / 2;
/// The clock comes again after this at the latest, video ticks (80 ms; the limit is 100 ms).
const CLOCK_EVERY: i64 = VIDEO_RATE * 80 / 1000;
/// How far the clock is behind the decode times, video ticks (0.7 s): the decoder's buffer, and room for audio that
/// arrives later than its pictures.
const CLOCK_DELAY: i64 = VIDEO_RATE * 7 / 10;
/// Times and clock count modulo this.
const WRAP: i64 = 1 << 33;

/// Continuity counters (modulo 16) of the next packet of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    tables: u8,
    video: u8,
    audio: u8,
}

/// What stands in a segment, in this order.
enum Item<'a> {
    Tables,
    Clock { time: i64 },
    Video { sample: &'a Sample, decode: i64 },
    Audio { sample: &'a Sample, decode: i64 },
}

/// The counters after a segment: counting needs the sizes only, so nothing is muxed for it.
pub(crate) fn counters_after(segment: &Segment) -> Counters {
    let tally = Tally::of(segment);
    let after = |before: u8, packets: usize| ((usize::from(before) + packets) % 16) as u8;
    Counters {
        tables: after(segment.counters.tables, tally.tables),
        video: after(segment.counters.video, tally.video),
        audio: after(segment.counters.audio, tally.audio),
    }
}

/// Packets of a segment by kind.
#[derive(Default)]
struct Tally {
    tables: usize,
    clock: usize,
    video: usize,
    audio: usize,
}

impl Tally {
    fn of(segment: &Segment) -> Self {
        let packaging = &segment.packaging;
        let mut tally = Self::default();
        walk(segment, |item| match item {
            Item::Tables => tally.tables += 1,
            Item::Clock { .. } => tally.clock += 1,
            Item::Video { sample, .. } => {
                let header = PES_HEADER + if sample.composition > 0 { PES_DECODE_TIME } else { 0 };
                tally.video += packets(CLOCK_FIELD + header + video_len(packaging, sample));
            }
            Item::Audio { sample, .. } => {
                if let Some(adts) = adts(packaging, sample) {
                    tally.audio += packets(PES_HEADER + adts.len() + sample.data.len());
                }
            }
        });
        tally
    }

    fn bytes(&self) -> usize {
        // A PAT and a PMT each time.
        (2 * self.tables + self.clock + self.video + self.audio) * TsPacket::SIZE
    }
}

/// Packets for a PES packet and its first adaptation field.
fn packets(bytes: usize) -> usize {
    bytes.div_ceil(PACKET_ROOM)
}

fn video_len(packaging: &Packaging, sample: &Sample) -> usize {
    let parameters = if sample.random_access { packaging.parameters.len() } else { 0 };
    packaging.delimiter.len() + parameters + nal::annex_b_len(&sample.data)
}

fn adts(packaging: &Packaging, sample: &Sample) -> Option<[u8; crate::aac::ADTS_HEADER_LEN]> {
    packaging.adts()?.adts_header(sample.data.len())
}

/// Visits what stands in a segment, merged by decode time.
fn walk<'a>(segment: &'a Segment, mut visit: impl FnMut(Item<'a>)) {
    let rate = i64::from(segment.packaging.audio_rate().unwrap_or(1).max(1));
    let audio_start =
        segment.parts.iter().find(|part| !part.audio.is_empty()).map_or(0, |part| part.audio_start);
    let mut audio_time = audio_start;
    let mut audio = segment
        .audio
        .iter()
        .map(move |sample| {
            // i128: any sample rate and any time fit.
            let decode = (i128::from(audio_time) * i128::from(VIDEO_RATE) / i128::from(rate)) as i64;
            audio_time += i64::from(sample.duration);
            (sample, decode)
        })
        .peekable();
    let mut time = segment.start;
    let mut tables_at = None;
    for sample in &segment.video {
        let mut audio_until = |until: i64, visit: &mut dyn FnMut(Item<'a>)| {
            while let Some((sample, decode)) = audio.next_if(|(_, decode)| *decode < until) {
                visit(Item::Audio { sample, decode });
            }
        };
        if tables_at.is_none_or(|at| time - at >= TABLES_EVERY) {
            tables_at = Some(time);
            visit(Item::Tables);
        }
        visit(Item::Video { sample, decode: time });
        let end = time + i64::from(sample.duration);
        let mut clock = time + CLOCK_EVERY;
        while clock < end {
            audio_until(clock, &mut visit);
            visit(Item::Clock { time: clock });
            clock += CLOCK_EVERY;
        }
        audio_until(end, &mut visit);
        time = end;
    }
    for (sample, decode) in audio {
        visit(Item::Audio { sample, decode });
    }
}

/// A whole segment, in one allocation of its exact size.
pub(crate) fn mux(segment: &Segment) -> mpeg2ts::Result<Bytes> {
    let mut writer = Writer {
        packaging: &segment.packaging,
        counters: segment.counters,
        // The clock of what follows a discontinuity may not follow from the one before (2.4.3.5).
        discontinuity: segment.discontinuity,
        scratch: Vec::new(),
        out: TsPacketWriter::new(Vec::with_capacity(Tally::of(segment).bytes())),
    };
    let mut result = Ok(());
    walk(segment, |item| {
        if result.is_ok() {
            result = writer.write(&item);
        }
    });
    result.map(|()| writer.out.into_stream().into())
}

struct Writer<'a> {
    packaging: &'a Packaging,
    counters: Counters,
    discontinuity: bool,
    /// The elementary stream's bytes of one unit.
    scratch: Vec<u8>,
    out: TsPacketWriter<Vec<u8>>,
}

impl Writer<'_> {
    fn write(&mut self, item: &Item<'_>) -> mpeg2ts::Result<()> {
        match *item {
            Item::Tables => self.tables(),
            Item::Clock { time } => {
                // A packet without payload does not count (2.4.3.3): it repeats the counter of the one before.
                let counter = self.counters.video.wrapping_sub(1) % 16;
                let field = self.clock_field(time, false)?;
                self.packet(VIDEO_PID, counter, Some(field), None)
            }
            Item::Video { sample, decode } => self.video(sample, decode),
            Item::Audio { sample, decode } => self.audio(sample, decode),
        }
    }

    fn tables(&mut self) -> mpeg2ts::Result<()> {
        let version_number = VersionNumber::from_u8(self.packaging.version)?;
        let pat = Pat {
            transport_stream_id: 1,
            version_number: VersionNumber::default(),
            table: vec![ProgramAssociation { program_num: PROGRAM, program_map_pid: Pid::new(PMT_PID)? }],
        };
        let stream_type = match self.packaging.format.video {
            VideoFormat::H264 { .. } => StreamType::H264,
            VideoFormat::H265 { .. } => StreamType::H265,
        };
        let mut es_info =
            vec![EsInfo { stream_type, elementary_pid: Pid::new(VIDEO_PID)?, descriptors: Vec::new() }];
        if self.packaging.adts().is_some() {
            es_info.push(EsInfo {
                stream_type: StreamType::AdtsAac,
                elementary_pid: Pid::new(AUDIO_PID)?,
                descriptors: Vec::new(),
            });
        }
        let pmt = Pmt {
            program_num: PROGRAM,
            pcr_pid: Some(Pid::new(VIDEO_PID)?),
            version_number,
            program_info: Vec::new(),
            es_info,
        };
        let counter = next(&mut self.counters.tables);
        self.packet(Pid::PAT, counter, None, Some(TsPayload::Pat(pat)))?;
        self.packet(PMT_PID, counter, None, Some(TsPayload::Pmt(pmt)))
    }

    fn video(&mut self, sample: &Sample, decode: i64) -> mpeg2ts::Result<()> {
        let mut unit = core::mem::take(&mut self.scratch);
        unit.clear();
        unit.extend_from_slice(self.packaging.delimiter);
        if sample.random_access {
            unit.extend_from_slice(&self.packaging.parameters);
        }
        nal::write_annex_b(&sample.data, &mut unit);
        let field = self.clock_field(decode, sample.random_access)?;
        let header = PesHeader {
            pts: Some(stamp(decode + i64::from(sample.composition))?),
            dts: if sample.composition > 0 { Some(stamp(decode)?) } else { None },
            ..pes_header(StreamId::VIDEO_MIN)
        };
        let result = self.pes(VIDEO_PID, header, Some(field), &unit);
        self.scratch = unit;
        result
    }

    fn audio(&mut self, sample: &Sample, decode: i64) -> mpeg2ts::Result<()> {
        let Some(adts) = adts(self.packaging, sample) else { return Ok(()) };
        let mut unit = core::mem::take(&mut self.scratch);
        unit.clear();
        unit.extend_from_slice(&adts);
        unit.extend_from_slice(&sample.data);
        let header = PesHeader { pts: Some(stamp(decode)?), ..pes_header(StreamId::AUDIO_MIN) };
        let result = self.pes(AUDIO_PID, header, None, &unit);
        self.scratch = unit;
        result
    }

    /// One PES packet over as many transport packets as it needs.
    fn pes(
        &mut self,
        pid: u16,
        header: PesHeader,
        field: Option<AdaptationField>,
        unit: &[u8],
    ) -> mpeg2ts::Result<()> {
        let header_len = PES_HEADER + if header.dts.is_some() { PES_DECODE_TIME } else { 0 };
        // Video too long for the field says 0: up to the next start (2.4.3.7).
        let pes_packet_len = u16::try_from(header_len - PES_UNCOUNTED + unit.len()).unwrap_or(0);
        let room = PACKET_ROOM - header_len - field.as_ref().map_or(0, |_| CLOCK_FIELD);
        let (first, rest) = unit.split_at(room.min(unit.len()));
        let start = TsPayload::PesStart(Pes { header, pes_packet_len, data: Payload::new(first)? });
        let counter = self.next_counter(pid);
        self.packet(pid, counter, field, Some(start))?;
        for chunk in rest.chunks(PACKET_ROOM) {
            let counter = self.next_counter(pid);
            self.packet(pid, counter, None, Some(TsPayload::PesContinuation(Payload::new(chunk)?)))?;
        }
        Ok(())
    }

    fn next_counter(&mut self, pid: u16) -> u8 {
        next(if pid == VIDEO_PID { &mut self.counters.video } else { &mut self.counters.audio })
    }

    fn clock_field(&mut self, time: i64, random_access_indicator: bool) -> mpeg2ts::Result<AdaptationField> {
        Ok(AdaptationField {
            discontinuity_indicator: core::mem::take(&mut self.discontinuity),
            random_access_indicator,
            es_priority_indicator: false,
            pcr: Some(ClockReference::from(stamp(time - CLOCK_DELAY)?)),
            opcr: None,
            splice_countdown: None,
            transport_private_data: Vec::new(),
            extension: None,
        })
    }

    fn packet(
        &mut self,
        pid: u16,
        counter: u8,
        adaptation_field: Option<AdaptationField>,
        payload: Option<TsPayload>,
    ) -> mpeg2ts::Result<()> {
        self.out.write_ts_packet(&TsPacket {
            header: TsHeader {
                transport_error_indicator: false,
                transport_priority: false,
                pid: Pid::new(pid)?,
                transport_scrambling_control: TransportScramblingControl::NotScrambled,
                continuity_counter: ContinuityCounter::from_u8(counter)?,
            },
            adaptation_field,
            payload,
        })
    }
}

/// A counter's value, and a step.
fn next(counter: &mut u8) -> u8 {
    let value = *counter;
    *counter = (value + 1) % 16;
    value
}

fn stamp(time: i64) -> mpeg2ts::Result<Timestamp> {
    Timestamp::new(time.rem_euclid(WRAP).unsigned_abs())
}

fn pes_header(stream_id: u8) -> PesHeader {
    PesHeader {
        stream_id: StreamId::new(stream_id),
        priority: false,
        data_alignment_indicator: true,
        copyright: false,
        original_or_copy: false,
        pts: None,
        dts: None,
        escr: None,
    }
}
