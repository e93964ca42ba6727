//! What both video codecs tell of their pictures, read from the parameter sets.

use crate::{h264, h265, unit::VideoFormat};

/// The largest picture side that is passed on, in pixels: what 8K needs. Larger claims come from broken or hostile
/// cameras, and no browser's decoder would take them.
pub const MAX_SIDE: u32 = 8192;

/// The most pictures that decoding order may lie before output order (H.264 A.3.1 h, H.265 A.4.2).
pub(crate) const MAX_REORDER: usize = 16;

/// What a video stream's parameter sets tell of its pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct PictureFacts {
    /// Pixels across, cropped.
    pub width: u32,
    /// Pixels down, cropped; of the whole frame where the stream is coded in fields.
    pub height: u32,
    /// Frames per second as the stream claims (VUI or VPS timing), 1 to 240. Cameras often claim none or a wrong one.
    pub fps: Option<f64>,
    /// Pictures that may precede one in decoding order and follow it in output order; `None` where the stream does
    /// not say.
    pub reorder: Option<usize>,
    /// The codec for CODECS and MIME types (RFC 6381).
    pub codec: String,
}

/// Why a parameter set cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterSetError {
    /// It ends early or breaks the syntax.
    #[error("cannot read the {set}: {detail}")]
    Broken {
        /// Which parameter set.
        set: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// Its pictures are beyond what the box passes on.
    #[error("unsupported picture size of {width}x{height} (at most {MAX_SIDE}x{MAX_SIDE})")]
    UnsupportedSize {
        /// Pixels across.
        width: u64,
        /// Pixels down.
        height: u64,
    },
}

impl VideoFormat {
    /// What the parameter sets tell.
    ///
    /// # Errors
    /// [`ParameterSetError`] when the sequence parameter set cannot be read or its pictures are too large.
    pub fn facts(&self) -> Result<PictureFacts, ParameterSetError> {
        match self {
            Self::H264 { sps, .. } => h264::Sps::parse(sps).map(|sps| sps.facts()),
            Self::H265 { vps, sps, .. } => h265::Sps::parse(sps).map(|sps| sps.facts(vps)),
        }
    }
}

/// A picture size if it is at least 16x16 coded pixels, not cropped away, and not beyond [`MAX_SIDE`].
pub(crate) fn checked_size(
    set: &'static str,
    coded: (u64, u64),
    cropped_away: (u64, u64),
) -> Result<(u32, u32), ParameterSetError> {
    let (width, height) = coded;
    let within = |side: u64| u32::try_from(side).ok().filter(|side| *side <= MAX_SIDE);
    let (Some(_), Some(_)) = (within(width), within(height)) else {
        return Err(ParameterSetError::UnsupportedSize { width, height });
    };
    let left = |side: u64, away: u64| side.checked_sub(away).filter(|side| *side > 0).and_then(within);
    match (left(width, cropped_away.0), left(height, cropped_away.1)) {
        (Some(width), Some(height)) => Ok((width, height)),
        _ => Err(ParameterSetError::Broken {
            set,
            detail: "nothing is left of the picture after cropping".into(),
        }),
    }
}

/// `ticks / units` frames per second, where that is a rate that a camera may have.
pub(crate) fn plausible_fps(ticks: u32, units: u64) -> Option<f64> {
    let fps = f64::from(ticks) / units as f64;
    (1.0..=240.0).contains(&fps).then_some(fps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_of_nothing_or_too_much_is_refused() {
        assert_eq!(checked_size("SPS", (1920, 1088), (0, 8)), Ok((1920, 1080)));
        assert_eq!(
            checked_size("SPS", (65_535, 65_535), (65_000, 65_000)),
            Err(ParameterSetError::UnsupportedSize { width: 65_535, height: 65_535 })
        );
        assert!(checked_size("SPS", (1920, 1088), (0, 1088)).is_err());
        assert!(checked_size("SPS", (1920, 1088), (u64::MAX, 0)).is_err());
    }

    #[test]
    fn a_rate_that_no_camera_has_is_no_rate() {
        assert_eq!(plausible_fps(50, 2), Some(25.0));
        assert_eq!(plausible_fps(90_000, 1), None);
        assert_eq!(plausible_fps(1, 0), None);
        assert_eq!(plausible_fps(0, 0), None);
    }
}
