//! USB sticks with releases: noticed by themselves, mounted where nothing can be run or followed, and left as they are.
//!
//! ```text
//! blocks ──── which block devices are on USB (sysfs)
//! kind ────── which file system one holds, by its first bytes
//! mounted ─── one, mounted read-only without set-uid, devices, programs and symbolic links
//! ```
//!
//! What lies in `streambox/` on it is judged by its signatures only, as any mirror's; the updater reads it. A stick without it is
//! put down again at once. Runs in a thread of its own: a stick that is going bad may hold its reader for minutes.

mod blocks;
mod kind;
mod mounted;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;

use self::mounted::Mounted;
use crate::config::Usb;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(3);
/// Where Linux has its block devices, their nodes, and where a stick is mounted.
const BLOCKS: &str = "/sys/class/block";
const NODES: &str = "/dev";
const POINT: &str = "/run/streambox/stick";
/// The releases on a stick, as the publisher's folder holds them, and what makes it one.
const RELEASES: &str = "streambox";
const METADATA: &str = "streambox/metadata";

/// Watches for sticks, for ever; gives the folder with the releases of the one that is plugged in.
///
/// # Errors
/// When no thread can be started.
pub(crate) fn watch(usb: &Usb) -> std::io::Result<watch::Receiver<Option<PathBuf>>> {
    let (found, receiver) = watch::channel(None);
    let mut look: Box<dyn FnMut() -> Option<PathBuf> + Send> = match usb {
        Usb::Off => return Ok(receiver),
        Usb::Folder(folder) => {
            let folder = folder.clone();
            Box::new(move || releases(&folder))
        }
        Usb::Auto => {
            let mut port = Port::new(Path::new(BLOCKS), Path::new(NODES), Path::new(POINT));
            Box::new(move || port.look())
        }
    };
    let watching = move || {
        while !found.is_closed() {
            let now = look();
            found.send_if_modified(|before| std::mem::replace(before, now.clone()) != now);
            std::thread::sleep(LOOK);
        }
    };
    std::thread::Builder::new().name("stick".to_owned()).spawn(watching)?;
    Ok(receiver)
}

/// The folder with releases on a file system; `None`: it has none.
fn releases(root: &Path) -> Option<PathBuf> {
    root.join(METADATA).is_dir().then(|| root.join(RELEASES))
}

/// The box's USB ports, all of them: one stick at a time is looked at.
struct Port {
    blocks: PathBuf,
    nodes: PathBuf,
    point: PathBuf,
    mounted: Option<Mounted>,
    /// Devices that hold nothing for the box; forgotten when they are pulled out.
    passed_over: BTreeSet<String>,
}

impl Port {
    fn new(blocks: &Path, nodes: &Path, point: &Path) -> Self {
        // One that an earlier run has left.
        mounted::let_go(point);
        let (blocks, nodes, point) = (blocks.to_owned(), nodes.to_owned(), point.to_owned());
        Self { blocks, nodes, point, mounted: None, passed_over: BTreeSet::new() }
    }

    /// Looks once; gives the releases of the stick that is plugged in.
    fn look(&mut self) -> Option<PathBuf> {
        let there = blocks::on_usb(&self.blocks);
        self.passed_over.retain(|name| there.contains(name));
        if self.mounted.as_ref().is_some_and(|mounted| !there.contains(mounted.device())) {
            self.mounted = None;
            tracing::info!("the stick was pulled out");
        }
        if self.mounted.is_none() {
            for name in &there {
                if self.passed_over.contains(name) {
                    continue;
                }
                match Mounted::new(&self.nodes, name, &self.point) {
                    Ok(mounted) if releases(&self.point).is_some() => {
                        tracing::info!(device = name, "a stick with releases is plugged in");
                        self.mounted = Some(mounted);
                        break;
                    }
                    Ok(_) => tracing::info!(device = name, "a stick without releases is plugged in"),
                    Err(error) => tracing::info!(device = name, "a stick cannot be read: {error:#}"),
                }
                self.passed_over.insert(name.clone());
            }
        }
        self.mounted.as_ref().and_then(|_| releases(&self.point))
    }
}
