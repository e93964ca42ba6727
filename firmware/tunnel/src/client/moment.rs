//! When something last happened, told only as a time that has passed since. The clock is read before and after the
//! telling, so that the same event told twice is never taken for two, however long the reader slept in between.

use std::time::{Duration, Instant};

/// When something last happened, as far as known.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Moment(Option<Instant>);

impl Moment {
    /// It happened `ago` before some time `between` these two. Gives when, if that is news.
    pub(super) fn moved(&mut self, ago: Option<Duration>, between: (Instant, Instant)) -> Option<Instant> {
        let ago = ago?;
        let earliest = between.0.checked_sub(ago)?;
        let news = self.0.is_none_or(|known| earliest > known);
        if news {
            self.0 = between.1.checked_sub(ago);
        }
        news.then_some(earliest)
    }

    /// Since then.
    pub(super) fn elapsed(&self) -> Option<Duration> {
        self.0.map(|then| then.elapsed())
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test has to begin at some time")]
mod tests {
    use super::*;

    /// A time after the event, asked for and answered within some milliseconds of it.
    fn around(asked: Instant, before: u64, after: u64) -> (Instant, Instant) {
        let earlier = asked.checked_sub(Duration::from_millis(before)).unwrap();
        (earlier, asked + Duration::from_millis(after))
    }

    #[test]
    fn the_same_event_is_told_once_however_slowly() {
        let event = Instant::now() + Duration::from_secs(3600);
        let mut moment = Moment::default();
        assert!(moment.moved(None, (event, event)).is_none());
        // The reader slept for 40 ms on either side of the answer.
        let asked = event + Duration::from_millis(100);
        assert!(moment.moved(Some(asked - event), around(asked, 40, 40)).is_some());
        for (before, after) in [(0, 0), (40, 0), (0, 40), (40, 40)] {
            let asked = event + Duration::from_millis(500);
            assert_eq!(moment.moved(Some(asked - event), around(asked, before, after)), None);
        }
        let (second, asked) = (event + Duration::from_millis(700), event + Duration::from_millis(750));
        assert_eq!(moment.moved(Some(asked - second), (asked, asked)), Some(second));
    }
}
