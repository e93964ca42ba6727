//! How a camera encodes a picture, what it could do instead, and what would play in every browser. Pure.
//!
//! The same settings are written in two ways: Media 1 (`tt:VideoEncoderConfiguration`, no H.265) and Media 2
//! (`tt:VideoEncoder2Configuration`). What is not ours to change is sent back as it came.

use core::fmt::Write as _;

use quick_xml::escape::escape;

use super::message::kept;
use super::xml::Element;

/// Longest text of a device that is sent back to it, bytes.
const MAX_ECHO: usize = 4096;
/// Most sizes and rates kept of a device's options.
const MAX_OPTIONS: usize = 64;
/// Pictures per second where a camera does not say how many.
const USUAL_FPS: f64 = 25.0;
/// What a bit rate may be above the ideal one before it is changed.
const GENEROUS: f64 = 1.25;
/// Below this part of the ideal bit rate a picture of that size is mud.
const FAR_TOO_LOW: f64 = 0.25;

/// One video encoder's settings.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Encoder {
    /// Token of the configuration.
    pub token: String,
    /// Its name.
    pub name: String,
    /// How many profiles use it, as the camera writes it.
    pub use_count: Option<String>,
    /// `H264`, `H265`, `JPEG`, ...
    pub encoding: String,
    /// Width and height in pixels; 0 when not said.
    pub size: (u32, u32),
    /// Quality on the camera's own scale, as it writes it.
    pub quality: Option<String>,
    /// Pictures per second at most; 0 when not said.
    pub fps: f64,
    /// Every which picture is encoded (Media 1).
    pub interval: Option<u32>,
    /// kbit/s at most; 0 when not said.
    pub kbps: u32,
    /// Pictures from one keyframe to the next; 0 when not said.
    pub gop: u32,
    /// The camera writes Media 2's attributes as elements and so reads them, too: against the schema, but seen.
    pub in_elements: bool,
    /// `Baseline`, `Main`, `High`, ...
    pub profile: Option<String>,
    /// Attributes of Media 2 that are only sent back: `ConstantBitRate`, `AnchorFrameDistance`, `GuaranteedFrameRate`.
    pub constant: Option<String>,
    /// See [`Encoder::constant`].
    pub anchor: Option<String>,
    /// See [`Encoder::constant`].
    pub guaranteed: Option<String>,
    /// Multicast settings, only sent back.
    pub multicast: Option<Element>,
    /// Session timeout (Media 1), only sent back.
    pub session_timeout: Option<String>,
}

/// What a camera can do in H.264. Empty lists and `None` mean that it does not say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Limits {
    /// Sizes in pixels.
    pub sizes: Vec<(u32, u32)>,
    /// Least and most pictures of a GOP.
    pub gop: Option<(u32, u32)>,
    /// Least and most pictures per second.
    pub fps: Option<(f64, f64)>,
    /// The only frame rates there are.
    pub rates: Vec<f64>,
    /// Least and most encoding interval.
    pub interval: Option<(u32, u32)>,
    /// Least and most kbit/s.
    pub kbps: Option<(u32, u32)>,
    /// H.264 profiles.
    pub profiles: Vec<String>,
    /// Least and most quality.
    pub quality: Option<(f64, f64)>,
}

/// What a camera says it can do.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Options {
    /// It does not say.
    #[default]
    Unknown,
    /// It can do H.264 within these limits.
    H264(Limits),
    /// It can do other things only.
    Other,
}

/// Whether an encoding is H.264, however it is written.
pub fn is_h264(encoding: &str) -> bool {
    plain(encoding) == "H264"
}

/// Upper case, without dots, dashes and blanks.
pub fn plain(encoding: &str) -> String {
    encoding.to_ascii_uppercase().replace(['.', '-', ' '], "")
}

