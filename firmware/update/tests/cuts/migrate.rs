//! Data of the old and of the new version with the power cut at every operation, whatever had reached the medium, again and again:
//! the search ends when no cut leaves anything that was not seen before.

use std::collections::BTreeMap;
use std::io;

use update::migrate::{CURRENT, Folders as _, Found, Schemas, Step, TREES, perform, plan, run, tree};

use super::files::{Disk, Tree};

const NAMES: [&str; 2] = ["events.json", "reach.json"];
/// Read and written by every version, never by a migration.
const CORE: &str = "core.json";

/// Says in each file which schemas it went through; schema 2 has no `reach.json`.
struct Told;

impl Schemas for Told {
    fn names(&self) -> &[&str] {
        &NAMES
    }

    fn convert(&self, from: u32, own: u32, name: &str, bytes: Vec<u8>) -> Option<Vec<u8>> {
        let text = String::from_utf8(bytes).unwrap();
        (own != 2 || name != "reach.json").then(|| format!("{text}, {from} to {own}").into_bytes())
    }
}

/// A box whose files lie flat, as before there were trees.
fn flat() -> Tree {
    NAMES
        .iter()
        .fold(Tree::empty().with(CORE, "the owner's choices"), |tree, name| tree.with(name, "from the field"))
}

/// What a whole tree of a schema says, by file.
fn expected(schema: u32) -> BTreeMap<&'static str, String> {
    NAMES
        .iter()
        .filter(|name| schema != 2 || **name != "reach.json")
        .map(|name| {
            (
                *name,
                (0..schema).fold("from the field".to_owned(), |text, from| {
                    format!("{text}, {from} to {}", from + 1)
                }),
            )
        })
        .collect()
}

/// What a medium breaks of the promises, for whoever may start next.
fn broken(medium: &Tree, untouched: u32) -> Option<String> {
    if medium.text(CORE).as_deref() != Some("the owner's choices") {
        return Some("core.json is not what it was".into());
    }
    let whole = |schema: u32| {
        expected(schema)
            .iter()
            .all(|(name, text)| medium.text(&format!("{}/{name}", tree(schema))).as_ref() == Some(text))
    };
    if !whole(untouched) {
        return Some(format!("the old version's tree {untouched} is not what it was"));
    }
    if let Some(Tree::Folder(trees)) = medium.at(TREES) {
        for schema in [1, 2] {
            if trees.contains_key(&schema.to_string()) && !whole(schema) {
                return Some(format!("d/{schema} is there and not whole"));
            }
        }
    }
    match medium.at(CURRENT) {
        Some(Tree::Link(to)) if medium.at(to).is_none() => {
            Some(format!("{CURRENT} points to {to}, which is not there"))
        }
        _ => None,
    }
}

/// How a version migrates.
type Migration = fn(&mut Disk, u32) -> io::Result<()>;

fn real(disk: &mut Disk, own: u32) -> io::Result<()> {
    run(disk, own, &Told).map(drop)
}

/// The real plan without the steps that `drop` names.
fn without(disk: &mut Disk, own: u32, drop: impl Fn(&Step) -> bool) -> io::Result<()> {
    let found = Found { current: disk.linked(CURRENT)?, trees: disk.list(TREES)? };
    plan(&found, own, &NAMES)
        .iter()
        .filter(|step| !drop(step))
        .try_for_each(|step| perform(disk, step, &Told))
}

#[derive(Debug, Default)]
struct Searched {
    cuts: usize,
    media: usize,
    violation: Option<String>,
}

