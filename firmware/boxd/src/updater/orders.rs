//! What was ordered last: which version the box is to have, and when it may restart into it. Kept beside the status, so that
//! a start in between does not forget the site's windows; what it allows is only believed while it is fresh.

use serde::{Deserialize, Serialize};
use update::assignment::Assignment;
use update::restart::Window;

use crate::cloud::Files;

/// Where it is kept, below the state directory.
const FILE: &str = "update/orders.json";

/// What was ordered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Orders {
    /// The version that the box is to restart into when it is there; `None`: it stays as it is.
    pub(crate) version: Option<String>,
    /// The roll-out that it belongs to; empty: none.
    pub(crate) campaign: String,
    /// When the box may restart; none: at any time.
    pub(crate) windows: Vec<Window>,
    /// From when on viewers hold nothing back, seconds since 1970.
    pub(crate) deadline: Option<u64>,
    /// When it was signed, seconds since 1970: a time that can be trusted at the moment it comes in.
    pub(crate) issued: Option<u64>,
    /// Whether the cloud has to be asked again right before a restart.
    pub(crate) ask: bool,
    /// What it said to that when it was asked last.
    pub(crate) may_restart: bool,
}

impl Orders {
    /// Those of an assignment. A deadline that was given for the same version before is not put off by asking again.
    pub(crate) fn new(assignment: &Assignment, before: &Self) -> Self {
        let version = assignment.target.as_deref().and_then(version_of).map(str::to_owned);
        let same = before.version == version && before.campaign == assignment.campaign;
        let earlier = before.deadline.filter(|_| same && version.is_some());
        Self {
            deadline: Some(earlier.map_or(assignment.deadline, |earlier| earlier.min(assignment.deadline))),
            version,
            campaign: assignment.campaign.clone(),
            windows: assignment.windows.clone(),
            issued: Some(assignment.issued),
            ask: true,
            may_restart: assignment.may_restart,
        }
    }

    /// A version that nobody need be asked about: from a mirror without a cloud, or a stick. The site's windows stay.
    pub(crate) fn without_cloud(version: &str, before: &Self) -> Self {
        Self {
            version: Some(version.to_owned()),
            windows: before.windows.clone(),
            may_restart: true,
            ..Self::default()
        }
    }

    /// What was kept; nothing when there is nothing, or nothing readable.
    pub(crate) fn kept(files: &Files) -> Self {
        let kept = files.read(FILE).ok().flatten();
        kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Keeps it, if it says anything else than `before`: the hour of signing alone is not worth a write.
    ///
    /// # Errors
    /// When the state directory cannot be written; an update goes on without.
    pub(crate) fn keep(&self, before: &Self, files: &Files) -> std::io::Result<()> {
        let same = Self { issued: before.issued, may_restart: before.may_restart, ..self.clone() };
        if same == *before { Ok(()) } else { files.write(FILE, &serde_json::to_vec(self)?) }
    }
}

/// The version in a target's name, `BOARD/VERSION.json`.
fn version_of(target: &str) -> Option<&str> {
    target.split_once('/')?.1.strip_suffix(".json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::files_tests::Scratch;

    fn assigned(target: Option<&str>, deadline: u64) -> Assignment {
        Assignment {
            target: target.map(str::to_owned),
            deadline,
            issued: 5,
            campaign: "spring".to_owned(),
            windows: vec![Window { from: 10, to: 20 }],
            may_restart: false,
        }
    }

    #[test]
    fn asking_again_puts_the_deadline_of_a_version_off_for_nobody() {
        let first = Orders::new(&assigned(Some("test/1.1.json"), 100), &Orders::default());
        assert_eq!((first.version.as_deref(), first.deadline), (Some("1.1"), Some(100)));
        assert!(first.ask && !first.may_restart);
        let again = Orders::new(&assigned(Some("test/1.1.json"), 200), &first);
        assert_eq!(again.deadline, Some(100));
        assert_eq!(Orders::new(&assigned(Some("test/1.2.json"), 200), &again).deadline, Some(200));
        let stay = Orders::new(&assigned(None, 300), &again);
        assert_eq!((stay.version, stay.deadline), (None, Some(300)));
    }

    #[test]
    fn a_stick_keeps_the_windows_of_the_site_and_needs_no_cloud() {
        let before = Orders::new(&assigned(None, 100), &Orders::default());
        let stick = Orders::without_cloud("2.0", &before);
        assert_eq!((stick.windows.len(), stick.ask, stick.campaign.as_str()), (1, false, ""));
        assert_eq!(stick.deadline, None);
    }

    #[test]
    fn windows_outlive_a_start_and_the_hour_alone_is_not_written() {
        let scratch = Scratch::new("orders");
        let files = scratch.files();
        let first = Orders::new(&assigned(None, 100), &Orders::default());
        first.keep(&Orders::default(), &files).unwrap();
        assert_eq!(Orders::kept(&files), first);
        let later = Orders { issued: Some(9), may_restart: true, ..first.clone() };
        later.keep(&first, &files).unwrap();
        assert_eq!(Orders::kept(&files), first);
        files.write(FILE, b"rubbish").unwrap();
        assert_eq!(Orders::kept(&files), Orders::default());
    }
}
