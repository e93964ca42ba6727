//! What the core of the status is told, and what it gives back to be written and shown.

use model::CameraId;
use model::status::CameraReport;

use super::Span;
use super::alert::Message;
use super::sample::Hour;

/// Rows that are written in one transaction, or a few more: a slow database writes them well within its time.
const ROWS: usize = 300;

/// One camera as its holder reports it, by its public id.
#[derive(Debug, Clone)]
pub struct Told {
    /// Its public id.
    pub public_id: CameraId,
    /// What is said of it.
    pub report: CameraReport,
}

/// What is known outside of a holder at this moment.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// Its last report to any cloud, milliseconds since 1970; later than now when a clock was set back.
    pub seen_ms: Option<u64>,
    /// Another cloud answers for it, whenever it was seen.
    pub elsewhere: bool,
    /// Its last sign of life beside that.
    pub sign_ms: Option<u64>,
    /// The cameras whose links are switched off.
    pub off: Vec<CameraId>,
    /// How long an outage must last before people are told, milliseconds.
    pub after_ms: u64,
}

/// What the database holds of a holder.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// Of each of its cameras.
    pub cameras: Vec<(CameraId, CameraRows)>,
    /// The site's alarm, JSON.
    pub alarm: Option<String>,
}

/// What the database holds of a camera.
#[derive(Debug, Clone, Default)]
pub struct CameraRows {
    /// Since when it is known, milliseconds since 1970.
    pub known_ms: Option<u64>,
    /// Its latest outages.
    pub spans: Vec<Span>,
    /// Its alarm, JSON.
    pub alarm: Option<String>,
}

/// What is to be written.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Cameras that are new, and since when.
    pub known: Vec<(CameraId, u64)>,
    /// Outages by their beginning; `None`: there is none any more.
    pub spans: Vec<(CameraId, u64, Option<Span>)>,
    /// Hours of samples (hours since 1970); true: the hour is over.
    pub hours: Vec<(CameraId, u64, Hour, bool)>,
    /// What people are to be told.
    pub messages: Vec<Message>,
    /// Alarms: subject and JSON.
    pub alarms: Vec<(String, String)>,
}

impl Batch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In parts that are written one after the other: what people are told before, or together with, that they were told. The outages of one camera stay together: those that became one are
    /// deleted with it being written.
    pub fn parts(self) -> Vec<Self> {
        let (mut parts, mut part) = (Vec::new(), Self::default());
        for row in self.known {
            part.cut(&mut parts);
            part.known.push(row);
        }
        let mut last: Option<CameraId> = None;
        for row in self.spans {
            if last.as_ref() != Some(&row.0) {
                part.cut(&mut parts);
                last = Some(row.0.clone());
            }
            part.spans.push(row);
        }
        for row in self.messages {
            part.cut(&mut parts);
            part.messages.push(row);
        }
        for row in self.alarms {
            part.cut(&mut parts);
            part.alarms.push(row);
        }
        for row in self.hours {
            part.cut(&mut parts);
            part.hours.push(row);
        }
        parts.push(part);
        parts.retain(|part| !part.is_empty());
        parts
    }

    /// Takes in another one.
    pub fn extend(&mut self, other: Self) {
        self.known.extend(other.known);
        self.spans.extend(other.spans);
        self.hours.extend(other.hours);
        self.messages.extend(other.messages);
        self.alarms.extend(other.alarms);
    }

    fn len(&self) -> usize {
        self.known.len() + self.spans.len() + self.hours.len() + self.messages.len() + self.alarms.len()
    }

    /// Begins a new part when this one is full.
    fn cut(&mut self, parts: &mut Vec<Self>) {
        if self.len() >= ROWS {
            parts.push(std::mem::take(self));
        }
    }
}

/// How one camera is now.
#[derive(Debug, Clone)]
pub struct Current {
    /// What was last said of it, and when, milliseconds since 1970.
    pub report: Option<(u64, CameraReport)>,
    /// The outage that goes on.
    pub out: Option<Span>,
    /// When the last one ended.
    pub back_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Reason;

    #[test]
    fn a_large_batch_is_written_in_small_parts_and_nothing_is_lost() {
        let ids: Vec<CameraId> = (0..4_000).map(|n| CameraId::new(&format!("c{n}")).unwrap()).collect();
        let span = |id: &CameraId, from| {
            (id.clone(), from, Some(Span { from_ms: from, to_ms: None, reason: Reason::Site }))
        };
        let batch = Batch {
            known: ids.iter().take(700).map(|id| (id.clone(), 1)).collect(),
            spans: ids.iter().flat_map(|id| [span(id, 2), span(id, 4), span(id, 7)]).collect(),
            hours: ids.iter().take(100).map(|id| (id.clone(), 1, Hour::default(), true)).collect(),
            alarms: ids.iter().map(|id| (format!("camera:{id}"), String::new())).collect(),
            ..Batch::default()
        };
        let whole = batch.clone();
        let parts = batch.parts();
        assert!(parts.iter().all(|part| (1..ROWS + 3).contains(&part.len())));
        for pair in parts.windows(2) {
            let (last, first) = (pair[0].spans.last(), pair[1].spans.first());
            assert!(last.zip(first).is_none_or(|(last, first)| last.0 != first.0), "a camera in two parts");
        }
        let mut again = Batch::default();
        for part in parts {
            again.extend(part);
        }
        assert_eq!(format!("{again:?}"), format!("{whole:?}"));
        assert!(Batch::default().parts().is_empty());
    }
}
