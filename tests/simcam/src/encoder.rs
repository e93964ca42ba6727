//! The video encoder of a stream as ONVIF sees it, and what a client may change of it.
//!
//! Invariant: what is streamed follows what was set as far as the clips go: the clip of that codec whose distance between
//! keyframes is nearest. A codec without a clip is not offered.

use std::sync::{Arc, atomic::Ordering};

use crate::{
    camera::{Camera, Reel, Stream, lock},
    clip::Codec,
    onvif::{escape, unescape},
    quirks::Obedience,
    wsd::element,
};

/// Pixels that are offered beside the first.
const SIZES: [(u32, u32); 3] = [(1920, 1080), (1280, 720), (640, 360)];
/// Shortest and longest distance between keyframes, pictures.
const GOP: (u32, u32) = (1, 400);
/// Lowest and highest bit rate, kbit/s.
const KBPS: (u32, u32) = (32, 16_384);

/// What was set.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Setting {
    /// Which of [`Stream::reels`] plays.
    pub(crate) reel: usize,
    pub(crate) codec: Codec,
    size: (u32, u32),
    fps: u32,
    kbps: u32,
    gop: u32,
}

impl Setting {
    /// As a camera comes: what its first clip is, of a size that impresses.
    pub(crate) fn of(reel: &Reel, main: bool) -> Self {
        Self {
            reel: 0,
            codec: reel.codec,
            size: if main { SIZES[0] } else { SIZES[2] },
            fps: reel.fps.round() as u32,
            kbps: if main { 4096 } else { 512 },
            gop: reel.gop,
        }
    }
}

/// Pictures from the first keyframe to the next; all where there is only one.
pub(crate) fn gop(keys: impl Iterator<Item = bool>) -> u32 {
    let mut count = 0;
    for (number, key) in keys.enumerate() {
        if key && number > 0 {
            return number as u32;
        }
        count = number as u32 + 1;
    }
    count
}

const fn word(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "H264",
        Codec::H265 => "H265",
    }
}

/// The codecs that a stream has clips of.
fn codecs(stream: &Stream) -> impl Iterator<Item = Codec> {
    [Codec::H264, Codec::H265]
        .into_iter()
        .filter(|codec| stream.reels.iter().any(|reel| reel.codec == *codec))
}

/// The inside of a configuration, its element's name and attributes around it; `None` where Media 1 has no words for it.
fn configuration(stream: &Stream, name: &str, media2: bool) -> Option<String> {
    let now = lock(&stream.setting).clone();
    let token = &stream.token;
    let Setting { codec, size: (width, height), fps, kbps, gop, .. } = now;
    let common = format!(
        "<tt:Name>v-{token}</tt:Name><tt:UseCount>1</tt:UseCount><tt:Encoding>{}</tt:Encoding>\
         <tt:Resolution><tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height></tt:Resolution>",
        word(codec)
    );
    let multicast = "<tt:Multicast><tt:Address><tt:Type>IPv4</tt:Type><tt:IPv4Address>0.0.0.0</tt:IPv4Address></tt:Address>\
                     <tt:Port>0</tt:Port><tt:TTL>1</tt:TTL><tt:AutoStart>false</tt:AutoStart></tt:Multicast>";
    if media2 {
        return Some(format!(
            "<{name} token=\"v-{token}\" GovLength=\"{gop}\" Profile=\"Main\">{common}<tt:RateControl ConstantBitRate=\"false\">\
             <tt:FrameRateLimit>{fps}</tt:FrameRateLimit><tt:BitrateLimit>{kbps}</tt:BitrateLimit></tt:RateControl>\
             {multicast}<tt:Quality>3</tt:Quality></{name}>"
        ));
    }
    // the first media service has no word for H.265 (tt:VideoEncoding)
    (codec == Codec::H264).then(|| {
        format!(
            "<{name} token=\"v-{token}\">{common}<tt:Quality>3</tt:Quality><tt:RateControl>\
             <tt:FrameRateLimit>{fps}</tt:FrameRateLimit><tt:EncodingInterval>1</tt:EncodingInterval>\
             <tt:BitrateLimit>{kbps}</tt:BitrateLimit></tt:RateControl>\
             <tt:H264><tt:GovLength>{gop}</tt:GovLength><tt:H264Profile>Main</tt:H264Profile></tt:H264>\
             {multicast}<tt:SessionTimeout>PT60S</tt:SessionTimeout></{name}>"
        )
    })
}

