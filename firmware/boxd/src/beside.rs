//! What runs beside cameras, viewers and cloud, in a thread of its own: the box's names on the LAN, its lights and button, and the
//! page's certificate. Nothing of it holds back a picture.

use std::path::PathBuf;
use std::thread::JoinHandle;

use anyhow::Context as _;
use tokio::runtime::Builder;
use tokio::sync::watch;

use crate::certificate::Certificate;
use crate::config;
use crate::lights;
use crate::names::{self, Names};
use crate::state::Shared;

/// What is to run.
pub(crate) struct Options {
    /// By which names the box is announced; `None`: not at all.
    pub(crate) names: Option<Names>,
    /// The page's certificate, if it is shown over TLS.
    pub(crate) certificate: Option<Certificate>,
    /// Lights and button.
    pub(crate) board: config::Board,
    /// Where simulated lights and buttons are.
    pub(crate) state_dir: PathBuf,
    /// What a button does that is held for ten seconds.
    pub(crate) held: Box<dyn Fn() + Send>,
}

/// Starts it all, until `stop` turns true.
///
/// # Errors
/// When the thread cannot be made.
pub(crate) fn start(
    options: Options,
    shared: Shared,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<JoinHandle<()>> {
    const DOING: &str = "cannot start what announces the box";
    let runtime = Builder::new_current_thread().enable_all().build().context(DOING)?;
    let Options { names, certificate, board, state_dir, held } = options;
    let run = move || {
        runtime.block_on(async {
            let random = crate::cloud::random().map_or(0x5eed, u64::from_be_bytes);
            let announce = async {
                if let Some(names) = names {
                    names::announce(names, shared.whereabouts().clone(), random, stop.clone()).await;
                }
            };
            let certify = async {
                if let Some(certificate) = certificate {
                    certificate.keep(stop.clone()).await;
                }
            };
            let lights = lights::keep(lights::panel(&board), state_dir, shared.clone(), held, stop.clone());
            tokio::join!(announce, certify, lights);
        });
    };
    std::thread::Builder::new().name("beside".to_owned()).spawn(run).context(DOING)
}
