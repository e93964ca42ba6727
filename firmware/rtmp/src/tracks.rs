//! The two tracks of one publisher: media messages in, formats and access units out.
//!
//! * A format is told right before the first unit that needs it, and again only when something of it has changed.
//! * A unit is one buffer of the exact size; stamps are extended beyond 32 bits and otherwise left as they came, for
//!   `media::Timeline` repairs what it must.
//! * Sound that cannot be passed on is left out, and the reason is kept; pictures that cannot end the publishing.

use core::num::NonZeroU32;

use bytes::Bytes;
use media::aac::AudioConfig;
use media::{AccessUnit, AudioFormat, Format, Timeline, Track};
use model::{CodecKind, StreamFacts, Trouble};

use crate::nals::{Unusable, picture};
use crate::record::{self, Sets};
use crate::tag::{self, Audio, Video};

/// Most bytes of one access unit: the limit that cameras on a LAN have, too.
pub const MOST_UNIT_BYTES: usize = 8 << 20;

/// audioObjectType of AAC LC, the one core coder that all browsers play (ISO/IEC 14496-3, table 1.17).
const AAC_LC: u8 = 2;

/// What one message gave. The format comes first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taken {
    /// What the stream is made of from here on.
    pub format: Option<Format>,
    /// A picture or a frame of sound.
    pub unit: Option<AccessUnit>,
}

/// The tracks of one publisher.
#[derive(Debug, Default)]
pub struct Tracks {
    clock: Clock,
    codec: Option<CodecKind>,
    length_bytes: usize,
    sets: Sets,
    audio: Option<AudioFormat>,
    told: Option<Format>,
    /// Something may differ from what was told.
    news: bool,
    /// A picture was torn.
    loss: bool,
    /// The codec of sound that is left out.
    silent: Option<String>,
}

/// Stamps of 32 bits, extended by what both tracks have said before.
#[derive(Debug, Default)]
struct Clock(i64);

impl Clock {
    fn extend(&mut self, timestamp: u32) -> i64 {
        self.0 = self.0.saturating_add(i64::from(timestamp.wrapping_sub(self.0 as u32).cast_signed()));
        self.0
    }
}

impl Tracks {
    /// Nothing has come yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a video message. `timestamp`: milliseconds modulo 2^32; `arrival_us`: microseconds since 1970.
    ///
    /// # Errors
    /// What is wrong with the pictures, when none will come of this publisher.
    pub fn video(&mut self, timestamp: u32, body: &[u8], arrival_us: i64) -> Result<Taken, Trouble> {
        let time = self.clock.extend(timestamp);
        match tag::video(body) {
            Some(Video::Config(codec, data)) => {
                // Some say goodbye with an empty one.
                if let Some(record) = record::read(codec, data) {
                    if self.codec != Some(codec) {
                        self.sets = Sets::default();
                    }
                    (self.codec, self.length_bytes) = (Some(codec), record.length_bytes);
                    self.news |= self.sets.renew(record.sets) | self.told.is_none();
                }
                Ok(Taken::default())
            }
            Some(Video::Picture { codec, composition, data }) if self.codec == Some(codec) => {
                let at = time.saturating_add(i64::from(composition));
                self.picture(codec, at, data, arrival_us)
            }
            Some(Video::Picture { .. } | Video::Other) => Ok(Taken::default()),
            Some(Video::Foreign(codec)) => Err(Trouble::UnsupportedCodec { codec }),
            None => {
                self.loss = true;
                Ok(Taken::default())
            }
        }
    }

