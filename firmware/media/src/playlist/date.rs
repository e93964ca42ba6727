//! Dates of EXT-X-PROGRAM-DATE-TIME (ISO 8601), in UTC to the millisecond.

use core::fmt;

/// Microseconds since 1970.
pub(super) struct DateTime(pub(super) i64);

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Before 1970 and after 9999 no clock of a box stands; the text stays well formed.
        let millis = (self.0 / 1000).clamp(0, 253_402_300_799_999);
        let (days, millis) = (millis / 86_400_000, millis % 86_400_000);
        let (year, month, day) = civil(days);
        let (hour, minute) = (millis / 3_600_000, millis / 60_000 % 60);
        let (second, milli) = (millis / 1000 % 60, millis % 1000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

/// Year, month and day of the Gregorian calendar, from days since 1970-01-01, not negative. Years are counted from
/// March, so that the leap day is the last.
fn civil(days: i64) -> (i64, i64, i64) {
    // Days since 0000-03-01, in eras of 400 years.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Expected by `date -u -d @N`.
    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(DateTime(seconds * 1_000_000).to_string(), text);
        }
        assert_eq!(DateTime(1_700_000_000_123_999).to_string(), "2023-11-14T22:13:20.123Z");
        assert_eq!(DateTime(i64::MIN).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(DateTime(i64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
    }
}
