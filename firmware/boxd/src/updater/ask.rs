//! Asks the cloud which release this box is to have. The question is signed by the box and holds a nonce that was never used
//! before; the answer is believed by its own signature, wherever it comes from.

use std::sync::Arc;

use anyhow::{Context as _, anyhow, ensure};
use enrol::{Asked, sign_question};
use hyper::Method;
use update::Floors;
use update::assignment::Expected;
use update::tuf::Freshness;

use super::machine::Machine;
use crate::cloud::{Client, Files, Keys, Time, Trust, random};
use crate::config::Tunnel;

/// Where the cloud answers it.
const PATH: &str = "/api/v1/updates/assignment";

/// The cloud's answer, not judged yet.
///
/// # Errors
/// A sentence why there is none.
pub(crate) async fn ask(
    machine: &Machine,
    tunnel: &Tunnel,
    files: &Files,
    time: &Arc<Time>,
    floors: &Floors,
    version: Option<String>,
) -> anyhow::Result<Freshness> {
    let keys = Keys::load(files)?;
    let nonce: [u8; 32] = random()?;
    let question = sign_question(
        &keys.identity,
        Asked {
            nonce,
            board: machine.map.name.clone(),
            version: version.unwrap_or_default(),
            security: floors.security,
        },
    );
    let expected = Expected { box_id: question.box_id.as_str().to_owned(), nonce: question.nonce.clone() };
    let trust = Trust::new(tunnel.ca.as_deref(), time)?;
    let client = Client::new(tunnel.cloud.clone(), trust, time.clone());
    let body = serde_json::to_vec(&question).context("cannot ask the cloud")?;
    let answer =
        client.ask(Method::POST, PATH, Some(body.into())).await.map_err(|error| anyhow!("{error}"))?;
    ensure!(
        answer.status.is_success(),
        "the cloud says no release to this box (status {})",
        answer.status.as_u16()
    );
    Ok(Freshness::Assignment { bytes: answer.body.to_vec(), expected })
}