impl Encoder {
    /// Reads a configuration of Media 1 or 2.
    pub fn read(element: &Element) -> Self {
        let text =
            |name: &str| element.child(name).map(|child| kept(&child.text)).filter(|text| !text.is_empty());
        let attribute = |name: &str| element.attribute(name).map(kept).filter(|text| !text.is_empty());
        let rate = element.child("RateControl");
        let rated = |name: &str| rate.and_then(|rate| rate.text_of(name));
        // Media 1 keeps what belongs to a codec in an element of its name.
        let h264 = element.child("H264");
        let codec = h264.or_else(|| element.child("MPEG4")).or_else(|| element.child("H265"));
        let gop = attribute("GovLength")
            .or_else(|| text("GovLength"))
            .or_else(|| codec.and_then(|codec| codec.text_of("GovLength")).map(kept));
        Self {
            token: attribute("token").unwrap_or_default(),
            name: text("Name").unwrap_or_default(),
            use_count: text("UseCount"),
            encoding: text("Encoding").unwrap_or_default(),
            size: element.child("Resolution").map_or((0, 0), size),
            quality: text("Quality"),
            fps: rated("FrameRateLimit").map_or(0.0, positive),
            interval: rated("EncodingInterval").and_then(|text| text.parse().ok()),
            kbps: rated("BitrateLimit").map_or(0, whole),
            gop: gop.as_deref().map_or(0, whole),
            in_elements: element.child("GovLength").is_some(),
            profile: attribute("Profile")
                .or_else(|| text("Profile"))
                .or_else(|| h264?.text_of("H264Profile").map(kept)),
            constant: rate.and_then(|rate| rate.attribute("ConstantBitRate")).map(kept),
            anchor: attribute("AnchorFrameDistance"),
            guaranteed: attribute("GuaranteedFrameRate"),
            multicast: element.child("Multicast").cloned(),
            session_timeout: text("SessionTimeout"),
        }
    }

    /// Pictures per second, guessed where the camera does not say.
    fn pace(&self) -> f64 {
        if self.fps > 0.0 { self.fps } else { USUAL_FPS }
    }

    /// The settings that play in every browser, as near to these as the camera allows; equal to these when nothing needs to
    /// change. `None` when it cannot do H.264.
    pub fn improved(&self, options: &Options) -> Option<Self> {
        let unlimited = Limits::default();
        let limits = match options {
            Options::H264(limits) => limits,
            Options::Unknown => &unlimited,
            // What it does now it can do, whatever its options say.
            Options::Other if is_h264(&self.encoding) => &unlimited,
            Options::Other => return None,
        };
        let is_h264 = is_h264(&self.encoding);
        let mut new = self.clone();
        if !is_h264 {
            "H264".clone_into(&mut new.encoding);
            new.size = limits.nearest_size(self.size);
            new.fps = limits.nearest_rate(self.pace());
            new.profile = Some(limits.profile(None));
        }
        let second = (new.pace().round() as u32).clamp(1, 1000);
        // Half a second to one second is as good.
        if new.gop > second || new.gop < second.div_ceil(2) {
            new.gop = within(second, limits.gop);
        }
        let ideal = f64::from(ideal_kbps(new.size));
        let rate = f64::from(self.kbps);
        if rate > ideal * GENEROUS || rate < ideal * FAR_TOO_LOW {
            new.kbps = within(ideal as u32, limits.kbps);
        }
        if new == *self {
            return Some(new);
        }
        new.profile = Some(limits.profile(new.profile.as_deref()));
        if let (Some(_), Some((least, _))) = (new.interval, limits.interval) {
            // Each picture counts, or a GOP of so many pictures would last longer than meant.
            new.interval = Some(least.max(1));
        }
        if new.quality.is_none() {
            new.quality =
                limits.quality.map(|(least, most)| format!("{}", f64::midpoint(least, most).round()));
        }
        Some(new)
    }

