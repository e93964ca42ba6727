//! The rings of a campaign, each inside the next. Which boxes are in a ring follows from the names of campaign and box alone:
//! the first boxes of one campaign are not those of the next, and nobody can choose to be late.

use model::BoxId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// How far a campaign is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// The boxes that were named.
    #[serde(rename = "canary")]
    Canary,
    /// And one in a hundred.
    #[serde(rename = "1")]
    One,
    /// And five in a hundred.
    #[serde(rename = "5")]
    Five,
    /// And a quarter.
    #[serde(rename = "25")]
    Quarter,
    /// Everybody.
    #[serde(rename = "100")]
    All,
}

impl Stage {
    /// All of them, in their order.
    pub const ORDER: [Self; 5] = [Self::Canary, Self::One, Self::Five, Self::Quarter, Self::All];

    /// Its word: `canary`, or its share in per cent.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::One => "1",
            Self::Five => "5",
            Self::Quarter => "25",
            Self::All => "100",
        }
    }

    /// Its share of all boxes beside the canaries.
    const fn share(self) -> f64 {
        match self {
            Self::Canary => 0.0,
            Self::One => 0.01,
            Self::Five => 0.05,
            Self::Quarter => 0.25,
            Self::All => 1.0,
        }
    }

    /// The ring around this one.
    pub fn next(self) -> Option<Self> {
        Self::ORDER.into_iter().find(|stage| *stage > self)
    }

    /// Whether a box that is no canary is in this ring of a campaign.
    pub fn has(self, campaign: &str, box_id: &BoxId) -> bool {
        self == Self::All || bucket(campaign, box_id) < self.share()
    }
}

/// Where a box stands in a campaign's queue, from 0 up to 1.
pub fn bucket(campaign: &str, box_id: &BoxId) -> f64 {
    let hash = Sha256::new().chain_update(campaign).chain_update(box_id.as_str()).finalize();
    let first: [u8; 8] = hash.first_chunk().copied().unwrap_or_default();
    u64::from_be_bytes(first) as f64 / 2f64.powi(64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::sample::box_id;

    #[test]
    fn rings_have_their_shares_and_lie_inside_each_other() {
        let boxes: Vec<_> = (0..20_000).map(box_id).collect();
        let size = |campaign: &str, stage: Stage| boxes.iter().filter(|id| stage.has(campaign, id)).count();
        for (stage, least, most) in [
            (Stage::Canary, 0, 0),
            (Stage::One, 150, 250),
            (Stage::Five, 900, 1100),
            (Stage::Quarter, 4750, 5250),
            (Stage::All, 20_000, 20_000),
        ] {
            let size = size("a", stage);
            assert!((least..=most).contains(&size), "{stage:?}: {size}");
        }
        for id in &boxes {
            let inside = Stage::ORDER.map(|stage| stage.has("a", id));
            assert!(inside.is_sorted(), "{id}: {inside:?}");
        }
        let both = boxes.iter().filter(|id| Stage::Five.has("a", id) && Stage::Five.has("b", id)).count();
        assert!(both < 120, "{both}: another campaign begins with other boxes");
    }

    #[test]
    fn a_bucket_never_moves() {
        // By sha256sum: a campaign that runs while the cloud is replaced keeps its rings.
        let box_id = BoxId::new(&"a".repeat(26)).unwrap();
        assert_eq!(format!("{:.6}", bucket("campaign", &box_id)), "0.737977");
    }

    #[test]
    fn a_stage_has_one_name() {
        for stage in Stage::ORDER {
            assert_eq!(serde_json::to_value(stage).unwrap(), stage.name());
        }
        assert_eq!(Stage::Canary.next(), Some(Stage::One));
        assert_eq!(Stage::All.next(), None);
    }
}