/// GetProfilesResponse.
pub(crate) fn profiles(camera: &Camera, media2: bool) -> String {
    let mut text = String::new();
    for stream in &camera.streams {
        let token = &stream.token;
        let source = format!(
            "<tt:Name>{name}</tt:Name><tt:UseCount>2</tt:UseCount><tt:SourceToken>source-{number}</tt:SourceToken>\
             <tt:Bounds x=\"0\" y=\"0\" width=\"1920\" height=\"1080\"/>",
            name = escape(&stream.source_name),
            number = stream.source,
        );
        text += &if media2 {
            let encoder = configuration(stream, "tr2:VideoEncoder", true).unwrap_or_default();
            format!(
                "<tr2:Profiles token=\"{token}\" fixed=\"true\"><tr2:Name>{token}</tr2:Name><tr2:Configurations>\
                 <tr2:VideoSource token=\"s-{token}\">{source}</tr2:VideoSource>{encoder}</tr2:Configurations></tr2:Profiles>"
            )
        } else {
            let encoder = configuration(stream, "tt:VideoEncoderConfiguration", false).unwrap_or_default();
            format!(
                "<trt:Profiles token=\"{token}\" fixed=\"true\"><tt:Name>{token}</tt:Name>\
                 <tt:VideoSourceConfiguration token=\"s-{token}\">{source}</tt:VideoSourceConfiguration>{encoder}</trt:Profiles>"
            )
        };
    }
    let prefix = if media2 { "tr2" } else { "trt" };
    format!("<{prefix}:GetProfilesResponse>{text}</{prefix}:GetProfilesResponse>")
}

/// GetVideoEncoderConfiguration (Media 1) and GetVideoEncoderConfigurations (both).
pub(crate) fn configurations(camera: &Camera, action: &str, body: &str, media2: bool) -> Option<String> {
    let wanted = element(body, "ConfigurationToken").map(|token| unescape(token.trim()));
    let of = |stream: &&Stream| wanted.as_ref().is_none_or(|token| *token == format!("v-{}", stream.token));
    let prefix = if media2 { "tr2" } else { "trt" };
    let plural = if action.ends_with('s') { "s" } else { "" };
    let name = format!("{prefix}:Configuration{plural}");
    let all: Vec<String> =
        camera.streams.iter().filter(of).filter_map(|stream| configuration(stream, &name, media2)).collect();
    if wanted.is_some() && all.is_empty() {
        return None;
    }
    Some(format!("<{prefix}:{action}Response>{}</{prefix}:{action}Response>", all.concat()))
}

/// GetVideoEncoderConfigurationOptions.
pub(crate) fn options(camera: &Camera, body: &str, media2: bool) -> Option<String> {
    let stream = configured(camera, element(body, "ConfigurationToken"))?;
    let fps = stream.reels.first().map_or(25.0, |reel| reel.fps).round() as u32;
    let sizes: String = SIZES
        .iter()
        .map(|(width, height)| {
            format!(
                "<tt:ResolutionsAvailable><tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height></tt:ResolutionsAvailable>"
            )
        })
        .collect();
    let range = |name: &str, (least, most): (u32, u32)| {
        format!("<tt:{name}><tt:Min>{least}</tt:Min><tt:Max>{most}</tt:Max></tt:{name}>")
    };
    let quality = range("QualityRange", (0, 5));
    let name = "GetVideoEncoderConfigurationOptionsResponse";
    if media2 {
        let all: String = codecs(stream)
            .map(|codec| {
                format!(
                    "<tr2:Options GovLengthRange=\"{} {}\" FrameRatesSupported=\"{fps} 15 10 5 1\" ProfilesSupported=\"Main\">\
                     <tt:Encoding>{}</tt:Encoding>{quality}{sizes}{}</tr2:Options>",
                    GOP.0,
                    GOP.1,
                    word(codec),
                    range("BitrateRange", KBPS)
                )
            })
            .collect();
        return Some(format!("<tr2:{name}>{all}</tr2:{name}>"));
    }
    let h264 = codecs(stream).any(|codec| codec == Codec::H264).then(|| {
        format!(
            "<tt:H264>{sizes}{}{}{}<tt:H264ProfilesSupported>Main</tt:H264ProfilesSupported></tt:H264>",
            range("GovLengthRange", GOP),
            range("FrameRateRange", (1, fps)),
            range("EncodingIntervalRange", (1, 1))
        )
    });
    let other = "<tt:JPEG></tt:JPEG>".to_owned();
    Some(format!("<trt:{name}><trt:Options>{quality}{}</trt:Options></trt:{name}>", h264.unwrap_or(other)))
}