    /// The `Configuration` element of a SetVideoEncoderConfiguration; the prefix `tt` must be bound to the schema.
    pub fn xml(&self, media2: bool) -> String {
        let mut out = String::from("<Configuration");
        let mut attribute = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                let _ = write!(out, " {name}=\"{}\"", escape(value));
            }
        };
        attribute("token", Some(&self.token));
        if media2 {
            attribute("GovLength", Some(&self.gop.to_string()));
            attribute("AnchorFrameDistance", self.anchor.as_deref());
            attribute("Profile", self.profile.as_deref());
        }
        attribute("GuaranteedFrameRate", self.guaranteed.as_deref());
        let (width, height) = self.size;
        let (fps, kbps) = (self.pace(), self.kbps);
        let _ = write!(
            out,
            "><tt:Name>{}</tt:Name><tt:UseCount>{}</tt:UseCount><tt:Encoding>{}</tt:Encoding>\
             <tt:Resolution><tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height></tt:Resolution>",
            escape(self.name.as_str()),
            escape(self.use_count.as_deref().unwrap_or("1")),
            escape(self.encoding.as_str()),
        );
        let quality = format!("<tt:Quality>{}</tt:Quality>", escape(self.quality.as_deref().unwrap_or("4")));
        let multicast = self.multicast.as_ref().map(echo).filter(|text| text.len() <= MAX_ECHO);
        let multicast = multicast.unwrap_or_else(|| NO_MULTICAST.into());
        if media2 {
            let constant = self
                .constant
                .as_deref()
                .map_or_else(String::new, |value| format!(" ConstantBitRate=\"{}\"", escape(value)));
            let _ = write!(
                out,
                "<tt:RateControl{constant}><tt:FrameRateLimit>{fps}</tt:FrameRateLimit>\
                 <tt:BitrateLimit>{kbps}</tt:BitrateLimit></tt:RateControl>{multicast}{quality}"
            );
            if self.in_elements {
                let profile = self.profile.as_deref().unwrap_or("Main");
                let (gop, profile) = (self.gop, escape(profile));
                let _ = write!(out, "<tt:GovLength>{gop}</tt:GovLength><tt:Profile>{profile}</tt:Profile>");
            }
        } else {
            let _ = write!(
                out,
                "{quality}<tt:RateControl><tt:FrameRateLimit>{}</tt:FrameRateLimit>\
                 <tt:EncodingInterval>{}</tt:EncodingInterval><tt:BitrateLimit>{kbps}</tt:BitrateLimit></tt:RateControl>\
                 <tt:H264><tt:GovLength>{}</tt:GovLength><tt:H264Profile>{}</tt:H264Profile></tt:H264>{multicast}\
                 <tt:SessionTimeout>{}</tt:SessionTimeout>",
                fps.round(),
                self.interval.unwrap_or(1),
                self.gop,
                escape(self.profile.as_deref().unwrap_or("Main")),
                escape(self.session_timeout.as_deref().unwrap_or("PT60S")),
            );
        }
        out.push_str("</Configuration>");
        out
    }
}

/// What the schema asks for where a camera has nothing: no multicast.
const NO_MULTICAST: &str = "<tt:Multicast><tt:Address><tt:Type>IPv4</tt:Type><tt:IPv4Address>0.0.0.0</tt:IPv4Address></tt:Address><tt:Port>0</tt:Port><tt:TTL>1</tt:TTL><tt:AutoStart>false</tt:AutoStart></tt:Multicast>";

impl Options {
    /// Reads a GetVideoEncoderConfigurationOptionsResponse of Media 1 (ONVIF Media 5.4.7).
    pub fn read(answer: &Element) -> Self {
        let Some(options) = answer.child("Options") else { return Self::Unknown };
        let extension = options.child("Extension").and_then(|extension| extension.child("H264"));
        let Some(h264) = options.child("H264").or(extension) else {
            let other = options.child("JPEG").is_some() || options.child("MPEG4").is_some();
            return if other { Self::Other } else { Self::Unknown };
        };
        let bit_rates = extension.unwrap_or(h264).child("BitrateRange");
        Self::H264(Limits {
            sizes: sizes(h264),
            gop: h264.child("GovLengthRange").and_then(range),
            fps: h264.child("FrameRateRange").and_then(range),
            rates: Vec::new(),
            interval: h264.child("EncodingIntervalRange").and_then(range),
            kbps: bit_rates.and_then(range),
            profiles: texts(h264, "H264ProfilesSupported"),
            quality: options.child("QualityRange").and_then(range),
        })
    }

    /// Reads a GetVideoEncoderConfigurationOptionsResponse of Media 2 (ONVIF Media 2, 5.4.4): one `Options` per encoding.
    pub fn read2(answer: &Element) -> Self {
        let mut all = answer.children.iter().filter(|child| child.name == "Options").peekable();
        if all.peek().is_none() {
            return Self::Unknown;
        }
        // Against the schema, but seen (onvif-device-rs): options that name no encoding.
        if !answer.children.iter().any(|options| options.child("Encoding").is_some()) {
            return Self::Unknown;
        }
        let encoding =
            |options: &&Element| options.child("Encoding").is_some_and(|encoding| is_h264(&encoding.text));
        let Some(options) = all.find(encoding) else { return Self::Other };
        let list =
            |name: &str| options.attribute(name).unwrap_or_default().split_whitespace().take(MAX_OPTIONS);
        let mut gop = list("GovLengthRange").filter_map(|text| text.parse().ok());
        let gop = gop.next().zip(gop.next()).filter(|(least, most)| least <= most);
        let mut profiles: Vec<String> = list("ProfilesSupported").map(kept).collect();
        if profiles.is_empty() {
            profiles = texts(options, "ProfilesSupported");
        }
        Self::H264(Limits {
            sizes: sizes(options),
            // Elements as in Media 1: see `Encoder::in_elements`.
            gop: gop.or_else(|| range(options.child("GovLengthRange")?)),
            fps: options.child("FrameRateRange").and_then(range),
            rates: list("FrameRatesSupported").map(positive).filter(|rate| *rate > 0.0).collect(),
            interval: None,
            kbps: options.child("BitrateRange").and_then(range),
            profiles,
            quality: options.child("QualityRange").and_then(range),
        })
    }
}

