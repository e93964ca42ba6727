//! Data of two versions side by side: each schema has a tree of its own, so that the version before finds what it left.
//!
//! ```text
//! core.json, keys …     schema-free: every version reads and writes them, nothing here touches them
//! events.json …         schema 0: lay there before there were trees
//! d/1/events.json …     the tree of schema 1
//! d/2/events.json …     the tree of schema 2
//! current -> d/2        the tree that was used last
//! ```
//!
//! Invariant: after a power cut at any moment a tree `d/N` is whole, no tree but the starting version's own was touched, and `current`
//! names a whole one. A new tree is therefore built under another name and gets its own when all of it is safe. A version that
//! starts where a newer one ran uses its own tree as it left it; one that starts where an older one ran makes its tree anew from the
//! older one's, which is the newer data. Only the tree that a new one was made from is kept: the other slot's version may need it.
//!
//! [`plan`] is pure; [`run`] does it to anything that is [`Folders`].

mod folders;

pub use folders::{Folders, perform, run};

/// The link to the tree that was used last.
pub const CURRENT: &str = "current";
/// The folder of the trees.
pub const TREES: &str = "d";
/// A tree that is being built, or one that makes room.
const UNFINISHED: [&str; 2] = ["new", "old"];

/// What a start finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Where [`CURRENT`] points to, if it is there.
    pub current: Option<String>,
    /// The names in [`TREES`].
    pub trees: Vec<String>,
}

/// One step. Paths are below the folder of all data, which is itself the empty path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Deletes a file or a folder with everything in it, if it is there.
    Remove(String),
    /// Makes a folder, if it is not there.
    Make(String),
    /// Writes each file of the tree of schema `from`, as schema `own` has it, into a folder, and flushes each.
    Carry {
        /// The schema of what is read.
        from: u32,
        /// The schema of what is written.
        own: u32,
        /// Where it is written.
        into: String,
    },
    /// Returns when the names in a folder would survive a power cut.
    Flush(String),
    /// Gives a file, link or folder another name; what has that name is replaced, unless it is a folder.
    Rename(String, String),
    /// Makes a link to a folder.
    Link(String, String),
}

/// How files differ between schemas.
pub trait Schemas {
    /// The names of files that a tree can have, of all schemas that this version knows.
    fn names(&self) -> &[&str];

    /// A file of schema `from` as schema `own` has it; `None`: it has no such file. What cannot be understood is left out or left
    /// as it is: a damaged file must not keep a box from starting.
    fn convert(&self, from: u32, own: u32, name: &str, bytes: Vec<u8>) -> Option<Vec<u8>>;
}

/// The folder of a schema's tree. Schema 0 is the folder of all data itself.
pub fn tree(schema: u32) -> String {
    if schema == 0 { String::new() } else { format!("{TREES}/{schema}") }
}

/// What a version of schema `own`, from 1, must do to what it finds before it uses its tree. `names` are those of [`Schemas::names`].
/// Nothing, when it ran here last and nothing was cut short.
pub fn plan(found: &Found, own: u32, names: &[&str]) -> Vec<Step> {
    let whole: Vec<u32> = found.trees.iter().filter_map(|name| schema(name)).collect();
    let link = found.current.as_deref();
    let current = link.and_then(|to| schema(to.strip_prefix(TREES)?.strip_prefix('/')?));
    let current = current.filter(|schema| whole.contains(schema));
    let mut steps: Vec<_> = found
        .trees
        .iter()
        .filter(|name| schema(name).is_none())
        .map(|name| Step::Remove(format!("{TREES}/{name}")))
        .collect();
    match current {
        Some(current) if current == own => {}
        // Back from a newer version, or the link is gone.
        current if whole.contains(&own) && current.is_none_or(|current| current > own) => {
            point(own, &mut steps);
        }
        current => {
            let from = current.or_else(|| whole.iter().copied().max()).unwrap_or(0);
            build(from, own, whole.contains(&own), &mut steps);
            point(own, &mut steps);
            for other in whole.iter().filter(|other| **other != own && **other != from) {
                // Whatever has a tree's name is whole, while it is deleted, too.
                let old = format!("{}.{}", tree(*other), UNFINISHED[1]);
                steps.push(Step::Rename(tree(*other), old.clone()));
                steps.push(Step::Flush(TREES.to_owned()));
                steps.push(Step::Remove(old));
            }
            if from != 0 {
                steps.extend(names.iter().map(|name| Step::Remove((*name).to_owned())));
            }
        }
    }
    steps
}

