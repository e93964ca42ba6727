//! What a finger on the reset button means. Sans-IO: edges and time come in, gestures come out.
//!
//! A contact bounces: an edge counts once the contact has been still for [`STILL`]. A press that is let go within [`SHORT`] is one
//! gesture, one that is held for [`HOLD`] another, in the moment that it is that long; what is let go between the two is
//! nothing, so that whoever hesitates has done no harm.

use std::time::Duration;

/// A contact is believed after this.
const STILL: Duration = Duration::from_millis(40);
/// Longest short press.
pub const SHORT: Duration = Duration::from_secs(2);
/// How long it is held for a factory reset.
pub const HOLD: Duration = Duration::from_secs(10);

/// What was meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gesture {
    /// Pressed and let go.
    Short,
    /// Held for [`HOLD`].
    Held,
}

/// Watches one button. Times count from any moment, and only forwards.
#[derive(Debug, Default)]
pub struct Press {
    /// What the contact says, and since when.
    contact: Option<(bool, Duration)>,
    /// Since when it is down, believed.
    down: Option<Duration>,
    /// This press has been a gesture already.
    spent: bool,
}

impl Press {
    /// A button that nobody presses.
    pub fn new() -> Self {
        Self::default()
    }

    /// The contact closed or opened at `now`. Gives what was meant up to that moment.
    pub fn edge(&mut self, down: bool, now: Duration) -> Option<Gesture> {
        let meant = self.poll(now);
        if self.contact.is_none_or(|(was, _)| was != down) {
            self.contact = Some((down, now));
        }
        meant
    }

    /// What was meant, as far as can be said at `now`; each gesture once.
    pub fn poll(&mut self, now: Duration) -> Option<Gesture> {
        let (contact, since) = self.contact?;
        let still = now.saturating_sub(since) >= STILL;
        match self.down {
            None if contact && still => {
                self.down = Some(since);
                self.spent = false;
            }
            Some(from) if !contact && still => {
                self.down = None;
                let short = !self.spent && since.saturating_sub(from) <= SHORT;
                return short.then_some(Gesture::Short);
            }
            _ => {}
        }
        let from = self.down.filter(|_| contact && !self.spent)?;
        if now.saturating_sub(from) < HOLD {
            return None;
        }
        self.spent = true;
        Some(Gesture::Held)
    }

    /// When [`Self::poll`] may have something new to say; `None`: not before the next edge.
    pub fn wake(&self) -> Option<Duration> {
        let (contact, since) = self.contact?;
        match self.down {
            None if contact => Some(since + STILL),
            Some(_) if !contact => Some(since + STILL),
            Some(from) if !self.spent => Some(from + HOLD),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Runs edges (at milliseconds) and lets time go on to `end`, as the loop around it does.
    fn gestures(edges: &[(bool, u64)], end: u64) -> Vec<(Gesture, u64)> {
        let mut press = Press::new();
        let mut found = Vec::new();
        let mut edges = edges.iter().copied().peekable();
        loop {
            let wake = press.wake().map(|wake| wake.as_millis() as u64);
            let edge = edges.peek().map(|(_, at)| *at);
            let Some(now) = [wake, edge].into_iter().flatten().min().filter(|now| *now <= end) else {
                return found;
            };
            let meant = if edge == Some(now) {
                edges.next().and_then(|(down, at)| press.edge(down, ms(at)))
            } else {
                press.poll(ms(now))
            };
            found.extend(meant.map(|gesture| (gesture, now)));
        }
    }

    #[test]
    fn a_short_press_counts_when_it_is_let_go() {
        assert_eq!(gestures(&[(true, 100), (false, 400)], 60_000), [(Gesture::Short, 440)]);
    }

    #[test]
    fn a_held_button_counts_after_ten_seconds_once_and_not_again_when_let_go() {
        assert_eq!(gestures(&[(true, 100)], 60_000), [(Gesture::Held, 10_100)]);
        assert_eq!(gestures(&[(true, 100), (false, 15_000)], 60_000), [(Gesture::Held, 10_100)]);
        assert_eq!(gestures(&[(true, 100), (false, 10_050)], 60_000), []);
    }

    #[test]
    fn whoever_hesitates_has_done_no_harm() {
        assert_eq!(gestures(&[(true, 100), (false, 2_101)], 60_000), []);
        assert_eq!(gestures(&[(true, 100), (false, 9_900)], 60_000), []);
    }

    #[test]
    fn a_bouncing_contact_is_one_press() {
        let bounce: Vec<(bool, u64)> = (0..9).map(|i| (i % 2 == 0, 100 + 3 * i)).collect();
        let mut edges = bounce.clone();
        edges.extend(bounce.iter().map(|(down, at)| (!down, at + 500)));
        assert_eq!(gestures(&edges, 60_000), [(Gesture::Short, 664)]);
        // Spikes on a long line are nothing, and do not interrupt a hold.
        assert_eq!(gestures(&[(true, 100), (false, 120)], 60_000), []);
        assert_eq!(gestures(&[(true, 0), (false, 5_000), (true, 5_010)], 60_000), [(Gesture::Held, 10_000)]);
    }

    proptest! {
        #[test]
        fn nothing_is_reset_without_ten_seconds_of_holding(steps in prop::collection::vec(0u64..9_000, 0..40)) {
            let mut now = 0;
            let mut edges = Vec::new();
            for (index, step) in steps.iter().enumerate() {
                now += step;
                edges.push((index % 2 == 0, now));
            }
            // Let go for longer than a bounce after each press.
            let calm = edges.windows(2).all(|pair| pair[1].1 - pair[0].1 >= 41);
            edges.push((false, now + 1));
            let held = gestures(&edges, now + 60_000).iter().filter(|(gesture, _)| *gesture == Gesture::Held).count();
            prop_assert!(!calm || held == 0);
        }
    }
}
