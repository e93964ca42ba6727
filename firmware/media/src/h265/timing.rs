//! The frame rate, which stands near the end of the SPS (E.2.1) and of the VPS (7.3.2.1).

use h264_reader::rbsp::{BitRead, BitReaderError};

use super::{HEADER, MAX_SUB_LAYERS_MINUS1, ProfileTierLevel, VPS, skip, unit_type};
use crate::bits::Bits;
use crate::picture::plausible_fps;

/// Extended_SAR, which is followed by two 16-bit sides (table E.1).
const EXTENDED_SAR: u8 = 255;

/// Frames per second by the VUI; `bits` stand after the reordering.
pub(super) fn of_sps(bits: &mut Bits<'_>, poc_lsb_bits: u32) -> Result<Option<f64>, BitReaderError> {
    bits.skip_ue(6, "block sizes and depths")?;
    if bits.read_bool("scaling_list_enabled_flag")? && bits.read_bool("sps_scaling_list_data_present_flag")? {
        skip::scaling_lists(bits)?;
    }
    bits.skip(2, "amp_enabled_flag, sample_adaptive_offset_enabled_flag")?;
    if bits.read_bool("pcm_enabled_flag")? {
        bits.skip(8, "pcm_sample_bit_depth")?;
        bits.skip_ue(2, "log2_pcm_luma_coding_block_size")?;
        bits.skip(1, "pcm_loop_filter_disabled_flag")?;
    }
    skip::short_term_sets(bits)?;
    if bits.read_bool("long_term_ref_pics_present_flag")? {
        let pictures = bits.read_ue("num_long_term_ref_pics_sps")?;
        if pictures > 32 {
            return Err(BitReaderError::ExpGolombTooLarge("num_long_term_ref_pics_sps"));
        }
        bits.skip(pictures * (poc_lsb_bits + 1), "lt_ref_pic_poc_lsb_sps")?;
    }
    bits.skip(2, "sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag")?;
    if !bits.read_bool("vui_present")? {
        return Ok(None);
    }
    of_vui(bits)
}

fn of_vui(bits: &mut Bits<'_>) -> Result<Option<f64>, BitReaderError> {
    if bits.read_bool("aspect_ratio_info_present_flag")?
        && bits.read::<u8>(8, "aspect_ratio_idc")? == EXTENDED_SAR
    {
        bits.skip(32, "sar_width, sar_height")?;
    }
    if bits.read_bool("overscan_info_present_flag")? {
        bits.skip(1, "overscan_appropriate_flag")?;
    }
    if bits.read_bool("video_signal_type_present_flag")? {
        bits.skip(4, "video_format, video_full_range_flag")?;
        if bits.read_bool("colour_description_present_flag")? {
            bits.skip(24, "colour_description")?;
        }
    }
    if bits.read_bool("chroma_loc_info_present_flag")? {
        bits.skip_ue(2, "chroma_sample_loc_type")?;
    }
    bits.skip(3, "neutral_chroma_indication_flag, field_seq_flag, frame_field_info_present_flag")?;
    if bits.read_bool("default_display_window_flag")? {
        bits.skip_ue(4, "def_disp_win_offset")?;
    }
    rate(bits)
}

/// Frames per second by the VPS.
pub(super) fn of_vps(vps: &[u8]) -> Option<f64> {
    let mut bits = Bits::new(vps, HEADER);
    let mut read = || -> Result<Option<f64>, BitReaderError> {
        bits.skip(12, "vps_video_parameter_set_id to vps_max_layers_minus1")?;
        let layers_minus1: u32 = bits.read(3, "vps_max_sub_layers_minus1")?;
        bits.skip(17, "vps_temporal_id_nesting_flag, vps_reserved_0xffff_16bits")?;
        if layers_minus1 > MAX_SUB_LAYERS_MINUS1 {
            return Ok(None);
        }
        ProfileTierLevel::read(&mut bits, layers_minus1)?;
        let each = bits.read_bool("vps_sub_layer_ordering_info_present_flag")?;
        bits.skip_ue(if each { 3 * (layers_minus1 + 1) } else { 3 }, "vps_max_dec_pic_buffering_minus1")?;
        let layer_ids: u32 = bits.read::<u32>(6, "vps_max_layer_id")? + 1;
        let sets = bits.read_ue("vps_num_layer_sets_minus1")?;
        bits.skip(sets.min(1023) * layer_ids, "layer_id_included_flag")?;
        rate(&mut bits)
    };
    (unit_type(vps) == VPS).then(|| read().ok()).flatten().flatten()
}

/// The timing that has the same form in both; one tick makes a picture (E.3.1, vui_num_units_in_tick).
fn rate(bits: &mut Bits<'_>) -> Result<Option<f64>, BitReaderError> {
    if !bits.read_bool("timing_info_present_flag")? {
        return Ok(None);
    }
    let units: u32 = bits.read(32, "num_units_in_tick")?;
    Ok(plausible_fps(bits.read(32, "time_scale")?, u64::from(units)))
}
