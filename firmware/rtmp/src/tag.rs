//! The heads of media messages: FLV (Video File Format 10.1, E.4.2.1 and E.4.3.1) and Enhanced RTMP v2. Of several tracks in one
//! message the one with the id 0 counts, which is the default track.

use model::CodecKind;

/// What a video message holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Video<'a> {
    /// A decoder configuration record.
    Config(CodecKind, &'a [u8]),
    /// A coded picture.
    Picture {
        codec: CodecKind,
        /// Presentation time after decode time, milliseconds.
        composition: i32,
        data: &'a [u8],
    },
    /// Nothing to show: metadata, the end of a sequence, a seek.
    Other,
    /// A codec that cannot be passed on.
    Foreign(String),
}

/// What an audio message holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Audio<'a> {
    /// An AudioSpecificConfig.
    Config(&'a [u8]),
    /// A raw AAC frame.
    Frame(&'a [u8]),
    /// Nothing to hear.
    Other,
    /// A codec that cannot be passed on.
    Foreign(String),
}

/// Packet types that sound and pictures share (Enhanced RTMP v2).
mod packet {
    pub(super) const SEQUENCE_START: u8 = 0;
    pub(super) const CODED_FRAMES: u8 = 1;
    /// Video without a composition time.
    pub(super) const CODED_FRAMES_X: u8 = 3;
    pub(super) const AUDIO_MULTITRACK: u8 = 5;
    pub(super) const VIDEO_MULTITRACK: u8 = 6;
    pub(super) const MOD_EX: u8 = 7;
}

/// A seek or another command to the player, no picture.
const COMMAND_FRAME: u8 = 5;

/// Reads a video message; `None` where it ends early.
pub(crate) fn video(body: &[u8]) -> Option<Video<'_>> {
    let (&first, rest) = body.split_first()?;
    if first & 0x80 != 0 {
        return enhanced_video(first, rest);
    }
    if first >> 4 == COMMAND_FRAME {
        return Some(Video::Other);
    }
    let codec = match first & 0x0f {
        7 => CodecKind::H264,
        // Never in the standard, but cameras and drones of many makers send it.
        12 => CodecKind::H265,
        number => return Some(Video::Foreign(flv_video(number))),
    };
    let ([packet, time @ ..], data) = rest.split_first_chunk::<4>()?;
    Some(match *packet {
        0 => Video::Config(codec, data),
        1 => Video::Picture { codec, composition: signed(*time), data },
        _ => Video::Other,
    })
}

fn enhanced_video(first: u8, rest: &[u8]) -> Option<Video<'_>> {
    let (packet, rest) = past_mod_ex(first & 0x0f, rest)?;
    if first >> 4 & 7 == COMMAND_FRAME {
        return Some(Video::Other);
    }
    let Track { packet, four, data } = track(packet, packet::VIDEO_MULTITRACK, rest)?;
    let codec = match &four {
        _ if packet == NOT_THERE => return Some(Video::Other),
        b"avc1" => CodecKind::H264,
        b"hvc1" => CodecKind::H265,
        b"av01" => return Some(Video::Foreign("AV1".into())),
        b"vp08" => return Some(Video::Foreign("VP8".into())),
        b"vp09" => return Some(Video::Foreign("VP9".into())),
        b"vvc1" => return Some(Video::Foreign("H.266".into())),
        other => return Some(Video::Foreign(letters(*other))),
    };
    Some(match packet {
        packet::SEQUENCE_START => Video::Config(codec, data),
        packet::CODED_FRAMES => {
            let (time, data) = data.split_first_chunk::<3>()?;
            Video::Picture { codec, composition: signed(*time), data }
        }
        packet::CODED_FRAMES_X => Video::Picture { codec, composition: 0, data },
        _ => Video::Other,
    })
}

/// Reads an audio message; `None` where it ends early. An empty one is silence.
pub(crate) fn audio(body: &[u8]) -> Option<Audio<'_>> {
    let Some((&first, rest)) = body.split_first() else { return Some(Audio::Other) };
    match first >> 4 {
        10 => {
            let (&packet, data) = rest.split_first()?;
            Some(match packet {
                0 => Audio::Config(data),
                1 if !data.is_empty() => Audio::Frame(data),
                _ => Audio::Other,
            })
        }
        9 => enhanced_audio(first, rest),
        number => Some(Audio::Foreign(flv_audio(number))),
    }
}

