//! What the same update would cost by RAUC's adaptive method, as far as it can be told without a box that runs RAUC: its own program
//! makes the bundles and the indexes of blocks, and what a box would fetch follows from them. That are the new index, because it
//! comes with the bundle, and each piece of the bundle's own file system that holds a block which the old index does not have.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs::{self, File},
    path::Path,
    process::Command,
};

use anyhow::{Context, Result};
use image::build::Built;
use lab::world::run;

/// What a block and its hash in the index have.
const BLOCK: usize = 4096;
const HASH: usize = 32;
/// The pieces that the bundle's squashfs is read in. RAUC's manual advises small ones for this.
const PIECE: usize = 64 << 10;
/// zstd's level in mksquashfs.
const LEVEL: i32 = 15;
/// The images by their names in the bundle.
const IMAGES: [&str; 2] = ["root.img", "fit.img"];

/// What it comes to.
#[derive(Debug)]
pub(crate) struct Cost {
    /// All that is fetched.
    pub(crate) bytes: u64,
    /// Of it the indexes.
    pub(crate) index: u64,
    /// How many blocks the old images do not have.
    pub(crate) missing: usize,
    /// The whole bundle.
    pub(crate) bundle: u64,
}

/// The cost of going from one image to another; `scratch` is for the bundles.
pub(crate) fn cost(old: &Built, new: &Built, scratch: &Path) -> Result<Cost> {
    lab::setup::packages(&["rauc"])?;
    let _ = fs::remove_dir_all(scratch);
    fs::create_dir_all(scratch)?;
    let (key, cert) = (scratch.join("key.pem"), scratch.join("cert.pem"));
    let (key, cert) = (key.to_string_lossy(), cert.to_string_lossy());
    let request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-days", "10"];
    run("openssl", &[&request[..], &["-keyout", &key, "-out", &cert]].concat())?;
    let bundle = |built: &Built, name: &str| -> Result<u64> {
        let folder = scratch.join(name);
        fs::create_dir(&folder)?;
        let mut manifest = format!("[update]\ncompatible=box\nversion={name}\n[bundle]\nformat=verity\n");
        for (image, from) in IMAGES.into_iter().zip([&built.root, &built.fit]) {
            fs::copy(from, folder.join(image))?;
            let file = File::options().write(true).open(folder.join(image))?;
            file.set_len(file.metadata()?.len().next_multiple_of(BLOCK as u64))?;
            let class = image.trim_end_matches(".img");
            writeln!(manifest, "[image.{class}]\nfilename={image}\nadaptive=block-hash-index")?;
        }
        fs::write(folder.join("manifest.raucm"), manifest)?;
        let (folder, into) = (folder.to_string_lossy(), scratch.join(format!("{name}.raucb")));
        let (path, unpacked) = (into.to_string_lossy(), scratch.join(format!("{name}-unpacked")));
        let mut command = Command::new("rauc");
        command.args([
            "bundle",
            "--cert",
            &cert,
            "--key",
            &key,
            "--mksquashfs-args=-comp zstd -b 64k",
            &folder,
            &path,
        ]);
        let made = command.output().context("rauc")?;
        anyhow::ensure!(made.status.success(), "rauc: {}", String::from_utf8_lossy(&made.stderr));
        run("rauc", &["extract", "--keyring", &cert, &path, &unpacked.to_string_lossy()])?;
        Ok(fs::metadata(into)?.len())
    };
    bundle(old, "old")?;
    let mut cost = Cost { bytes: 0, index: 0, missing: 0, bundle: bundle(new, "new")? };
    for image in IMAGES {
        let read = |name: &str, end: &str| fs::read(scratch.join(format!("{name}-unpacked/{image}{end}")));
        let (has, wants) = (read("old", ".block-hash-index")?, read("new", ".block-hash-index")?);
        let has: BTreeSet<&[u8]> = has.chunks(HASH).collect();
        let plain = read("new", "")?;
        let mut pieces = BTreeMap::new();
        for (index, _) in wants.chunks(HASH).enumerate().filter(|(_, hash)| !has.contains(hash)) {
            cost.missing += 1;
            let piece = index * BLOCK / PIECE;
            if let Some(bytes) = plain.chunks(PIECE).nth(piece) {
                pieces.insert(piece, zstd::bulk::compress(bytes, LEVEL)?.len().min(PIECE) as u64);
            }
        }
        cost.index += wants.len() as u64;
        cost.bytes += wants.len() as u64 + pieces.values().sum::<u64>();
    }
    fs::remove_dir_all(scratch)?;
    Ok(cost)
}
