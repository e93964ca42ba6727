//! An image cut into chunks: each compressed by itself, under the hash of its plain bytes, written once however many images
//! and releases have it.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use ring::digest::{Context as Digest, SHA256};
use update::{Chunk, Image};

use super::document::{hex, sha256};
use super::folder::Folder;

/// zstd's level: the highest that needs no window beyond a chunk. Fixed, because it decides the bytes.
const LEVEL: i32 = 19;
/// Images are whole sectors.
const SECTOR: u64 = 512;

pub(super) struct Cutter<'a> {
    pub(super) folder: &'a Folder,
    pub(super) chunk: u32,
    pub(super) progress: &'a (dyn Fn(usize, usize) + Sync),
}

pub(super) struct Cut {
    pub(super) image: Image,
    /// Compressed bytes of chunks that the folder did not have.
    pub(super) new: u64,
}

impl Cutter<'_> {
    pub(super) fn cut(&self, path: &Path) -> Result<Cut> {
        let named = || format!("cutting {}", path.display());
        let file = File::open(path).with_context(named)?;
        let there = file.metadata().with_context(named)?.len();
        ensure!(there > 0, "{} is empty", path.display());
        let bytes = there.next_multiple_of(SECTOR);
        let count = bytes.div_ceil(u64::from(self.chunk)) as usize;
        let next = AtomicUsize::new(0);
        let done = Mutex::new(vec![None; count]);
        // By hash: two workers may both find a chunk missing.
        let mut written = BTreeMap::new();
        let worker = || -> Result<BTreeMap<String, u32>> {
            let mut new = BTreeMap::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return Ok(new);
                }
                let plain = self.plain(&file, there, bytes, index)?;
                let (chunk, fresh) = self.keep(&plain)?;
                if fresh {
                    new.insert(chunk.0.clone(), chunk.1);
                }
                let Ok(mut done) = done.lock() else { bail!("another chunk failed") };
                if let Some(place) = done.get_mut(index) {
                    *place = Some(chunk);
                }
                (self.progress)(index + 1, count);
            }
        };
        thread::scope(|scope| -> Result<()> {
            let workers = thread::available_parallelism().map_or(1, usize::from);
            let workers: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
            for worker in workers {
                let Ok(new) = worker.join() else { bail!("a worker ended") };
                written.extend(new.with_context(named)?);
            }
            Ok(())
        })?;
        let mut whole = Digest::new(&SHA256);
        for index in 0..count {
            whole.update(&self.plain(&file, there, bytes, index)?);
        }
        let Ok(chunks) = done.into_inner() else { bail!("a worker ended") };
        let chunks: Option<Vec<Chunk>> = chunks.into_iter().collect();
        let image =
            Image { bytes, sha256: hex(whole.finish().as_ref()), chunks: chunks.with_context(named)? };
        Ok(Cut { image, new: written.into_values().map(u64::from).sum() })
    }

    /// The bytes of a chunk; behind the file's end are zeros.
    fn plain(&self, file: &File, there: u64, bytes: u64, index: usize) -> Result<Vec<u8>> {
        let start = index as u64 * u64::from(self.chunk);
        let mut plain = vec![0; u64::from(self.chunk).min(bytes - start) as usize];
        let filled = (there.saturating_sub(start) as usize).min(plain.len());
        if let Some(part) = plain.get_mut(..filled) {
            file.read_exact_at(part, start).context("reading a chunk")?;
        }
        Ok(plain)
    }

    /// Keeps a chunk in the folder. What is there under its name is only believed when it is what its name says.
    fn keep(&self, plain: &[u8]) -> Result<(Chunk, bool)> {
        let hash = sha256(plain);
        let name = Chunk(hash.clone(), 0).path();
        if let Some(there) = self.folder.read_if_there(&name)?
            && zstd::bulk::decompress(&there, plain.len()).is_ok_and(|there| there == plain)
        {
            return Ok((Chunk(hash, there.len() as u32), false));
        }
        let packed = zstd::bulk::compress(plain, LEVEL).context("compressing a chunk")?;
        self.folder.write(&name, &packed)?;
        Ok((Chunk(hash, packed.len() as u32), true))
    }
}
