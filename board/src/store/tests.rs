use proptest::prelude::*;

use super::*;
use crate::mem_disk::{Fault, MemDisk};

const HALF: u64 = 64 * 1024;

fn store() -> Store<MemDisk> {
    Store::new(MemDisk::new(2 * HALF))
}

#[test]
fn what_was_kept_is_found_by_whoever_looks_next() {
    let mut store = store();
    assert_eq!((store.kept().unwrap(), store.get("serial").unwrap()), (Kept::Blank, None));
    assert!(store.set("serial", b"SN-1").unwrap());
    assert!(store.set("floors", &[0; 300]).unwrap());
    assert!(store.set("serial", b"").unwrap());
    let again = Store::new(&mut store.disk);
    assert_eq!(again.get("serial").unwrap(), Some(Vec::new()));
    assert_eq!(again.get("floors").unwrap(), Some(vec![0; 300]));
    assert_eq!((again.get("other").unwrap(), again.kept().unwrap()), (None, Kept::Well));
}

#[test]
fn the_same_again_writes_nothing_and_each_change_takes_the_older_copy() {
    let mut store = store();
    for value in [1u8, 1, 2, 2, 3, 3] {
        store.set("n", &[value]).unwrap();
    }
    assert!(store.forget("n").unwrap());
    assert!(!store.forget("n").unwrap());
    let halves = [0..HALF, HALF..2 * HALF].map(|half| store.disk.writes_in(&half));
    assert_eq!((halves, store.disk.flushes()), ([2, 2], 4));
}

#[test]
fn what_may_only_grow_is_looked_at_and_written_in_one_go() {
    let mut store = store();
    let raise = |to: u8| move |old: Option<&[u8]>| Some(vec![old.map_or(0, |old| old[0]).max(to)]);
    assert!(store.revise("floor", raise(5)).unwrap());
    assert!(!store.revise("floor", raise(3)).unwrap());
    assert!(!store.revise("floor", |_| None).unwrap());
    assert!(store.revise("floor", raise(6)).unwrap());
    assert_eq!((store.get("floor").unwrap(), store.disk.flushes()), (Some(vec![6]), 2));
    assert!(matches!(store.revise("floor", |_| Some(vec![0; MOST])), Err(StoreError::Full(..))));
    assert_eq!(store.get("floor").unwrap(), Some(vec![6]));
}

#[test]
fn a_cut_at_any_moment_leaves_all_of_the_old_state_or_all_of_the_new_one() {
    let mut store = store();
    store.set("key", &[7; 1500]).unwrap();
    store.set("floor", &[1; 700]).unwrap();
    store.disk.record();
    store.set("floor", &[2; 900]).unwrap();
    let mut floors = Vec::new();
    for moment in store.disk.moments() {
        for medium in moment.survivors() {
            let found = Store::new(MemDisk::on(medium));
            assert_eq!(found.get("key").unwrap(), Some(vec![7; 1500]));
            floors.push(found.get("floor").unwrap().unwrap());
        }
    }
    assert!(floors.contains(&vec![1; 700]) && floors.contains(&vec![2; 900]));
    assert!(floors.iter().all(|floor| *floor == [1; 700] || *floor == [2; 900]));
    // Done is done.
    for medium in store.disk.moment().survivors() {
        assert_eq!(Store::new(MemDisk::on(medium)).get("floor").unwrap(), Some(vec![2; 900]));
    }
}

#[test]
fn a_disk_that_gives_nothing_is_not_taken_for_a_new_one() {
    let mut store = store();
    store.set("key", b"secret").unwrap();
    store.disk.add(Fault::Unreadable(0..512));
    assert!(matches!(store.get("key"), Err(StoreError::Disk(_))));
    assert!(matches!(store.set("key", b"new"), Err(StoreError::Disk(_))));
    store.disk.heal();
    assert_eq!(store.get("key").unwrap().unwrap(), b"secret");
    store.set("other", b"").unwrap();
    store.disk.add(Fault::Unreadable(0..512));
    assert_eq!((store.get("key").unwrap().unwrap(), store.kept().unwrap()), (b"secret".to_vec(), Kept::Once));
}

#[test]
fn one_broken_copy_is_said_and_two_are_a_loss_and_not_a_new_box() {
    let mut store = store();
    store.set("n", &[1]).unwrap();
    store.set("n", &[2]).unwrap();
    store.disk.write(HALF, &[9; 512]).unwrap();
    assert_eq!((store.kept().unwrap(), store.get("n").unwrap()), (Kept::Once, Some(vec![1])));
    store.disk.write(0, &[9; 512]).unwrap();
    assert_eq!((store.kept().unwrap(), store.get("n").unwrap()), (Kept::Lost, None));
}