fn enhanced_audio(first: u8, rest: &[u8]) -> Option<Audio<'_>> {
    let (packet, rest) = past_mod_ex(first & 0x0f, rest)?;
    let Track { packet, four, data } = track(packet, packet::AUDIO_MULTITRACK, rest)?;
    match &four {
        _ if packet == NOT_THERE => return Some(Audio::Other),
        b"mp4a" => {}
        b"Opus" => return Some(Audio::Foreign("Opus".into())),
        b"fLaC" => return Some(Audio::Foreign("FLAC".into())),
        b"ac-3" => return Some(Audio::Foreign("AC-3".into())),
        b"ec-3" => return Some(Audio::Foreign("E-AC-3".into())),
        b".mp3" => return Some(Audio::Foreign("MP3".into())),
        other => return Some(Audio::Foreign(letters(*other))),
    }
    Some(match packet {
        packet::SEQUENCE_START => Audio::Config(data),
        packet::CODED_FRAMES if !data.is_empty() => Audio::Frame(data),
        _ => Audio::Other,
    })
}

/// Passes over what modifies a packet, such as nanoseconds; gives the packet's own type.
fn past_mod_ex(mut packet: u8, mut rest: &[u8]) -> Option<(u8, &[u8])> {
    while packet == packet::MOD_EX {
        let (&length, after) = rest.split_first()?;
        let (length, after) = if length == u8::MAX {
            let (length, after) = after.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)) + 1, after)
        } else {
            (usize::from(length) + 1, after)
        };
        let (&next, after) = after.get(length..)?.split_first()?;
        packet = next & 0x0f;
        rest = after;
    }
    Some((packet, rest))
}

/// One track's packet.
struct Track<'a> {
    packet: u8,
    four: [u8; 4],
    data: &'a [u8],
}

/// Stands for the packet of a default track that a message lacks; real packet types have four bits.
const NOT_THERE: u8 = u8::MAX;

/// The packet of the default track; `None` where the message ends early.
fn track(packet: u8, multitrack: u8, rest: &[u8]) -> Option<Track<'_>> {
    if packet != multitrack {
        let (four, data) = rest.split_first_chunk()?;
        return Some(Track { packet, four: *four, data });
    }
    let (&kinds, mut rest) = rest.split_first()?;
    let (one, many_codecs, packet) = (kinds >> 4 == 0, kinds >> 4 == 2, kinds & 0x0f);
    let mut four = [0; 4];
    let mut codec = |rest: &mut &[u8]| {
        let (read, after) = rest.split_first_chunk()?;
        (four, *rest) = (*read, after);
        Some(four)
    };
    let mut common = if many_codecs { [0; 4] } else { codec(&mut rest)? };
    while !rest.is_empty() {
        if many_codecs {
            common = codec(&mut rest)?;
        }
        let (&id, after) = rest.split_first()?;
        let (data, after) = if one {
            (after, &[][..])
        } else {
            let ([a, b, c], after) = after.split_first_chunk()?;
            after.split_at_checked(u32::from_be_bytes([0, *a, *b, *c]) as usize)?
        };
        if id == 0 {
            return Some(Track { packet, four: common, data });
        }
        rest = after;
    }
    Some(Track { packet: NOT_THERE, four: common, data: &[] })
}

/// A signed number of 24 bits.
fn signed([a, b, c]: [u8; 3]) -> i32 {
    i32::from_be_bytes([a, b, c, 0]) >> 8
}

/// An unknown codec as far as it can be shown.
fn letters(four: [u8; 4]) -> String {
    four.iter().map(|byte| if byte.is_ascii_alphanumeric() { char::from(*byte) } else { '?' }).collect()
}

/// Video codecs of FLV by number (E.4.3.1).
fn flv_video(number: u8) -> String {
    match number {
        2 => "Sorenson H.263".into(),
        3 | 6 => "Screen Video".into(),
        4 | 5 => "VP6".into(),
        number => format!("FLV video {number}"),
    }
}

/// Sound formats of FLV by number (E.4.2.1).
fn flv_audio(number: u8) -> String {
    match number {
        0 | 3 => "PCM".into(),
        1 => "ADPCM".into(),
        2 | 14 => "MP3".into(),
        4..=6 => "Nellymoser".into(),
        7 => "G.711 A-law".into(),
        8 => "G.711 µ-law".into(),
        11 => "Speex".into(),
        13 => "Opus".into(),
        number => format!("FLV sound {number}"),
    }
}

#[cfg(test)]
mod tests;