/// Builds the tree of `own` from that of `from`.
fn build(from: u32, own: u32, replaces: bool, steps: &mut Vec<Step>) {
    let [new, old] = UNFINISHED.map(|suffix| format!("{}.{suffix}", tree(own)));
    steps.push(Step::Make(TREES.to_owned()));
    steps.push(Step::Flush(String::new()));
    steps.push(Step::Make(new.clone()));
    // What a newer schema wrote cannot be read: the tree begins empty.
    if from < own {
        steps.push(Step::Carry { from, own, into: new.clone() });
    }
    steps.push(Step::Flush(new.clone()));
    if replaces {
        steps.push(Step::Rename(tree(own), old.clone()));
        steps.push(Step::Flush(TREES.to_owned()));
    }
    steps.push(Step::Rename(new, tree(own)));
    steps.push(Step::Flush(TREES.to_owned()));
    if replaces {
        steps.push(Step::Remove(old));
    }
}

/// Makes [`CURRENT`] point to the tree of `own`.
fn point(own: u32, steps: &mut Vec<Step>) {
    let new = format!("{CURRENT}.new");
    steps.push(Step::Remove(new.clone()));
    steps.push(Step::Link(new.clone(), tree(own)));
    steps.push(Step::Rename(new, CURRENT.to_owned()));
    steps.push(Step::Flush(String::new()));
}

/// The schema of a tree's name: a number from 1, written as this program writes it.
fn schema(name: &str) -> Option<u32> {
    name.parse().ok().filter(|schema: &u32| *schema != 0 && schema.to_string() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(current: &str, trees: &[&str]) -> Found {
        let current = (!current.is_empty()).then(|| current.to_owned());
        Found { current, trees: trees.iter().map(|tree| (*tree).to_owned()).collect() }
    }

    fn carried(steps: &[Step]) -> Option<u32> {
        steps.iter().find_map(|step| if let Step::Carry { from, .. } = step { Some(*from) } else { None })
    }

    #[test]
    fn a_version_that_ran_here_last_changes_nothing() {
        assert_eq!(plan(&found("d/2", &["1", "2"]), 2, &["f"]), []);
        let left = plan(&found("d/2", &["1", "2", "3.new"]), 2, &["f"]);
        assert_eq!(left, [Step::Remove("d/3.new".into())]);
    }

    #[test]
    fn what_a_new_tree_is_made_from_is_what_was_used_last() {
        for (current, trees, own, from) in [
            ("", &[][..], 1, Some(0)),
            ("d/1", &["1"], 2, Some(1)),
            ("d/1", &["1", "2"], 3, Some(1)),
            ("d/1", &["1", "2"], 2, Some(1)),
            // The link is lost: its own tree, or the newest that it can read.
            ("", &["1", "2"], 2, None),
            ("d/7", &["1"], 2, Some(1)),
            ("elsewhere", &["1", "2"], 4, Some(2)),
            // Back: as it left it, or empty.
            ("d/2", &["1", "2"], 1, None),
            ("d/2", &["2"], 1, None),
        ] {
            let steps = plan(&found(current, trees), own, &["f"]);
            assert_eq!(carried(&steps), from, "{current} {trees:?} {own}");
            assert!(steps.contains(&Step::Rename("current.new".into(), "current".into())));
        }
    }

    #[test]
    fn the_tree_that_it_was_made_from_stays_and_older_ones_go() {
        let steps = plan(&found("d/2", &["1", "2"]), 3, &["f"]);
        let gone: Vec<_> = steps.iter().filter(|step| matches!(step, Step::Remove(_))).collect();
        assert_eq!(
            gone,
            [&Step::Remove("current.new".into()), &Step::Remove("d/1.old".into()), &Step::Remove("f".into())]
        );
        let first = plan(&found("", &[]), 1, &["f"]);
        assert!(
            !first.contains(&Step::Remove("f".into())),
            "the version before the trees still reads its files"
        );
    }
}
