//! Fragmented MP4 (ISO/IEC 14496-12): the initialisation segment, and the header in front of a part's samples.
//!
//! A part is one `moof` and one `mdat`; the samples themselves are never copied. Track 1 is video, track 2 audio.

use bytes::Bytes;
use mp4_atom::{
    Atom, Audio, Avc1, Avcc, AvccExt, Codec, Dinf, Dref, Encode, FixedPoint, Ftyp, Hdlr, Hvc1, HvcCArray,
    Hvcc, Mdhd, Mdia, Mfhd, Minf, Moof, Moov, Mp4a, Mvex, Mvhd, Smhd, Stbl, Stco, Stsd, Tfdt, Tfhd, Tkhd,
    Traf, Trak, Trex, Trun, TrunEntry, Url, Visual, Vmhd, esds,
};

use crate::packaging::UnusableFormat;
use crate::picture::PictureFacts;
use crate::timeline::Timeline;
use crate::unit::{AudioFormat, Format, VideoFormat};
use crate::window::{Part, Sample};
use crate::{h264, h265};

const VIDEO_TRACK: u32 = 1;
const AUDIO_TRACK: u32 = 2;
/// Sample flags (8.8.3.1): depends on no other sample.
const SYNC: u32 = 0x0200_0000;
/// Sample flags: depends on others, is no sync sample.
const NON_SYNC: u32 = 0x0101_0000;
/// Bytes of an `mdat` header.
const MDAT_HEADER: usize = 8;
/// objectTypeIndication of MPEG-4 audio, streamType of audio (ISO/IEC 14496-1, tables 5 and 6).
const MPEG4_AUDIO: u8 = 0x40;
const AUDIO_STREAM: u8 = 5;

/// The initialisation segment of a format.
pub(crate) fn init(format: &Format, picture: &PictureFacts) -> Result<Bytes, UnusableFormat> {
    let ftyp = Ftyp {
        major_brand: b"iso6".into(),
        minor_version: 0,
        compatible_brands: vec![b"iso6".into(), b"iso5".into(), b"mp41".into()],
    };
    let mut trak = vec![track(
        VIDEO_TRACK,
        Timeline::VIDEO_TIMESCALE,
        *b"vide",
        video_entry(&format.video, picture)?,
        Some(picture),
    )];
    if let Some(AudioFormat::Aac { config, sample_rate, channels }) = &format.audio {
        let entry = audio_entry(config, sample_rate.get(), *channels);
        trak.push(track(AUDIO_TRACK, sample_rate.get(), *b"soun", entry, None));
    }
    let trex = trak
        .iter()
        .map(|trak| Trex {
            track_id: trak.tkhd.track_id,
            default_sample_description_index: 1,
            ..Trex::default()
        })
        .collect();
    let moov = Moov {
        mvhd: Mvhd {
            timescale: 1000,
            rate: 1.into(),
            volume: 1.into(),
            next_track_id: trak.len() as u32 + 1,
            ..Mvhd::default()
        },
        trak,
        mvex: Some(Mvex { mehd: None, trex }),
        ..Moov::default()
    };
    let mut bytes = Vec::with_capacity(1024);
    ftyp.encode(&mut bytes).and_then(|()| moov.encode(&mut bytes)).map_err(|error| unwritable(&error))?;
    bytes.shrink_to_fit();
    Ok(bytes.into())
}

fn unwritable(error: &mp4_atom::Error) -> UnusableFormat {
    UnusableFormat::Unwritable(error.to_string())
}

fn track(id: u32, timescale: u32, handler: [u8; 4], entry: Codec, picture: Option<&PictureFacts>) -> Trak {
    let side = |pixels: u32| FixedPoint::from(u16::try_from(pixels).unwrap_or(u16::MAX));
    Trak {
        tkhd: Tkhd {
            track_id: id,
            enabled: true,
            in_movie: true,
            volume: u8::from(picture.is_none()).into(),
            width: picture.map_or_else(|| 0.into(), |picture| side(picture.width)),
            height: picture.map_or_else(|| 0.into(), |picture| side(picture.height)),
            ..Tkhd::default()
        },
        mdia: Mdia {
            mdhd: Mdhd { timescale, language: "und".into(), ..Mdhd::default() },
            hdlr: Hdlr { handler: handler.into(), name: String::new() },
            minf: Minf {
                vmhd: picture.map(|_| Vmhd::default()),
                smhd: picture.is_none().then(Smhd::default),
                dinf: Dinf { dref: Dref { entries: vec![Url::default().into()] } },
                stbl: Stbl {
                    stsd: Stsd { codecs: vec![entry] },
                    stco: Some(Stco::default()),
                    ..Stbl::default()
                },
                ..Minf::default()
            },
        },
        ..Trak::default()
    }
}

fn video_entry(format: &VideoFormat, picture: &PictureFacts) -> Result<Codec, UnusableFormat> {
    let visual = Visual {
        data_reference_index: 1,
        width: u16::try_from(picture.width).unwrap_or(u16::MAX),
        height: u16::try_from(picture.height).unwrap_or(u16::MAX),
        ..Visual::default()
    };
    Ok(match format {
        VideoFormat::H264 { sps, pps } => Avc1 { visual, avcc: avcc(sps, pps)?, ..Avc1::default() }.into(),
        VideoFormat::H265 { vps, sps, pps } => {
            Hvc1 { visual, hvcc: hvcc(vps, sps, pps)?, ..Hvc1::default() }.into()
        }
    })
}

