//! What is fetched from boxes: its name, what came back, and how long that is true.

use std::time::Duration;

use hyper::header::HeaderValue;
use media::{ObjectName, Request};
use model::CameraId;
use sha2::{Digest, Sha256};

use super::pieces::Pieces;

/// A playlist without a delivery directive is old with the next part; within this, all who ask share one.
pub(super) const PLAYLIST_SHARED: Duration = Duration::from_millis(100);
/// What is not there, or not yet, or wrongly asked for, is not asked for again within this.
const NO_SHARED: Duration = Duration::from_millis(500);
/// Longest stay of an answer that the box allows to be kept: the box itself lists a segment for less.
const LONGEST: Duration = Duration::from_secs(300);
/// Longest stay in a browser or CDN, seconds: a link that was switched off must not live on in other people's caches.
pub(super) const LONGEST_OUTSIDE_S: u64 = 60;

/// One thing to be fetched, by its public name. Directives that the object does not know are gone, so it has one key only.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// The public id.
    pub(super) camera: CameraId,
    /// The object.
    pub(super) object: ObjectName,
    /// Delivery directives; default for everything but media playlists.
    pub(super) directives: Request,
}

impl Key {
    /// Reads name and query. `None` when no box has such an object; `Some(Err)` when a directive is malformed.
    pub(super) fn parse(camera: &CameraId, name: &str, query: &str) -> Option<Result<Self, Malformed>> {
        let object = ObjectName::parse(name)?;
        let directives = match object {
            ObjectName::Playlist(_) => match Request::from_query(query) {
                Some(directives) => directives,
                None => return Some(Err(Malformed)),
            },
            _ => Request::default(),
        };
        Some(Ok(Self { camera: camera.clone(), object, directives }))
    }

    /// Whether the box answers only when something is there that is still to come.
    pub(super) fn blocks(&self) -> bool {
        self.directives.msn.is_some()
    }

    /// The query in its only spelling, with its question mark; empty without directives (RFC 8216bis, 6.2.5).
    pub(super) fn query(&self) -> String {
        let Request { msn, part, skip } = self.directives;
        let pairs = [
            msn.map(|msn| format!("_HLS_msn={msn}")),
            part.map(|part| format!("_HLS_part={part}")),
            skip.then(|| "_HLS_skip=YES".to_owned()),
        ];
        let pairs: Vec<String> = pairs.into_iter().flatten().collect();
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }
}

/// A delivery directive that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// What came back, shared by all who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Object {
    /// 200.
    Media(Media),
    /// 404 of the box.
    Missing,
    /// 400 of the box.
    Malformed,
    /// 503 of the box: the camera sends nothing now.
    Unready,
}

/// A playlist, a part, a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Media {
    /// All of it.
    pub(super) pieces: Pieces,
    /// A strong validator (RFC 9110, 8.8.3), the same at every gateway; `None` for what nobody may keep.
    pub(super) etag: Option<HeaderValue>,
    /// For browsers and CDNs.
    pub(super) cache_control: HeaderValue,
    /// Whether the name stands for these bytes for ever, so that ranges of it make sense.
    pub(super) lasting: bool,
}

impl Object {
    /// A body that the box sent with this Cache-Control, and how long it may be shared.
    pub(super) fn media(pieces: Pieces, cache_control: Option<&str>) -> (Self, Duration) {
        let kept = Kept::read(cache_control.unwrap_or_default());
        let outside = kept.seconds.min(LONGEST_OUTSIDE_S);
        let header = match (kept.seconds, kept.immutable) {
            (0, _) => "no-store".to_owned(),
            (_, true) => format!("public, max-age={outside}, immutable"),
            (_, false) => format!("public, max-age={outside}"),
        };
        let etag = (kept.seconds > 0).then(|| etag(&pieces)).flatten();
        let cache_control =
            HeaderValue::try_from(header).unwrap_or_else(|_| HeaderValue::from_static("no-store"));
        let stay = match kept.seconds {
            0 => PLAYLIST_SHARED,
            seconds => Duration::from_secs(seconds).min(LONGEST),
        };
        (Self::Media(Media { pieces, etag, cache_control, lasting: kept.immutable }), stay)
    }

    /// How long a no may be shared.
    pub(super) const fn no_stays() -> Duration {
        NO_SHARED
    }

    /// Bytes of its body.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Media(media) => media.pieces.len(),
            Self::Missing | Self::Malformed | Self::Unready => 0,
        }
    }
}

