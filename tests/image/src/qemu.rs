//! The machine: QEMU's `virt` with a disk, as the hardware that the image is made for.
//!
//! Killing it is the power cut: its memory is gone, and what it had written is on the disk's file. [`Machine::reset`] is what a
//! hardware watchdog does, memory survives it: `virt` has no watchdog of its own that bites when the kernel hangs, so the lab
//! plays it, and only where a test says so.

use std::{
    fmt::Write as _,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use imaging::qemu::{EMULATOR, MACHINE};

use crate::console::Console;

/// Debian's U-Boot for `virt`, as it is.
pub const U_BOOT: &str = "/usr/lib/u-boot/qemu_arm64/u-boot.bin";
/// A network card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Net {
    /// None.
    None,
    /// A tap device that is there already; the card's address is [`card`]'s.
    Tap(String),
    /// QEMU's own network behind a NAT: ports of this host's loopback, each led to a port of the machine.
    User(Vec<(u16, u16)>),
}

/// The address of the network card on a tap device: one of QEMU's, another one for each name.
#[must_use]
pub fn card(tap: &str) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, tap.as_bytes());
    let own: Vec<String> = hash.as_ref().iter().take(3).map(|byte| format!("{byte:02x}")).collect();
    format!("52:54:00:{}", own.join(":"))
}

/// What a machine is made of.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The disk, raw; it is written to.
    pub disk: PathBuf,
    /// The device tree with the release key and the boot script; without it QEMU's own, and U-Boot waits at its prompt.
    pub tree: Option<PathBuf>,
    /// The boot loader.
    pub boot_loader: PathBuf,
    /// The network.
    pub net: Net,
    /// Files that are in memory at power-on, each with its address.
    pub memory: Vec<(PathBuf, u64)>,
    /// Where what it says is kept.
    pub log: PathBuf,
}

/// A running machine; dropping it cuts its power.
pub struct Machine {
    child: Child,
    /// Its serial port.
    pub console: Console,
    monitor: PathBuf,
    began: Instant,
}

impl Machine {
    /// Powers it on. It lives no longer than the thread that starts it.
    ///
    /// # Errors
    /// When QEMU is not there: the message says what to run.
    pub fn start(parts: &Parts) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let monitor = std::env::temp_dir().join(format!(
            "streambox-{}-{}.monitor",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        ));
        // Left alone by a test that was killed, an emulator would run for ever.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", EMULATOR, "-machine", "virt"]).args(MACHINE);
        command.args(["-display", "none", "-serial", "stdio", "-bios"]).arg(&parts.boot_loader);
        command.args(["-monitor", &format!("unix:{},server=on,wait=off", monitor.display())]);
        command.args(["-drive", &format!("if=none,format=raw,id=disk,file={}", parts.disk.display())]);
        command.args(["-device", "virtio-blk-device,drive=disk", "-device", "virtio-rng-device"]);
        if let Some(tree) = &parts.tree {
            command.arg("-dtb").arg(tree);
        }
        match &parts.net {
            Net::None => {}
            Net::Tap(name) => {
                command.args(["-netdev", &format!("tap,id=net,ifname={name},script=no,downscript=no")]);
            }
            Net::User(ports) => {
                let mut forwards = String::new();
                for (host, machine) in ports {
                    write!(forwards, ",hostfwd=tcp:127.0.0.1:{host}-:{machine}")?;
                }
                command.args(["-netdev", &format!("user,id=net{forwards}")]);
            }
        }
        match &parts.net {
            Net::None => {}
            Net::Tap(name) => {
                command.args(["-device", &format!("virtio-net-device,netdev=net,mac={}", card(name))]);
            }
            Net::User(_) => {
                command.args(["-device", "virtio-net-device,netdev=net"]);
            }
        }
        for (file, at) in &parts.memory {
            command.args(["-device", &format!("loader,file={},addr={at:#x},force-raw=on", file.display())]);
        }
        let began = Instant::now();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {EMULATOR}; `cargo xtask setup` installs it"))?;
        let (Some(said), Some(typed)) = (child.stdout.take(), child.stdin.take()) else {
            bail!("the machine has no serial port");
        };
        let console = Console::new(said, typed, &parts.log)?;
        Ok(Self { child, console, monitor, began })
    }

    /// Since power-on.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The emulator's process, for its memory and its time.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Pulls the plug: the emulator is killed with SIGKILL, its memory is gone.
    pub fn cut_power(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.monitor);
    }

    /// Resets the processor with memory as it is: what a hardware watchdog does to a system that hangs.
    ///
    /// # Errors
    /// When the emulator does not answer on its monitor.
    pub fn reset(&mut self) -> Result<()> {
        self.monitor("system_reset")
    }

    /// Gives the emulator's monitor one command.
    ///
    /// # Errors
    /// As [`Machine::reset`].
    pub fn monitor(&mut self, command: &str) -> Result<()> {
        let mut stream = UnixStream::connect(&self.monitor).context("the emulator's monitor")?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        prompt(&mut stream)?;
        stream.write_all(format!("{command}\n").as_bytes())?;
        prompt(&mut stream)
    }

    /// Waits until the machine has switched itself off.
    ///
    /// # Errors
    /// When it has not in time.
    pub fn ended(&mut self, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("the machine still runs after {within:?}");
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.cut_power();
    }
}

fn prompt(stream: &mut UnixStream) -> Result<()> {
    let mut said = Vec::new();
    let mut byte = [0];
    while !said.ends_with(b"(qemu) ") {
        stream.read_exact(&mut byte).context("the emulator's monitor says nothing")?;
        said.extend(byte);
    }
    Ok(())
}

/// How a person starts the machine: a disk, a device tree, and ports of this host's loopback, each led to a port of the machine.
#[must_use]
pub fn command_line(disk: &Path, tree: &Path, ports: &[(u16, u16)]) -> String {
    let forwards: Vec<String> =
        ports.iter().map(|(host, machine)| format!(",hostfwd=tcp:127.0.0.1:{host}-:{machine}")).collect();
    format!(
        "{EMULATOR} -machine virt {} -display none -serial mon:stdio -bios {U_BOOT} -dtb {} \\\n    \
         -drive if=none,format=raw,id=disk,file={} -device virtio-blk-device,drive=disk \\\n    \
         -netdev user,id=net{} -device virtio-net-device,netdev=net -device virtio-rng-device",
        MACHINE.join(" "),
        tree.display(),
        disk.display(),
        forwards.concat()
    )
}
