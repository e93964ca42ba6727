//! Brings a release into the other slot: does what the installer says, on the disk and with the mirrors.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use board::block::BlockDevice;
use board::slots::{Image, Slots, Update};
use update::install::{Action, Event, Fault, Installer, Lengths, Limits};
use update::{ImageKind, Release};

use super::machine::Machine;
use super::source::{Bounds, Source};
use super::status::Bytes;

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Until it is known what it costs; nothing is written.
    Cost,
    /// Until the next start runs it.
    Complete,
}

/// Installs a release, or finds out what that costs. `told` hears how far it is.
///
/// # Errors
/// A sentence why not; what is in the slot stays there for the next try.
pub(crate) async fn fill(
    machine: &Machine,
    release: &Release,
    sources: &mut [Source],
    goal: Goal,
    mut told: impl FnMut(Bytes),
) -> anyhow::Result<Bytes> {
    let header = machine.header(release)?;
    let mut slots = machine.slots()?;
    let map = &machine.map.partitions;
    let region = |image: Image, slot| image.region(map, slot).bytes;
    let room = Lengths { fit: region(Image::Fit, slots.target()), root: region(Image::Root, slots.target()) };
    // Without a header it is not known how long the running images are: as long as the new ones, about.
    let (fit, root) = slots
        .header(machine.running)?
        .map_or((release.fit.bytes, release.root.bytes), |running| (running.fit.0, running.root.0));
    let running = Lengths {
        fit: fit.min(region(Image::Fit, machine.running)),
        root: root.min(region(Image::Root, machine.running)),
    };
    let mut installer = Installer::new(release.clone(), sources.len(), running, room, Limits::default());
    let mut disk = Disk { update: Some(slots.install(header)?) };
    let began = Instant::now();
    let now = || began.elapsed().as_millis() as u64;
    loop {
        let bytes = Bytes::from(installer.progress());
        if installer.progress().planned {
            told(bytes);
            if goal == Goal::Cost {
                return Ok(bytes);
            }
        }
        let event = match installer.next(now()) {
            Action::Done => return Ok(bytes),
            Action::Failed { why } => bail!(why),
            Action::Wait { until_ms } => {
                tokio::time::sleep(Duration::from_millis(until_ms.saturating_sub(now()))).await;
                continue;
            }
            Action::Fetch { mirror, path, bytes, stall_ms, whole_ms } => {
                let bounds = Bounds {
                    most: bytes.into(),
                    exact: true,
                    stall: Duration::from_millis(stall_ms),
                    whole: Duration::from_millis(whole_ms),
                };
                fetch(sources, mirror, &path, bounds).await
            }
            action => disk.perform(action),
        };
        if let Event::NotFetched(fault) = &event {
            tracing::debug!(%fault, "a piece of the release was not fetched");
        }
        let random = crate::cloud::random().map_or(u32::MAX / 2, u32::from_be_bytes);
        installer.event(event, now(), random);
    }
}

async fn fetch(sources: &mut [Source], mirror: usize, path: &str, bounds: Bounds) -> Event {
    let Some(source) = sources.get_mut(mirror) else {
        return Event::NotFetched(Fault::Unreachable("there is no such mirror".to_owned()));
    };
    match source.get(path, bounds).await {
        Ok(bytes) => Event::Fetched(bytes),
        Err(fault) => Event::NotFetched(fault),
    }
}

/// The other slot while it is written.
struct Disk<'a, D> {
    /// Taken when it is complete.
    update: Option<Update<'a, D>>,
}

impl<D: BlockDevice> Disk<'_, D> {
    fn perform(&mut self, action: Action) -> Event {
        let refused = |error: &dyn std::fmt::Display| Event::Refused(error.to_string());
        if action == Action::Complete {
            return match self.update.take().map(|update| update.finish()?.activate()) {
                Some(Ok(())) => Event::Completed,
                Some(Err(error)) => refused(&error),
                None => refused(&"it was completed before"),
            };
        }
        let Some(update) = &mut self.update else { return Event::Unreadable };
        match action {
            Action::ReadRunning { image, range } => {
                read(range, |at, into| update.read_running(of(image), at, into).is_ok())
            }
            Action::ReadTarget { image, range } => {
                read(range, |at, into| update.read_target(of(image), at, into).is_ok())
            }
            Action::Begin => match update.begin() {
                Ok(()) => Event::Begun,
                Err(error) => refused(&error),
            },
            Action::Write { image, at, bytes } => {
                let bytes: &Arc<Vec<u8>> = &bytes;
                match update.write_at(of(image), at, bytes) {
                    Ok(()) => Event::Written,
                    Err(error) => refused(&error),
                }
            }
            _ => Event::Unreadable,
        }
    }
}

fn read(range: std::ops::Range<u64>, into: impl FnOnce(u64, &mut [u8]) -> bool) -> Event {
    let mut bytes = vec![0; usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0)];
    if into(range.start, &mut bytes) { Event::Read(bytes) } else { Event::Unreadable }
}

const fn of(kind: ImageKind) -> Image {
    match kind {
        ImageKind::Fit => Image::Fit,
        ImageKind::Root => Image::Root,
    }
}

/// The version in the running slot, if its header says so.
pub(crate) fn running_version<D: BlockDevice>(slots: &Slots<D>) -> Option<String> {
    slots.header(slots.running()).ok().flatten().map(|header| header.version)
}
