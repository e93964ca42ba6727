//! What the cloud is told of an update: kept until it has answered, told in order, each thing once.
//!
//! Invariant: a report leaves the list only when the cloud has taken it, or has refused it for good; so whatever fails in
//! between, the verdict over a new system arrives. The list is short: what is superseded by too many later ones goes.

use model::update::{Phase, Report};
use serde::{Deserialize, Serialize};

use crate::cloud::Files;
use crate::guard::word::{Ending, Last};

/// Where it is kept, below the state directory.
const FILE: &str = "update/reports.json";
/// Most reports that wait: with 8 KiB of journal in each it is a small file.
const WAITING: usize = 16;

/// What is told, before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) campaign: String,
    pub(crate) version: String,
    pub(crate) phase: Phase,
    pub(crate) why: String,
    pub(crate) journal: String,
}

/// What the cloud has made of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It was taken, or the cloud wants none: an older one, or one that does not know this box.
    Yes,
    /// The cloud says no for now (409): another box of the site is at it.
    Not,
    /// It was not heard.
    Unheard,
}

impl Taken {
    /// By the answer's status.
    pub(crate) const fn of(status: u16) -> Self {
        match status {
            409 => Self::Not,
            408 | 429 | 500 | 502.. => Self::Unheard,
            _ => Self::Yes,
        }
    }
}

/// The list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Reports {
    waiting: Vec<Report>,
    /// What was told last, so that it is told once.
    last: Option<(String, String, Phase, String)>,
    /// The verdict that was told last.
    verdict: Option<String>,
    /// The roll-out of the version that was restarted into last.
    left_for: Option<(String, String)>,
}

impl Reports {
    /// What was kept; nothing when there is nothing, or nothing readable.
    pub(crate) fn kept(files: &Files) -> Self {
        let kept = files.read(FILE).ok().flatten();
        kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Keeps it.
    ///
    /// # Errors
    /// When the state directory cannot be written.
    pub(crate) fn keep(&self, files: &Files) -> std::io::Result<()> {
        files.write(FILE, &serde_json::to_vec(self)?)
    }

    /// Whether this is something else than what was told last.
    pub(crate) fn is_new(&self, news: &News) -> bool {
        self.last.as_ref().is_none_or(|last| *last != key(news))
    }

    /// Whether the cloud was told last that a version is being fetched.
    pub(crate) fn is_fetching(&self) -> bool {
        self.last.as_ref().is_some_and(|(_, _, phase, _)| *phase == Phase::Fetching)
    }

    /// Whether the cloud was told last that the box restarts into what waits.
    pub(crate) fn is_leaving(&self) -> bool {
        self.last.as_ref().is_some_and(|(_, _, phase, _)| *phase == Phase::Restarting)
    }

    /// Adds a report that `sign` makes of the news.
    pub(crate) fn add(&mut self, news: News, sign: impl FnOnce(News) -> Report) {
        self.last = Some(key(&news));
        if news.phase == Phase::Restarting {
            self.left_for = Some((news.version.clone(), news.campaign.clone()));
        }
        self.waiting.push(sign(news));
        let surplus = self.waiting.len().saturating_sub(WAITING);
        self.waiting.drain(..surplus);
    }

    /// The one that is to be told next.
    pub(crate) fn next(&self) -> Option<&Report> {
        self.waiting.first()
    }

    /// The next one was taken.
    pub(crate) fn taken(&mut self) {
        if !self.waiting.is_empty() {
            self.waiting.remove(0);
        }
    }

    /// The box does not restart after all: what says so is not told.
    pub(crate) fn stays(&mut self) {
        self.waiting.retain(|report| report.phase != Phase::Restarting);
        self.last = None;
    }

    /// News of how an update ended, unless it was told.
    pub(crate) fn verdict(
        &mut self,
        last: &Last,
        sentence: &str,
        journal: Option<String>,
        crashed: bool,
    ) -> Option<News> {
        let name = format!("{} {:?} {}", last.system, last.end, last.at_s);
        if self.verdict.as_ref() == Some(&name) {
            return None;
        }
        self.verdict = Some(name);
        let phase = match last.end {
            Ending::Committed | Ending::CommittedBlind => Phase::Committed,
            Ending::Again => Phase::Restarting,
            Ending::RolledBack | Ending::Doubtful | Ending::NoVerdict | Ending::GivenUp => Phase::Failed,
        };
        let mut why = sentence.to_owned();
        if journal.is_none() && phase == Phase::Failed {
            why.push_str(if crashed {
                " It left no journal; the last start came after a crash or the watchdog."
            } else {
                " It left no journal; the last start was an ordinary one."
            });
        }
        let campaign = self.left_for.as_ref().filter(|(version, _)| *version == last.version);
        let campaign = campaign.map(|(_, campaign)| campaign.clone()).unwrap_or_default();
        let journal = journal.unwrap_or_default();
        Some(News { campaign, version: last.version.clone(), phase, why, journal })
    }
}

fn key(news: &News) -> (String, String, Phase, String) {
    (news.campaign.clone(), news.version.clone(), news.phase, news.why.clone())
}

#[cfg(test)]
mod tests {
    use enrol::{Identity, Told, sign_report};
    use update::health::Why;