    /// Takes an audio message; arguments as for [`Self::video`].
    ///
    /// # Errors
    /// As for [`Self::video`]: a change of the sound may be what shows that the pictures cannot be used.
    pub fn audio(&mut self, timestamp: u32, body: &[u8], arrival_us: i64) -> Result<Taken, Trouble> {
        let time = self.clock.extend(timestamp);
        match tag::audio(body) {
            Some(Audio::Config(config)) => {
                let format = aac(config);
                self.silent = format.is_none().then(|| "AAC of a rare kind".to_owned());
                self.news |= self.audio != format;
                self.audio = format;
            }
            Some(Audio::Frame(data)) => {
                // Without a picture's format there is nothing to hear the sound with.
                let Some(AudioFormat::Aac { sample_rate, .. }) =
                    self.audio.clone().filter(|_| self.told.is_some())
                else {
                    return Ok(Taken::default());
                };
                let unit = AccessUnit {
                    track: Track::Audio,
                    stamp: scale(time, sample_rate.get()),
                    clock_rate: sample_rate,
                    arrival_us,
                    random_access: true,
                    loss: false,
                    data: Bytes::copy_from_slice(data),
                };
                return Ok(Taken { format: self.format()?, unit: Some(unit) });
            }
            Some(Audio::Foreign(codec)) => {
                self.news |= self.audio.is_some();
                self.audio = None;
                self.silent = Some(codec);
            }
            Some(Audio::Other) | None => {}
        }
        Ok(Taken::default())
    }

    /// What is known of the stream once a format was told; `url` is how it is shown, without its key.
    pub fn facts(&self, url: &str) -> Option<StreamFacts> {
        let format = self.told.as_ref()?;
        let picture = format.video.facts().ok()?;
        let notes = self.silent.iter().map(|codec| {
            format!("The sound ({codec}) is left out, because browsers cannot play it in HLS: set it to AAC in the encoder.")
        });
        Some(StreamFacts {
            url: url.to_owned(),
            video: self.codec?,
            size: (picture.width, picture.height),
            audio: format.audio.is_some().then_some(CodecKind::Aac),
            notes: notes.collect(),
        })
    }

    /// The codec of sound that is left out.
    pub fn silent(&self) -> Option<&str> {
        self.silent.as_deref()
    }

    fn picture(&mut self, codec: CodecKind, at: i64, data: &[u8], arrival_us: i64) -> Result<Taken, Trouble> {
        let read = match picture(codec, self.length_bytes, data, MOST_UNIT_BYTES) {
            Ok(read) => read,
            Err(Unusable::TooLarge) => return Err(Trouble::TooLarge { what: "one picture".into() }),
            Err(Unusable::Torn) => {
                self.loss = true;
                return Ok(Taken::default());
            }
        };
        if read.data.is_empty() {
            return Ok(Taken::default());
        }
        if read.random_access {
            self.news |= self.sets.renew(read.sets);
        }
        let format = self.format()?;
        if self.told.is_none() {
            // Parameter sets come with a later keyframe.
            return Ok(Taken::default());
        }
        let Some(clock_rate) = NonZeroU32::new(Timeline::VIDEO_TIMESCALE) else {
            return Ok(Taken::default());
        };
        let unit = AccessUnit {
            track: Track::Video,
            stamp: scale(at, clock_rate.get()),
            clock_rate,
            arrival_us,
            random_access: read.random_access,
            loss: core::mem::take(&mut self.loss),
            data: read.data,
        };
        Ok(Taken { format, unit: Some(unit) })
    }

    /// The format, if it is another one than was told last.
    fn format(&mut self) -> Result<Option<Format>, Trouble> {
        let video = self.codec.filter(|_| self.news).and_then(|codec| self.sets.format(codec));
        let Some(video) = video else { return Ok(None) };
        self.news = false;
        if video.facts().is_err() {
            let codec = if self.codec == Some(CodecKind::H265) { "H.265" } else { "H.264" };
            return Err(Trouble::UnsupportedCodec { codec: format!("{codec} of a kind beyond use") });
        }
        let format = Format { video, audio: self.audio.clone() };
        if self.told.as_ref() == Some(&format) {
            return Ok(None);
        }
        self.told = Some(format.clone());
        Ok(Some(format))
    }
}

/// Milliseconds in units of `1 / rate` s.
fn scale(milliseconds: i64, rate: u32) -> i64 {
    milliseconds.saturating_mul(i64::from(rate)) / 1000
}

/// Sound that browsers play; `None` for any other.
fn aac(config: &[u8]) -> Option<AudioFormat> {
    let parsed = AudioConfig::parse(config).ok().filter(|parsed| parsed.core_type == AAC_LC)?;
    Some(AudioFormat::Aac {
        config: Bytes::copy_from_slice(config),
        sample_rate: NonZeroU32::new(parsed.rate)?,
        channels: parsed.channels()?,
    })
}

#[cfg(test)]
mod tests;
