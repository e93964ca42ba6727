//! What the core of the status is told, and what it gives back to be written and shown.

use model::CameraId;
use model::status::CameraReport;

use super::Span;
use super::sample::Hour;

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
    /// Its last report to any cloud, milliseconds since 1970.
    pub seen_ms: Option<u64>,
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
    /// Alarms: subject and JSON.
    pub alarms: Vec<(String, String)>,
}

impl Batch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty() && self.spans.is_empty() && self.hours.is_empty() && self.alarms.is_empty()
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
