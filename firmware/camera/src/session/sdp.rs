//! What a session description offers (RFC 8866), read before retina reads it. Pure; hostile bytes never panic.

use model::Trouble;

use super::limits::{SDP_BYTES, SDP_MEDIA};

/// What a description offers, in its own order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offer {
    /// The media.
    pub media: Vec<Medium>,
}

/// One `m=` section.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Medium {
    /// `video`, `audio`, `application`, ... in lower case.
    pub kind: String,
    /// Encoding name of its first payload type, in lower case (RFC 4855); empty when it is not said.
    pub encoding: String,
    /// The camera wants to hear, not to be heard (ONVIF back channel).
    pub back_channel: bool,
    /// Its format parameters (`a=fmtp`) as they stand.
    pub parameters: String,
}

/// Reads a description.
///
/// # Errors
/// [`Trouble::TooLarge`] over 64 KiB or 16 media, [`Trouble::NoVideo`] without video,
/// [`Trouble::UnsupportedCodec`] when none of its videos is H.264 or H.265.
pub fn examine(sdp: &[u8]) -> Result<Offer, Trouble> {
    if sdp.len() > SDP_BYTES {
        return Err(Trouble::TooLarge { what: "description of the stream".into() });
    }
    let text = String::from_utf8_lossy(sdp);
    let mut offer = Offer::default();
    let mut payload_type = "";
    for line in text.split(['\r', '\n']) {
        let line = line.trim_matches(|c: char| c == ' ' || c == '\0');
        if let Some(medium) = line.strip_prefix("m=") {
            if offer.media.len() == SDP_MEDIA {
                return Err(Trouble::TooLarge { what: "number of media in the description".into() });
            }
            let mut words = medium.split_ascii_whitespace();
            let kind = words.next().unwrap_or_default().to_ascii_lowercase();
            payload_type = words.nth(2).unwrap_or_default();
            let encoding = static_encoding(payload_type).to_owned();
            offer.media.push(Medium { kind, encoding, ..Medium::default() });
        } else if let (Some(attribute), Some(medium)) = (line.strip_prefix("a="), offer.media.last_mut()) {
            if attribute == "sendonly" {
                medium.back_channel = true;
            } else if let Some((payload, name)) =
                attribute.strip_prefix("rtpmap:").and_then(|map| map.trim().split_once(' '))
                && payload == payload_type
            {
                let name = name.trim().split('/').next().unwrap_or_default();
                medium.encoding = name.to_ascii_lowercase();
            } else if let Some((payload, parameters)) =
                attribute.strip_prefix("fmtp:").and_then(|map| map.trim().split_once(' '))
                && payload == payload_type
            {
                parameters.trim().clone_into(&mut medium.parameters);
            }
        }
    }
    let mut videos = offer.media.iter().filter(|medium| medium.kind == "video").peekable();
    match videos.peek() {
        None => Err(Trouble::NoVideo),
        Some(first) => {
            let first = codec_name(&first.encoding);
            if videos.any(|video| is_playable(&video.encoding)) {
                Ok(offer)
            } else {
                Err(Trouble::UnsupportedCodec { codec: first })
            }
        }
    }
}

/// Whether the box passes a video encoding on.
pub fn is_playable(encoding: &str) -> bool {
    matches!(encoding, "h264" | "h265")
}

/// A codec's name as its owner knows it.
pub fn codec_name(encoding: &str) -> String {
    match encoding {
        "h264" => "H.264",
        "h265" => "H.265",
        "jpeg" => "MJPEG",
        "mp4v-es" => "MPEG-4 Visual",
        "mpv" => "MPEG-1/2 video",
        "mp2t" => "MPEG-TS",
        "h263" | "h263-1998" | "h263-2000" => "H.263",
        "pcma" | "pcmu" => "G.711",
        "mpeg4-generic" | "mp4a-latm" => "AAC",
        "opus" => "Opus",
        "g722" => "G.722",
        "g723" => "G.723",
        "l16" => "L16 (uncompressed)",
        "" => "an unnamed codec",
        other if other.starts_with("g726") || other.starts_with("aal2-g726") => "G.726",
        other => {
            let named: String = other.chars().filter(char::is_ascii_graphic).take(32).collect();
            return named.to_ascii_uppercase();
        }
    }
    .to_owned()
}

/// Static payload types (RFC 3551, tables 4 and 5) that cameras use.
fn static_encoding(payload_type: &str) -> &'static str {
    match payload_type {
        "0" => "pcmu",
        "4" => "g723",
        "8" => "pcma",
        "9" => "g722",
        "10" | "11" => "l16",
        "14" => "mpa",
        "26" => "jpeg",
        "32" => "mpv",
        "33" => "mp2t",
        "34" => "h263",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_cannot_be_played_is_named() {
        let codec = |sdp: &str| match examine(sdp.as_bytes()) {
            Err(Trouble::UnsupportedCodec { codec }) => codec,
            other => panic!("{other:?}"),
        };
        assert_eq!(codec("m=video 0 RTP/AVP 26\r\n"), "MJPEG");
        assert_eq!(codec("m=video 0 RTP/AVP 96\r\na=rtpmap:96 MP4V-ES/90000\r\n"), "MPEG-4 Visual");
        assert_eq!(codec("m=video 0 RTP/AVP 96\na=rtpmap:96 AV1/90000\n"), "AV1");
        assert_eq!(examine(b"v=0\r\nm=audio 0 RTP/AVP 8\r\n"), Err(Trouble::NoVideo));
        assert_eq!(examine(b""), Err(Trouble::NoVideo));
    }

    #[test]
    fn a_playable_video_among_others_is_enough() {
        let sdp = "m=video 0 RTP/AVP 26\r\nm=video 0 RTP/AVP 97\r\na=rtpmap:97 H265/90000\r\nm=audio 0 RTP/AVP 0\r\na=sendonly\r\n";
        let offer = examine(sdp.as_bytes()).unwrap();
        let encodings: Vec<_> = offer.media.iter().map(|medium| medium.encoding.as_str()).collect();
        assert_eq!(encodings, ["jpeg", "h265", "pcmu"]);
        assert!(offer.media[2].back_channel);
    }

    #[test]
    fn more_than_a_camera_says_is_too_large() {
        let many = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n".repeat(17);
        assert!(matches!(examine(many.as_bytes()), Err(Trouble::TooLarge { .. })));
        assert!(matches!(examine(&vec![b'a'; 65_537]), Err(Trouble::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes: Vec<u8>, lines in "(m=(video|audio)|a=(rtpmap:|fmtp:|control:)?|[ -~]{0,9}|\r\n|\0){0,40}") {
            let _ = examine(&bytes);
            let _ = examine(lines.as_bytes());
        }
    }
}
