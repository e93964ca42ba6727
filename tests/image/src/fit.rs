//! What U-Boot loads and what it trusts: the signed FIT of a system, and the device tree that carries the key.
//!
//! A FIT holds kernel and initramfs; its one configuration is signed (sha256,rsa2048) over the hashes of both. The public key,
//! the boot script and the reset marker's page ride in U-Boot's own device tree, which is built into the boot loader on a real
//! board and handed over by QEMU here: who can write the disk can change none of them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::qemu;

/// The name of the one configuration of a FIT; the boot script asks for it.
pub const CONFIGURATION: &str = "conf";
/// Bytes left free in the device tree: U-Boot and QEMU add nodes to it.
const ROOM: &str = "16384";

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
        run(Command::new("openssl").args(["genrsa", "-out"]).arg(file("key")).arg("2048"))?;
        run(Command::new("openssl")
            .args(["req", "-batch", "-new", "-x509", "-days", "36500", "-key"])
            .arg(file("key"))
            .arg("-out")
            .arg(file("crt")))?;
        Ok(Self { folder: folder.to_path_buf(), name: name.to_owned() })
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

/// What U-Boot's device tree carries beside QEMU's own.
#[derive(Debug, Clone, Copy)]
pub struct Trust<'a> {
    /// Whose FITs run; nobody's: all run.
    pub key: Option<&'a Key>,
    /// The boot script, run at once and without a way to stop it; without one U-Boot shows its prompt.
    pub script: Option<&'a str>,
    /// The address of the page that holds the reset marker: neither U-Boot nor the kernel puts anything there.
    pub marker: u64,
}

/// Writes the device tree for [`qemu::Machine`] to `into`.
///
/// # Errors
/// When dtc, mkimage or QEMU does not.
pub fn tree(trust: Trust<'_>, into: &Path) -> Result<()> {
    let beside = |ending: &str| into.with_extension(ending);
    let (dumped, source) = (beside("qemu.dtb"), beside("dts"));
    qemu::dump_tree(&dumped)?;
    run(Command::new("dtc").args(["-q", "-I", "dtb", "-O", "dts", "-o"]).args([&source, &dumped]))?;
    let text = fs::read_to_string(&source)? + &added(trust);
    fs::write(&source, text)?;
    run(Command::new("dtc").args(["-q", "-I", "dts", "-O", "dtb", "-p", ROOM, "-o"]).args([into, &source]))?;
    if let Some(key) = trust.key {
        // mkimage adds a key only while it signs something.
        let (nothing, signed) = (beside("nothing"), beside("nothing.itb"));
        fs::write(&nothing, "nothing")?;
        let parts = Parts { kernel: &nothing, initramfs: &nothing, load: 0 };
        make(parts, Some(key), &signed, Some(into))?;
        for file in [nothing, signed] {
            fs::remove_file(file)?;
        }
    }
    for file in [dumped, source] {
        fs::remove_file(file)?;
    }
    Ok(())
}

/// The seeds that QEMU made for this dump would be every boot's: the kernel gathers its own.
fn added(trust: Trust<'_>) -> String {
    let Trust { script, marker, .. } = trust;
    let config = script.map_or_else(String::new, |script| {
        let text = script.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        // U-Boot takes -2 as: do not even look whether somebody typed.
        format!("config {{ bootcmd = \"{text}\"; bootdelay = <0xfffffffe>; }};\n")
    });
    format!(
        "/ {{\n\
         chosen {{ /delete-property/ rng-seed; /delete-property/ kaslr-seed; }};\n\
         reserved-memory {{ #address-cells = <2>; #size-cells = <2>; ranges;\n\
         reset-marker@{marker:x} {{ reg = <0 {marker:#x} 0 0x1000>; no-map; }}; }};\n\
         {config}}};\n"
    )
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
    run(command.arg(into))?;
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

/// Runs a tool; what it says is shown only when it fails.
fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().display().to_string();
    let output =
        command.output().with_context(|| format!("starting {name}; `cargo xtask setup` installs it"))?;
    ensure!(
        output.status.success(),
        "{name} ended with {}:\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
