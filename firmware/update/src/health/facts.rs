//! What a running system says of itself, and what the one before it could do. Both are plain values: who measured them, and
//! when, is the shell's business.

use serde::{Deserialize, Serialize};

/// What the running system says of itself at one moment. What it does not say is not so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The cloud's hub answered lately.
    pub tunnel_up: bool,
    /// The cloud took the last report.
    pub cloud_answers: bool,
    /// Cameras that are to be streamed.
    pub cameras: u32,
    /// Cameras whose pictures come.
    pub delivering: u32,
    /// The set-up page answered lately, or there is to be none.
    pub page_answers: bool,
    /// A file was written and reached the medium lately.
    pub data_writable: bool,
    /// Somebody is there who could be asked for updates.
    pub source: bool,
    /// This very system has fetched and verified what proves that it can update itself: a fresh assignment, or where there is no
    /// cloud, metadata that has not expired.
    pub can_update: bool,
    /// Somebody has watched a camera within the last minute.
    pub watched: bool,
}

/// What was true before an update, as the old system kept it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Before {
    /// [`Facts::tunnel_up`].
    pub tunnel_up: bool,
    /// [`Facts::cloud_answers`].
    pub cloud_answers: bool,
    /// [`Facts::delivering`].
    pub delivering: u32,
    /// [`Facts::source`].
    pub source: bool,
    /// [`Facts::can_update`].
    pub can_update: bool,
}

impl Facts {
    /// Whether anything of the world outside answers.
    pub const fn online(&self) -> bool {
        self.tunnel_up || self.cloud_answers || self.can_update
    }

    /// Whether at least half of the cameras that delivered before deliver.
    pub fn sees(&self, before: u32) -> bool {
        u64::from(self.delivering) * 2 >= u64::from(before)
    }
}

impl Before {
    /// [`Facts::online`].
    pub const fn online(&self) -> bool {
        self.tunnel_up || self.cloud_answers || self.can_update
    }
}

impl From<Facts> for Before {
    fn from(facts: Facts) -> Self {
        let Facts { tunnel_up, cloud_answers, delivering, source, can_update, .. } = facts;
        Self { tunnel_up, cloud_answers, delivering, source, can_update }
    }
}
