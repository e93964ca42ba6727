//! The fold as it is kept in the database, so that a cloud that starts need not read everything that has ever happened.
//!
//! Invariant: what is kept and the events after it give the same [`State`] as all events. So [`FORMAT`] is raised whenever an
//! event gets a meaning or another one, or the fold another shape: whoever has another format reads all events.

use sha2::{Digest as _, Sha256};

use super::state::State;
use crate::hex::hex;
use crate::store::Kept;

/// Which fold it is.
pub(super) const FORMAT: u32 = 2;
/// About as much is written at a time, bytes.
const PART: usize = 256 << 10;

/// Why what is kept is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Damage {
    /// Something is missing or was changed.
    #[error("its digest is another one")]
    Digest,
    /// It is not what this program writes.
    #[error("it cannot be read: {0}")]
    Shape(#[from] serde_json::Error),
    /// The database holds something unexpected.
    #[error(transparent)]
    Row(#[from] crate::store::Error),
    /// It is of other events than it says, or of more than there are.
    #[error("it is of {found} events, and should be of {expected}")]
    Events {
        /// Of so many it is.
        found: u64,
        /// Of so many it should be.
        expected: u64,
    },
}

impl State {
    /// As it is kept.
    pub(super) fn kept(&self) -> Result<Kept, serde_json::Error> {
        let text = serde_json::to_string(self)?;
        let mut parts = Vec::with_capacity(text.len() / PART + 1);
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let end = (PART.min(rest.len())..=rest.len()).find(|at| rest.is_char_boundary(*at));
            let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
            parts.push(part.to_owned());
            rest = after;
        }
        Ok(Kept { newest: self.newest(), digest: digest(&text), parts })
    }

    /// From what is kept; `last` is the last event that there is.
    pub(super) fn revived(kept: &Kept, last: u64) -> Result<Self, Damage> {
        let text = kept.parts.concat();
        if digest(&text) != kept.digest {
            return Err(Damage::Digest);
        }
        let state: Self = serde_json::from_str(&text)?;
        let found = state.newest();
        match (kept.newest, last) {
            (expected, _) if found != expected => Err(Damage::Events { found, expected }),
            (_, last) if found > last => Err(Damage::Events { found, expected: last }),
            _ => Ok(state),
        }
    }
}

