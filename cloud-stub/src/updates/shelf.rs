//! What is published, kept in memory for as long as the folder's timestamp is the same file: thousands of boxes ask, and a
//! publisher replaces it once a day.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::Listed;
use super::listed;

/// Which file it is: its number, its length and when it was written.
type Mark = (u64, u64, i64, i64);

/// The releases of a folder.
#[derive(Debug, Clone)]
pub(crate) struct Shelf(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    kept: Mutex<Option<(Mark, Arc<Vec<Listed>>)>>,
}

impl Shelf {
    /// Of this folder.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self(Arc::new(Inner { folder, kept: Mutex::default() }))
    }

    /// Where it is.
    pub(super) fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// What is published.
    ///
    /// # Errors
    /// When the folder cannot be read, or is not whole.
    pub(crate) async fn releases(&self) -> anyhow::Result<Arc<Vec<Listed>>> {
        let shelf = self.clone();
        tokio::task::spawn_blocking(move || shelf.read()).await?
    }

    fn read(&self) -> anyhow::Result<Arc<Vec<Listed>>> {
        // Marked before it is read: what is published meanwhile is read the next time.
        let mark = mark(&self.0.folder);
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let (Some(mark), Some((known, rows))) = (mark, kept)
            && mark == known
        {
            return Ok(rows);
        }
        let rows = Arc::new(listed::read(&self.0.folder)?);
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = mark.map(|mark| (mark, rows.clone()));
        Ok(rows)
    }
}

fn mark(folder: &Path) -> Option<Mark> {
    let about = fs::metadata(folder.join("metadata/timestamp.json")).ok()?;
    Some((about.ino(), about.len(), about.mtime(), about.mtime_nsec()))
}
