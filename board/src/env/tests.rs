use proptest::prelude::*;

use super::*;
use crate::mem_disk::{Fault, MemDisk};

const ERASE: u64 = 64 * 1024;

fn map_with(env1: u64, env2: u64) -> PartitionMap {
    let names = ["env1", "env2", "id", "fit_a", "root_a", "fit_b", "root_b", "data"];
    let regions = names.map(|name| {
        let at = if name == "env2" { env2 } else { env1 };
        (name.to_owned(), Region { at, bytes: ERASE })
    });
    PartitionMap::new(regions).unwrap()
}

fn map() -> PartitionMap {
    map_with(0, ERASE)
}

fn disk() -> MemDisk {
    MemDisk::new(2 * ERASE)
}

const fn vars(tries: u8) -> Vars {
    let a = Record { state: State::Good, tries: 3, rounds: 0 };
    Vars { first: SlotName::B, a, b: Record { state: State::Trial, tries, rounds: 1 } }
}

/// The variables of a block, as people and `fw_printenv` see them.
fn lines(block: &[u8]) -> Vec<String> {
    let lines = block[4..].split(|byte| *byte == 0).take_while(|line| !line.is_empty());
    lines.map(|line| String::from_utf8(line.to_vec()).unwrap()).collect()
}

#[test]
fn a_block_is_what_u_boot_reads_and_holds_the_writeable_names_and_no_other() {
    let block = Env { seq: 0x2a, vars: vars(12) }.encode();
    assert_eq!(block.len(), 0x4000);
    let expected = "seq=0000002a order=ba a_state=g a_tries=3 a_rounds=0 b_state=t b_tries=c b_rounds=1";
    assert_eq!(lines(&block).join(" "), expected);
    let names: Vec<String> =
        lines(&block).iter().map(|line| line.split('=').next().unwrap().to_owned()).collect();
    assert_eq!(names, NAMES);
    // What Debian's mkenvimage -s 0x4000 -p 0 writes for these lines begins with this.
    assert_eq!(block[..4], CRC_OF_THE_EXAMPLE.to_le_bytes());
}

const CRC_OF_THE_EXAMPLE: u32 = 0xc40c_603d;

/// A block with these lines and a right CRC.
fn block(lines: &[&str]) -> Vec<u8> {
    let mut data = lines.join("\0").into_bytes();
    data.resize(BYTES - CRC, 0);
    [crc32fast::hash(&data).to_le_bytes().to_vec(), data].concat()
}

#[test]
fn what_u_boot_writes_is_read_and_what_nobody_writes_is_as_if_it_were_lost() {
    let written = [
        "a_rounds=0",
        "a_state=g",
        "a_tries=3",
        "b_rounds=1",
        "b_state=t",
        "b_tries=2",
        "order=ba",
        "seq=2b",
    ];
    assert_eq!(Env::decode(&block(&written)), Some(Env { seq: 0x2b, vars: vars(2) }));
    assert_eq!(Env::decode(&block(&["seq=1"])), Some(Env { seq: 1, vars: Vars::LOST }));
    let odd = [
        "seq=1",
        "order=xy",
        "a_state=good",
        "a_tries=10",
        "a_rounds=-1",
        "b_tries=+2",
        "c_tries=2",
        "bootcmd=run evil",
    ];
    assert_eq!(Env::decode(&block(&odd)), Some(Env { seq: 1, vars: Vars::LOST }));
    for seq in ["seq=", "seq=123456789", "seq=+1", "seq=g", "a_state=g", ""] {
        assert_eq!(Env::decode(&block(&[seq])), None, "{seq}");
    }
}

#[test]
fn a_box_that_has_lost_its_environment_knows_it_and_tries_each_slot_once() {
    let loaded = load(&disk(), &map()).unwrap();
    let lost = Record { state: State::Unknown, tries: 1, rounds: 1 };
    assert_eq!(loaded.vars, Vars { first: SlotName::A, a: lost, b: lost });
    assert_eq!((loaded.copy, loaded.seq), (None, 0));
    assert!(loaded.trouble().unwrap().contains("both copies"));
}

#[test]
fn the_newest_whole_copy_counts_and_a_writer_takes_the_other_one() {
    let (mut disk, map) = (disk(), map());
    for (round, tries) in (0..).zip([9, 8, 7, 6]) {
        assert!(save(&mut disk, &map, &vars(tries)).unwrap());
        let loaded = load(&disk, &map).unwrap();
        assert_eq!(
            (loaded.vars, loaded.seq, loaded.copy),
            (vars(tries), round + 1, Some(round as usize % 2))
        );
    }
    assert_eq!((disk.writes_in(&(0..ERASE)), disk.writes_in(&(ERASE..2 * ERASE))), (2, 2));
    assert_eq!(disk.flushes(), 4);
    assert_eq!(load(&disk, &map).unwrap().trouble(), None);
}

