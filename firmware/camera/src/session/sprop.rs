//! Parameter sets out of a session description (RFC 6184, 8.1; RFC 7798, 7.1). Pure; hostile text never panics.
//!
//! Retina reads them too, but refuses all of them for one stray character (VLC ends its list with `;`), and a camera that then
//! sends none in band would never be seen. What is read here stands in for that case.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use media::VideoFormat;

/// The parameter sets in the format parameters of an `h264` or `h265` encoding: one of each kind, all of them there, and
/// an SPS that can be read.
pub fn parameter_sets(encoding: &str, parameters: &str) -> Option<VideoFormat> {
    let format = match encoding {
        "h264" => {
            let sets: Vec<Bytes> =
                value(parameters, "sprop-parameter-sets")?.split(',').filter_map(nal).collect();
            let first = |kind: u8| {
                sets.iter().find(|set| set.first().is_some_and(|head| head & 0x1f == kind)).cloned()
            };
            VideoFormat::H264 { sps: first(media::h264::SPS)?, pps: first(media::h264::PPS)? }
        }
        "h265" => {
            let set = |name: &str| value(parameters, name).and_then(|sets| sets.split(',').find_map(nal));
            VideoFormat::H265 { vps: set("sprop-vps")?, sps: set("sprop-sps")?, pps: set("sprop-pps")? }
        }
        _ => return None,
    };
    format.facts().is_ok().then_some(format)
}

/// The value of a parameter; names are not case-sensitive (RFC 8866, 6.15).
fn value<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = parameters.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// A NAL unit with more than its header.
fn nal(text: &str) -> Option<Bytes> {
    let bytes = STANDARD.decode(text.trim()).ok()?;
    (bytes.len() > 2).then(|| bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const H264: &str = "packetization-mode=1;sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==;profile-level-id=42c01e;";

    #[test]
    fn a_stray_semicolon_costs_nothing() {
        let Some(VideoFormat::H264 { sps, pps }) = parameter_sets("h264", H264) else {
            panic!("no parameter sets");
        };
        assert_eq!((sps[0], pps[0]), (0x67, 0x68));
    }

    #[test]
    fn half_of_them_are_none() {
        assert_eq!(parameter_sets("h264", "sprop-parameter-sets=aMuMsg=="), None);
        assert_eq!(parameter_sets("h264", &H264.replace("aMuMsg==", "")), None);
        assert_eq!(parameter_sets("h265", "sprop-sps=QgEBAWAAAAMAsAAAAwAAAwBdoAKAgC0WUrpKTK5AQ"), None);
        assert_eq!(parameter_sets("jpeg", H264), None);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(encoding in "h264|h265", text in "(sprop-(parameter-sets|vps|sps|pps)=[A-Za-z0-9+/=,]{0,40};?){0,4}") {
            let _ = parameter_sets(&encoding, &text);
        }
    }
}
