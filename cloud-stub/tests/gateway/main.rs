//! The gateway before a box that is a small web server: counted, slow, hostile or gone.

mod answers;
mod crowd;
mod cut_off;
mod hostile;
mod stage;
