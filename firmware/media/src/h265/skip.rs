//! Parts of the parameter sets that are only walked over, to reach what stands behind them.

use h264_reader::rbsp::{BitRead, BitReaderError};

use crate::bits::Bits;

/// The sub-layers of `profile_tier_level` (7.3.3).
pub(super) fn sub_layers(bits: &mut Bits<'_>, layers_minus1: u32) -> Result<(), BitReaderError> {
    let mut present = [(false, false); 8];
    for flags in present.iter_mut().take(layers_minus1 as usize) {
        *flags = (
            bits.read_bool("sub_layer_profile_present_flag")?,
            bits.read_bool("sub_layer_level_present_flag")?,
        );
    }
    if layers_minus1 > 0 {
        bits.skip(2 * 8_u32.saturating_sub(layers_minus1), "reserved_zero_2bits")?;
    }
    for (profile, level) in present {
        bits.skip(if profile { 88 } else { 0 }, "sub_layer_profile")?;
        bits.skip(if level { 8 } else { 0 }, "sub_layer_level_idc")?;
    }
    Ok(())
}

/// `scaling_list_data` (7.3.4).
pub(super) fn scaling_lists(bits: &mut Bits<'_>) -> Result<(), BitReaderError> {
    for size in 0..4_u32 {
        for _ in 0..if size == 3 { 2 } else { 6 } {
            if !bits.read_bool("scaling_list_pred_mode_flag")? {
                bits.read_ue("scaling_list_pred_matrix_id_delta")?;
                continue;
            }
            let coefficients = 64.min(1 << (4 + (size << 1)));
            // scaling_list_dc_coef_minus8 stands before the larger ones.
            bits.skip_ue(coefficients + u32::from(size > 1), "scaling_list_delta_coef")?;
        }
    }
    Ok(())
}

/// All `st_ref_pic_set`s of an SPS (7.3.7). A set predicted from the one before has one flag or two for each of its
/// pictures, so their number is carried along.
pub(super) fn short_term_sets(bits: &mut Bits<'_>) -> Result<(), BitReaderError> {
    let out_of_range = BitReaderError::ExpGolombTooLarge;
    let sets = bits.read_ue("num_short_term_ref_pic_sets")?;
    if sets > 64 {
        return Err(out_of_range("num_short_term_ref_pic_sets"));
    }
    let mut pictures = 0_u32;
    for set in 0..sets {
        if set > 0 && bits.read_bool("inter_ref_pic_set_prediction_flag")? {
            bits.skip(1, "delta_rps_sign")?;
            bits.read_ue("abs_delta_rps_minus1")?;
            let mut kept = 0;
            for _ in 0..=pictures {
                let used = bits.read_bool("used_by_curr_pic_flag")?;
                kept += u32::from(used || bits.read_bool("use_delta_flag")?);
            }
            pictures = kept;
        } else {
            let (negative, positive) =
                (bits.read_ue("num_negative_pics")?, bits.read_ue("num_positive_pics")?);
            if negative > 16 || positive > 16 {
                return Err(out_of_range("num_negative_pics"));
            }
            pictures = negative + positive;
            for _ in 0..pictures {
                bits.read_ue("delta_poc_minus1")?;
                bits.skip(1, "used_by_curr_pic_flag")?;
            }
        }
    }
    Ok(())
}
