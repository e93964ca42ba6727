//! The one list of a program's keys: what the reader knows and `--help` prints.

use std::fmt::Write as _;

/// One key of the configuration.
#[derive(Debug)]
pub struct Key {
    /// Its section.
    pub section: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What holds without it, as it would be written in the file; empty: nothing.
    pub default: &'static str,
    /// An example of another value.
    pub example: &'static str,
    /// What it does.
    pub effect: &'static str,
}

/// A [`Key`], for tables.
pub const fn key(
    section: &'static str,
    name: &'static str,
    default: &'static str,
    example: &'static str,
    effect: &'static str,
) -> Key {
    Key { section, name, default, example, effect }
}

/// Every key with its example, effect and default, section by section; `repeated` are the sections that are written
/// `[[name]]`.
pub fn manual(keys: &[Key], repeated: &[&str]) -> String {
    let mut manual = String::new();
    let mut section = "";
    for key in keys {
        if key.section != section {
            section = key.section;
            let header =
                if repeated.contains(&section) { format!("[[{section}]]") } else { format!("[{section}]") };
            let _ = writeln!(manual, "\n  {header}");
        }
        let default = if key.default.is_empty() { "none" } else { key.default };
        let _ = writeln!(manual, "  {} = {}\n      {}; default {default}", key.name, key.example, key.effect);
    }
    manual
}

/// The sections, in order.
pub(crate) fn sections(keys: &[Key]) -> Vec<&'static str> {
    let mut sections: Vec<_> = keys.iter().map(|key| key.section).collect();
    sections.dedup();
    sections
}

/// The keys of a section.
pub(crate) fn names(keys: &[Key], section: &str) -> Vec<&'static str> {
    keys.iter().filter(|key| key.section == section).map(|key| key.name).collect()
}

/// The known word that the owner probably meant: nearest by edits, at most a third of its letters away.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let (distance, best) = known.iter().map(|name| (distance(word, name), *name)).min()?;
    (distance <= best.len().max(3) / 3).then_some(best)
}

/// Levenshtein distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let substituted = diagonal + usize::from(x != y);
            diagonal = *cell;
            *cell = substituted.min(*cell + 1).min(left + 1);
            left = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}
