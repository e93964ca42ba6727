//! How much of a month a camera had a picture.
//!
//! Of the time since the camera is known, without the time in which its link was switched off or it was not in its box,
//! the share without an outage. Whole months and parts of them add up: everything is counted in whole seconds of UTC.

use serde::Serialize;
use time::{Date, Month, OffsetDateTime};

use super::{Reason, Span};

/// A calendar month of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MonthOf {
    year: i32,
    month: Month,
}

/// A camera's month, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Uptime {
    /// Time that counts.
    pub counted_s: u64,
    /// Of that, with a picture.
    pub up_s: u64,
    /// Of that, without one.
    pub down_s: u64,
    /// Outages in it.
    pub outages: u32,
    /// The longest of them, as far as it is in this month.
    pub longest_s: u64,
}

impl Uptime {
    /// The share with a picture, per cent; `None` when no time counts.
    pub fn percent(&self) -> Option<f64> {
        (self.counted_s > 0).then(|| self.up_s as f64 * 100.0 / self.counted_s as f64)
    }
}

impl MonthOf {
    /// The month of `YYYY-MM`, from 2000 to 2999.
    pub fn parse(text: &str) -> Option<Self> {
        let (year, month) = text.split_once('-')?;
        let digits =
            |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
        let fits = digits(year, 4) && digits(month, 2);
        let year: i32 = year.parse().ok().filter(|year| fits && (2000..3000).contains(year))?;
        let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
        Some(Self { year, month })
    }

    /// The month of a moment, milliseconds since 1970.
    pub fn of(ms: u64) -> Self {
        let at =
            OffsetDateTime::from_unix_timestamp((ms / 1000) as i64).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        Self { year: at.year(), month: at.month() }
    }

    /// Its first millisecond, and the one after its last.
    pub fn bounds_ms(self) -> (u64, u64) {
        let start = |year, month| {
            let first = Date::from_calendar_date(year, month, 1)
                .map_or(0, |date| date.midnight().assume_utc().unix_timestamp());
            u64::try_from(first).unwrap_or(0) * 1000
        };
        let next = if self.month == Month::December { self.year + 1 } else { self.year };
        (start(self.year, self.month), start(next, self.month.next()))
    }
}

impl std::fmt::Display for MonthOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}", self.year, u8::from(self.month))
    }
}

/// What a camera's outages make of a month. `known_ms` is since when the camera is known, `now` the end of what is known
/// of the month that goes on.
pub fn uptime(month: MonthOf, known_ms: u64, spans: &[Span], now: u64) -> Uptime {
    let (from, to) = month.bounds_ms();
    let from = from.max(known_ms);
    let to = to.min(now).max(from);
    let within = |counts: bool| {
        let inside =
            spans.iter().filter(move |span| span.reason.counts() == counts).filter_map(move |span| {
                let (a, b) = (span.from_ms.max(from), span.to_ms.unwrap_or(now).min(to));
                (a < b).then_some((a, b))
            });
        joined(inside.collect())
    };
    let aside = within(false);
    let outs: Vec<(u64, u64)> = within(true).into_iter().flat_map(|out| without(out, &aside)).collect();
    let seconds = |ms: u64| (ms + 500) / 1000;
    let length = |parts: &[(u64, u64)]| parts.iter().map(|(a, b)| b - a).sum::<u64>();
    let counted_s = seconds((to - from).saturating_sub(length(&aside)));
    let down_s = seconds(length(&outs)).min(counted_s);
    Uptime {
        counted_s,
        up_s: counted_s - down_s,
        down_s,
        outages: u32::try_from(outs.len()).unwrap_or(u32::MAX),
        longest_s: seconds(outs.iter().map(|(a, b)| b - a).max().unwrap_or(0)),
    }
}

