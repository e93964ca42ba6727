//! Asks the cloud which release this box is to have, and tells it how far that is. The question is signed by the box and holds
//! a nonce that was never used before; the answer is believed by its own signature, wherever it comes from.

use std::sync::Arc;

use anyhow::{Context as _, anyhow, ensure};
use enrol::{Asked, Told, sign_question, sign_report};
use hyper::Method;
use model::update::Report;
use update::Floors;
use update::assignment::Expected;
use update::tuf::Freshness;

use super::machine::Machine;
use super::reports::{News, Taken};
use crate::cloud::{Client, Files, Keys, Time, Trust, random};
use crate::config::Tunnel;

/// Where the cloud answers it.
const PATH: &str = "/api/v1/updates/assignment";
/// Where it takes reports.
const REPORT: &str = "/api/v1/updates/report";

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
    let client = client(tunnel, time)?;
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

/// Signs news at this moment. `running` is the version that runs.
///
/// # Errors
/// When the box has no keys.
pub(crate) fn sign(
    files: &Files,
    running: Option<String>,
    at_ms: u64,
) -> anyhow::Result<impl FnOnce(News) -> Report> {
    let keys = Keys::load(files)?;
    let running = running.unwrap_or_default();
    Ok(move |news: News| {
        let News { campaign, version, phase, why, journal } = news;
        sign_report(&keys.identity, Told { campaign, version, running, phase, why, journal, at_ms })
    })
}

/// Tells the cloud; what it makes of it, or that it did not hear.
pub(crate) async fn tell(tunnel: &Tunnel, time: &Arc<Time>, report: &Report) -> Taken {
    let told = async {
        let body = serde_json::to_vec(report)?;
        let client = client(tunnel, time)?;
        let answer =
            client.ask(Method::POST, REPORT, Some(body.into())).await.map_err(|error| anyhow!("{error}"))?;
        anyhow::Ok(answer.status.as_u16())
    };
    match told.await {
        Ok(status) => {
            tracing::debug!(
                status,
                phase = report.phase.name(),
                version = report.version,
                "the cloud was told"
            );
            Taken::of(status)
        }
        Err(error) => {
            tracing::debug!(error = %format_args!("{error:#}"), "the cloud cannot be told how the update stands");
            Taken::Unheard
        }
    }
}

fn client(tunnel: &Tunnel, time: &Arc<Time>) -> anyhow::Result<Client> {
    let trust = Trust::new(tunnel.ca.as_deref(), time)?;
    Ok(Client::new(tunnel.cloud.clone(), trust, time.clone()))
}
