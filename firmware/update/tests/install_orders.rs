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
use proptest::sample::Index;
use serde_json::{Value, json};
use update::install::{Action, Event, Fault, Installer, Limits};
use update::{Chunk, ImageKind, Release};
use world::{End, Images, World, bytes, good, hex, release};

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
    fn an_altered_description_is_refused_or_whole_and_installs_nothing_else(
        changes in prop::collection::vec((any::<Index>(), any::<Index>()), 0..4),
        mirrors in 0usize..3,
    ) {
        let new = Images { fit: bytes(1, 2), root: bytes(2, 3) };
        let (right, files) = release(&new);
        let altered = altered(serde_json::to_value(&right).unwrap(), &changes);
        let Ok(release) = Release::parse(altered.to_string().as_bytes()) else {
            prop_assert!(!changes.is_empty(), "the right one is taken");
            return Ok(());
        };
        let mut room = Images::default();
        for (kind, room) in [(ImageKind::Fit, &mut room.fit), (ImageKind::Root, &mut room.root)] {
            let image = release.image(kind);
            let mut end = 0;
            for index in 0..image.chunks.len() {
                let range = release.range(kind, index).unwrap();
                prop_assert_eq!(range.start, end, "chunk {} of {:?}", index, kind);
                prop_assert!(range.end > end && range.end - end <= release.chunk_bytes.into());
                end = range.end;
            }
            prop_assert_eq!((end, release.range(kind, image.chunks.len())), (image.bytes, None));
            room.resize(image.bytes as usize, 0);
        }
        // A mirror's answer is cut where it is longer than signed.
        let mut files = files;
        for Chunk(hash, packed) in release.fit.chunks.iter().chain(&release.root.chunks) {
            if let Some(file) = files.get_mut(&Chunk(hash.clone(), 1).path()) {
                file.truncate(*packed as usize);
            }
        }
        let mut world = World::new(Images::default(), room, &files);
        world.mirrors = (0..mirrors).map(|_| good()).collect();
        let mut installer = world.installer(&release);
        let end = world.drive(&mut installer, 500);
        if end == End::Done {
            // The chunks say what the images are; the hash of the whole is for people.
            for (kind, image) in [(ImageKind::Fit, &world.target.fit), (ImageKind::Root, &world.target.root)] {
                for (index, Chunk(hash, _)) in release.image(kind).chunks.iter().enumerate() {
                    let range = release.range(kind, index).unwrap();
                    let piece = image.get(range.start as usize..range.end as usize).unwrap();
                    prop_assert_eq!(&hex(piece), hash);
                }
            }
        }
        prop_assert!(!changes.is_empty() || mirrors == 0 || end == End::Done, "{:?}", end);
    }
}

/// A description with values at the edges of what is allowed, and beyond, in some of its places.
fn altered(mut description: Value, changes: &[(Index, Index)]) -> Value {
    let edges = [0, 1, 511, 512, 4096, 4097, 8192, 1 << 20, (1 << 20) + 1, 1 << 31, 1 << 32, u64::MAX];
    let edges = edges.into_iter().map(Value::from);
    let words = ["", "z", "x/../y", &"Z".repeat(64), &"0".repeat(64), &"é".repeat(32)].map(Value::from);
    let values: Vec<Value> =
        edges.chain(words).chain([Value::Null, json!(-1), json!([]), json!({})]).collect();
    for (place, value) in changes {
        let mut places = Vec::new();
        pointers(&description, "", &mut places);
        let place: &String = place.get(&places);
        let place = description.pointer_mut(place).unwrap();
        match (place, value.get(&values)) {
            // One piece more, or one less.
            (Value::Array(pieces), Value::Number(number)) if number.as_u64() > Some(4096) => {
                let piece = pieces.first().cloned().unwrap_or_default();
                pieces.push(piece);
            }
            (Value::Array(pieces), Value::Number(_)) => drop(pieces.pop()),
            (place, value) => *place = value.clone(),
        }
    }
    description
}

/// Every place in a value (RFC 6901) but the whole.
fn pointers(value: &Value, here: &str, into: &mut Vec<String>) {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(values) => {
            values.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect()
        }
        _ => Vec::new(),
    };
    for (name, value) in inner {
        let place = format!("{here}/{name}");
        pointers(value, &place, into);
        into.push(place);
    }
}
