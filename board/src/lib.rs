//! What differs between boards, behind traits: the lights that tell what the box is doing, and the reset button.
//!
//! * [`Condition`]: what the box is doing, one value for page and lights, decided by [`decide`] alone.
//! * [`Lights`] show it as a [`Pattern`]; [`Leds`] are the kernel's, [`PatternFile`] is a file that says it in words.
//! * [`Button`] gives edges, [`Press`] makes gestures of them; [`Keys`] is the kernel's, [`Pipe`] a named pipe that takes words.
//! * [`LightsAt`] and [`ButtonAt`]: which of them a board has, as the configuration writes it.
//!
//! Slots:
//!
//! * [`map::BoardMap`]: a board's data file, for the image and the device alike: where each partition lies.
//! * [`block::BlockDevice`]: sectors, a cache and a flush; a file ([`file_disk`]), a part of a disk ([`partition`]), or memory.
//! * [`mem_disk::MemDisk`] loses its power at any operation, for the tests of all that is kept on a disk.
//! * [`slot`]: the boot environment's words; [`env::Env`]: one of its two copies; [`header`]: what a slot holds.
//! * [`boot`]: which slot is started, by one table that U-Boot's script is generated from, too.
//! * [`slots::Slots`]: what is in the slots, and the only way to bring a system into the other one; [`store::Store`]: small state.
//! * [`reset::Started`]: which slot runs and how the last run ended; [`watchdog::Watchdog`] ends this one when nobody feeds it.
//!
//! Every path is an argument, so that a test brings its own `/sys` and `/dev`.

pub mod block;
pub mod boot;
pub mod env;
pub mod file_disk;
pub mod header;
pub mod map;
pub mod mem_disk;
pub mod partition;
pub mod reset;
pub mod slot;
pub mod slots;
pub mod store;
pub mod watchdog;

mod button;
mod condition;
mod lights;
mod place;
mod press;

pub use button::{Button, Edge, Keys, Pipe};
pub use condition::{Camera, Condition, Facts, UNSEEN, decide};
pub use lights::{Leds, Lights, Pattern, PatternFile};
pub use place::{ButtonAt, LightsAt, UnknownPlace};
pub use press::{Gesture, HOLD, Press, SHORT};