fn digest(text: &str) -> String {
    hex(&Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::properties::{CAMPAIGNS, draft, happening};
    use super::super::sample::{Scratch, box_id};
    use super::super::{Event, Fleet, Happening, PIN, Recorded, Stage};
    use super::*;

    fn fold(log: &[Recorded]) -> State {
        log.iter().fold(State::default(), |mut state, recorded| {
            state.apply(recorded);
            state
        })
    }

    fn log(events: impl IntoIterator<Item = Happening>) -> Vec<Recorded> {
        (1..)
            .zip(events)
            .map(|(id, what)| Recorded { id, at_ms: 1_800_000_000_000 + 60_000 * id, what })
            .collect()
    }

    /// Each word once or more: two campaigns, a box that moves, one that failed, a pin.
    fn all_words() -> Vec<Happening> {
        let [first, second] = CAMPAIGNS;
        let text = || "é".to_owned();
        let version = |version: &str| version.to_owned();
        let of = |number, event| Happening::of(first, &box_id(number), event);
        let mut events = vec![
            Happening::of_campaign(first, Event::Drafted(draft("1.1", 2, 60))),
            Happening::of_campaign(first, Event::Started { who: text(), why: text() }),
            Happening::of_campaign(first, Event::Opened { stage: Stage::One }),
            Happening::of_campaign(first, Event::Advanced { stage: Stage::Five, who: text(), why: text() }),
            Happening::of_campaign(second, Event::Drafted(draft("1.2", 0, 60))),
            Happening::of_campaign(second, Event::Started { who: text(), why: text() }),
            Happening::of_campaign(second, Event::Done),
            Happening::of_campaign(second, Event::Withdrawn { who: text(), why: text() }),
        ];
        for number in 0..5 {
            events.push(Happening::of_box(
                &box_id(number),
                Event::Met { board: text(), version: version("1.0") },
            ));
            events.extend(
                [Event::Offered { version: version("1.1") }, Event::Fetching, Event::Heard]
                    .map(|event| of(number, event)),
            );
        }
        events.extend([
            of(0, Event::Stuck { why: text() }),
            of(0, Event::Ready),
            of(0, Event::Cleared),
            of(0, Event::Restarting),
            of(0, Event::Stayed),
            of(0, Event::Cleared),
            of(0, Event::Restarting),
            of(1, Event::Failed { why: text(), journal: text() }),
            of(1, Event::Back { version: version("1.0") }),
            of(2, Event::Committed { why: text() }),
            of(3, Event::Ready),
            of(3, Event::Cleared),
            of(3, Event::Lapsed),
            of(4, Event::Silent),
            Happening::of_box(&box_id(3), Event::Held { why: Some(text()), who: text() }),
            Happening::of_box(&box_id(4), Event::Postponed { until_ms: 5, who: text() }),
            Happening::of_box(&box_id(5), Event::Pinned { version: Some(version("1.0")), who: text() }),
            Happening::of(PIN, &box_id(5), Event::Offered { version: version("1.0") }),
            Happening::of_campaign(first, Event::Paused { who: text(), why: text() }),
            Happening::of_campaign(first, Event::Resumed { who: text(), why: text() }),
            Happening::of_campaign(first, Event::Halted { why: text() }),
            Happening::of_campaign(first, Event::Unknown),
        ]);
        events
    }

    /// A new word does not compile before it stands here: add it to [`all_words`], too, and raise [`FORMAT`].
    fn number(event: &Event) -> usize {
        match event {
            Event::Drafted(_) => 0,
            Event::Started { .. } => 1,
            Event::Paused { .. } => 2,
            Event::Resumed { .. } => 3,
            Event::Withdrawn { .. } => 4,
            Event::Advanced { .. } => 5,
            Event::Opened { .. } => 6,
            Event::Done => 7,
            Event::Halted { .. } => 8,
            Event::Met { .. } => 9,
            Event::Pinned { .. } => 10,
            Event::Held { .. } => 11,
            Event::Postponed { .. } => 12,
            Event::Offered { .. } => 13,
            Event::Heard => 14,
            Event::Cleared => 15,
            Event::Lapsed => 16,
            Event::Fetching => 17,
            Event::Ready => 18,
            Event::Restarting => 19,
            Event::Back { .. } => 20,
            Event::Committed { .. } => 21,
            Event::Failed { .. } => 22,
            Event::Silent => 23,
            Event::Unknown => 24,
            Event::Stayed => 25,
            Event::Stuck { .. } => 26,
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_and_the_rest_are_the_whole(
            events in prop::collection::vec(happening(), 0..120),
            cut in any::<prop::sample::Index>(),
        ) {
            let drafts = CAMPAIGNS.map(|id| Happening::of_campaign(id, Event::Drafted(draft("1.1", 2, 60))));
            let log = log(drafts.into_iter().chain(events));
            let (before, after) = log.split_at(cut.index(log.len() + 1));
            let kept = fold(before).kept().unwrap();
            let mut state = State::revived(&kept, log.len() as u64).unwrap();
            prop_assert_eq!(&state, &fold(before));
            for recorded in after {
                state.apply(recorded);
            }
            prop_assert_eq!(state, fold(&log));
        }

        #[test]
        fn one_changed_sign_is_enough_to_refuse_it(at in any::<prop::sample::Index>(), sign in "[0-9a-z{}\",]") {
            let kept = fold(&log(all_words())).kept().unwrap();
            let mut text: Vec<char> = kept.parts.concat().chars().collect();
            let at = at.index(text.len());
            let sign = sign.chars().next().unwrap();
            prop_assume!(text[at] != sign);
            text[at] = sign;
            let damaged = Kept { parts: vec![text.into_iter().collect()], ..kept };
            prop_assert!(matches!(State::revived(&damaged, u64::MAX), Err(Damage::Digest)));
        }
    }

    #[test]
    fn a_fold_of_another_shape_or_meaning_has_another_format() {
        let words: BTreeSet<usize> = all_words().iter().map(|what| number(&what.event)).collect();
        assert_eq!(words, (0..27).collect());
        let kept = fold(&log(all_words())).kept().unwrap();
        // After a change here, raise FORMAT: what earlier versions have kept must not be read.
        assert_eq!(
            (FORMAT, kept.digest.as_str()),
            (2, "b61f35d576201a309163c5d67703bd4f4309387a6c5fe21c088784d779fb564a")
        );
    }

    #[test]
    fn a_large_one_is_cut_and_no_piece_may_be_missing() {
        let met = |number| {
            Happening::of_box(
                &box_id(number),
                Event::Met { board: "é".repeat(30), version: "1.0".to_owned() },
            )
        };
        let state = fold(&log((0..4000).map(met)));
        let kept = state.kept().unwrap();
        assert!(kept.parts.len() > 2, "{}", kept.parts.len());
        assert_eq!(State::revived(&kept, 4000).unwrap(), state);
        for missing in 0..kept.parts.len() {
            let mut damaged = kept.clone();
            damaged.parts.remove(missing);
            assert!(matches!(State::revived(&damaged, 4000), Err(Damage::Digest)), "{missing}");
        }
    }

    /// A database with all words, their fold, and the fold kept.
    async fn kept() -> (Scratch, State) {
        let scratch = Scratch::new();
        let store = scratch.open().await;
        let events = all_words();
        assert!(store.add_fleet_events(0, &events, None).await.unwrap());
        let fleet = Fleet::new(store.clone(), None);
        let state = fleet.known().await.unwrap().clone();
        fleet.keep_fold(1000).await.unwrap();
        assert_eq!(store.fleet_fold(FORMAT).await.unwrap().0, None, "for a few events it is not worth it");
        fleet.keep_fold(1).await.unwrap();
        store.close().await.unwrap();
        (scratch, state)
    }

    #[tokio::test]
    async fn a_cloud_that_starts_reads_what_is_kept_and_only_the_rest_of_the_events() {
        let (scratch, mut state) = kept().await;
        // Nobody does that; but whoever reads them would now know less.
        scratch.run("DELETE FROM fleet_event WHERE id < 20").await;
        let store = scratch.open().await;
        let fleet = Fleet::new(store.clone(), None);
        let newest = state.newest();
        let more = [Happening::of(CAMPAIGNS[0], &box_id(0), Event::Committed { why: String::new() })];
        assert!(store.add_fleet_events(newest, &more, None).await.unwrap());
        let known = fleet.known().await.unwrap().clone();
        let at_ms = store.fleet_events(newest).await.unwrap()[0].at_ms;
        let [what] = more;
        state.apply(&Recorded { id: newest + 1, at_ms, what });
        assert_eq!(known, state);
        fleet.keep_fold(2).await.unwrap();
        assert_eq!(store.fleet_fold(FORMAT).await.unwrap().0.unwrap().newest, newest, "one event is not two");
        fleet.keep_fold(1).await.unwrap();
        assert_eq!(store.fleet_fold(FORMAT).await.unwrap().0, Some(state.kept().unwrap()));
        store.close().await.unwrap();
    }

    #[tokio::test]
    async fn what_is_damaged_is_found_and_all_events_are_read() {
        for damage in [
            "UPDATE fleet_fold SET body = replace(body, 'halted', 'paused')",
            "UPDATE fleet_fold SET digest = ''",
            "UPDATE fleet_fold SET newest = newest - 1",
            "UPDATE fleet_fold SET newest = newest + 1",
            "UPDATE fleet_fold SET newest = -1",
            "DELETE FROM fleet_event WHERE id = (SELECT MAX(id) FROM fleet_event)",
        ] {
            let (scratch, whole) = kept().await;
            scratch.run(damage).await;
            let store = scratch.open().await;
            let fleet = Fleet::new(store.clone(), None);
            assert!(fleet.revive().await.unwrap().is_some(), "{damage}: nothing is said");
            let known = fleet.known().await.unwrap().clone();
            let lost = u64::from(damage.starts_with("DELETE"));
            assert_eq!(known.newest(), whole.newest() - lost, "{damage}");
            assert_eq!(known.campaigns(), whole.campaigns(), "{damage}");
            assert_eq!(known.boxes(), whole.boxes(), "{damage}");
            // The next one is whole again.
            let more = [Happening::of_campaign(CAMPAIGNS[0], Event::Unknown)];
            assert!(store.add_fleet_events(known.newest(), &more, None).await.unwrap());
            fleet.catch_up().await.unwrap();
            fleet.keep_fold(1).await.unwrap();
            let another = Fleet::new(store.clone(), None);
            assert!(another.revive().await.unwrap().is_none(), "{damage}");
            let whole = another.fresh().await.unwrap().clone();
            assert_eq!(whole, *fleet.known().await.unwrap(), "{damage}");
            store.close().await.unwrap();
        }
    }

    #[tokio::test]
    async fn one_of_another_format_is_not_read_and_one_of_a_later_format_stays() {
        let (scratch, whole) = kept().await;
        scratch.run("UPDATE fleet_fold SET format = format + 1, body = 'x'").await;
        let store = scratch.open().await;
        let fleet = Fleet::new(store.clone(), None);
        assert!(fleet.revive().await.unwrap().is_none());
        assert_eq!(*fleet.known().await.unwrap(), whole);
        fleet.keep_fold(1).await.unwrap();
        assert!(store.fleet_fold(FORMAT).await.unwrap().0.is_some());
        assert!(store.fleet_fold(FORMAT + 1).await.unwrap().0.is_some(), "it is a later version's");
        store.close().await.unwrap();
    }
}
