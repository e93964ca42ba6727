//! What a format means for both containers: made once when the format comes, shared by its segments.

use bytes::Bytes;

use crate::aac::AudioConfig;
use crate::picture::{ParameterSetError, PictureFacts};
use crate::unit::{AudioFormat, Format, VideoFormat};
use crate::{fmp4, nal};

/// Why a format cannot be packaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnusableFormat {
    /// A parameter set or the audio configuration cannot be read.
    #[error("the camera's description of its stream cannot be used: {0}")]
    Parameters(#[from] ParameterSetError),
    /// The description does not fit the fields of an MP4 file.
    #[error("the camera's description of its stream does not fit an MP4 file: {0}")]
    Unwritable(String),
}

/// One format, ready for packaging.
#[derive(Debug)]
pub(crate) struct Packaging {
    /// The media sequence number of its first segment, which names it (`init-{number}.mp4`): never used again.
    pub(crate) number: u64,
    /// Counts the formats of a stream, modulo 32 (version_number of a PMT).
    pub(crate) version: u8,
    pub(crate) format: Format,
    pub(crate) picture: PictureFacts,
    pub(crate) audio: Option<AudioConfig>,
    /// The initialisation segment.
    pub(crate) init: Bytes,
    /// Access unit delimiter as a byte stream (Annex B), for MPEG-TS.
    pub(crate) delimiter: &'static [u8],
    /// Parameter sets as a byte stream (Annex B), for MPEG-TS before each random access point.
    pub(crate) parameters: Vec<u8>,
}

/// `primary_pic_type` 7: any slice type (ITU-T H.264 7.3.2.4).
const H264_DELIMITER: &[u8] = &[0, 0, 0, 1, 9, 0xf0];
/// `pic_type` 2: any slice type (ITU-T H.265 7.3.2.5).
const H265_DELIMITER: &[u8] = &[0, 0, 0, 1, 0x46, 1, 0x50];

impl Packaging {
    pub(crate) fn new(format: Format, version: u8) -> Result<Self, UnusableFormat> {
        let picture = format.video.facts()?;
        let audio = match &format.audio {
            Some(AudioFormat::Aac { config, .. }) => Some(AudioConfig::parse(config)?),
            None => None,
        };
        let (delimiter, sets) = match &format.video {
            VideoFormat::H264 { sps, pps } => (H264_DELIMITER, [Some(sps), Some(pps), None]),
            VideoFormat::H265 { vps, sps, pps } => (H265_DELIMITER, [Some(vps), Some(sps), Some(pps)]),
        };
        let mut parameters = Vec::new();
        for set in sets.into_iter().flatten() {
            parameters.extend_from_slice(&nal::START_CODE);
            parameters.extend_from_slice(set);
        }
        let init = fmp4::init(&format, &picture)?;
        Ok(Self { number: 0, version, format, picture, audio, init, delimiter, parameters })
    }

    /// Audio ticks per second.
    pub(crate) fn audio_rate(&self) -> Option<u32> {
        self.format.audio.as_ref().map(|AudioFormat::Aac { sample_rate, .. }| sample_rate.get())
    }

    /// The audio as MPEG-TS carries it; `None` also where ADTS cannot describe it.
    pub(crate) fn adts(&self) -> Option<&AudioConfig> {
        self.audio.as_ref().filter(|config| config.adts_header(0).is_some())
    }

    /// Value of CODECS (RFC 6381).
    pub(crate) fn codecs(&self) -> String {
        let mut codecs = self.picture.codec.clone();
        if let Some(audio) = &self.audio {
            codecs.push(',');
            codecs.push_str(&audio.codec());
        }
        codecs
    }
}
