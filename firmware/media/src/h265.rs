//! H.265: what the parameter sets and the first slice of a picture tell (ITU-T H.265 7.3.2, 7.3.6.1).

use core::num::NonZeroUsize;

use h264_reader::rbsp::{BitRead, BitReaderError};

use crate::bits::Bits;
use crate::nal;
use crate::picture::{MAX_REORDER, ParameterSetError, PictureFacts, checked_size};

mod skip;
mod timing;

/// NAL unit types of IDR pictures (table 7-1): with and without leading pictures that can be decoded.
pub const IDR: core::ops::RangeInclusive<u8> = 19..=20;
/// NAL unit types of pictures at which decoding may start (BLA, IDR, CRA and two reserved ones).
pub const RANDOM_ACCESS: core::ops::RangeInclusive<u8> = 16..=23;
/// NAL unit type of a video parameter set.
pub const VPS: u8 = 32;
/// NAL unit type of a sequence parameter set.
pub const SPS: u8 = 33;
/// NAL unit type of a picture parameter set.
pub const PPS: u8 = 34;
/// NAL unit type of an access unit delimiter.
pub const AUD: u8 = 35;

const HEADER: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);
/// Slice segments have the types below this one.
const FIRST_NON_SLICE: u8 = 32;
/// `sps_max_sub_layers_minus1` is at most this (7.4.3.2.1).
const MAX_SUB_LAYERS_MINUS1: u32 = 6;

/// The type of a NAL unit; 63 (unspecified) for an empty one.
pub fn unit_type(unit: &[u8]) -> u8 {
    unit.first().map_or(63, |header| header >> 1 & 0x3f)
}

/// Profile, tier and level (7.3.3), as hvcC repeats them (ISO/IEC 14496-15 8.3.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProfileTierLevel {
    /// `general_profile_space`, 0 to 3.
    pub profile_space: u8,
    /// `general_tier_flag`: high tier.
    pub high_tier: bool,
    /// `general_profile_idc`, 0 to 31.
    pub profile: u8,
    /// `general_profile_compatibility_flag[0..32]`, flag 0 in the highest bit.
    pub compatibility: u32,
    /// The 48 bits from `general_progressive_source_flag` on.
    pub constraints: [u8; 6],
    /// `general_level_idc`, thirty times the level.
    pub level: u8,
}

/// A sequence parameter set whose pictures the box passes on.
#[derive(Debug, Clone, PartialEq)]
pub struct Sps {
    /// Profile, tier and level.
    pub profile: ProfileTierLevel,
    /// `sps_max_sub_layers_minus1 + 1`: temporal layers.
    pub temporal_layers: u8,
    /// `sps_temporal_id_nesting_flag`.
    pub temporal_id_nested: bool,
    /// `chroma_format_idc`, 0 to 3.
    pub chroma_format: u8,
    /// Bits of a luma sample, 8 to 16.
    pub luma_bits: u8,
    /// Bits of a chroma sample, 8 to 16.
    pub chroma_bits: u8,
    /// Width and height in pixels, cropped to the conformance window.
    pub size: (u32, u32),
    /// `sps_max_num_reorder_pics` of the highest temporal layer.
    pub reorder: usize,
    /// Bits of `slice_pic_order_cnt_lsb`, 4 to 16.
    pub poc_lsb_bits: u32,
    /// `separate_colour_plane_flag`.
    pub separate_planes: bool,
    /// Frames per second by the VUI.
    pub fps: Option<f64>,
}

/// What of a picture parameter set stands before the order in a slice header (7.3.2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pps {
    output_flag: bool,
    extra_slice_bits: u32,
}

/// Where the first slice of a picture stands in output order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceOrder {
    /// Order counts anew (IDR or BLA).
    pub restart: bool,
    /// Later orders are counted from this picture: temporal layer 0, neither leading nor a sub-layer non-reference
    /// picture (8.3.1, prevTid0Pic).
    pub base: bool,
    /// `slice_pic_order_cnt_lsb`; 0 for IDR pictures.
    pub poc_lsb: u32,
}

fn broken(set: &'static str) -> impl Fn(BitReaderError) -> ParameterSetError {
    move |error| ParameterSetError::Broken { set, detail: format!("{error:?}") }
}

