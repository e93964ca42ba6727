//! What a viewer reads in a media playlist (RFC 8216bis), by a reader that is not the box's writer.

use std::collections::HashMap;

/// A media playlist.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Playlist {
    /// EXT-X-TARGETDURATION, seconds.
    pub target: f64,
    /// PART-TARGET, seconds.
    pub part_target: Option<f64>,
    /// EXT-X-MAP.
    pub map: Option<String>,
    /// The segments, oldest first.
    pub segments: Vec<Segment>,
    /// Parts after the last segment.
    pub open: Vec<Part>,
}

/// One segment.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Segment {
    /// Its media sequence number.
    pub number: u64,
    /// Its URI.
    pub uri: String,
    /// EXTINF, seconds.
    pub seconds: f64,
    /// EXT-X-DISCONTINUITY before it.
    pub discontinuity: bool,
    /// Its parts, where they are listed.
    pub parts: Vec<Part>,
}

/// One part.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Its URI.
    pub uri: String,
    /// DURATION, seconds.
    pub seconds: f64,
    /// INDEPENDENT=YES.
    pub independent: bool,
}

impl Playlist {
    /// Reads a playlist's text; lines that it does not know are passed over.
    pub fn read(text: &str) -> Self {
        let mut list = Self::default();
        let mut number = 0;
        let mut next = Segment::default();
        for line in text.lines() {
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            let attributes = || attributes(value);
            match tag {
                "#EXT-X-TARGETDURATION" => list.target = value.parse().unwrap_or(0.0),
                "#EXT-X-MEDIA-SEQUENCE" => number = value.parse().unwrap_or(0),
                "#EXT-X-PART-INF" => {
                    list.part_target = attributes().get("PART-TARGET").and_then(|v| v.parse().ok());
                }
                "#EXT-X-MAP" => list.map = attributes().remove("URI"),
                "#EXT-X-DISCONTINUITY" => next.discontinuity = true,
                "#EXTINF" => {
                    next.seconds = value.split(',').next().and_then(|v| v.parse().ok()).unwrap_or(0.0);
                }
                "#EXT-X-PART" => {
                    let mut values = attributes();
                    next.parts.push(Part {
                        seconds: values.get("DURATION").and_then(|v| v.parse().ok()).unwrap_or(0.0),
                        independent: values.get("INDEPENDENT").is_some_and(|v| v == "YES"),
                        uri: values.remove("URI").unwrap_or_default(),
                    });
                }
                _ if !line.starts_with('#') && !line.is_empty() => {
                    line.clone_into(&mut next.uri);
                    next.number = number;
                    number += 1;
                    list.segments.push(std::mem::take(&mut next));
                }
                _ => {}
            }
        }
        list.open = next.parts;
        list
    }

    /// Breaks of the rules for lengths that hls-parser and m3u8-parser do not look at: a part longer than
    /// PART-TARGET, a part that is not its segment's last and shorter than 85 % of it (4.4.4.9), a segment whose
    /// rounded length exceeds the target (4.4.3.1).
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for segment in &self.segments {
            if segment.seconds.round() > self.target {
                faults.push(format!("{} lasts {} s, target {} s", segment.uri, segment.seconds, self.target));
            }
        }
        let Some(target) = self.part_target else { return faults };
        let closed = self.segments.iter().map(|segment| (segment.parts.as_slice(), true));
        for (parts, closed) in closed.chain([(self.open.as_slice(), false)]) {
            for (index, part) in parts.iter().enumerate() {
                let last = closed && index + 1 == parts.len();
                if part.seconds > target + 1e-6 || (!last && part.seconds < 0.85 * target - 1e-6) {
                    faults.push(format!("{} lasts {} s, part target {target} s", part.uri, part.seconds));
                }
            }
        }
        faults
    }
}

/// The first variant of a multivariant playlist.
pub fn variant(text: &str) -> Option<&str> {
    text.lines().find(|line| !line.starts_with('#') && !line.is_empty())
}

/// A URI in a document at `base`, as a path.
pub fn resolve(base: &str, uri: &str) -> String {
    match (uri.starts_with('/'), base.rfind('/')) {
        (false, Some(end)) => format!("{}/{uri}", base.get(..end).unwrap_or_default()),
        _ => uri.to_owned(),
    }
}

fn attributes(text: &str) -> HashMap<String, String> {
    let mut found = HashMap::new();
    let mut rest = text;
    while let Some((name, tail)) = rest.split_once('=') {
        let (value, after) = match tail.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => tail.split_once(',').map_or((tail, ""), |(value, after)| (value, after)),
        };
        found.insert(name.trim_start_matches(',').trim().to_owned(), value.to_owned());
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVE: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-PART-INF:PART-TARGET=0.2\n#EXT-X-MEDIA-SEQUENCE:7\n\
        #EXT-X-MAP:URI=\"init-0.mp4\"\n#EXT-X-PART:DURATION=0.2,URI=\"7.0.m4s\",INDEPENDENT=YES\n\
        #EXT-X-PART:DURATION=0.1,URI=\"7.1.m4s\"\n#EXTINF:0.3,\n7.m4s\n#EXT-X-PART:DURATION=0.2,URI=\"8.0.m4s\"\n";

    #[test]
    fn a_live_playlist_is_read() {
        let list = Playlist::read(LIVE);
        let read: Vec<_> = list.segments.iter().map(|s| (s.number, s.uri.as_str(), s.parts.len())).collect();
        assert_eq!(read, [(7, "7.m4s", 2)]);
        assert_eq!((list.map.as_deref(), list.open.len()), (Some("init-0.mp4"), 1));
        assert!(list.faults().is_empty());
    }

    #[test]
    fn long_and_short_parts_are_faults() {
        assert_eq!(Playlist::read(&LIVE.replace("0.2,URI=\"7", "0.21,URI=\"7")).faults().len(), 1);
        assert_eq!(Playlist::read(&LIVE.replace("0.2,URI=\"7", "0.16,URI=\"7")).faults().len(), 1);
        assert_eq!(Playlist::read(&LIVE.replace("EXTINF:0.3", "EXTINF:1.6")).faults().len(), 1);
    }
}
