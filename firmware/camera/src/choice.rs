//! Which of a camera's profiles is streamed. Pure.

use crate::source::StreamChoice;

/// One stream that a camera offers (ONVIF media profile).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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
}

/// What was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen<'a> {
    /// The profile.
    pub profile: &'a Profile,
    /// Why it is another one than the owner would expect, in a plain sentence.
    pub note: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Playable {
    Not,
    Somewhere,
    Everywhere,
}

fn playable(profile: &Profile) -> Playable {
    match profile.encoding.to_ascii_uppercase().replace(['.', '-', ' '], "").as_str() {
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
                    "The main stream is {}, which not every browser plays; the sub-stream (H.264) is shown.",
                    named(&main.encoding)
                )),
            })
        }
        (StreamChoice::Main | StreamChoice::Auto, _) => plain(main),
    }
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
        Profile { token: token.into(), name: token.into(), encoding: encoding.into(), size, media2: false }
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
}