/// SHA-256, half of it: no two bodies share one.
fn etag(pieces: &Pieces) -> Option<HeaderValue> {
    let mut digest = Sha256::new();
    pieces.iter().for_each(|piece| digest.update(piece));
    let digest = digest.finalize();
    let half = u128::from_be_bytes(*digest.first_chunk()?);
    HeaderValue::try_from(format!("\"{half:032x}\"")).ok()
}

/// What a Cache-Control allows (RFC 9111, 5.2.2; RFC 8246).
#[derive(Debug, PartialEq, Eq)]
struct Kept {
    /// `max-age`; 0 where nothing may be kept.
    seconds: u64,
    immutable: bool,
}

impl Kept {
    fn read(header: &str) -> Self {
        let mut kept = Self { seconds: 0, immutable: false };
        for directive in header.split(',').map(|word| word.trim().to_ascii_lowercase()) {
            match directive.split_once('=') {
                Some(("max-age", seconds)) => kept.seconds = seconds.trim_matches('"').parse().unwrap_or(0),
                None if directive == "immutable" => kept.immutable = true,
                None if ["no-store", "no-cache", "private"].contains(&directive.as_str()) => {
                    return Self { seconds: 0, immutable: false };
                }
                _ => {}
            }
        }
        kept.immutable &= kept.seconds > 0;
        kept
    }
}

/// What a browser is told an object is. Never what the box says: a box must not bring scripts to this site.
pub(super) fn content_type(object: ObjectName) -> &'static str {
    match object {
        ObjectName::Multivariant | ObjectName::Playlist(_) => "application/vnd.apple.mpegurl",
        ObjectName::Segment(media::Container::Ts, _) => "video/mp2t",
        ObjectName::Init(_) | ObjectName::Segment(media::Container::Fmp4, _) | ObjectName::Part(..) => {
            "video/mp4"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, query: &str) -> Option<Result<Key, Malformed>> {
        Key::parse(&CameraId::new("gate").unwrap(), name, query)
    }

    #[test]
    fn an_object_has_one_key_whatever_is_hung_on_its_name() {
        assert_eq!(key("7.m4s", ""), key("7.m4s", "_HLS_msn=9&cheat=1"));
        assert_eq!(key("live.m3u8", "a=b"), key("live.m3u8", ""));
        let all = key("live.m3u8", "x=y&_HLS_skip=v2&_HLS_part=2&_HLS_msn=07").unwrap().unwrap();
        assert_eq!(all.query(), "?_HLS_msn=7&_HLS_part=2&_HLS_skip=YES");
        assert_eq!(Some(Ok(all.clone())), key("live.m3u8", &all.query()[1..]));
    }

    #[test]
    fn only_hls_names_are_keys() {
        for name in ["", "status", "../api/v1/cameras", "api", "live.m3u8/", "%31.m4s", "healthz", "1.m4s#"] {
            assert_eq!(key(name, ""), None, "{name}");
        }
        for query in ["_HLS_msn", "_HLS_msn=-1", "_HLS_part=1", "_HLS_msn=1&_HLS_part=x"] {
            assert_eq!(key("live.m3u8", query), Some(Err(Malformed)), "{query}");
        }
    }

    #[test]
    fn what_may_be_kept_is_read_as_the_standard_says() {
        let kept = |header| {
            let kept = Kept::read(header);
            (kept.seconds, kept.immutable)
        };
        assert_eq!(kept("public, max-age=31536000, immutable"), (31_536_000, true));
        assert_eq!(kept("Public,MAX-AGE=4"), (4, false));
        for never in
            ["", "no-store", "max-age=9, no-store", "private, max-age=9", "immutable", "max-age=x, immutable"]
        {
            assert_eq!(kept(never), (0, false), "{never}");
        }
    }

    #[test]
    fn others_keep_a_segment_for_a_minute_at_most_and_a_live_playlist_never() {
        let outside = |header| match Object::media(Pieces::from(&b"x"[..]), header) {
            (Object::Media(media), stay) => (media.cache_control.to_str().unwrap().to_owned(), stay),
            (other, _) => panic!("{other:?}"),
        };
        assert_eq!(
            outside(Some("public, max-age=31536000, immutable")),
            ("public, max-age=60, immutable".into(), LONGEST)
        );
        assert_eq!(outside(Some("public, max-age=4")), ("public, max-age=4".into(), Duration::from_secs(4)));
        assert_eq!(outside(Some("no-store")), ("no-store".into(), PLAYLIST_SHARED));
        assert_eq!(outside(None), ("no-store".into(), PLAYLIST_SHARED));
    }
}
