//! What encoders send comes out as it went in: each picture once, in order, in both packagings.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::clip::{Clip, pictures, sound};
use crate::publisher::{Publisher, play_h265, samples};
use crate::stage::{Cloud, KEY, until};

/// Longer than any clip here.
const LONG: Duration = Duration::from_secs(40);

fn done(mut encoder: Child) {
    until("the encoder's end", LONG, || encoder.try_wait().unwrap());
    let output = encoder.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{error}");
}

/// Compares what the playlists list with the clip.
fn came_out(cloud: &Cloud, clip: &Clip) {
    cloud.publishers(0, Duration::from_secs(5));
    assert_eq!(cloud.figure("pictures_total"), clip.pictures.len() as u64);
    let [fmp4, ts] = cloud.record();
    for file in [&fmp4, &ts] {
        assert!(pictures(file) == clip.pictures, "{}: {} pictures", file.display(), pictures(file).len());
    }
}

/// Every frame of sound in order; a few may be missing at both ends.
fn sounds(cloud: &Cloud, clip: &Clip) {
    let [fmp4, _] = cloud.record();
    let (sent, heard) = (sound(&clip.file), sound(&fmp4));
    assert!(heard.len() + 8 >= sent.len(), "{} of {} frames of sound", heard.len(), sent.len());
    let start = sent.iter().position(|frame| *frame == heard[0]).unwrap();
    assert!(sent[start..start + heard.len()] == heard, "sound in order");
}

#[test]
fn ffmpegs_h264_and_aac() {
    let (cloud, clip) = (Cloud::start(), Clip::new("libx264", 6));
    let encoder = clip.pushed(&cloud.url(KEY));
    until("a playlist", Duration::from_secs(10), || cloud.get("/gate/live.m3u8"));
    let list = cloud.text("/gate/index.m3u8");
    assert!(list.contains("avc1.") && list.contains("mp4a.40.2"), "{list}");
    done(encoder);
    came_out(&cloud, &clip);
    sounds(&cloud, &clip);
    assert!(!cloud.log().contains(KEY), "a key is never logged");
    assert!(!cloud.log().contains(" ERROR "), "{}", cloud.log());
}

#[test]
fn gstreamers_h264_and_aac() {
    let (cloud, clip) = (Cloud::start(), Clip::new("libx264", 6));
    let pipeline = format!(
        "filesrc location={} ! qtdemux name=d flvmux streamable=true name=m ! rtmp2sink location={} \
         d.video_0 ! queue ! h264parse ! identity sync=true ! m. d.audio_0 ! queue ! aacparse ! m.",
        clip.file.display(),
        cloud.url(KEY)
    );
    let encoder = Command::new("gst-launch-1.0")
        .arg("-q")
        .args(pipeline.split_whitespace())
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("GStreamer is installed");
    done(encoder);
    came_out(&cloud, &clip);
    sounds(&cloud, &clip);
}

#[test]
fn enhanced_h265_over_the_end_of_the_clock() {
    let (cloud, clip) = (Cloud::start(), Clip::new("libx265", 6));
    let (record, samples) = samples(&clip.file, *b"hvcC");
    let mut publisher = Publisher::connect(cloud.rtmp, KEY);
    assert!(publisher.hears("NetStream.Publish.Start"));
    // 32 bits of milliseconds end in the middle.
    play_h265(&mut publisher, &record, &samples, 0_u32.wrapping_sub(3000));
    assert!(cloud.text("/gate/index.m3u8").contains("hvc1."), "{}", cloud.text("/gate/index.m3u8"));
    drop(publisher);
    came_out(&cloud, &clip);
}
