//! What a player makes of the answers: playlists read line by line, fragments box by box. Anything unexpected panics.

use media::{Answer, Body, ObjectName, Stream};
use mp4_atom::{Decode, Header, Moof, ReadFrom};

pub(crate) fn body(answer: Answer) -> Body {
    let Answer::Ready(body) = answer else { panic!("{answer:?}") };
    assert_eq!(body.chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>(), body.len);
    body
}

pub(crate) fn bytes(answer: Answer) -> Vec<u8> {
    body(answer).chunks.concat()
}

pub(crate) fn text(answer: Answer) -> String {
    String::from_utf8(bytes(answer)).unwrap()
}

pub(crate) fn fetch(stream: &mut Stream, name: &str) -> Answer {
    let object = ObjectName::parse(name).unwrap_or_else(|| panic!("{name}"));
    stream.object(&object)
}

/// Seconds in units of 10 us, exactly as written.
pub(crate) fn decimal(text: &str) -> i64 {
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    assert!(places.len() <= 5, "{text}");
    format!("{whole}{places:0<5}").parse().unwrap()
}

pub(crate) const SECOND: i64 = 100_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) uri: String,
    pub(crate) duration: i64,
    pub(crate) independent: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) msn: u64,
    /// `None`: not complete yet.
    pub(crate) uri: Option<String>,
    pub(crate) duration: i64,
    pub(crate) discontinuity: bool,
    pub(crate) map: Option<String>,
    pub(crate) date: Option<String>,
    pub(crate) parts: Vec<Part>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Playlist {
    pub(crate) target: i64,
    pub(crate) part_target: Option<i64>,
    pub(crate) control: String,
    pub(crate) first: u64,
    pub(crate) discontinuities: u64,
    pub(crate) skipped: u64,
    pub(crate) segments: Vec<Segment>,
    pub(crate) hint: Option<String>,
}

impl Playlist {
    pub(crate) fn read(text: &str) -> Self {
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("#EXTM3U"));
        assert!(text.ends_with('\n'));
        let mut playlist = Self::default();
        let mut open = Segment::default();
        for line in lines {
            let Some(tag) = line.strip_prefix("#EXT") else {
                open.uri = Some(line.to_owned());
                open.msn = playlist.first + playlist.skipped + playlist.segments.len() as u64;
                playlist.segments.push(std::mem::take(&mut open));
                continue;
            };
            let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
            match name {
                "-X-VERSION" => assert!(matches!(value, "6" | "9")),
                "-X-TARGETDURATION" => playlist.target = value.parse::<i64>().unwrap() * SECOND,
                "-X-SERVER-CONTROL" => value.clone_into(&mut playlist.control),
                "-X-PART-INF" => {
                    playlist.part_target = Some(decimal(value.strip_prefix("PART-TARGET=").unwrap()));
                }
                "-X-MEDIA-SEQUENCE" => playlist.first = value.parse().unwrap(),
                "-X-DISCONTINUITY-SEQUENCE" => playlist.discontinuities = value.parse().unwrap(),
                "-X-SKIP" => {
                    playlist.skipped = value.strip_prefix("SKIPPED-SEGMENTS=").unwrap().parse().unwrap();
                }
                "-X-DISCONTINUITY" => open.discontinuity = true,
                "-X-MAP" => open.map = attribute(value, "URI"),
                "-X-PROGRAM-DATE-TIME" => open.date = Some(value.to_owned()),
                "-X-PART" => open.parts.push(Part {
                    uri: attribute(value, "URI").unwrap(),
                    duration: decimal(&attribute(value, "DURATION").unwrap()),
                    independent: attribute(value, "INDEPENDENT").is_some(),
                }),
                "INF" => open.duration = decimal(value.strip_suffix(',').unwrap()),
                "-X-PRELOAD-HINT" => playlist.hint = attribute(value, "URI"),
                _ => panic!("{line}"),
            }
        }
        if !open.parts.is_empty() {
            open.msn = playlist.first + playlist.skipped + playlist.segments.len() as u64;
            playlist.segments.push(open);
        }
        playlist
    }

    pub(crate) fn control(&self, name: &str) -> Option<i64> {
        attribute(&self.control, name).map(|value| decimal(&value))
    }
}

fn attribute(list: &str, name: &str) -> Option<String> {
    list.split(',').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap();
        (key == name).then(|| value.trim_matches('"').to_owned())
    })
}

/// One track's samples in one fragment.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) track: u32,
    pub(crate) start: i64,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) duration: i64,
    pub(crate) composition: i64,
    pub(crate) data: Vec<u8>,
}

impl Run {
    pub(crate) fn duration(&self) -> i64 {
        self.samples.iter().map(|sample| sample.duration).sum()
    }
}

/// The fragments of a part or a segment.
pub(crate) fn fragments(file: &[u8]) -> Vec<Vec<Run>> {
    let mut at = 0;
    let mut fragments = Vec::new();
    while at < file.len() {
        let mut rest = &file[at..];
        let moof = Moof::decode(&mut rest).unwrap();
        let start = at;
        let header_at = file.len() - rest.len();
        let header = Header::read_from(&mut rest).unwrap();
        assert_eq!(header.kind, mp4_atom::FourCC::new(b"mdat"));
        at = header_at + 8 + header.size.unwrap();
        let mut end = header_at + 8;
        let runs = moof.traf.iter().map(|traf| {
            assert!(traf.tfhd.default_base_is_moof);
            let run = &traf.trun[0];
            // Samples lie one after the other, without a gap and without an overlap.
            assert_eq!(start + run.data_offset.unwrap() as usize, end);
            let samples = run.samples.iter().map(|entry| {
                let from = end;
                end += entry.size.unwrap() as usize;
                Sample {
                    duration: i64::from(entry.duration.unwrap()),
                    composition: entry.cts.unwrap_or(0),
                    data: file[from..end].to_vec(),
                }
            });
            let samples = samples.collect();
            let start = traf.tfdt.as_ref().unwrap().base_media_decode_time as i64;
            Run { track: traf.tfhd.track_id, start, samples }
        });
        fragments.push(runs.collect());
        assert_eq!(end, at);
    }
    fragments
}