/// avcC (ISO/IEC 14496-15, 5.3.3.1).
fn avcc(sps: &[u8], pps: &[u8]) -> Result<Avcc, UnusableFormat> {
    let parsed = h264::Sps::parse(sps)?;
    let mut avcc = Avcc::new(sps, pps).map_err(|error| unwritable(&error))?;
    // Only the High profiles have the extension.
    if matches!(avcc.avc_profile_indication, 100 | 110 | 122 | 144) {
        let (chroma_format, bit_depth_luma, bit_depth_chroma) = parsed.chroma();
        avcc.ext = Some(AvccExt {
            chroma_format,
            bit_depth_luma,
            bit_depth_chroma,
            sequence_parameter_sets_ext: Vec::new(),
        });
    }
    Ok(avcc)
}

/// hvcC (ISO/IEC 14496-15, 8.3.3.1).
fn hvcc(vps: &[u8], sps: &[u8], pps: &[u8]) -> Result<Hvcc, UnusableFormat> {
    let parsed = h265::Sps::parse(sps)?;
    let array = |nal_unit_type, unit: &[u8]| HvcCArray {
        completeness: true,
        nal_unit_type,
        nalus: vec![unit.into()],
    };
    Ok(Hvcc {
        general_profile_space: parsed.profile.profile_space,
        general_tier_flag: parsed.profile.high_tier,
        general_profile_idc: parsed.profile.profile,
        general_profile_compatibility_flags: parsed.profile.compatibility.to_be_bytes(),
        general_constraint_indicator_flags: parsed.profile.constraints,
        general_level_idc: parsed.profile.level,
        chroma_format_idc: parsed.chroma_format,
        bit_depth_luma_minus8: parsed.luma_bits.saturating_sub(8),
        bit_depth_chroma_minus8: parsed.chroma_bits.saturating_sub(8),
        num_temporal_layers: parsed.temporal_layers,
        temporal_id_nested: parsed.temporal_id_nested,
        length_size_minus_one: 3,
        arrays: vec![array(h265::VPS, vps), array(h265::SPS, sps), array(h265::PPS, pps)],
        ..Hvcc::new()
    })
}

fn audio_entry(config: &Bytes, sample_rate: u32, channels: u16) -> Codec {
    Mp4a {
        audio: Audio {
            data_reference_index: 1,
            channel_count: channels,
            sample_size: 16,
            // 16.16 holds rates below 65,536; the AudioSpecificConfig tells the others.
            sample_rate: u16::try_from(sample_rate).unwrap_or(0).into(),
        },
        esds: esds::Esds {
            es_desc: esds::EsDescriptor {
                es_id: AUDIO_TRACK as u16,
                dec_config: esds::DecoderConfig {
                    object_type_indication: MPEG4_AUDIO,
                    stream_type: AUDIO_STREAM,
                    dec_specific: Some(esds::DecoderSpecific { raw: config.to_vec(), ..Default::default() }),
                    ..Default::default()
                },
                ..Default::default()
            },
        },
        btrt: None,
        taic: None,
    }
    .into()
}

/// `moof` and the header of the `mdat` for one part, whose samples follow: video, then audio. `None` when the part is
/// beyond what 32-bit sizes can say (2 GiB).
pub(crate) fn part_header(part: &Part, video: &[Sample], audio: &[Sample]) -> Option<Bytes> {
    let bytes = |samples: &[Sample]| samples.iter().map(|sample| sample.data.len()).sum::<usize>();
    let mut moof = Moof { mfhd: Mfhd { sequence_number: part.sequence }, traf: vec![video_run(part, video)] };
    if !audio.is_empty() {
        moof.traf.push(audio_run(part, audio));
    }
    let mut out = Vec::new();
    moof.encode(&mut out).ok()?;
    // The offsets count from the first byte of the moof, whose size does not depend on their values.
    let mut offset = out.len() + MDAT_HEADER;
    for (traf, samples) in moof.traf.iter_mut().zip([video, audio]) {
        for run in &mut traf.trun {
            run.data_offset = Some(i32::try_from(offset).ok()?);
        }
        offset += bytes(samples);
    }
    let mdat = u32::try_from(MDAT_HEADER + bytes(video) + bytes(audio)).ok()?;
    let mut header = Vec::with_capacity(out.len() + MDAT_HEADER);
    moof.encode(&mut header).ok()?;
    header.extend_from_slice(&mdat.to_be_bytes());
    header.extend_from_slice(mp4_atom::Mdat::KIND.as_ref());
    Some(header.into())
}

fn run(track_id: u32, start: i64, default_sample_flags: Option<u32>, entries: Vec<TrunEntry>) -> Traf {
    Traf {
        tfhd: Tfhd { track_id, default_base_is_moof: true, default_sample_flags, ..Tfhd::default() },
        tfdt: Some(Tfdt { base_media_decode_time: start.unsigned_abs() }),
        trun: vec![Trun { data_offset: Some(0), samples: entries.into() }],
        ..Traf::default()
    }
}

fn video_run(part: &Part, samples: &[Sample]) -> Traf {
    let entry = |sample: &Sample| TrunEntry {
        duration: Some(sample.duration),
        size: u32::try_from(sample.data.len()).ok(),
        flags: Some(if sample.random_access { SYNC } else { NON_SYNC }),
        cts: Some(i64::from(sample.composition)),
    };
    run(VIDEO_TRACK, part.video_start, None, samples.iter().map(entry).collect())
}

fn audio_run(part: &Part, samples: &[Sample]) -> Traf {
    let entry = |sample: &Sample| TrunEntry {
        duration: Some(sample.duration),
        size: u32::try_from(sample.data.len()).ok(),
        ..TrunEntry::default()
    };
    run(AUDIO_TRACK, part.audio_start, Some(SYNC), samples.iter().map(entry).collect())
}