impl Sps {
    /// Reads an SPS, NAL header included. A broken tail (scaling lists to VUI) costs only the frame rate.
    ///
    /// # Errors
    /// [`ParameterSetError`] when it is no readable SPS or its pictures are too large.
    pub fn parse(unit: &[u8]) -> Result<Self, ParameterSetError> {
        let set = "H.265 SPS";
        let error = |detail: &str| ParameterSetError::Broken { set, detail: detail.into() };
        if unit_type(unit) != SPS {
            return Err(error("it is another NAL unit"));
        }
        let mut bits = Bits::new(unit, HEADER);
        let mut head = Head::read(&mut bits).map_err(broken(set))?;
        if head.layers_minus1 > MAX_SUB_LAYERS_MINUS1 || head.chroma_format > 3 {
            return Err(error("a value is out of its range"));
        }
        let [luma, chroma, poc] = head.depths;
        if luma > 8 || chroma > 8 || poc > 12 {
            return Err(error("a value is out of its range"));
        }
        let (across, down) = match head.chroma_format {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        };
        let [left, right, top, bottom] = head.window.map(u64::from);
        let size = checked_size(
            set,
            (u64::from(head.width), u64::from(head.height)),
            ((left + right) * across, (top + bottom) * down),
        )?;
        head.read_reorder(&mut bits).map_err(broken(set))?;
        Ok(Self {
            profile: head.profile,
            temporal_layers: head.layers_minus1 as u8 + 1,
            temporal_id_nested: head.nested,
            chroma_format: head.chroma_format as u8,
            luma_bits: luma as u8 + 8,
            chroma_bits: chroma as u8 + 8,
            size,
            reorder: (head.reorder as usize).min(MAX_REORDER),
            poc_lsb_bits: poc + 4,
            separate_planes: head.separate_planes,
            fps: timing::of_sps(&mut bits, poc + 4).ok().flatten(),
        })
    }

    /// What it tells of the pictures; the VPS tells the frame rate where the SPS does not.
    pub fn facts(&self, vps: &[u8]) -> PictureFacts {
        PictureFacts {
            width: self.size.0,
            height: self.size.1,
            fps: self.fps.or_else(|| timing::of_vps(vps)),
            reorder: Some(self.reorder),
            codec: self.codec(),
        }
    }

    /// The codec for CODECS and MIME types (RFC 6381, ISO/IEC 14496-15 annex E.3), for parameter sets that are
    /// kept out of the samples.
    pub fn codec(&self) -> String {
        let ProfileTierLevel { profile_space, high_tier, profile, compatibility, constraints, level } =
            self.profile;
        let space = match profile_space {
            1 => "A",
            2 => "B",
            3 => "C",
            _ => "",
        };
        let tier = if high_tier { 'H' } else { 'L' };
        let codec = format!("hvc1.{space}{profile}.{:X}.{tier}{level}", compatibility.reverse_bits());
        // Trailing zero bytes are left out (E.3).
        let used = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        constraints.iter().take(used).fold(codec, |codec, byte| format!("{codec}.{byte:X}"))
    }

    /// The order of an access unit (sample format) by its first slice; `None` where it has none that can be read.
    pub fn slice_order(&self, pps: Pps, data: &[u8]) -> Option<SliceOrder> {
        let slice = nal::units(data).find(|unit| unit_type(unit) < FIRST_NON_SLICE)?;
        self.read_slice(pps, slice).ok().flatten()
    }

    fn read_slice(&self, pps: Pps, slice: &[u8]) -> Result<Option<SliceOrder>, BitReaderError> {
        let kind = unit_type(slice);
        let restart = (16..=20).contains(&kind);
        let temporal_id_plus1 = slice.get(1).map_or(0, |byte| byte & 7);
        // Types 0 to 14 that are even are sub-layer non-reference pictures, 6 to 9 are leading ones (table 7-1).
        let base = temporal_id_plus1 == 1 && !(kind <= 14 && kind & 1 == 0) && !(6..=9).contains(&kind);
        let mut bits = Bits::new(slice, HEADER);
        if !bits.read_bool("first_slice_segment_in_pic_flag")? {
            return Ok(None);
        }
        if RANDOM_ACCESS.contains(&kind) {
            bits.skip(1, "no_output_of_prior_pics_flag")?;
        }
        bits.read_ue("slice_pic_parameter_set_id")?;
        bits.skip(pps.extra_slice_bits, "slice_reserved_flag")?;
        bits.read_ue("slice_type")?;
        bits.skip(u32::from(pps.output_flag), "pic_output_flag")?;
        bits.skip(if self.separate_planes { 2 } else { 0 }, "colour_plane_id")?;
        let poc_lsb =
            if IDR.contains(&kind) { 0 } else { bits.read(self.poc_lsb_bits, "slice_pic_order_cnt_lsb")? };
        Ok(Some(SliceOrder { restart, base, poc_lsb }))
    }
}

