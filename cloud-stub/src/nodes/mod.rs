//! Several clouds on one database: any gateway answers any viewer, and asks the cloud whose hub holds the box.
//!
//! ```text
//! viewer ─▶ gateway of A ─▶ shelf of A ─▶ [sealed, port of the clusters' own] ─▶ shelf of B ─▶ tunnel of B ─▶ box
//! ```
//!
//! * Each cloud writes itself down and leaves a stamp every [`BEAT`]; [`pulse`] says who lives, [`placement`] who has what.
//! * What comes in by the [`inner_door`] is answered from this cloud's own tunnel or not at all: nothing is passed on twice,
//!   so there are no loops. Whether a viewer may watch was decided by the cloud that he asked.
//! * Where a box is follows its reports: the hub that hears one writes it down. Boxes learn of all [`hubs`] and move when
//!   theirs dies; what clouds say to each other carries a [`seal`].
//! * Where a camera without a box is follows its other end, if that comes by itself: the cloud that lets an encoder in, or
//!   whose hub hears a WireGuard peer, writes it down ([`holder`]).

mod hubs;
mod inner_door;
mod placement;
mod pulse;
mod seal;

use enrol::name128;
use sha2::{Digest as _, Sha256};

pub use hubs::{Hubs, Telling, endpoints};
pub use inner_door::{InnerDoor, LIMITS};
pub use placement::{elsewhere, holder, is_here, lives, streams_elsewhere};
pub use pulse::{BEAT, DEAD_MS, Pulses};
pub use seal::{HEADER, LIFE_MS, Seal};

use crate::store::{Node, Store};

/// The id of the cloud that others reach at this address: the same after each restart, so that boxes need not be placed
/// anew.
pub fn id_of(url: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(url).into();
    let mut half = [0; 16];
    half.iter_mut().zip(digest).for_each(|(to, byte)| *to = byte);
    name128(half)
}

/// Leaves stamps for ever. What goes wrong goes wrong with the database, and its follower says so.
pub async fn beat(store: Store, id: String, node: Node) {
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut known = 0;
    loop {
        beat.tick().await;
        if let Err(error) = store.beat(&id, &node).await {
            tracing::debug!("{error}");
        }
        let alive = store.directory().borrow().alive().len();
        if std::mem::replace(&mut known, alive) != alive {
            tracing::info!("{alive} clouds share the database and live");
        }
    }
}
