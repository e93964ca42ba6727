//! One figure, as one JSON object a line.

use serde::Serialize;

/// A measured figure, alone or beside a peer measured in the same run.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// What was measured, in words that stay the same from run to run.
    pub what: String,
    /// The figure: the median where several were taken.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// Who else was measured, if anybody.
    pub peer: Option<String>,
    /// `value` divided by the peer's value, median over paired windows.
    pub ratio: Option<f64>,
}

impl Row {
    /// A figure without a peer.
    pub(crate) fn alone(what: &str, value: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value: round(value), unit, peer: None, ratio: None }
    }

    /// A figure beside a peer's; `ratio` is ours by theirs.
    pub(crate) fn beside(what: &str, value: f64, unit: &'static str, peer: &str, ratio: f64) -> Self {
        Self {
            what: what.into(),
            value: round(value),
            unit,
            peer: Some(peer.into()),
            ratio: Some(round(ratio)),
        }
    }

    /// Prints it.
    pub(crate) fn print(&self) -> anyhow::Result<()> {
        println!("{}", serde_json::to_string(self)?);
        Ok(())
    }
}

/// Three decimals are more than the noise allows.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// The value below which `share` (0 to 1) of the values lie; 0 for none.
pub(crate) fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * share).round() as usize).copied().unwrap_or(0.0)
}

/// The middle value; 0 for none.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}