impl Pps {
    /// Reads what slice headers need; `None` when it is no readable PPS.
    pub fn parse(unit: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(unit, HEADER);
        let mut read = || -> Result<Self, BitReaderError> {
            bits.skip_ue(2, "pps_pic_parameter_set_id, pps_seq_parameter_set_id")?;
            bits.skip(1, "dependent_slice_segments_enabled_flag")?;
            let output_flag = bits.read_bool("output_flag_present_flag")?;
            Ok(Self { output_flag, extra_slice_bits: bits.read(3, "num_extra_slice_header_bits")? })
        };
        (unit_type(unit) == PPS).then(|| read().ok()).flatten()
    }
}

/// The part of an SPS up to the reordering, as it stands there.
struct Head {
    profile: ProfileTierLevel,
    layers_minus1: u32,
    nested: bool,
    chroma_format: u32,
    separate_planes: bool,
    width: u32,
    height: u32,
    window: [u32; 4],
    /// `bit_depth_luma_minus8`, `bit_depth_chroma_minus8`, `log2_max_pic_order_cnt_lsb_minus4`.
    depths: [u32; 3],
    reorder: u32,
}

impl Head {
    fn read(bits: &mut Bits<'_>) -> Result<Self, BitReaderError> {
        bits.skip(4, "sps_video_parameter_set_id")?;
        let layers_minus1 = bits.read(3, "sps_max_sub_layers_minus1")?;
        let nested = bits.read_bool("sps_temporal_id_nesting_flag")?;
        let profile = ProfileTierLevel::read(bits, layers_minus1)?;
        bits.read_ue("sps_seq_parameter_set_id")?;
        let chroma_format = bits.read_ue("chroma_format_idc")?;
        let separate_planes = chroma_format == 3 && bits.read_bool("separate_colour_plane_flag")?;
        let width = bits.read_ue("pic_width_in_luma_samples")?;
        let height = bits.read_ue("pic_height_in_luma_samples")?;
        let mut window = [0; 4];
        if bits.read_bool("conformance_window_flag")? {
            for offset in &mut window {
                *offset = bits.read_ue("conf_win_offset")?;
            }
        }
        let mut depths = [0; 3];
        for depth in &mut depths {
            *depth = bits.read_ue("bit_depth_minus8, log2_max_pic_order_cnt_lsb_minus4")?;
        }
        let reorder = 0;
        Ok(Self {
            profile,
            layers_minus1,
            nested,
            chroma_format,
            separate_planes,
            width,
            height,
            window,
            depths,
            reorder,
        })
    }

    fn read_reorder(&mut self, bits: &mut Bits<'_>) -> Result<(), BitReaderError> {
        let each = bits.read_bool("sps_sub_layer_ordering_info_present_flag")?;
        for _ in if each { 0 } else { self.layers_minus1 }..=self.layers_minus1 {
            bits.read_ue("sps_max_dec_pic_buffering_minus1")?;
            self.reorder = bits.read_ue("sps_max_num_reorder_pics")?;
            bits.read_ue("sps_max_latency_increase_plus1")?;
        }
        Ok(())
    }
}

impl ProfileTierLevel {
    fn read(bits: &mut Bits<'_>, layers_minus1: u32) -> Result<Self, BitReaderError> {
        let profile_space = bits.read(2, "general_profile_space")?;
        let high_tier = bits.read_bool("general_tier_flag")?;
        let profile = bits.read(5, "general_profile_idc")?;
        let compatibility = bits.read(32, "general_profile_compatibility_flag")?;
        let mut constraints = [0; 6];
        for byte in &mut constraints {
            *byte = bits.read(8, "general constraint flags")?;
        }
        let level = bits.read(8, "general_level_idc")?;
        skip::sub_layers(bits, layers_minus1)?;
        Ok(Self { profile_space, high_tier, profile, compatibility, constraints, level })
    }
}

#[cfg(test)]
mod tests;
