//! One question to one camera, asked by a sandboxed process of its own that ends with the answer.
//!
//! Invariant: an errand shows a login only when the box's ledger allows it, and the ledger learns what came of it; at most
//! [`AT_ONCE`] run.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use camera::errand::{Errand, Outcome};
use camera::{Login, Source, wire};
use model::{CameraId, Trouble};
use setup::desk::Refusal;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;

use super::refusal;
use crate::logins::{Gate, Logins};
use crate::state::lock;
use crate::supervisor::{spawn, tell};

/// Processes at a time: each costs a start, some megabytes and a camera's attention.
const AT_ONCE: usize = 2;
/// A still picture is shown again for so long: a page that shows thirty cameras asks for each every few seconds.
const FRESH: Duration = Duration::from_secs(8);
/// Most pictures that are kept: 512 KiB each at most.
const PICTURES: usize = 32;

/// Runs errands.
pub(super) struct Errands {
    logins: Logins,
    seats: Semaphore,
    pictures: Mutex<BTreeMap<CameraId, (Instant, String)>>,
}

impl Errands {
    /// None under way.
    pub(super) fn new(logins: Logins) -> Self {
        Self { logins, seats: Semaphore::new(AT_ONCE), pictures: Mutex::default() }
    }

    /// Asks a camera.
    ///
    /// # Errors
    /// What stands in the way.
    pub(super) async fn run(&self, source: &Source, errand: Errand) -> Result<Outcome, Refusal> {
        let _seat = self.seats.acquire().await;
        self.ask(source, errand).await
    }

    /// A still picture of at most a few seconds ago, in base64.
    ///
    /// # Errors
    /// What stands in the way.
    pub(super) async fn picture(&self, source: &Source) -> Result<String, Refusal> {
        let kept = || {
            let pictures = lock(&self.pictures);
            pictures.get(&source.id).filter(|(at, _)| at.elapsed() < FRESH).map(|(_, jpeg)| jpeg.clone())
        };
        if let Some(jpeg) = kept() {
            return Ok(jpeg);
        }
        let _seat = self.seats.acquire().await;
        // Somebody else may have waited for the same.
        if let Some(jpeg) = kept() {
            return Ok(jpeg);
        }
        let Outcome::Snapshot { jpeg } = self.ask(source, Errand::Snapshot).await? else {
            return Err(trouble(&Trouble::NoSnapshot));
        };
        let jpeg = STANDARD.encode(jpeg);
        let mut pictures = lock(&self.pictures);
        pictures.retain(|_, (at, _)| at.elapsed() < FRESH);
        if pictures.len() < PICTURES {
            pictures.insert(source.id.clone(), (Instant::now(), jpeg.clone()));
        }
        Ok(jpeg)
    }

    async fn ask(&self, source: &Source, errand: Errand) -> Result<Outcome, Refusal> {
        let gate = Gate::new(&self.logins, source);
        let Ok(mut permit) = gate.permit().await else {
            return Err(trouble(&Trouble::WrongPassword));
        };
        // The page waits for 60 s.
        let longest = camera::errand::LONGEST + Duration::from_secs(5);
        let outcome = tokio::time::timeout(longest, bring(source, errand)).await;
        let outcome = match outcome {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => {
                tracing::warn!(camera = %source.id, error = %format!("{error:#}"), "an errand to a camera failed");
                return Err(trouble(&Trouble::WorkerDied));
            }
            Err(_) => return Err(refusal("late", "The camera took too long to answer: try again.")),
        };
        if let Some(permit) = &mut permit {
            match outcome.as_ref().map_or_else(Login::after, |_| Login::Accepted) {
                Login::Accepted => permit.accepted(),
                Login::Refused { locked_s } => permit.refused(Duration::from_secs(locked_s.into())),
                Login::Wanted | Login::Unknown => {}
            }
        }
        outcome.map_err(|stands| trouble(&stands))
    }
}

/// Starts a process for the errand and waits for what it brings. The process does not outlive this.
async fn bring(source: &Source, errand: Errand) -> anyhow::Result<Result<Outcome, Trouble>> {
    let frame = wire::encode_errand(source, &errand)?;
    let (mut child, ours) = spawn(&source.id)?;
    let mut socket = UnixStream::from_std(ours)?;
    tell(&mut socket, &frame).await?;
    let mut header = [0; wire::HEADER_BYTES];
    socket.read_exact(&mut header).await?;
    let header = wire::Header::decode(&header)?;
    let mut body = vec![0; header.body_len()];
    socket.read_exact(&mut body).await?;
    let outcome = wire::decode_outcome(&header, &body)?;
    // It has nothing more to say.
    let _ = child.kill().await;
    Ok(outcome)
}

fn trouble(trouble: &Trouble) -> Refusal {
    refusal(trouble.code(), &trouble.to_string())
}
