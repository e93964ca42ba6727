//! Our own scriptable cameras on a host: they play the small clips of `tests/media` and lie as they are told.

use std::{
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpStream},
    path::Path,
    time::Duration,
};

use anyhow::{Result, ensure};

use crate::{factory::Host, paths, process::Process};

/// RTSP port of the first camera on a host; the others follow.
pub const RTSP: u16 = 554;
/// ONVIF port of the first camera on a host; the others follow.
pub const ONVIF: u16 = 8000;
/// The control socket.
const CONTROL: u16 = 9000;

/// Simulated cameras on one host.
#[derive(Debug)]
pub struct Simcam {
    process: Process,
    address: Ipv4Addr,
}

impl Simcam {
    /// Starts it; `words` are more arguments.
    ///
    /// # Errors
    /// When it is not built or does not come up.
    pub fn start(host: &Host, words: &[&str]) -> Result<Self> {
        Self::playing(host, &paths::workspace().join("tests/media/gate.h264"), words)
    }

    /// The same with a clip of its own.
    ///
    /// # Errors
    /// As [`Simcam::start`].
    pub fn playing(host: &Host, clip: &Path, words: &[&str]) -> Result<Self> {
        let mut command = host.command(paths::binary("simcam")?);
        command.arg("--clip").arg(clip).args(["--rtsp-port", &RTSP.to_string()]);
        command.args(["--http-port", &ONVIF.to_string(), "--control", &format!("0.0.0.0:{CONTROL}")]);
        command.args(words);
        let mut process = host.spawn(&format!("{}-simcam", host.name()), command)?;
        process.wait_for("ready", Duration::from_secs(20))?;
        Ok(Self { process, address: host.address() })
    }

    /// The RTSP address of a camera's main stream.
    pub fn rtsp(&self, camera: u16) -> String {
        format!("rtsp://{}:{}/main", self.address, RTSP + camera)
    }

    /// The address of a camera's ONVIF device service.
    pub fn onvif(&self, camera: u16) -> String {
        format!("http://{}:{}/onvif/device_service", self.address, ONVIF + camera)
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// When the newest frames were sent: their number since the start, and microseconds since 1970.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn sent(&self) -> Result<Vec<(u64, i64)>> {
        let text = self.tell("stamps")?;
        let row = |line: &str| {
            let columns: Vec<&str> = line.split('\t').collect();
            Some((columns.get(2)?.parse().ok()?, columns.get(5)?.parse().ok()?))
        };
        Ok(text.lines().filter_map(row).collect())
    }

    /// Says one line to the control socket and gives the answer.
    ///
    /// # Errors
    /// When it refuses.
    pub fn tell(&self, line: &str) -> Result<String> {
        let mut stream = TcpStream::connect((self.address, CONTROL))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(format!("{line}\n").as_bytes())?;
        let mut answer = String::new();
        for line in BufReader::new(stream).lines() {
            let line = line?;
            if line == "." {
                break;
            }
            answer += &line;
            answer.push('\n');
        }
        ensure!(!answer.starts_with("error"), "simcam, {line}: {answer}");
        Ok(answer)
    }
}