/// Starts the versions of `schemas` in any order on what cuts left, cutting each everywhere, until nothing new is found.
/// The tree of `untouched` must stay.
fn search(start: &Tree, schemas: &[u32], untouched: u32, migrate: Migration, lies: bool) -> Searched {
    let mut seen = std::collections::BTreeSet::from([start.clone()]);
    let mut open = vec![start.clone()];
    let mut searched = Searched::default();
    while let Some(medium) = open.pop() {
        for own in schemas {
            let mut disk = Disk::on(&medium);
            disk.lies = lies;
            let outcome = migrate(&mut disk, *own);
            let after = disk.tree();
            let (moments, mut survivors) = disk.survivors();
            searched.cuts += moments;
            let mut wrong = broken(&after, untouched);
            if outcome.is_err() || after.at(&tree(*own)).is_none() {
                wrong = wrong.or(Some(format!("schema {own} cannot start: {outcome:?}")));
            }
            if after.at(CURRENT) != Some(&Tree::Link(tree(*own))) {
                wrong = wrong.or(Some(format!("schema {own} runs, and the link says otherwise")));
            }
            survivors.push(after);
            for survivor in survivors {
                if seen.contains(&survivor) {
                    continue;
                }
                wrong = wrong.or_else(|| broken(&survivor, untouched));
                seen.insert(survivor.clone());
                open.push(survivor);
            }
            searched.media = seen.len();
            if wrong.is_some() {
                searched.violation = wrong;
                return searched;
            }
        }
    }
    searched
}

fn after(start: &Tree, own: u32) -> Tree {
    let mut disk = Disk::on(start);
    run(&mut disk, own, &Told).unwrap();
    disk.tree()
}

#[test]
fn people_who_upgrade_lose_nothing_and_find_their_files_where_they_were_when_they_go_back() {
    let searched = search(&flat(), &[1], 0, real, false);
    println!("flat to d/1: {} cuts, {} media", searched.cuts, searched.media);
    assert_eq!(searched.violation, None);
    assert!(searched.cuts > 100 && searched.media >= 15, "{searched:?}");
}

#[test]
fn the_old_version_finds_its_tree_and_the_new_one_finishes_wherever_the_power_was_cut() {
    let searched = search(&after(&flat(), 1), &[1, 2], 1, real, false);
    println!("d/1 to d/2 and back: {} cuts, {} media", searched.cuts, searched.media);
    assert_eq!(searched.violation, None);
    assert!(searched.cuts > 1000 && searched.media > 100, "{searched:?}");
}

#[test]
fn a_migration_that_flushes_less_is_caught() {
    let start = after(&flat(), 1);
    let variants: [(&str, Migration, bool); 4] = [
        ("no flush does anything", real, true),
        (
            "the new tree's names are not flushed",
            |disk, own| without(disk, own, |step| *step == Step::Flush("d/2.new".into())),
            false,
        ),
        (
            "the tree has its name from the first",
            |disk, own| {
                if disk.list("d/2")?.is_empty() {
                    disk.make("d/2")?;
                    perform(disk, &Step::Carry { from: 1, own, into: "d/2".into() }, &Told)?;
                }
                without(disk, own, |step| match step {
                    Step::Make(_) | Step::Carry { .. } => true,
                    Step::Flush(path) | Step::Rename(path, _) => path.starts_with("d/2"),
                    _ => false,
                })
            },
            false,
        ),
        (
            "the trees' names are not flushed before the link's",
            |disk, own| without(disk, own, |step| *step == Step::Flush(TREES.into())),
            false,
        ),
    ];
    for (what, migrate, lies) in variants {
        let searched = search(&start, &[2], 1, migrate, lies);
        println!("{what}: {:?} after {} cuts", searched.violation, searched.cuts);
        assert!(searched.violation.is_some(), "not caught: {what}");
    }
}

#[test]
fn a_new_version_again_takes_what_the_old_one_wrote_since() {
    let tried = after(&after(&flat(), 1), 2);
    let back = after(&tried, 1).with("d/1/events.json", "written by the old one since");
    let again = after(&back, 2);
    assert_eq!(again.text("d/2/events.json").unwrap(), "written by the old one since, 1 to 2");
    assert_eq!(again.text("d/1/events.json").unwrap(), "written by the old one since");
}

#[test]
fn a_full_disk_costs_nothing_but_the_move_which_is_made_once_there_is_room() {
    let start = after(&flat(), 1);
    let mut disk = Disk::on(&start);
    disk.full = true;
    assert_eq!(run(&mut disk, 2, &Told).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(broken(&disk.tree(), 1), None);
    assert_eq!(disk.linked(CURRENT).unwrap().as_deref(), Some("d/1"));
    disk.full = false;
    run(&mut disk, 2, &Told).unwrap();
    assert_eq!(broken(&disk.tree(), 1), None);
    assert_eq!(disk.linked(CURRENT).unwrap().as_deref(), Some("d/2"));
}