/// SetVideoEncoderConfiguration.
///
/// # Errors
/// The fault's code.
pub(crate) fn set(camera: &Camera, body: &str, media2: bool) -> Result<String, &'static str> {
    let obedience = lock(&camera.quirks).encoder;
    if obedience == Obedience::Refused {
        return Err("ter:ConfigurationConflict");
    }
    if !media2 && element(body, "ForcePersistence").map(str::trim) != Some("true") {
        return Err("ter:InvalidArgVal");
    }
    let token = attribute(body, "Configuration", "token");
    let stream = configured(camera, token).ok_or("ter:NoConfig")?;
    let text = |name: &str| element(body, name).map(str::trim);
    let number = |name: &str| text(name).and_then(|text| text.parse().ok()).ok_or("ter:InvalidArgVal");
    let codec = match text("Encoding") {
        Some("H264") => Codec::H264,
        Some("H265") if media2 => Codec::H265,
        _ => return Err("ter:InvalidArgVal"),
    };
    let gop = if media2 {
        attribute(body, "Configuration", "GovLength")
            .and_then(|text| text.parse().ok())
            .ok_or("ter:InvalidArgVal")?
    } else {
        number("GovLength")?
    };
    let size = (number("Width")?, number("Height")?);
    let (fps, kbps) = (number("FrameRateLimit")?, number("BitrateLimit")?);
    let inside = |value: u32, (least, most): (u32, u32)| (least..=most).contains(&value);
    let most = stream.reels.first().map_or(25.0, |reel| reel.fps).round() as u32;
    let reel = stream
        .reels
        .iter()
        .enumerate()
        .filter(|(_, reel)| reel.codec == codec)
        .min_by_key(|(_, reel)| reel.gop.abs_diff(gop))
        .map(|(at, _)| at)
        .ok_or("ter:ConfigModify")?;
    if !SIZES.contains(&size) || !inside(gop, GOP) || !inside(kbps, KBPS) || !inside(fps, (1, most)) {
        return Err("ter:ConfigModify");
    }
    if obedience == Obedience::Obeyed {
        let mut now = lock(&stream.setting);
        let other = now.codec != codec;
        *now = Setting { reel, codec, size, fps, kbps, gop };
        drop(now);
        camera.changes.fetch_add(1, Ordering::Relaxed);
        if other {
            // as cameras do: a session has one codec
            camera.dropped.send_modify(|count| *count += 1);
        }
    }
    let prefix = if media2 { "tr2" } else { "trt" };
    Ok(format!("<{prefix}:SetVideoEncoderConfigurationResponse/>"))
}

/// The stream of a configuration's token.
fn configured<'a>(camera: &'a Camera, token: Option<&str>) -> Option<&'a Stream> {
    let token = unescape(token?.trim());
    camera.streams.iter().find(|stream| token == format!("v-{}", stream.token))
}

/// An attribute of the first element of a name.
fn attribute<'a>(xml: &'a str, name: &str, attribute: &str) -> Option<&'a str> {
    let mut rest = xml;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let tag = &rest[..rest.find('>')?];
        let qualified = tag.split([' ', '\t', '\r', '\n', '/']).next().unwrap_or_default();
        if !tag.starts_with('/') && qualified.rsplit(':').next() == Some(name) {
            let (_, value) = tag.split_once(&format!(" {attribute}=\""))?;
            return value.split_once('"').map(|(value, _)| value);
        }
    }
    None
}

/// Which reel plays: what a quirk forces, else what was set.
pub(crate) fn playing(stream: &Stream, second: bool) -> Option<(usize, &Arc<Reel>)> {
    let at = if second && stream.has_second { 1 } else { lock(&stream.setting).reel };
    stream.reels.get(at).map(|reel| (at, reel))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_between_keyframes_is_measured() {
        assert_eq!(gop([true, false, false, true, false].into_iter()), 3);
        assert_eq!(gop([true, false].into_iter()), 2);
    }

    #[test]
    fn attributes_are_those_of_the_element() {
        let xml = "<a token=\"x\"><trt:Configuration token=\"v-main\" GovLength=\"25\">";
        assert_eq!(attribute(xml, "Configuration", "token"), Some("v-main"));
        assert_eq!(attribute(xml, "Configuration", "GovLength"), Some("25"));
        assert_eq!(attribute(xml, "Configuration", "Length"), None);
    }
}
