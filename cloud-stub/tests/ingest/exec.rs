//! Commands that write MPEG-TS.

use std::time::{Duration, Instant};

use crate::stage::{Cloud, Folder, until};

fn ffmpeg(id: &str, coding: &str) -> String {
    let words = format!(
        "ffmpeg -v error -re -f lavfi -i testsrc=size=320x240:rate=25 -f lavfi -i sine=frequency=440 -pix_fmt yuv420p {coding} -g 25 -c:a aac -f mpegts -"
    );
    let words: Vec<String> = words.split_whitespace().map(|word| format!("{word:?}")).collect();
    format!("[[camera]]\nid = \"{id}\"\nexec = [{}]\n", words.join(", "))
}

#[test]
fn a_command_plays_while_somebody_watches_and_ends_with_its_children() {
    let folder = Folder::new();
    let lines = ffmpeg("avc", "-c:v libx264 -preset ultrafast -tune zerolatency")
        + &ffmpeg("hevc", "-c:v libx265 -preset ultrafast -x265-params log-level=none");
    let mut cloud = Cloud::start(&folder, &lines);
    std::thread::sleep(Duration::from_secs(1));
    assert!(cloud.children("ffmpeg").is_empty(), "nobody watches");
    // The first request waits for the first picture.
    let began = Instant::now();
    let first = cloud.get("/avc/live.m3u8");
    let waited = began.elapsed();
    assert_eq!(first.status, 200, "{first:?}");
    assert!(waited < Duration::from_secs(15), "{waited:?}");
    assert!(cloud.get("/avc/index.m3u8").text().contains("mp4a.40.2"), "with its sound");
    let (_, segment) = cloud.plays("avc");
    assert_eq!(cloud.get(&format!("/avc/{segment}")).status, 200);
    cloud.plays("hevc");
    assert!(cloud.get("/hevc/index.m3u8").text().contains("hvc1"));
    assert_eq!(cloud.children("ffmpeg").len(), 2);
    let running = cloud.children("ffmpeg");
    // Nobody asks any more.
    until("the end of the commands", Duration::from_secs(50), || {
        cloud.children("ffmpeg").is_empty().then_some(())
    });
    cloud.get("/avc/live.m3u8");
    let again = until("the command, as somebody watches again", Duration::from_secs(10), || {
        Some(cloud.children("ffmpeg")).filter(|children| !children.is_empty())
    });
    assert!(!running.contains(&again[0]), "a new one");
    cloud.stop();
    assert!(!std::path::Path::new(&format!("/proc/{}", again[0])).exists(), "it ends with the cloud");
}

#[test]
fn what_is_no_video_is_told_and_held_off() {
    let folder = Folder::new();
    let script =
        |id: &str, script: &str| format!("[[camera]]\nid = \"{id}\"\nexec = [\"sh\", \"-c\", {script:?}]\n");
    let lines = script("words", "echo first >&2; echo 'cannot open rtsp://u:canary@10.0.0.1/1' >&2; exit 3")
        + &script("noise", "exec cat /dev/zero")
        + &script("mute", "exit 7")
        + &script("family", "sleep 98765 & sleep 98765")
        + "[[camera]]\nid = \"missing\"\nexec = [\"/no/such/program\"]\n";
    let cloud = Cloud::start(&folder, &lines);
    for id in ["words", "noise", "mute", "missing"] {
        assert_eq!(cloud.get(&format!("/{id}/live.m3u8")).status, 503);
        assert_eq!(cloud.get(&format!("/{id}/status")).json()["state"]["state"], "offline");
    }
    let said = cloud.said();
    for reason in ["rtsp://***@10.0.0.1/1", "no MPEG-TS", "exit status: 7", "cannot be started"] {
        assert!(said.contains(reason), "{reason}: {said}");
    }
    assert!(!said.contains("canary"));
    let memory = std::fs::read_to_string(format!("/proc/{}/status", cloud.child.id())).unwrap();
    let peak = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 256 << 10, "{kib} KiB");
    // Without a picture the whole family goes.
    assert_eq!(cloud.get("/family/live.m3u8").status, 503);
    let sleeping = || {
        std::fs::read_dir("/proc").unwrap().filter_map(Result::ok).any(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let _ = stat;
            line == b"sleep\x0098765\0"
        })
    };
    until("the end of the family", Duration::from_secs(30), || (!sleeping()).then_some(()));
}
