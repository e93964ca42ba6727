//! Cameras without a box, by each way in: an encoder's RTMP, a camera's RTSP, a command's MPEG-TS. Chromium plays each from
//! the same kind of link.

use std::{fs, path::PathBuf, thread, time::Duration};

use anyhow::ensure;
use lab::{
    browser::{self, Browser, Page},
    cameras::{self, Auth},
    clips::{Clip, FRAMES_PER_SECOND},
    factory::Factory,
    paths, test_name,
    world::{self, SCRATCH},
};

/// How long each page is watched.
const SECONDS: u64 = 20;
/// Share of the frames that the browser must have counted.
const FRAMES: f64 = 0.95;
/// With B-frames and sound: what encoders send.
const CLIP: Clip = Clip { name: "h264-bframes-aac", h264: true, sound: true };
const KEY: &str = "lab-key-0123456789abcdef";

#[test]
fn each_way_in_plays_from_the_same_kind_of_link() {
    let test = test_name!();
    world::beside(test, || {
        let factory = Factory::new(test, &["cloud", "camera", "encoder", "viewer"])?;
        let camera = cameras::gst(factory.host("camera")?, &cameras::turns(&[CLIP]), Auth::Open)?;
        let host = factory.host("cloud")?;
        let clip = CLIP.long_file().display().to_string();
        let command =
            ["ffmpeg", "-nostdin", "-v", "error", "-re", "-i", &clip, "-c", "copy", "-f", "mpegts", "-"];
        let config = PathBuf::from(SCRATCH).join("cloud.toml");
        fs::write(
            &config,
            format!(
                "[http]\nlisten = \"0.0.0.0:8080\"\nurl = \"http://{}:8080\"\n[store]\nurl = \"sqlite:{SCRATCH}/cloud.db\"\n\
                 [rtmp]\nlisten = \"0.0.0.0:1935\"\n[pull]\nallow_private = true\n\
                 [[camera]]\nid = \"pushed\"\nrtmp_key = \"{KEY}\"\n\
                 [[camera]]\nid = \"pulled\"\nurl = {:?}\n\
                 [[camera]]\nid = \"command\"\nexec = {command:?}\n",
                host.address(),
                camera.url(CLIP.name),
            ),
        )?;
        let mut cloud = host.command(paths::binary("cloud")?);
        cloud.arg("--config").arg(&config);
        let mut cloud = host.spawn("cloud", cloud)?;
        cloud.wait_for("started", Duration::from_secs(20))?;
        let sender = factory.host("encoder")?;
        let mut encoder = sender.command("ffmpeg");
        encoder.args(["-nostdin", "-v", "error", "-re", "-i", &clip, "-c", "copy", "-f", "flv"]);
        encoder.arg(format!("rtmp://{}/live/{KEY}", host.address()));
        let mut encoder = sender.spawn("encoder", encoder)?;
        thread::sleep(Duration::from_secs(5));

        let page = |id: &str| {
            let url = format!("http://{}:8080/{id}/?player=hlsjs", host.address());
            Page { name: id.to_owned(), url }
        };
        let pages = ["pushed", "pulled", "command"].map(page);
        let complaints = browser::play_well(
            factory.host("viewer")?,
            Browser::Chromium,
            &pages,
            SECONDS,
            (FRAMES_PER_SECOND, FRAMES),
        )?;
        ensure!(encoder.runs(), "the encoder ended: {}", encoder.said());
        let status = cloud.stop(Duration::from_secs(10))?;
        ensure!(status.success(), "the cloud ended with {status} on SIGTERM");
        let said = cloud.said();
        ensure!(!said.contains(" ERROR ") && !said.contains(KEY), "the cloud said:\n{said}");
        drop((encoder, camera));
        ensure!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
        Ok(())
    });
}
