//! What comes in: formats and access units, as a camera session hands them over.

use core::num::NonZeroU32;

use bytes::Bytes;

/// Which elementary stream an access unit belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Track {
    /// The one video stream.
    Video,
    /// The one audio stream.
    Audio,
}

/// What a video stream needs beside its access units (ISO/IEC 14496-15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VideoFormat {
    /// ITU-T H.264: one SPS, one PPS (NAL units without start code or length).
    H264 {
        /// Sequence parameter set.
        sps: Bytes,
        /// Picture parameter set.
        pps: Bytes,
    },
    /// ITU-T H.265: one VPS, one SPS, one PPS (NAL units without start code or length).
    H265 {
        /// Video parameter set.
        vps: Bytes,
        /// Sequence parameter set.
        sps: Bytes,
        /// Picture parameter set.
        pps: Bytes,
    },
}

/// What an audio stream needs beside its frames. Only what browsers play in HLS is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AudioFormat {
    /// MPEG-4 AAC, with its AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1).
    Aac {
        /// AudioSpecificConfig.
        config: Bytes,
        /// Samples per second; also the RTP clock rate.
        sample_rate: NonZeroU32,
        /// Channels.
        channels: u16,
    },
}

/// What the stream is made of, from this access unit on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// The video stream.
    pub video: VideoFormat,
    /// The audio stream that is passed on, if any.
    pub audio: Option<AudioFormat>,
}

/// One access unit (video: one coded picture; audio: one AAC frame), in decode order within its track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessUnit {
    /// Its elementary stream.
    pub track: Track,
    /// Presentation stamp in units of `1 / clock_rate` s, extended beyond 32 bits by the depacketiser. Any value
    /// may come: equal, backward, jumping. Both tracks of one session start near the same zero.
    pub stamp: i64,
    /// Units of `stamp` per second (video 90 kHz, AAC its sample rate).
    pub clock_rate: NonZeroU32,
    /// When its last packet arrived, microseconds since 1970 on the box's clock. Used for
    /// PROGRAM-DATE-TIME and for joining the tracks' zeros, never for frame timing.
    pub arrival_us: i64,
    /// Decoding may start here (IDR, CRA, BLA; every audio frame).
    pub random_access: bool,
    /// Packets were lost right before or inside it.
    pub loss: bool,
    /// Video: NAL units, each after its length in four big-endian bytes, without parameter sets, access unit
    /// delimiters or filler (ISO/IEC 14496-15 sample format). Audio: a raw AAC frame without ADTS. One allocation of
    /// the exact size; every later stage shares it.
    pub data: Bytes,
}