#[test]
fn what_changes_nothing_writes_nothing() {
    let (mut disk, map) = (disk(), map());
    assert!(!save(&mut disk, &map, &Vars::LOST).unwrap());
    save(&mut disk, &map, &vars(1)).unwrap();
    let before = disk.operations();
    assert!(!save(&mut disk, &map, &vars(1)).unwrap());
    assert_eq!(change(&mut disk, &map, |_| None).unwrap(), vars(1));
    assert_eq!(change(&mut disk, &map, |vars| Some(*vars)).unwrap(), vars(1));
    assert_eq!(disk.operations(), before);
}

#[test]
fn a_cut_at_any_moment_leaves_the_old_state_or_the_new_one() {
    let (mut disk, map) = (disk(), map());
    save(&mut disk, &map, &vars(1)).unwrap();
    for tries in [2, 3, 4] {
        let old = vars(tries - 1);
        disk.record();
        save(&mut disk, &map, &vars(tries)).unwrap();
        let mut found = Vec::new();
        for moment in disk.moments() {
            found.extend(moment.survivors().map(|medium| load(&MemDisk::on(medium), &map).unwrap().vars));
        }
        assert!(found.contains(&old) && found.contains(&vars(tries)));
        assert!(found.iter().all(|found| [old, vars(tries)].contains(found)), "{found:?}");
    }
}

#[test]
fn one_copy_on_a_bad_sector_is_not_the_end_and_mends_with_the_next_write() {
    let (mut disk, map) = (disk(), map());
    for tries in [1, 2] {
        save(&mut disk, &map, &vars(tries)).unwrap();
    }
    disk.add(Fault::Unreadable(ERASE..ERASE + 512));
    let loaded = load(&disk, &map).unwrap();
    assert_eq!((loaded.vars, loaded.copy), (vars(1), Some(0)));
    assert!(loaded.trouble().unwrap().contains("does not give"));
    save(&mut disk, &map, &vars(3)).unwrap();
    disk.heal();
    let loaded = load(&disk, &map).unwrap();
    assert_eq!((loaded.vars, loaded.trouble()), (vars(3), None));
    disk.write(0, &[1; 512]).unwrap();
    assert!(load(&disk, &map).unwrap().trouble().unwrap().contains("broken"));
}

#[test]
fn a_map_that_does_not_fit_and_a_cut_are_errors_and_no_lost_environment() {
    let map = map_with(0, 2 * ERASE);
    assert!(matches!(load(&disk(), &map), Err(DiskError::Range { .. })));
    let mut disk = disk();
    disk.cut_at(1);
    let _ = disk.flush();
    assert!(matches!(load(&disk, &self::map()), Err(DiskError::Cut)));
}

#[test]
fn the_count_never_begins_again() {
    let (mut disk, map) = (disk(), map());
    disk.write(0, &Env { seq: u32::MAX, vars: vars(1) }.encode()).unwrap();
    assert!(matches!(save(&mut disk, &map, &vars(2)), Err(EnvError::Spent)));
    assert_eq!(load(&disk, &map).unwrap().vars, vars(1));
}

fn record() -> impl Strategy<Value = Record> {
    (prop::sample::select(&State::ALL[..]), 0u8..16, 0u8..16).prop_map(|(state, tries, rounds)| Record {
        state,
        tries,
        rounds,
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_and_a_flipped_bit_is_noticed(
        seq: u32, a in record(), b in record(), first in prop::sample::select(&SlotName::BOTH[..]), bit in 0..BYTES * 8,
    ) {
        let env = Env { seq, vars: Vars { first, a, b } };
        let mut block = env.encode();
        prop_assert_eq!(Env::decode(&block), Some(env));
        block[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(Env::decode(&block), None);
    }

    #[test]
    fn no_bytes_panic_even_with_a_right_check_sum(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        lines in prop::collection::vec("(seq|order|[abc]_(state|tries|rounds|x)|\\PC{0,4})=?\\PC{0,5}", 0..9),
    ) {
        let _ = Env::decode(&bytes);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        for mut block in [block(&lines), bytes] {
            block.resize(BYTES, 0);
            let crc = crc32fast::hash(&block[4..]);
            block[..4].copy_from_slice(&crc.to_le_bytes());
            if let Some(env) = Env::decode(&block) {
                prop_assert_eq!(Env::decode(&env.encode()), Some(env));
            }
        }
    }
}
