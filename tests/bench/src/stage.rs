//! Where things are measured: simulated cameras and a box, both release builds, on loopback.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lab::http::Site;
use lab::{cargo, paths};

use crate::process::Measured;

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A scratch directory in memory, release builds, and ports.
pub(crate) struct Stage {
    scratch: PathBuf,
    http_port: u16,
}

/// Builds what is measured, as it is shipped.
pub(crate) fn build(what: &str, words: &[&str]) -> Result<()> {
    eprintln!("bench: building {what}");
    let status = cargo::command(&["build", "--quiet", "--release"]).args(words).status()?;
    ensure!(status.success(), "the release build failed");
    Ok(())
}

/// RTSP port of the first simulated camera.
const RTSP_PORT: u16 = 27554;

impl Stage {
    /// Builds the release binaries and makes the clip, once.
    pub(crate) fn set() -> Result<Self> {
        let programs = ["--package", "boxd", "--package", "cloud-stub", "--package", "simcam"];
        build("the release binaries", &programs)?;
        let scratch = PathBuf::from(format!("/dev/shm/streambox-bench-{}", std::process::id()));
        fs::create_dir_all(&scratch)?;
        let stage = Self { scratch, http_port: free_port()? };
        stage.make_clip()?;
        Ok(stage)
    }

    /// The 1080p clip as Annex B: 25 frames/s, a keyframe each 2 s, about 4 Mbit/s.
    pub(crate) fn clip() -> PathBuf {
        paths::lab().join("bench-1080p.h264")
    }

    fn make_clip(&self) -> Result<()> {
        let clip = Self::clip();
        if clip.exists() {
            return Ok(());
        }
        eprintln!("bench: encoding 10 s of 1080p (once)");
        fs::create_dir_all(paths::lab())?;
        let draft = self.scratch.join("clip.h264");
        let status = Command::new("ffmpeg")
            .args([
                "-nostdin",
                "-v",
                "error",
                "-f",
                "lavfi",
                "-i",
                "testsrc2=size=1920x1080:rate=25,noise=alls=12:allf=t",
            ])
            .args([
                "-t",
                "10",
                "-c:v",
                "libx264",
                "-preset",
                "veryfast",
                "-profile:v",
                "main",
                "-bf",
                "0",
                "-g",
                "50",
            ])
            .args([
                "-keyint_min",
                "50",
                "-sc_threshold",
                "0",
                "-b:v",
                "4M",
                "-maxrate",
                "4M",
                "-bufsize",
                "4M",
            ])
            .args(["-pix_fmt", "yuv420p", "-f", "h264"])
            .arg(&draft)
            .status()
            .context("ffmpeg: run `cargo xtask test` once, it installs what the benchmarks need")?;
        ensure!(status.success(), "ffmpeg could not make the clip");
        fs::copy(&draft, &clip)?;
        Ok(())
    }

    /// A directory in memory, empty.
    pub(crate) fn dir(&self, name: &str) -> Result<PathBuf> {
        let dir = self.scratch.join(name);
        fs::create_dir_all(&dir)?;
        Ok(dir)
    }

    /// A log file.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.scratch.join(format!("{name}.log"))
    }

    /// Where the box serves.
    pub(crate) fn site(&self) -> Site {
        Site::new(Ipv4Addr::LOCALHOST, self.http_port)
    }

    /// Starts simulated cameras; `extra` are more arguments.
    pub(crate) fn start_cameras(&self, cameras: u32, extra: &[&str]) -> Result<Measured> {
        self.start_cameras_of(&Self::clip(), cameras, extra)
    }

    /// The same with another clip.
    pub(crate) fn start_cameras_of(&self, clip: &Path, cameras: u32, extra: &[&str]) -> Result<Measured> {
        let mut command = Command::new(release("simcam"));
        command.arg("--clip").arg(clip).args(["--bind", "127.0.0.1", "--http-port", "0"]);
        command.args(["--rtsp-port", &RTSP_PORT.to_string(), "--cameras", &cameras.to_string()]).args(extra);
        let log = self.log("simcam");
        let cameras = Measured::start(&mut command, &log)?;
        self.until("the simulated cameras are ready", Duration::from_secs(20), || {
            Ok(fs::read_to_string(&log).unwrap_or_default().contains("ready"))
        })?;
        Ok(cameras)
    }

    /// Starts a box with these cameras.
    pub(crate) fn start_box(&self, cameras: u32) -> Result<Measured> {
        let state = self.dir("state")?;
        let cameras: Vec<String> = (0..cameras)
            .map(|index| format!("[[camera]]\nid = \"cam{index}\"\nurl = \"{}\"\n", camera_url(index)))
            .collect();
        let config = format!(
            "[http]\nlisten = \"127.0.0.1:{}\"\n[state]\ndir = {:?}\n[discovery]\nenabled = false\n[tunnel]\nenabled = false\n{}",
            self.http_port,
            state.display().to_string(),
            cameras.concat(),
        );
        let file = self.scratch.join("box.toml");
        fs::write(&file, config)?;
        Measured::start(Command::new(release("boxd")).arg("--config").arg(file), &self.log("boxd"))
    }

    /// Waits until every camera of the box streams.
    pub(crate) fn wait_streaming(&self, cameras: u32) -> Result<()> {
        self.until("every camera streams", Duration::from_secs(60), || {
            let Ok(list) = self.site().json("/api/v1/cameras") else { return Ok(false) };
            let list = list.as_array().context("a list of cameras")?;
            let streaming = list.iter().filter(|camera| camera["state"]["state"] == "streaming").count();
            Ok(streaming == cameras as usize)
        })
    }

    /// Waits for a condition.
    pub(crate) fn until(
        &self,
        what: &str,
        limit: Duration,
        mut condition: impl FnMut() -> Result<bool>,
    ) -> Result<()> {
        let end = Instant::now() + limit;
        while !condition()? {
            if Instant::now() > end {
                bail!("{what}: not within {limit:?}; logs are in {}", self.scratch.display());
            }
            sleep(LOOK);
        }
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.scratch);
        }
    }
}

/// The address of one simulated camera: they stand on consecutive ports.
pub(crate) fn camera_url(index: u32) -> String {
    format!("rtsp://127.0.0.1:{}/main", u32::from(RTSP_PORT) + index)
}

pub(crate) fn release(name: &str) -> PathBuf {
    let path: &Path = &paths::target();
    path.join("release").join(name)
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
