//! The journal of a new system on trial, as far as it outlives that system: the last lines of the main process without
//! secrets, on the data partition. The system that runs when the verdict has fallen tells them to the cloud.

use serde::{Deserialize, Serialize};

use crate::cloud::Files;

/// Where it is kept, below the state directory.
const FILE: &str = "update/journal.json";

/// The last lines of a system.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Journal {
    /// Which version said it.
    pub(crate) version: String,
    /// The lines, without secrets; at most [`model::update::JOURNAL`] bytes.
    pub(crate) lines: String,
}

impl Journal {
    /// The end of what a version has said. `text` has no secrets in it.
    pub(crate) fn new(version: &str, text: &str) -> Self {
        let least = text.len().saturating_sub(model::update::JOURNAL);
        // Whole lines, the newest ones.
        let cut = text.get(least..).or_else(|| (least..text.len()).find_map(|at| text.get(at..)));
        let cut = cut.unwrap_or_default();
        let lines = match cut.split_once('\n') {
            Some((_, whole)) if least > 0 => whole,
            _ => cut,
        };
        Self { version: version.to_owned(), lines: lines.to_owned() }
    }

    /// What was kept of this version; nothing when there is nothing, or another one's.
    pub(crate) fn kept(files: &Files, version: &str) -> Option<Self> {
        let kept: Self = serde_json::from_slice(&files.read(FILE).ok().flatten()?).ok()?;
        (kept.version == version && !kept.lines.is_empty()).then_some(kept)
    }

    /// Keeps it.
    ///
    /// # Errors
    /// When the state directory cannot be written.
    pub(crate) fn keep(&self, files: &Files) -> std::io::Result<()> {
        files.write(FILE, &serde_json::to_vec(self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::files_tests::Scratch;

    #[test]
    fn the_newest_whole_lines_are_kept_of_one_version() {
        assert_eq!(Journal::new("2", "one\ntwo").lines, "one\ntwo");
        let mut long = (0..2000).map(|line| format!("строка {line}")).collect::<Vec<_>>().join("\n");
        long.push('\n');
        let journal = Journal::new("2", &long);
        assert!(journal.lines.len() <= model::update::JOURNAL);
        assert!(journal.lines.starts_with("строка ") && journal.lines.ends_with("строка 1999\n"));

        let scratch = Scratch::new("journal");
        assert_eq!(Journal::kept(&scratch.files(), "2"), None);
        journal.keep(&scratch.files()).unwrap();
        assert_eq!(Journal::kept(&scratch.files(), "2"), Some(journal));
        assert_eq!(Journal::kept(&scratch.files(), "3"), None, "another system's lines");
    }
}
