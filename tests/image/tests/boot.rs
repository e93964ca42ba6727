//! The box from its power switch: through U-Boot to a serving page, and with a camera to a picture.
//!
//! All of it runs in an emulator that is several times slower than a board; the figures are printed, and judged generously.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use board::{env, map::PartitionMap, slot::SlotName};
use image::{
    build::{self, Built, Options},
    lan::{self, Lan, SITE},
    qemu::{Machine, Net},
};
use lab::{
    cameras::{self, Auth},
    clips::CLIPS,
    factory::Factory,
    judge::tools,
    owner::{Owner, Screen},
    test_name, world,
};
use serde_json::json;

/// Most bytes of the program that goes onto a box.
const PROGRAM: u64 = 8 << 20;
/// Most memory of all its processes together when nothing is to be done, KiB.
const RESIDENT: u64 = 40 << 10;
/// From the switch to the page, on a machine that is busy with other things.
const SERVING: Duration = Duration::from_secs(120);
/// From there to a camera's first picture.
const PICTURE: Duration = Duration::from_secs(60);
/// Until the page has its first words on a browser's screen, milliseconds; 1000 is wanted of a real board.
const PAINT_MS: f64 = 5000.0;
/// Frames that a player decodes, of the 20 a second, and how long it may take, however busy this machine is.
const FRAMES: (&str, Duration) = ("100", Duration::from_secs(90));

