//! What U-Boot loads: the signed FIT of a system.
//!
//! A FIT holds kernel and initramfs; its one configuration is signed (sha256,rsa2048) over the hashes of both.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::tool::finish;

/// The name of the one configuration of a FIT; the boot script asks for it.
pub const CONFIGURATION: &str = "conf";
/// A private key that signs FITs, with its certificate, as files in a folder.
#[derive(Debug, Clone)]
pub struct Key {
    folder: PathBuf,
    name: String,
}

impl Key {
    /// Makes a new one: `NAME.key` and `NAME.crt` in `folder`.
    ///
    /// # Errors
    /// When openssl does not.
    pub fn generate(folder: &Path, name: &str) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let file = |ending: &str| folder.join(format!("{name}.{ending}"));
        finish(Command::new("openssl").args(["genrsa", "-out"]).arg(file("key")).arg("2048"))?;
        let mut certificate = Command::new("openssl");
        certificate.args(["req", "-batch", "-new", "-x509", "-days", "36500", "-key"]).arg(file("key"));
        // Signing takes the public key from it and nothing else; its subject is nobody's business.
        finish(certificate.args(["-subj", "/CN=streambox", "-out"]).arg(file("crt")))?;
        Ok(Self { folder: folder.to_path_buf(), name: name.to_owned() })
    }

    /// The one in `folder`, or a new one.
    ///
    /// # Errors
    /// When openssl does not make it.
    pub fn ensure(folder: &Path, name: &str) -> Result<Self> {
        if folder.join(format!("{name}.crt")).exists() {
            Ok(Self::existing(folder, name))
        } else {
            Self::generate(folder, name)
        }
    }

    /// One that is there already.
    #[must_use]
    pub fn existing(folder: &Path, name: &str) -> Self {
        Self { folder: folder.to_path_buf(), name: name.to_owned() }
    }
}

/// What goes into a FIT.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// An uncompressed arm64 `Image`: compressed, a small change would change all of it.
    pub kernel: &'a Path,
    /// The initramfs, which holds the root's dm-verity hash.
    pub initramfs: &'a Path,
    /// Where the kernel runs, from the board's map.
    pub load: u64,
}

/// Writes a FIT to `into`, signed by `key` or by nobody. The same parts and key give the same bytes.
///
/// # Errors
/// When mkimage does not; the message is its own.
pub fn build(parts: Parts<'_>, key: Option<&Key>, into: &Path) -> Result<()> {
    make(parts, key, into, None)
}

/// Puts the public half of `key` into a device tree, as one without whose signature nothing runs.
///
/// # Errors
/// When mkimage does not, for example because the tree has no room.
pub fn trust(key: &Key, tree: &Path) -> Result<()> {
    // mkimage adds a key only while it signs something.
    let (nothing, signed) = (tree.with_extension("nothing"), tree.with_extension("nothing.itb"));
    fs::write(&nothing, "nothing")?;
    make(Parts { kernel: &nothing, initramfs: &nothing, load: 0 }, Some(key), &signed, Some(tree))?;
    [nothing, signed].iter().try_for_each(|file| Ok(fs::remove_file(file)?))
}

fn make(parts: Parts<'_>, key: Option<&Key>, into: &Path, trusting: Option<&Path>) -> Result<()> {
    let source = into.with_extension("its");
    fs::write(&source, its(parts, key)?)?;
    let mut command = Command::new("mkimage");
    // The time of making is in the FIT.
    command.env("SOURCE_DATE_EPOCH", "0").arg("-f").arg(&source);
    if let Some(key) = key {
        command.arg("-k").arg(&key.folder);
    }
    if let Some(tree) = trusting {
        command.arg("-K").arg(tree).arg("-r");
    }
    finish(command.arg(into))?;
    fs::remove_file(source)?;
    Ok(())
}

fn its(Parts { kernel, initramfs, load }: Parts<'_>, key: Option<&Key>) -> Result<String> {
    let path = |path: &Path| -> Result<String> {
        let path = fs::canonicalize(path).with_context(|| format!("{} is missing", path.display()))?;
        path.to_str().map(str::to_owned).context("a path that is not text")
    };
    let (kernel, initramfs) = (path(kernel)?, path(initramfs)?);
    let signature = key.map_or_else(String::new, |key| {
        format!(
            "signature-1 {{ algo = \"sha256,rsa2048\"; key-name-hint = \"{}\"; \
             sign-images = \"kernel\", \"ramdisk\"; }};",
            key.name
        )
    });
    Ok(format!(
        "/dts-v1/;\n\
         / {{ description = \"streambox\"; #address-cells = <1>;\n\
         images {{\n\
         kernel {{ description = \"kernel\"; data = /incbin/(\"{kernel}\"); type = \"kernel\"; arch = \"arm64\"; os = \"linux\";\n\
         compression = \"none\"; load = <{load:#x}>; entry = <{load:#x}>; hash-1 {{ algo = \"sha256\"; }}; }};\n\
         ramdisk {{ description = \"initramfs\"; data = /incbin/(\"{initramfs}\"); type = \"ramdisk\"; arch = \"arm64\";\n\
         os = \"linux\"; compression = \"none\"; hash-1 {{ algo = \"sha256\"; }}; }};\n\
         }};\n\
         configurations {{ default = \"{CONFIGURATION}\";\n\
         {CONFIGURATION} {{ kernel = \"kernel\"; ramdisk = \"ramdisk\"; {signature} }}; }};\n\
         }};\n"
    ))
}
