//! One camera's media and state, between who fills it and the viewers who ask.
//!
//! A [`Feed`] is made with a [`media::Stream`] whose first number no earlier run has reached ([`Floor`],
//! [`first_sequence_number`]). Who fills it calls [`Feed::set_format`] before the first [`Feed::push`],
//! [`Feed::interrupt`] when its session ended, [`Feed::set_state`] whenever the camera does something else, and may ask
//! [`Feed::watched`] whether it is worth the trouble. Who asks calls [`answer`] for a whole HTTP response, or [`wait`] and
//! [`ready`] where a no is said in other words. [`Link`] brings what a
//! worker process [`send`]s. Filling never waits for viewers; viewers wait without polling.

mod answer;
mod feed;
mod floor;
mod link;

pub use answer::{answer, not_found, open_to_all_origins, ready, wait};
pub use feed::{Feed, TELL_EVERY};
pub use floor::{Floor, KEEP_EVERY, first_sequence_number};
pub use link::{Link, LinkError, send};
