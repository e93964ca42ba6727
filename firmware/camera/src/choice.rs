//! Which of a camera's profiles is streamed. Pure.

use model::Trouble;

use crate::onvif::encoder::{Encoder, plain};
use crate::source::StreamChoice;

/// One stream that a camera offers (ONVIF media profile).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Profile {
    /// Token by which the camera knows it.
    pub token: String,
    /// Name that its owner gave it.
    pub name: String,
    /// Video encoding as ONVIF writes it: `H264`, `H265`, `JPEG`, ...
    pub encoding: String,
    /// Width and height in pixels; 0 when it is not said.
    pub size: (u32, u32),
    /// It came from the Media2 service.
    pub media2: bool,
    /// Token of the video source that it shows: the channel of a recorder.
    pub source: Option<String>,
    /// Name of that video source's configuration.
    pub source_name: Option<String>,
    /// The settings of its encoder.
    pub encoder: Encoder,
}

impl Profile {
    /// Takes over what is known of its encoder.
    pub fn describe(&mut self, encoder: Encoder) {
        encoder.encoding.clone_into(&mut self.encoding);
        self.size = encoder.size;
        self.encoder = encoder;
    }
}

/// One channel of a recorder: a video source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// The video source's token.
    pub token: String,
    /// A name that no other channel of the device has.
    pub name: String,
}

/// What was chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen<'a> {
    /// The profile.
    pub profile: &'a Profile,
    /// Why it is another one than the owner would expect, in a plain sentence.
    pub note: Option<String>,
}

/// How a note says that the small picture is streamed although the owner did not ask for it.
const SUB_INSTEAD: &str = "the sub-stream (H.264) is shown";

/// Whether a camera's notes say that its small picture is streamed.
pub fn shows_sub(notes: &[String]) -> bool {
    notes.iter().any(|note| note.contains(SUB_INSTEAD))
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Playable {
    Not,
    Somewhere,
    Everywhere,
}

fn playable(profile: &Profile) -> Playable {
    match plain(&profile.encoding).as_str() {
        "H264" => Playable::Everywhere,
        "H265" | "HEVC" => Playable::Somewhere,
        _ => Playable::Not,
    }
}

/// Chooses a profile; `None` only when there is none.
///
/// The camera's first playable profile is its main stream, a smaller playable one after it its sub-stream.
/// `Auto` takes the main stream unless it is not H.264 and another one is.
pub fn choose(profiles: &[Profile], choice: StreamChoice) -> Option<Chosen<'_>> {
    let plain = |profile| Some(Chosen { profile, note: None });
    let main =
        profiles.iter().find(|profile| playable(profile) != Playable::Not).or_else(|| profiles.first())?;
    let area = |profile: &Profile| u64::from(profile.size.0) * u64::from(profile.size.1);
    // Sub-streams: the best to play, then the largest; a size that is not said counts as small.
    let sub = profiles
        .iter()
        .filter(|profile| profile.token != main.token && playable(profile) != Playable::Not)
        .filter(|profile| area(profile) <= area(main) || area(main) == 0)
        .max_by_key(|profile| (playable(profile), area(profile)));
    match (choice, sub) {
        (StreamChoice::Sub, Some(sub)) => plain(sub),
        (StreamChoice::Sub, None) => Some(Chosen {
            profile: main,
            note: Some("The camera offers no sub-stream; its main stream is shown.".into()),
        }),
        (StreamChoice::Auto, Some(sub))
            if playable(main) != Playable::Everywhere && playable(sub) == Playable::Everywhere =>
        {
            Some(Chosen {
                profile: sub,
                note: Some(format!(
                    "The main stream is {}, which not every browser plays; {SUB_INSTEAD}.",
                    named(&main.encoding)
                )),
            })
        }
        (StreamChoice::Main | StreamChoice::Auto, _) => plain(main),
    }
}

/// The main stream among profiles, playable everywhere or not: what the camera names first.
pub fn main(profiles: &[Profile]) -> Option<&Profile> {
    choose(profiles, StreamChoice::Main).map(|chosen| chosen.profile)
}

/// The profiles of one channel; all when none is named.
///
/// # Errors
/// [`Trouble::NoSuchStream`] when the device has no such channel.
pub fn of_channel(profiles: Vec<Profile>, channel: Option<&str>) -> Result<Vec<Profile>, Trouble> {
    let Some(channel) = channel else { return Ok(profiles) };
    let of: Vec<Profile> =
        profiles.into_iter().filter(|profile| profile.source.as_deref() == Some(channel)).collect();
    if of.is_empty() { Err(Trouble::NoSuchStream) } else { Ok(of) }
}

