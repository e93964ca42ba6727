//! The box and its cloud: how it joins, and what goes between them then.
//!
//! ```text
//! identity ── who the box is            time ── clock ── what time it is
//! client ─── trust ── HTTPS to the cloud
//! join ───── code, claim, question, yes ──> membership (cloud.json)
//! tunnel_end ── the tunnel, and through it: report ── status and public links
//!                                           door::inner ── media, measured by meter
//! uplink ─── budget ── which picture goes out
//! view ───── what the pages show of all that, and what the owner answers
//! ```
//!
//! Runs in a thread of its own, so that a handshake holds back neither a camera nor a viewer on the LAN. Whatever fails
//! here is a sentence on the page; the cameras and the LAN go on.

mod address;
mod budget;
mod client;
mod clock;
mod files;
mod hubs;
mod identity;
mod join;
mod membership;
mod meter;
mod pause;
mod report;
mod time;
mod trust;
mod tunnel_end;
mod uplink;
mod view;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context as _;
use model::enrol::Joined;
use tokio::sync::watch;

pub(crate) use address::CloudAddress;
pub(crate) use client::Client;
pub(crate) use files::Files;
pub(crate) use identity::{Keys, random};
pub(crate) use join::Consent;
pub(crate) use meter::{Connection, Meter};
pub(crate) use pause::jittered;
pub(crate) use time::{RealTime, Time, date};
pub(crate) use trust::Trust;
pub(crate) use uplink::SHORT;
pub(crate) use view::{Claim, Cloud, Counters, OwnersAnswer, Phase, Status};

#[cfg(test)]
pub(crate) use files::tests as files_tests;
#[cfg(test)]
pub(crate) use view::TunnelStatus;

use crate::state::{Shared, stopping};
use tunnel_end::Over;

/// What the owner of a box that has been revoked reads.
const REVOKED: &str = "The cloud has revoked this box: its links are dead and it does not try again. If that is a \
                       mistake, ask the cloud's operator, then restart the box.";

/// How the box deals with its cloud.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// A PEM file of roots that count beside the usual ones.
    pub(crate) ca: Option<PathBuf>,
    /// Who says yes to joining.
    pub(crate) consent: Consent,
    /// The box's own page, for people who read the start lines; ends with a slash.
    pub(crate) page: String,
}

/// Starts to deal with the cloud that `shared` names, in a thread of its own, until `stop` turns true.
///
/// # Errors
/// When the thread cannot be made.
pub(crate) fn start(
    options: Options,
    files: Files,
    shared: Shared,
    time: Arc<Time>,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the part that talks to the cloud")?;
    let run = move || {
        runtime.block_on(async {
            tokio::select! {
                () = stopping(&mut stop) => {}
                () = time.watch() => {}
                () = live(&options, &files, &shared, &time) => {}
            }
        });
        // A name that is being looked up is not waited for.
        runtime.shutdown_background();
    };
    std::thread::Builder::new()
        .name("cloud".to_owned())
        .spawn(run)
        .context("cannot start the part that talks to the cloud")
}

/// Joins and keeps the tunnel up, for ever.
async fn live(options: &Options, files: &Files, shared: &Shared, time: &Arc<Time>) {
    let cloud = shared.cloud();
    let Some(address) = cloud.address().cloned() else { return std::future::pending().await };
    let prepared = Keys::load(files).map_err(|error| error.to_string()).and_then(|keys| {
        let trust = Trust::new(options.ca.as_deref(), time).map_err(|error| error.to_string())?;
        Ok((keys, Client::new(address.clone(), trust, time.clone())))
    });
    let (keys, client) = match prepared {
        Ok(prepared) => prepared,
        Err(sentence) => return stopped(cloud, sentence).await,
    };
    if !address.is_tls() {
        tracing::warn!(cloud = %address, "the cloud is spoken to without TLS: only for a network of your own");
    }
    cloud.update(|status| status.box_id = Some(keys.identity.box_id().clone()));
    while let Some(joined) = membership(options, files, shared, &client, &keys).await {
        cloud.set_joined(&joined);
        let end = tunnel_end::End { shared, client: &client, keys: &keys, time, joined: &joined, files };
        match Box::pin(end.keep()).await {
            Over::Revoked => break,
            Over::Released => {
                tracing::warn!(owner = %joined.owner, "the box belongs to nobody in the cloud any more");
                if let Err(error) = membership::forget(files) {
                    tracing::error!(%error, "cannot forget the membership ([state] dir)");
                }
                alone(cloud);
                cloud.set_phase(Phase::Asking);
            }
        }
    }
    stopped(cloud, REVOKED.to_owned()).await;
}

/// No tunnel, and no links.
fn alone(cloud: &Cloud) {
    cloud.update(|status| {
        status.tunnel = None;
        status.links.clear();
    });
}

/// The membership that is kept, or a new one; `None` when the box was revoked.
async fn membership(
    options: &Options,
    files: &Files,
    shared: &Shared,
    client: &Client,
    keys: &Keys,
) -> Option<Joined> {
    let (address, cloud, whereabouts) = (client.address(), shared.cloud(), shared.whereabouts());
    if let Some(joined) = membership::load(files, address) {
        tracing::info!(cloud = %address, owner = %joined.owner, address = %joined.address, "the box has joined");
        return Some(joined);
    }
    tracing::info!(cloud = %address, box_id = %keys.identity.box_id(), "asking to join: see {}join", options.page);
    let announce =
        |code: &str| println!("join: {}join or {address}/claim with the code {code}", options.page);
    let joined = match join::join(client, keys, cloud, whereabouts, options.consent, announce).await {
        join::Ended::Joined(joined) => *joined,
        join::Ended::Revoked => return None,
    };
    tracing::info!(cloud = %address, owner = %joined.owner, address = %joined.address, "joined");
    if let Err(error) = membership::keep(files, address, &joined) {
        tracing::error!(%error, "cannot keep the membership ([state] dir): after a restart the box asks to join again");
    }
    Some(joined)
}

/// Nothing more is tried.
async fn stopped(cloud: &Cloud, sentence: String) {
    alone(cloud);
    cloud.set_phase(Phase::Stopped);
    cloud.set_obstacle(sentence);
    std::future::pending::<()>().await;
}
