//! The pages for people, and what they are made of: box and cloud show the same player.
//!
//! * [`asset`]: a file under `/assets/`, named after its content and gzipped at build time, with the caching rules of HTTP.
//! * [`INDEX`], [`PLAYER`], [`player`]: page templates; [`fill`] puts values in, [`Escaped`] makes any text safe there.
//! * [`page`]: a filled template as an answer that allows nothing but this server's own scripts and media.
//!
//! Bytes only: who serves them is not known here. hls.js comes from npm when this crate is built (`build.rs`).

mod assets;
mod html;

pub use self::assets::asset;
pub use html::{Escaped, INDEX, PLAYER, Player, fill, fnv1a, page, player};
