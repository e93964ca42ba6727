//! The lab: a factory that exists for one test.
//!
//! A scenario runs [`world::inside`] a world of its own (namespaces that vanish with it), builds a
//! [`factory::Factory`] with a box, cameras and a viewer on one switch, starts other people's [`cameras`] and
//! our [`boxd`], and lets judges that are not ours look at what comes out: ffmpeg, ffprobe, GStreamer, tshark,
//! hls-parser, Chromium and Firefox ([`judge`], [`browser`]). [`setup::ensure`] installs all of them.
//!
//! Beyond the factory lies an [`internet::Internet`]: two NATs, a router, our [`cloud`] and a viewer, with faults on
//! request; [`link`] is a public link with all that it takes. [`simcam`] lies as told, [`counters`] see where the box was
//! sent, a [`clock`] may say 1970, and [`wireguard`] is other people's.
//!
//! On the box's set-up page an [`owner`] is led through a real browser, which counts clicks and is judged by axe-core, in a
//! [`workshop`] of nine cameras of five makers; at the cloud's portal, a [`person`] is.
//!
//! A scenario fails when boxd logs an error, and its processes' logs stay in `target/lab/logs/<test>/`.

pub mod account;
pub mod boxd;
pub mod browser;
pub mod cameras;
pub mod cargo;
pub mod clips;
pub mod clock;
pub mod cloud;
pub mod counters;
pub mod factory;
pub mod http;
pub mod internet;
pub mod judge;
pub mod link;
pub mod load;
pub mod member;
pub mod owner;
pub mod paths;
pub mod person;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod setup;
pub mod simcam;
pub mod tls;
pub mod wireguard;
pub mod workshop;
pub mod world;