#[test]
fn names_and_room_have_limits_and_going_over_them_changes_nothing() {
    let mut store = store();
    assert!(store.set("fifteen-letters", &[1]).unwrap());
    for name in ["", "sixteen--letters"] {
        assert!(matches!(store.set(name, &[1]), Err(StoreError::Name(_))), "{name}");
        assert!(matches!(store.get(name), Err(StoreError::Name(_))), "{name}");
    }
    // 20 bytes before the records, 3 before each, 15 and 1 of the first, 3 of the second's name.
    let most = MOST - HEAD - 3 - 16 - 3 - 3;
    assert!(matches!(store.set("big", &vec![1; most + 1]), Err(StoreError::Full(..))));
    assert_eq!(store.get("big").unwrap(), None);
    assert!(store.set("big", &vec![1; most]).unwrap());
    assert_eq!(store.get("big").unwrap().unwrap().len(), most);
    assert!(matches!(store.set("big", &vec![1; 70_000]), Err(StoreError::Full(..))));
    assert_eq!(store.get("big").unwrap().unwrap().len(), most);
}

#[test]
fn embedded_svc_keeps_raw_values_here() {
    let mut store = store();
    assert!(store.set_raw("hash", b"0123").unwrap());
    assert_eq!(
        (RawStorage::len(&store, "hash").unwrap(), RawStorage::len(&store, "no").unwrap()),
        (Some(4), None)
    );
    let mut room = [0; 8];
    assert_eq!(store.get_raw("hash", &mut room).unwrap(), Some(b"0123".as_slice()));
    assert!(matches!(store.get_raw("hash", &mut room[..3]), Err(StoreError::Buffer(4, _))));
    assert!(store.contains("hash").unwrap());
    assert!(store.remove("hash").unwrap());
    assert!(!store.contains("hash").unwrap());
}

#[test]
fn the_form_on_the_disk_stays_what_older_versions_wrote() {
    let mut store = store();
    store.set("ab", b"xyz").unwrap();
    let mut found = [0; 512];
    store.disk.read(0, &mut found).unwrap();
    let mut expected = b"SBXSTOR1\x01\0\0\0\x08\0\0\0".to_vec();
    expected.extend(CRC_OF_THE_EXAMPLE.to_le_bytes());
    expected.extend(b"\x02\x03\0abxyz");
    expected.resize(512, 0);
    assert_eq!(found.as_slice(), expected);
}

const CRC_OF_THE_EXAMPLE: u32 = 0x1424_fb1d;

fn put(bytes: &[u8]) -> Store<MemDisk> {
    let mut disk = MemDisk::new(2 * HALF);
    let mut copy = bytes.to_vec();
    copy.resize(copy.len().next_multiple_of(512), 0);
    disk.write(0, &copy).unwrap();
    Store::new(disk)
}

proptest! {
    #[test]
    fn no_bytes_panic_even_with_a_right_check_sum(
        bytes in prop::collection::vec(any::<u8>(), 0..400), seq: u32, length in prop::option::of(any::<u32>()),
    ) {
        prop_assert!(put(&bytes).get("n").is_ok());
        let mut copy = MAGIC.to_vec();
        copy.extend(seq.to_le_bytes());
        copy.extend(length.unwrap_or(bytes.len() as u32).to_le_bytes());
        let right = crc(&copy, &bytes);
        copy.extend(right.to_le_bytes());
        copy.extend(bytes);
        let mut store = put(&copy);
        prop_assert!(store.get("n").is_ok());
        match store.set("n", &[1]) {
            Ok(_) => prop_assert_eq!(store.get("n").unwrap(), Some(vec![1])),
            Err(error) => prop_assert!(matches!(error, StoreError::Spent)),
        }
    }

    #[test]
    fn it_keeps_what_a_map_in_memory_keeps(
        steps in prop::collection::vec(("[a-e]", prop::option::of(prop::collection::vec(any::<u8>(), 0..50))), 0..30),
    ) {
        let mut store = store();
        let mut model = BTreeMap::new();
        for (name, value) in steps {
            if let Some(value) = value {
                let changed = model.insert(name.clone(), value.clone()) != Some(value.clone());
                prop_assert_eq!(store.set(&name, &value).unwrap(), changed);
            } else {
                prop_assert_eq!(store.forget(&name).unwrap(), model.remove(&name).is_some());
            }
            for name in ["a", "b", "c", "d", "e"] {
                prop_assert_eq!(store.get(name).unwrap(), model.get(name).cloned());
            }
        }
    }
}
