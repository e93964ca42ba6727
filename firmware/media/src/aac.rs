//! AAC: what the AudioSpecificConfig tells (ISO/IEC 14496-3, 1.6.2.1), and ADTS headers (1.A.2.2).

use h264_reader::rbsp::{BitRead, BitReader, BitReaderError};

use crate::picture::ParameterSetError;

/// samplingFrequencyIndex to samples per second (table 1.18).
const RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
/// The index after which 24 bits of rate follow.
const EXPLICIT_RATE: u32 = 15;
/// The object type after which the longer form follows.
const ESCAPED_TYPE: u8 = 31;
/// audioObjectType of spectral band replication and of parametric stereo (table 1.17).
const SBR: u8 = 5;
const PS: u8 = 29;
/// Bytes of an ADTS header without CRC.
pub const ADTS_HEADER_LEN: usize = 7;

/// An AudioSpecificConfig.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioConfig {
    /// audioObjectType as signalled first: 2 AAC LC, 5 HE-AAC, 29 HE-AAC v2.
    pub object_type: u8,
    /// The type of the core coder: 2 where `object_type` is 5 or 29.
    pub core_type: u8,
    /// samplingFrequencyIndex of the core; `None` where the rate is written out.
    pub rate_index: Option<u8>,
    /// Samples per second of the core coder.
    pub core_rate: u32,
    /// Samples per second that are heard: twice the core's where spectral band replication is signalled.
    pub rate: u32,
    /// channelConfiguration: 0 (in the stream itself) to 7 (eight channels).
    pub channel_configuration: u8,
    /// Samples that one frame of the core gives: 1,024 or 960.
    pub core_frame: u32,
}

impl AudioConfig {
    /// Reads an AudioSpecificConfig.
    ///
    /// # Errors
    /// [`ParameterSetError::Broken`] when it ends early or names no sample rate.
    pub fn parse(config: &[u8]) -> Result<Self, ParameterSetError> {
        let broken = |detail: String| ParameterSetError::Broken { set: "AudioSpecificConfig", detail };
        let parsed = Self::read(config).map_err(|error| broken(format!("{error:?}")))?;
        if parsed.core_rate == 0 || parsed.rate == 0 {
            return Err(broken("it names no sample rate".into()));
        }
        Ok(parsed)
    }

    fn read(config: &[u8]) -> Result<Self, BitReaderError> {
        let mut bits = BitReader::new(config);
        let object_type = object_type(&mut bits)?;
        let (rate_index, core_rate) = rate(&mut bits)?;
        let channel_configuration = bits.read(4, "channelConfiguration")?;
        let (core_type, rate) = if object_type == SBR || object_type == PS {
            let (_, rate) = rate(&mut bits)?;
            (self::object_type(&mut bits)?, rate)
        } else {
            (object_type, core_rate)
        };
        let short = bits.read_bool("frameLengthFlag")?;
        let core_frame = if short { 960 } else { 1024 };
        Ok(Self { object_type, core_type, rate_index, core_rate, rate, channel_configuration, core_frame })
    }

    /// Samples that one frame lasts when counted at `sample_rate` per second.
    pub fn frame_samples(&self, sample_rate: u32) -> u32 {
        if self.rate > self.core_rate && sample_rate == self.rate {
            let longer = u64::from(self.core_frame) * u64::from(self.rate) / u64::from(self.core_rate);
            u32::try_from(longer).unwrap_or(self.core_frame)
        } else {
            self.core_frame
        }
    }

    /// Channels that are heard; `None` where only the stream itself tells.
    pub fn channels(&self) -> Option<u16> {
        match self.channel_configuration {
            1 if self.object_type == PS => Some(2),
            1..=6 => Some(u16::from(self.channel_configuration)),
            7 => Some(8),
            _ => None,
        }
    }

    /// The codec for CODECS and MIME types (RFC 6381).
    pub fn codec(&self) -> String {
        format!("mp4a.40.{}", self.object_type)
    }