impl Limits {
    /// The size itself, else the largest that is not larger, else the smallest.
    fn nearest_size(&self, size: (u32, u32)) -> (u32, u32) {
        if self.sizes.is_empty() || self.sizes.contains(&size) {
            return size;
        }
        let fitting = self.sizes.iter().filter(|other| size == (0, 0) || area(**other) <= area(size));
        fitting
            .max_by_key(|other| area(**other))
            .or_else(|| self.sizes.iter().min_by_key(|other| area(**other)))
            .copied()
            .unwrap_or(size)
    }

    /// The rate itself where there is no other word, else the next one below it, else the lowest.
    fn nearest_rate(&self, fps: f64) -> f64 {
        let fps = match self.fps {
            Some((least, most)) => fps.clamp(least, most),
            None => fps,
        };
        let below = self.rates.iter().copied().filter(|rate| *rate <= fps).reduce(f64::max);
        below.or_else(|| self.rates.iter().copied().reduce(f64::min)).unwrap_or(fps)
    }

    /// The profile itself where the camera has it, else Main, else the first it has.
    fn profile(&self, wanted: Option<&str>) -> String {
        let has = |name: &str| self.profiles.iter().any(|known| known == name);
        match wanted {
            Some(name) if self.profiles.is_empty() || has(name) => name.to_owned(),
            _ if self.profiles.is_empty() || has("Main") => "Main".to_owned(),
            _ => self.profiles.first().cloned().unwrap_or_default(),
        }
    }
}

/// kbit/s that show a picture of this size well in H.264 at a camera's usual movement: 4 Mbit/s for 1080p, 2 for 720p.
fn ideal_kbps(size: (u32, u32)) -> u32 {
    match area(size) {
        0 => 2_000,
        pixels if pixels >= 3840 * 2160 => 8_000,
        pixels if pixels >= 2560 * 1440 => 6_000,
        pixels if pixels >= 1920 * 1080 => 4_000,
        pixels if pixels >= 1280 * 720 => 2_000,
        pixels if pixels >= 640 * 480 => 1_000,
        _ => 512,
    }
}

fn area(size: (u32, u32)) -> u64 {
    u64::from(size.0) * u64::from(size.1)
}

fn within(value: u32, range: Option<(u32, u32)>) -> u32 {
    range.map_or(value, |(least, most)| value.clamp(least, most))
}

fn whole(text: &str) -> u32 {
    // A float to an integer saturates, and what is no number is 0.
    text.parse().unwrap_or_else(|_| positive(text) as u32)
}

fn positive(text: &str) -> f64 {
    text.parse().ok().filter(|value: &f64| value.is_finite() && *value > 0.0 && *value <= 1e6).unwrap_or(0.0)
}

fn size(element: &Element) -> (u32, u32) {
    let side = |name| element.text_of(name).map_or(0, whole);
    (side("Width"), side("Height"))
}

fn sizes(options: &Element) -> Vec<(u32, u32)> {
    let all = options.children.iter().filter(|child| child.name == "ResolutionsAvailable").map(size);
    all.filter(|size| area(*size) > 0).take(MAX_OPTIONS).collect()
}

/// The texts of all elements of a name directly in another.
fn texts(element: &Element, name: &str) -> Vec<String> {
    let all = element.children.iter().filter(|child| child.name == name);
    all.map(|child| kept(&child.text)).take(MAX_OPTIONS).collect()
}

/// `Min` and `Max`; `None` when they are not numbers or stand the wrong way round.
fn range<T: core::str::FromStr + PartialOrd>(element: &Element) -> Option<(T, T)> {
    let least = element.text_of("Min")?.parse().ok()?;
    let most = element.text_of("Max")?.parse().ok()?;
    (least <= most).then_some((least, most))
}

/// An element as it came, in the schema's namespace, without attributes.
fn echo(element: &Element) -> String {
    let name = escape(element.name.as_str());
    let inside: String = element.children.iter().map(echo).collect();
    format!("<tt:{name}>{}{inside}</tt:{name}>", escape(element.text.as_str()))
}

#[cfg(test)]
mod tests;