    use super::*;
    use crate::cloud::files_tests::Scratch;

    fn news(phase: Phase) -> News {
        let text = |text: &str| text.to_owned();
        News { campaign: text("spring"), version: text("2"), phase, why: text(""), journal: text("") }
    }

    fn sign(news: News) -> Report {
        let News { campaign, version, phase, why, journal } = news;
        let told = Told { campaign, version, running: "1".to_owned(), phase, why, journal, at_ms: 7 };
        sign_report(&Identity::from_seed(&[1; 32]).unwrap(), told)
    }

    fn ended(end: Ending) -> Last {
        Last { end, why: Some(Why::Tunnel), version: "2".to_owned(), system: "ab".to_owned(), at_s: 9 }
    }

    #[test]
    fn reports_wait_in_order_over_a_start_and_only_so_many() {
        let scratch = Scratch::new("reports");
        let mut reports = Reports::kept(&scratch.files());
        reports.add(news(Phase::Fetching), sign);
        assert!(!reports.is_new(&news(Phase::Fetching)) && reports.is_new(&news(Phase::Ready)));
        reports.add(news(Phase::Ready), sign);
        reports.keep(&scratch.files()).unwrap();
        let mut reports = Reports::kept(&scratch.files());
        assert_eq!(reports.next().unwrap().phase, Phase::Fetching);
        reports.taken();
        assert_eq!(reports.next().unwrap().phase, Phase::Ready);
        for _ in 0..100 {
            reports.add(News { journal: "x".repeat(9000), ..news(Phase::Failed) }, sign);
        }
        assert_eq!((reports.waiting.len(), reports.next().unwrap().phase), (WAITING, Phase::Failed));
        reports.keep(&scratch.files()).unwrap();
        assert_eq!(Reports::kept(&scratch.files()), reports, "the list fits its file");
    }

    #[test]
    fn a_verdict_is_told_once_with_the_campaign_that_the_box_left_for() {
        let mut reports = Reports::default();
        reports.add(news(Phase::Restarting), sign);
        let told = reports.verdict(&ended(Ending::RolledBack), "Gone.", Some("lines".into()), true).unwrap();
        assert_eq!(
            (told.campaign.as_str(), told.phase, told.why.as_str()),
            ("spring", Phase::Failed, "Gone.")
        );
        assert_eq!(told.journal, "lines");
        assert_eq!(reports.verdict(&ended(Ending::RolledBack), "Gone.", None, true), None);
        let died = reports.verdict(&ended(Ending::NoVerdict), "It died.", None, true).unwrap();
        assert_eq!(
            died.why,
            "It died. It left no journal; the last start came after a crash or the watchdog."
        );
        let committed = reports.verdict(&ended(Ending::Committed), "Well.", None, false).unwrap();
        assert_eq!((committed.phase, committed.why.as_str()), (Phase::Committed, "Well."));
        let other = Last { version: "3".to_owned(), system: "cd".to_owned(), ..ended(Ending::Committed) };
        assert_eq!(reports.verdict(&other, "", None, false).unwrap().campaign, "", "nobody's campaign");
    }

    #[test]
    fn a_box_that_may_not_go_does_not_say_that_it_went() {
        let mut reports = Reports::default();
        reports.add(news(Phase::Ready), sign);
        assert!(!reports.is_leaving());
        reports.add(news(Phase::Restarting), sign);
        assert!(reports.is_leaving());
        reports.stays();
        assert!(!reports.is_leaving());
        assert_eq!(reports.waiting.len(), 1);
        assert!(reports.is_new(&news(Phase::Restarting)));
    }

    #[test]
    fn what_an_answer_means() {
        for status in [200, 204, 400, 403, 404, 405, 410, 501] {
            assert_eq!(Taken::of(status), Taken::Yes, "{status}");
        }
        assert_eq!(Taken::of(409), Taken::Not);
        for status in [408, 429, 500, 502, 503, 599] {
            assert_eq!(Taken::of(status), Taken::Unheard, "{status}");
        }
    }
}