    /// The ADTS header of a frame of `frame` bytes; `None` where ADTS cannot say it: another rate or type than its
    /// fields hold, or more than 8,184 bytes.
    pub fn adts_header(&self, frame: usize) -> Option<[u8; ADTS_HEADER_LEN]> {
        let profile = self.core_type.checked_sub(1).filter(|profile| *profile < 4)?;
        let index = self.rate_index?;
        let channels = self.channel_configuration;
        let length =
            u16::try_from(frame.checked_add(ADTS_HEADER_LEN)?).ok().filter(|length| *length < 1 << 13)?;
        Some([
            0xff,
            0xf1, // MPEG-4, layer 0, no CRC
            profile << 6 | index << 2 | channels >> 2 & 1,
            (channels & 3) << 6 | (length >> 11) as u8,
            (length >> 3) as u8,
            (length << 5) as u8 | 0x1f, // buffer fullness 0x7ff: variable rate
            0xfc,
        ])
    }
}

fn object_type(bits: &mut BitReader<&[u8]>) -> Result<u8, BitReaderError> {
    let object_type = bits.read(5, "audioObjectType")?;
    if object_type == ESCAPED_TYPE {
        return Ok(32 + bits.read::<u8>(6, "audioObjectTypeExt")?);
    }
    Ok(object_type)
}

fn rate(bits: &mut BitReader<&[u8]>) -> Result<(Option<u8>, u32), BitReaderError> {
    let index: u32 = bits.read(4, "samplingFrequencyIndex")?;
    if index == EXPLICIT_RATE {
        return Ok((None, bits.read(24, "samplingFrequency")?));
    }
    let rate = usize::try_from(index).ok().and_then(|index| RATES.get(index)).copied().unwrap_or(0);
    Ok((Some(index as u8), rate))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn configs_tell_codec_rate_and_channels() {
        // LC 48 kHz mono (ffmpeg), LC 8 kHz mono (as cameras send it), LC 44.1 kHz stereo, HE-AAC 22.05/44.1 kHz.
        for (config, codec, rate, channels, frame) in [
            (&[0x11, 0x88, 0x56, 0xe5, 0x00][..], "mp4a.40.2", 48_000, 1, 1024),
            (&[0x15, 0x88], "mp4a.40.2", 8_000, 1, 1024),
            (&[0x12, 0x10], "mp4a.40.2", 44_100, 2, 1024),
            (&[0x2b, 0x92, 0x08, 0x00], "mp4a.40.5", 44_100, 2, 2048),
        ] {
            let parsed = AudioConfig::parse(config).unwrap();
            assert_eq!(
                (parsed.codec().as_str(), parsed.rate, parsed.channels()),
                (codec, rate, Some(channels))
            );
            assert_eq!(parsed.frame_samples(rate), frame);
        }
    }

    #[test]
    fn an_adts_header_is_what_ffmpeg_writes() {
        let config = AudioConfig::parse(&[0x11, 0x88]).unwrap();
        // `ffmpeg -f lavfi -i sine -ar 48000 -c:a aac out.aac`: profile LC, index 3, one channel.
        assert_eq!(config.adts_header(0x100 - 7).unwrap(), [0xff, 0xf1, 0x4c, 0x40, 0x20, 0x1f, 0xfc]);
        assert_eq!(config.adts_header(8_185), None);
        assert_eq!(config.adts_header(usize::MAX), None);
    }

    proptest! {
        #[test]
        fn no_config_panics(config in proptest::collection::vec(any::<u8>(), 0..12), frame in any::<usize>()) {
            if let Ok(parsed) = AudioConfig::parse(&config) {
                prop_assert!(parsed.rate > 0 && parsed.core_frame > 0);
                let _ = (parsed.adts_header(frame), parsed.codec(), parsed.frame_samples(parsed.rate));
            }
        }
    }
}