/// Tells the serial port every few seconds how much memory each process of the box has.
const SCALES: &str = "#!/bin/sh
sleep 2
line=resident:
for about in /proc/[0-9]*/status; do
	[ \"$(readlink ${about%status}exe)\" = /bin/boxd ] && line=\"$line $(tr '\\0' ' ' <${about%status}cmdline | cut -d' ' -f2) $(sed -n 's/^VmRSS:[^0-9]*\\([0-9]*\\).*/\\1/p' $about)\"
done
echo \"$line\"
";

/// The field's image with these scales.
fn with_scales(options: Options) -> Result<Options> {
    let inittab = fs::read_to_string(lab::paths::workspace().join("buildroot/overlay/etc/inittab"))?;
    let inittab = format!("{inittab}::respawn:/usr/lib/streambox/scales\n");
    Ok(options.text("etc/inittab", &inittab).script("usr/lib/streambox/scales", SCALES))
}

/// Both copies of the boot environment, as they lie on a disk.
fn environment(disk: &Path, map: &PartitionMap) -> Result<Vec<Vec<u8>>> {
    let disk = File::open(disk)?;
    let read = |region: board::map::Region| {
        let mut bytes = vec![0; env::BYTES];
        disk.read_exact_at(&mut bytes, region.at)?;
        Ok(bytes)
    };
    map.env().into_iter().map(read).collect()
}

fn built(options: Result<Options>) -> Built {
    build::ensure(&options.unwrap()).unwrap()
}

#[test]
fn a_new_box_serves_its_page_from_little_memory_and_writes_no_environment() {
    let test = test_name!();
    let built = built(with_scales(Options::default()));
    world::inside(test, || {
        let factory = Factory::new(test, &["phone"])?;
        let logs = world::logs(test);
        let lan = Lan::new(&factory, &logs)?;
        let parts = built.machine(&logs, lan.net())?;
        let before = environment(&parts.disk, &built.board.partitions)?;

        let mut machine = Machine::start(&parts)?;
        let serving = lan::serving(&machine, SERVING)?;
        println!("power to /healthz, first start: {:.1} s", serving.as_secs_f64());
        let said = machine.console.said();
        ensure!(said.contains("slot=a reset=normal"), "started from elsewhere:\n{said}");

        // What starting took is given back by then.
        let mut resident = Vec::new();
        for _ in 0..4 {
            resident = lan::figures(&mut machine.console, "resident:", Duration::from_secs(30))?;
        }
        let sum: u64 = resident.iter().map(|(_, kib)| kib).sum();
        println!("resident when idle: {:.1} MiB of {resident:?} KiB", sum as f64 / 1024.0);
        ensure!(resident.len() >= 2, "the box does not run: {resident:?}");
        ensure!(sum <= RESIDENT, "{sum} KiB resident");

        let plan = json!({ "url": SITE.url("/") });
        let phone = factory.host("phone")?;
        let mut owner = Owner::start(phone, "players/paint.mjs", test, "en", Screen::Phone, plan)?;
        owner.tell(&json!("go"))?;
        let report = owner.finish(Duration::from_secs(60))?;
        let paint = report.first_paint_ms.context("the page shows nothing")?;
        println!("first paint of the set-up page: {paint:.0} ms");
        ensure!(report.complaints.is_empty(), "{:?}", report.complaints);
        ensure!(paint <= PAINT_MS, "first paint after {paint:.0} ms");

        // A power cut, then a start with data that is there already.
        drop(machine);
        let machine = Machine::start(&parts)?;
        let serving = lan::serving(&machine, SERVING)?;
        println!("power to /healthz, after a power cut: {:.1} s", serving.as_secs_f64());
        let said = machine.console.said();
        ensure!(said.contains("reset=normal"), "a power cut is no crash:\n{said}");
        ensure!(!said.contains("data: making it"), "a power cut costs no data:\n{said}");
        ensure!(!said.contains("ERROR"), "the box logged errors:\n{said}");
        drop(machine);
        ensure!(
            environment(&parts.disk, &built.board.partitions)? == before,
            "a clean start wrote the environment"
        );
        Ok(())
    });
}

#[test]
fn a_camera_plays_through_it() {
    let test = test_name!();
    let clip = CLIPS[2];
    // The first host of a factory has the first address.
    let camera = format!("[[camera]]\nid = \"gate\"\nurl = \"rtsp://10.77.0.1:554/{}\"\n", clip.name);
    let built = built(Options::default().configured(&camera));
    world::beside(test, || {
        let factory = Factory::new(test, &["gst", "viewer"])?;
        let logs = world::logs(test);
        let lan = Lan::new(&factory, &logs)?;
        let gst = cameras::gst(factory.host("gst")?, &[(clip.name, clip.file())], Auth::Open)?;
        ensure!(camera.contains(&gst.url(clip.name)), "the camera is elsewhere: {}", gst.url(clip.name));

        let machine = Machine::start(&built.machine(&logs, lan.net())?)?;
        let serving = lan::serving(&machine, SERVING)?;
        println!("power to /healthz: {:.1} s", serving.as_secs_f64());
        let picture = lan::until(&machine, PICTURE, "picture", || {
            SITE.ask("/gate/index.m3u8", Duration::from_secs(2)).is_ok_and(|it| it.status == 200)
        })?;
        println!("power to the first picture in a playlist: {:.1} s", picture.as_secs_f64());

        let viewer = factory.host("viewer")?;
        let url = SITE.url("/gate/index.m3u8");
        let (frames, limit) = FRAMES;
        let mut player = viewer.command("ffmpeg");
        player.args(["-nostdin", "-v", "warning", "-progress", "pipe:1", "-i", &url]);
        player.args(["-frames:v", frames, "-f", "null", "-"]);
        let played = viewer.output("ffmpeg", player, limit)?;
        ensure!(played.contains(&format!("frame={frames}\n")), "ffmpeg decoded less:\n{played}");
        println!("ffmpeg decoded {frames} frames by {:.1} s from power", machine.elapsed().as_secs_f64());
        let (streams, warnings) = tools::ffprobe_live(viewer, &url, "ffprobe")?;
        let codec = &streams["streams"][0]["codec_name"];
        ensure!(codec == "h264", "ffprobe sees {codec}");
        ensure!(warnings.is_empty(), "ffprobe warns: {warnings:?}");
        Ok(())
    });
}

#[test]
fn a_changed_root_does_not_run() {
    let built = built(Ok(Options::default()));
    let parts = built.machine(&build::home().join("changed-root"), Net::None).unwrap();
    let root = built.board.partitions.root(SlotName::A);
    // In the root's first block: the squashfs says when it was made, and nobody reads that.
    File::options().write(true).open(&parts.disk).unwrap().write_all_at(&[1], root.at + 8).unwrap();
    let mut machine = Machine::start(&parts).unwrap();
    let words = ["box: version=", "dm-verity device corrupted"];
    let (found, said) = machine.console.expect_any(&words, SERVING).unwrap();
    assert_eq!(found, 1, "it runs:\n{said}");
}

#[test]
fn the_program_is_small_and_an_image_is_the_same_each_time() {
    // Of a version of its own, so that nobody else uses what is moved away here.
    let options = Options::default().version("0.0.0-twice");
    let built = built(Ok(options.clone()));
    let bytes = fs::metadata(&built.program).unwrap().len();
    println!("boxd for the box: {:.2} MiB", bytes as f64 / f64::from(1 << 20));
    assert!(bytes <= PROGRAM, "{bytes} bytes");

    let name = |file: &Path| file.file_name().unwrap().to_owned();
    let all = [&built.disk, &built.fit, &built.root, &built.header, &built.tree];
    let kept = build::home().join("twice");
    fs::create_dir_all(&kept).unwrap();
    for file in all {
        fs::rename(file, kept.join(name(file))).unwrap();
    }
    fs::remove_dir_all(&built.folder).unwrap();
    let again = build::ensure(&options).unwrap();
    assert_eq!(again.folder, built.folder, "the same sources");
    let same = |file: &Path| fs::read(file).unwrap() == fs::read(kept.join(name(file))).unwrap();
    let others: Vec<_> = all.into_iter().filter(|file| !same(file)).collect();
    fs::remove_dir_all(kept).unwrap();
    assert!(others.is_empty(), "differ: {others:?}");
}
