//! When boxes of a site may restart: days and hours of the site's own time, as moments.

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};
use serde::{Deserialize, Serialize};

/// Days that are looked through for the next windows: each day of the week comes twice.
const DAYS: i64 = 15;

/// Hours of some days of the week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// On which days it begins, 0 for Monday.
    pub days: Vec<u8>,
    /// When, `HH:MM`.
    pub from: String,
    /// When it ends, `HH:MM`; before its beginning: on the day after.
    pub to: String,
}

/// A time of the day.
fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| {
        (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
    };
    Time::new(number(hour)?, number(minute)?, 0, 0).ok()
}

impl Window {
    /// Whether it is one: some days of a week, and two times that differ.
    pub fn fits(&self) -> bool {
        let days = (1..=7).contains(&self.days.len()) && self.days.iter().all(|day| *day < 7);
        let times = time(&self.from).zip(time(&self.to));
        days && times.is_some_and(|(from, to)| from != to)
    }

    /// The next `count` times that it is open in this zone, the one that is open now among them: from and to, milliseconds since
    /// 1970. A zone that nobody knows, from before they were looked up, is UTC.
    pub fn next(&self, zone: &str, now_ms: u64, count: usize) -> Vec<(u64, u64)> {
        let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
        self.moments(&zone, now_ms, count).unwrap_or_default()
    }

    /// Whether it is open.
    pub fn is_open(&self, zone: &str, now_ms: u64) -> bool {
        self.next(zone, now_ms, 1).first().is_some_and(|(from, to)| (*from..*to).contains(&now_ms))
    }

    fn moments(&self, zone: &TimeZone, now_ms: u64, count: usize) -> Option<Vec<(u64, u64)>> {
        let (from, to) = (time(&self.from)?, time(&self.to)?);
        let now = Timestamp::from_millisecond(i64::try_from(now_ms).ok()?).ok()?.to_zoned(zone.clone());
        let yesterday = now.date().checked_sub(1.day()).ok()?;
        let mut windows = Vec::with_capacity(count);
        for ahead in 0..DAYS {
            let day = yesterday.checked_add(ahead.days()).ok()?;
            if !self.days.iter().any(|own| weekday(*own) == Some(day.weekday())) {
                continue;
            }
            let end = if to > from { day } else { day.checked_add(1.day()).ok()? };
            // A time that the clock leaves out is taken after it, one that comes twice the first time.
            let begins = day.to_datetime(from).to_zoned(zone.clone()).ok()?;
            let ends = end.to_datetime(to).to_zoned(zone.clone()).ok()?;
            if ends > now && ends > begins {
                windows.push((millis(&begins)?, millis(&ends)?));
            }
            if windows.len() == count {
                break;
            }
        }
        Some(windows)
    }
}

/// Whether a zone is one that is known.
pub fn is_zone(name: &str) -> bool {
    TimeZone::get(name).is_ok_and(|zone| !zone.is_unknown())
}

fn weekday(day: u8) -> Option<Weekday> {
    Weekday::from_monday_zero_offset(i8::try_from(day).ok()?).ok()
}

fn millis(at: &Zoned) -> Option<u64> {
    u64::try_from(at.timestamp().as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> u64 {
        text.parse::<Timestamp>().unwrap().as_millisecond() as u64
    }

    fn told(window: &Window, zone: &str, now: &str) -> Vec<String> {
        let date = |ms| Timestamp::from_millisecond(ms as i64).unwrap().to_string();
        window.next(zone, at(now), 3).into_iter().map(|(a, b)| format!("{} {}", date(a), date(b))).collect()
    }

    fn window(days: &[u8], from: &str, to: &str) -> Window {
        Window { days: days.to_vec(), from: from.to_owned(), to: to.to_owned() }
    }

    #[test]
    fn a_night_in_almaty_is_told_in_utc_and_the_open_one_first() {
        let nights = window(&[0, 1, 2, 3, 4, 5, 6], "02:00", "05:00");
        // Almaty has five hours more since March 2024; 22 November 2026 is a Sunday.
        let expected = [
            "2026-11-22T21:00:00Z 2026-11-23T00:00:00Z",
            "2026-11-23T21:00:00Z 2026-11-24T00:00:00Z",
            "2026-11-24T21:00:00Z 2026-11-25T00:00:00Z",
        ];
        assert_eq!(told(&nights, "Asia/Almaty", "2026-11-22T10:00:00Z"), expected);
        assert_eq!(told(&nights, "Asia/Almaty", "2026-11-22T23:59:59Z"), expected, "it is open");
        assert!(nights.is_open("Asia/Almaty", at("2026-11-22T21:00:00Z")));
        assert!(!nights.is_open("Asia/Almaty", at("2026-11-23T00:00:00Z")));
        assert!(!nights.is_open("UTC", at("2026-11-22T21:00:00Z")));
    }

    #[test]
    fn a_window_that_passes_midnight_belongs_to_the_day_on_which_it_begins() {
        let saturdays = window(&[5], "22:00", "06:00");
        let expected =
            ["2026-11-21T22:00:00Z 2026-11-22T06:00:00Z", "2026-11-28T22:00:00Z 2026-11-29T06:00:00Z"];
        assert_eq!(told(&saturdays, "UTC", "2026-11-22T05:00:00Z")[..2], expected);
        assert_eq!(told(&saturdays, "UTC", "2026-11-22T06:00:00Z")[0], expected[1]);
        let before = "written before zones were looked up: UTC";
        assert_eq!(told(&saturdays, "no/such", "2026-11-22T06:00:00Z")[0], expected[1], "{before}");
    }

    #[test]
    fn a_window_that_summer_time_leaves_out_or_repeats_is_one_all_the_same() {
        let sundays = window(&[6], "02:15", "02:45");
        // 29 March 2026: from 02:00 to 03:00. 25 October 2026: 02:15 comes twice.
        assert_eq!(
            told(&sundays, "Europe/Berlin", "2026-03-28T12:00:00Z")[0],
            "2026-03-29T01:15:00Z 2026-03-29T01:45:00Z"
        );
        assert_eq!(
            told(&sundays, "Europe/Berlin", "2026-10-24T12:00:00Z")[0],
            "2026-10-25T00:15:00Z 2026-10-25T00:45:00Z"
        );
    }

    #[test]
    fn what_is_no_window_is_refused() {
        assert!(window(&[0], "23:00", "01:00").fits());
        for wrong in [
            window(&[], "02:00", "05:00"),
            window(&[7], "02:00", "05:00"),
            window(&[0; 8], "02:00", "05:00"),
            window(&[0], "02:00", "02:00"),
            window(&[0], "2:00", "05:00"),
            window(&[0], "24:00", "05:00"),
            window(&[0], "02:60", "05:00"),
            window(&[0], "+2:00", "05:00"),
            window(&[0], "02:00:00", "05:00"),
        ] {
            assert!(!wrong.fits(), "{wrong:?}");
        }
        assert_eq!(window(&[0], "x", "y").next("UTC", 0, 3), []);
        assert_eq!(window(&[0], "02:00", "05:00").next("UTC", u64::MAX, 3), []);
    }

    #[test]
    fn a_zone_is_one_that_is_known() {
        for zone in ["Asia/Almaty", "Europe/Berlin", "UTC", "Asia/Calcutta", "Etc/GMT-5"] {
            assert!(is_zone(zone), "{zone}");
        }
        for wrong in ["", "Asia/Almati", "Asia/Nowhere", "Almaty", "+05:00", "UTC+5", "Etc/Unknown", "../UTC"]
        {
            assert!(!is_zone(wrong), "{wrong}");
        }
    }
}
