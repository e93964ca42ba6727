//! Whatever an installer is told, in whatever order: it never panics, and it never completes a slot with another image.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    dead_code,
    reason = "a test fails by panicking; not every test needs the whole world"
)]

mod world;

use proptest::prelude::*;
use update::install::{Action, Event, Fault, Installer, Lengths, Limits};
use world::{Images, World, bytes, release};

/// What happens at one step.
#[derive(Debug, Clone)]
enum Happens {
    /// What should.
    Right,
    /// The event belongs to nothing that was asked.
    Stray(Event),
    /// An event of the right kind that says something wrong.
    Wrong(Event),
    /// The power is cut: another installer begins with what is in the slots.
    Cut,
    /// Time goes on without an event.
    Later(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let garbage = prop::collection::vec(any::<u8>(), 0..64);
    prop_oneof![
        garbage.clone().prop_map(Event::Read),
        garbage.prop_map(Event::Fetched),
        Just(Event::Unreadable),
        Just(Event::NotFetched(Fault::Broken)),
        any::<Option<u64>>()
            .prop_map(|retry_after_ms| Event::NotFetched(Fault::Status { code: 503, retry_after_ms })),
        Just(Event::Begun),
        Just(Event::Written),
        Just(Event::Completed),
        Just(Event::Refused("no".into())),
    ]
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        12 => Just(Happens::Right),
        2 => event().prop_map(Happens::Stray),
        1 => event().prop_map(Happens::Wrong),
        1 => Just(Happens::Cut),
        1 => any::<u32>().prop_map(|ms| Happens::Later(ms.into())),
    ]
}

/// Whether the event says of this action that it was done, which the world around must then have done.
fn claims(action: &Action, event: &Event) -> bool {
    matches!(
        (action, event),
        (Action::Write { .. }, Event::Written)
            | (Action::Begin, Event::Begun)
            | (Action::Complete, Event::Completed)
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_order_of_events_completes_a_wrong_image(
        steps in prop::collection::vec(happens(), 0..200),
        random in any::<u32>(),
        in_target in prop::collection::vec((0usize..10, any::<u8>()), 0..10),
    ) {
        let old = Images { fit: bytes(1, 2), root: bytes(2, 8) };
        let mut new = old.clone();
        new.fit[0] ^= 1;
        new.root[4096] ^= 1;
        new.root.extend(&bytes(3, 1)[..1024]);
        let (release, files) = release(&new);
        // The target holds some of the new chunks, some rotten.
        let mut target = Images::blank_like(&new);
        for (index, byte) in in_target {
            let range = index * 4096..((index + 1) * 4096).min(new.root.len());
            if let (Some(to), Some(from)) = (target.root.get_mut(range.clone()), new.root.get(range)) {
                to.copy_from_slice(from);
                to[0] ^= byte & 1;
            }
        }
        let mut world = World::new(old, target, &files);
        let make = |world: &World| Installer::new(
            release.clone(), 1, world.running.lengths(), world.target.lengths(), Limits::default(),
        );
        let mut installer = make(&world);
        let mut now = 0u64;
        for step in steps.into_iter().chain(std::iter::repeat_n(Happens::Right, 300)) {
            let action = installer.next(now);
            prop_assert_eq!(&installer.next(now), &action, "asked twice, it says the same");
            match &action {
                Action::Complete | Action::Done => prop_assert_eq!(&world.target, &new),
                Action::Write { .. } => prop_assert!(world.log.begun > 0),
                _ => {}
            }
            match (step, action) {
                (Happens::Cut, _) | (_, Action::Failed { .. }) => {
                    installer = make(&world);
                    world.log.begun = 0;
                }
                (_, Action::Done) => return Ok(()),
                (Happens::Later(ms), _) => now = now.saturating_add(ms),
                (_, Action::Wait { until_ms }) => now = until_ms,
                (Happens::Stray(event) | Happens::Wrong(event), action) if !claims(&action, &event) => {
                    installer.event(event, now, random);
                }
                (_, action) => {
                    let event = world.answer(action);
                    installer.event(event, now, random);
                }
            }
        }
        // Left alone at the end, it always arrives.
        prop_assert_eq!(installer.next(now), Action::Done);
    }

    #[test]
    fn no_description_panics(json in "\\PC{0,200}", mirrors in 0usize..3) {
        if let Ok(release) = update::Release::parse(json.as_bytes()) {
            let mut installer =
                Installer::new(release, mirrors, Lengths::default(), Lengths::default(), Limits::default());
            let _ = installer.next(0);
        }
    }
}