/// Stretches in order, those that overlap made one.
fn joined(mut parts: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    parts.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::with_capacity(parts.len());
    for (from, to) in parts {
        match joined.last_mut() {
            Some(last) if last.1 >= from => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined
}

/// A stretch without those, which are in order and apart.
fn without((from, to): (u64, u64), holes: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut rest = Vec::new();
    let mut from = from;
    for &(a, b) in holes {
        if a >= to || b <= from {
            continue;
        }
        if a > from {
            rest.push((from, a));
        }
        from = b;
    }
    if from < to {
        rest.push((from, to));
    }
    rest
}

/// One line of the table.
#[derive(Debug, Clone)]
pub struct Line {
    /// What people call the camera.
    pub title: String,
    /// The site's name.
    pub site: String,
    /// Its public id.
    pub id: String,
    /// Its month.
    pub uptime: Uptime,
}

/// The table as CSV (RFC 4180), in UTF-8 with a byte order mark, without which Excel reads Cyrillic letters wrongly. A name
/// that a spreadsheet would take for a formula begins with an apostrophe.
pub fn csv(month: MonthOf, lines: &[Line]) -> String {
    let mut text =
        "\u{feff}month,site,camera,id,counted_s,up_s,down_s,uptime_percent,outages,longest_s\r\n".to_owned();
    for line in lines {
        let Uptime { counted_s, up_s, down_s, outages, longest_s } = line.uptime;
        let percent = line.uptime.percent().map(|percent| format!("{percent:.3}")).unwrap_or_default();
        let fields = [
            month.to_string(),
            field(&line.site),
            field(&line.title),
            field(&line.id),
            counted_s.to_string(),
            up_s.to_string(),
            down_s.to_string(),
            percent,
            outages.to_string(),
            longest_s.to_string(),
        ];
        text.push_str(&fields.join(","));
        text.push_str("\r\n");
    }
    text
}

fn field(text: &str) -> String {
    // What OWASP lists for CSV injection; in full-width forms as well, which some programs read alike.
    let formula = text.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
    let guarded = formula || text.starts_with(['\t', '\r', '\n']);
    let text = if guarded { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\r', '\n', ';']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// Whether a stretch makes people ask what happened: all but that a camera is not in its box any more.
pub fn shown(reason: Reason) -> bool {
    reason != Reason::Removed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 3_600_000;

    fn span(from_ms: u64, to_ms: Option<u64>, reason: Reason) -> Span {
        Span { from_ms, to_ms, reason }
    }

    fn november() -> (MonthOf, u64, u64) {
        let month = MonthOf::parse("2026-11").unwrap();
        let (from, to) = month.bounds_ms();
        (month, from, to)
    }

    #[test]
    fn months_have_their_lengths() {
        let hours = |text| {
            let (from, to) = MonthOf::parse(text).unwrap().bounds_ms();
            (to - from) / HOUR
        };
        assert_eq!((hours("2026-11"), hours("2026-12"), hours("2028-02")), (720, 744, 696));
        assert_eq!(MonthOf::of(november().1), november().0);
        assert_eq!(MonthOf::of(november().1 - 1).to_string(), "2026-10");
        for text in ["2026-13", "2026-00", "2026-1", "26-11", "+026-11", "2026-11-01", "", "9999-01"] {
            assert_eq!(MonthOf::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_was_switched_off_counts_for_nobody() {
        let (month, from, to) = november();
        let spans = [
            // From the month before into this one: an hour of it counts.
            span(from - 5 * HOUR, Some(from + HOUR), Reason::Camera),
            span(from + 10 * HOUR + 1, Some(from + 20 * HOUR), Reason::Off),
            // An hour before it was switched off, and one after.
            span(from + 9 * HOUR, Some(from + 21 * HOUR), Reason::Site),
        ];
        let month = uptime(month, 0, &spans, to + HOUR);
        assert_eq!((month.counted_s, month.down_s, month.outages), (710 * 3600, 3 * 3600, 3));
        assert_eq!(month.longest_s, 3600);
        assert_eq!(format!("{:.3}", month.percent().unwrap()), "99.577");
    }

    #[test]
    fn a_camera_counts_from_its_first_day_to_this_moment() {
        let (month, from, to) = november();
        let known = from + 100 * HOUR;
        let out = [span(from + 150 * HOUR, None, Reason::Password)];
        let half = uptime(month, known, &out, from + 200 * HOUR);
        assert_eq!((half.counted_s, half.up_s, half.down_s), (100 * 3600, 50 * 3600, 50 * 3600));
        assert_eq!(uptime(month, to, &[], to + HOUR).percent(), None, "it was not known yet");
        assert_eq!(uptime(month, 0, &[], from - 1).percent(), None, "a month to come");
    }

    #[test]
    fn a_table_is_for_spreadsheets_and_holds_no_formulas() {
        let line = |title: &str| Line {
            title: title.to_owned(),
            site: "Склад, №1".to_owned(),
            id: "abc".to_owned(),
            uptime: Uptime { counted_s: 3, up_s: 2, down_s: 1, outages: 1, longest_s: 1 },
        };
        let lines = ["Gate", "=HYPERLINK(\"http://x\")", "\"two\"\nlines", " @x", "-1"].map(line);
        let text = csv(november().0, &lines);
        assert!(text.starts_with("\u{feff}month,"));
        let rows: Vec<&str> = text.split("\r\n").collect();
        assert_eq!(rows[1], "2026-11,\"Склад, №1\",Gate,abc,3,2,1,66.667,1,1");
        assert!(rows[2].contains(",\"'=HYPERLINK(\"\"http://x\"\")\","), "{}", rows[2]);
        assert!(rows[3].contains(",\"\"\"two\"\"\nlines\","), "{}", rows[3]);
        assert!(rows[4].contains(",' @x,") && rows[5].contains(",'-1,"), "{text}");
    }

    proptest! {
        #[test]
        fn figures_add_up(
            stretches in proptest::collection::vec((0_u64..1_500_000, 1_u64..400_000, any::<bool>()), 0..20),
            known in 0_u64..2_000_000,
        ) {
            let (month, from, to) = november();
            let zero = from - 500_000;
            let spans: Vec<Span> = stretches
                .iter()
                .map(|(at, long, off)| {
                    let reason = if *off { Reason::Off } else { Reason::Camera };
                    span(zero + at, Some(zero + at + long), reason)
                })
                .collect();
            let now = zero + 1_700_000;
            let month = uptime(month, zero + known, &spans, now);
            prop_assert_eq!(month.up_s + month.down_s, month.counted_s);
            // By brute force, a second at a time.
            let seconds = (from.max(zero + known)..now.min(to)).step_by(1000);
            let at = |ms: u64, reason| spans.iter().any(|span| span.reason == reason && span.from_ms <= ms && ms < span.to_ms.unwrap());
            let mut brute = (0_u64, 0_u64);
            for ms in seconds.filter(|ms| !at(*ms, Reason::Off)) {
                brute.0 += 1;
                brute.1 += u64::from(at(ms, Reason::Camera));
            }
            prop_assert!(month.counted_s.abs_diff(brute.0) <= 21, "{month:?} {brute:?}");
            prop_assert!(month.down_s.abs_diff(brute.1) <= 21, "{month:?} {brute:?}");
        }
    }
}