/// The channels of a device whose profiles name several video sources, in its order; those without a playable picture are
/// left out. A camera has one at most.
pub fn channels(profiles: &[Profile]) -> Vec<Channel> {
    let mut channels: Vec<Channel> = Vec::new();
    for profile in profiles {
        let Some(source) = &profile.source else { continue };
        if channels.iter().any(|channel| channel.token == *source) {
            continue;
        }
        let of: Vec<Profile> =
            profiles.iter().filter(|other| other.source.as_ref() == Some(source)).cloned().collect();
        let best = choose(&of, StreamChoice::Auto).map(|chosen| chosen.profile);
        let Some(best) = best.filter(|best| playable(best) != Playable::Not) else { continue };
        let shared = |name: &String| {
            profiles.iter().any(|other| {
                other.source_name.as_ref() == Some(name) && other.source.as_ref() != Some(source)
            })
        };
        let own = profile.source_name.clone().filter(|name| !name.is_empty() && !shared(name));
        let mut name = own.unwrap_or_else(|| best.name.clone());
        if name.is_empty() || channels.iter().any(|channel| channel.name == name) {
            let number = channels.len() + 1;
            name = if name.is_empty() { number.to_string() } else { format!("{name} {number}") };
        }
        channels.push(Channel { token: source.clone(), name });
    }
    channels
}

fn named(encoding: &str) -> &str {
    match encoding {
        "H265" => "H.265",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(token: &str, encoding: &str, size: (u32, u32)) -> Profile {
        Profile {
            token: token.into(),
            name: token.into(),
            encoding: encoding.into(),
            size,
            ..Profile::default()
        }
    }

    fn token(profiles: &[Profile], choice: StreamChoice) -> (String, bool) {
        let chosen = choose(profiles, choice).unwrap();
        (chosen.profile.token.clone(), chosen.note.is_some())
    }

    #[test]
    fn h264_main_is_taken_as_it_is() {
        let profiles = [profile("main", "H264", (1920, 1080)), profile("sub", "H264", (640, 360))];
        assert_eq!(token(&profiles, StreamChoice::Auto), ("main".into(), false));
        assert_eq!(token(&profiles, StreamChoice::Sub), ("sub".into(), false));
    }

    #[test]
    fn an_h264_sub_stream_is_better_than_an_h265_main_stream_and_that_is_said() {
        let profiles = [profile("main", "H265", (3840, 2160)), profile("sub", "H264", (640, 360))];
        assert_eq!(token(&profiles, StreamChoice::Auto), ("sub".into(), true));
        assert_eq!(token(&profiles, StreamChoice::Main), ("main".into(), false));
        let only = [profile("main", "H265", (3840, 2160)), profile("sub", "JPEG", (640, 360))];
        assert_eq!(token(&only, StreamChoice::Auto), ("main".into(), false));
    }

    #[test]
    fn pictures_in_jpeg_are_passed_over() {
        let profiles = [profile("jpeg", "JPEG", (640, 480)), profile("main", "H264", (1920, 1080))];
        assert_eq!(token(&profiles, StreamChoice::Auto), ("main".into(), false));
        assert!(choose(&[], StreamChoice::Auto).is_none());
        assert_eq!(token(&profiles, StreamChoice::Sub), ("main".into(), true));
    }

    #[test]
    fn a_recorders_channels_are_its_video_sources() {
        let of = |token: &str, encoding: &str, source: &str, name: &str| Profile {
            source: Some(source.into()),
            source_name: Some(name.into()),
            ..profile(token, encoding, (640, 360))
        };
        let profiles = [
            of("m1", "H265", "s1", "Gate"),
            of("s1", "H264", "s1", "Gate"),
            of("m2", "H264", "s2", "Yard"),
            of("m3", "H264", "s3", "IPC"),
            of("m4", "H264", "s4", "IPC"),
            of("m5", "JPEG", "s5", "Old"),
        ];
        let names: Vec<(String, String)> =
            channels(&profiles).into_iter().map(|channel| (channel.token, channel.name)).collect();
        let expected = [("s1", "Gate"), ("s2", "Yard"), ("s3", "m3"), ("s4", "m4")];
        assert_eq!(names, expected.map(|(token, name)| (token.to_owned(), name.to_owned())));
        let second = of_channel(profiles.to_vec(), Some("s1")).unwrap();
        assert_eq!(token(&second, StreamChoice::Auto), ("s1".into(), true));
        assert_eq!(of_channel(profiles.to_vec(), Some("s9")), Err(Trouble::NoSuchStream));
        assert_eq!(channels(&[profile("only", "H264", (1, 1))]), Vec::new(), "it names no source");
    }
}
