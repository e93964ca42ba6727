//! The kernel's watchdog (Documentation/watchdog/watchdog-api.rst). The only `unsafe` of this crate.
//!
//! Opening the device starts it. It is fed by an ioctl and never by a write, so that no byte can be the magic `V`; when the
//! descriptor is closed without that, the kernel lets the watchdog run on.
#![allow(unsafe_code, reason = "the one module that may; each block has its proof")]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Watchdog;

/// linux/watchdog.h: the numbers of its ioctls, all of which take an int.
mod ioctl {
    use nix::libc::c_int;

    nix::ioctl_read!(keep_alive, b'W', 5, c_int);
    nix::ioctl_readwrite!(set_timeout, b'W', 6, c_int);
    nix::ioctl_read!(get_timeout, b'W', 7, c_int);
}

/// The watchdog behind a device such as `/dev/watchdog`. It bites when this is dropped and nobody opens the device again.
#[derive(Debug)]
pub struct KernelWatchdog {
    device: File,
    path: PathBuf,
    timeout: Duration,
}

impl KernelWatchdog {
    /// Opens the device, which starts it, and wants it to bite after so long; the hardware may have only other times.
    ///
    /// # Errors
    /// When there is no such device, another process has it (EBUSY), or it is no watchdog. The error names the device.
    pub fn open(path: &Path, wanted: Duration) -> io::Result<Self> {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("the watchdog {}: {error}", path.display()))
        };
        let device = OpenOptions::new().write(true).open(path).map_err(named)?;
        let mut seconds = i32::try_from(wanted.as_secs()).unwrap_or(i32::MAX).max(1);
        // SAFETY: the descriptor is open for the whole call, as `device` lives; the pointer is to an int of this frame, which
        // the driver reads and writes back.
        let set = unsafe { ioctl::set_timeout(device.as_raw_fd(), &raw mut seconds) };
        // One whose time is fixed refuses; then it counts what it says.
        if set.is_err() {
            // SAFETY: as above; the driver only writes the int.
            unsafe { ioctl::get_timeout(device.as_raw_fd(), &raw mut seconds) }
                .map_err(|error| named(error.into()))?;
        }
        let timeout = Duration::from_secs(u64::try_from(seconds).unwrap_or(0).max(1));
        let mut dog = Self { device, path: path.to_owned(), timeout };
        dog.feed()?;
        Ok(dog)
    }
}

impl Watchdog for KernelWatchdog {
    fn feed(&mut self) -> io::Result<()> {
        let mut unused = 0;
        // SAFETY: the descriptor is open as long as `self` is; the pointer is to an int of this frame. Linux's drivers ignore it.
        let fed = unsafe { ioctl::keep_alive(self.device.as_raw_fd(), &raw mut unused) };
        fed.map(drop).map_err(|error| {
            let error = io::Error::from(error);
            io::Error::new(
                error.kind(),
                format!("the watchdog {} cannot be fed: {error}", self.path.display()),
            )
        })
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::button::tests::Scratch;

    #[test]
    fn what_is_no_watchdog_is_refused_by_name_and_left_as_it_is() {
        let scratch = Scratch::new("watchdog");
        let path = scratch.0.join("watchdog");
        let absent = KernelWatchdog::open(&path, Duration::from_secs(20)).unwrap_err();
        assert!(absent.to_string().contains(&*path.to_string_lossy()), "{absent}");
        fs::write(&path, "a file").unwrap();
        let file = KernelWatchdog::open(&path, Duration::from_secs(20)).unwrap_err();
        assert!(file.to_string().contains(&*path.to_string_lossy()), "{file}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
    }

    /// `linux/watchdog.h` of a 64-bit kernel: direction, size of an int, 'W', number.
    #[test]
    fn the_numbers_of_the_ioctls_are_the_kernels() {
        let numbers = [
            nix::request_code_read!(b'W', 5, 4),
            nix::request_code_readwrite!(b'W', 6, 4),
            nix::request_code_read!(b'W', 7, 4),
        ];
        assert_eq!(numbers.map(|number| number as u32), [0x8004_5705, 0xC004_5706, 0x8004_5707]);
    }
}
