//! `cargo xtask demo` from the outside: it plays, and Ctrl-C leaves nothing behind; as root and as an ordinary user.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    net::Ipv4Addr,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use lab::{
    browser::{self, Browser, Page},
    http::Site,
    paths,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid},
};

const XTASK: &str = env!("CARGO_BIN_EXE_xtask");
/// What stands in the last line when neither way is open.
const NO_WAY: &str = "run as root, or allow user namespaces";
/// An ordinary user that every Debian has.
const NOBODY: u32 = 65_534;

/// Gives whoever runs in these mounts the tunnel's device as udev would: a machine without udev keeps it for root. `$0` is an
/// empty folder.
const OPEN_TUN: &str = "mount -t tmpfs dev \"$0\" && mknod -m 0666 \"$0/tun\" c 10 200 && \
                        mount --bind \"$0/tun\" /dev/net/tun; exec \"$@\"";

struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it and reads on until it says that everything plays; gives also the lines printed so far.
fn started(mut command: Command) -> (Demo, Vec<String>, BufReader<ChildStdout>) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let demo = Demo(child);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "it ended before the cameras played: {lines:?}");
        let done = line.contains("Ctrl-C");
        lines.push(line.trim().to_owned());
        if done {
            return (demo, lines, output);
        }
    }
}

/// The process and all below it.
fn tree(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(&pid) = all.get(next) {
        next += 1;
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
    }
    all
}

fn names(dir: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Network namespaces with a name, interfaces, mounts.
fn machine() -> (BTreeSet<String>, BTreeSet<String>, BTreeSet<String>) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    (names("/run/netns"), names("/sys/class/net"), mounts.lines().map(str::to_owned).collect())
}

/// The number behind a tag of a playlist.
fn number(playlist: &str, tag: &str) -> u64 {
    let line = playlist.lines().find_map(|line| line.strip_prefix(tag));
    line.unwrap_or_else(|| panic!("{tag} in {playlist}")).parse().unwrap()
}

/// Both cameras have a page and a public link, and the newest segment of each goes on; the box joined as a user would
/// have it, by its set-up page.
fn plays(lines: &[String]) {
    let all = |word: &str| -> Vec<&str> {
        lines.iter().filter_map(|line| line.strip_prefix(word)).map(str::trim).collect()
    };
    let (mut pages, mut links, public) = (all("page "), all("link "), all("public "));
    assert_eq!((pages.len(), links.len(), public.len()), (2, 2, 2), "{lines:?}");
    let playlists: Vec<String> = public.iter().map(|page| format!("{page}index.m3u8")).collect();
    for wanted in [all("code "), all("check words "), all("Set-up page:")] {
        assert_eq!(wanted.len(), 1, "{lines:?}");
    }
    links.extend(playlists.iter().map(String::as_str));
    pages.extend(public);
    let split = |url: &str| {
        let (host, path) = url.strip_prefix("http://127.0.0.1:").unwrap().split_once('/').unwrap();
        (Site::new(Ipv4Addr::LOCALHOST, host.parse().unwrap()), format!("/{path}"))
    };
    let devices = split(links[0]).0.json("/api/v1/devices").unwrap();
    assert_eq!(devices.as_array().unwrap().len(), 2, "{devices}");
    for page in pages {
        let (site, path) = split(page);
        assert!(site.get(&path).unwrap().text().contains("<video"), "{page}");
    }
    for link in links {
        let (site, path) = split(link);
        let multivariant = site.get(&path).unwrap().text();
        let media = multivariant.lines().find(|line| !line.is_empty() && !line.starts_with('#')).unwrap();
        let media = path.rsplit_once('/').unwrap().0.to_owned() + "/" + media;
        let newest = || {
            let playlist = site.get(&media).unwrap().text();
            let listed = playlist.lines().filter(|line| line.starts_with("#EXTINF")).count() as u64;
            let segment =
                playlist.lines().rfind(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned);
            (number(&playlist, "#EXT-X-MEDIA-SEQUENCE:") + listed, segment, playlist)
        };
        let (before, ..) = newest();
        let end = Instant::now() + Duration::from_secs(10);
        let segment = loop {
            let (now, segment, playlist) = newest();
            if now >= before + 2 {
                break segment.unwrap();
            }
            assert!(Instant::now() < end, "{link} stands still: {playlist}");
            sleep(Duration::from_millis(200));
        };
        let body = site.get(&(path.rsplit_once('/').unwrap().0.to_owned() + "/" + &segment)).unwrap().body;
        assert!(body.len() > 10_000, "{segment} has {} bytes", body.len());
    }
}

/// The public links in Chromium, as whoever tries the demo opens them.
fn plays_in_chromium(lines: &[String]) {
    let public = lines.iter().filter_map(|line| line.strip_prefix("public "));
    let pages: Vec<Page> =
        public.map(|url| Page { name: "public link".to_owned(), url: url.trim().to_owned() }).collect();
    for watched in browser::play_here(Browser::Chromium, &pages, 5).unwrap() {
        assert!(
            watched.playing && watched.media_seconds > 2.0,
            "{}: {:?}",
            watched.figures(),
            watched.notice
        );
    }
}

fn plays_and_leaves_nothing(command: Command) {
    let before = machine();
    let (mut demo, lines, _output) = started(command);
    plays(&lines);
    plays_in_chromium(&lines);
    let processes = tree(demo.0.id());
    assert!(
        processes.len() >= 9,
        "demo, unshare, factory, two cameras, box, two workers, cloud: {processes:?}"
    );
    kill(Pid::from_raw(demo.0.id() as i32), Signal::SIGINT).unwrap();
    let asked = Instant::now();
    while demo.0.try_wait().unwrap().is_none() {
        assert!(asked.elapsed() < Duration::from_secs(5), "it does not end on Ctrl-C");
        sleep(Duration::from_millis(20));
    }
    assert!(demo.0.wait().unwrap().success());
    // the kernel takes tunnels and namespaces down by itself, later on a busy machine
    let end = Instant::now() + Duration::from_secs(5);
    let left =
        || processes.iter().filter(|pid| Path::new(&format!("/proc/{pid}")).exists()).collect::<Vec<_>>();
    while !left().is_empty() && Instant::now() < end {
        sleep(Duration::from_millis(20));
    }
    assert!(left().is_empty(), "processes outlived it: {:?}", left());
    assert_eq!(machine(), before, "namespaces, interfaces and mounts of the machine");
}

fn demo(program: &Path, port: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["demo", "--for", "300", "--port", port]);
    command
}

/// The one line, and nothing built.
fn says_so_in_one_line(mut command: Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(NO_WAY), "{said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn two_cameras_play_and_ctrl_c_leaves_nothing() {
    plays_and_leaves_nothing(demo(Path::new(XTASK), "18080"));
    if !geteuid().is_root() {
        return; // that was the ordinary user
    }
    let home = as_nobody();
    // the binaries were built above, and this user may not have a compiler
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", OPEN_TUN]).arg(home.join("dev"));
    command.args(["setpriv", "--reuid", &NOBODY.to_string(), "--regid", &NOBODY.to_string()]);
    command.args(["--clear-groups", "--"]);
    command.arg(home.join("xtask")).args(["demo", "--for", "300", "--port", "18090"]);
    command.env("CARGO_TARGET_DIR", &home).env("CARGO", "true").env("HOME", &home).current_dir(&home);
    if user_namespaces() {
        plays_and_leaves_nothing(command);
    } else {
        says_so_in_one_line(command);
    }
    fs::remove_dir_all(home).unwrap();
}

#[test]
fn without_a_way_it_says_so_in_one_line() {
    let mut command = Command::new("setpriv");
    if geteuid().is_root() {
        command.args(["--bounding-set=-all", "--inh-caps=-all"]);
    } else if user_namespaces() {
        return; // this user always has a way
    }
    command.arg("--").arg(XTASK).arg("demo");
    says_so_in_one_line(command);
}

/// A target directory of its own for an ordinary user, with what is built.
fn as_nobody() -> PathBuf {
    let home = std::env::temp_dir().join(format!("streambox-demo-{}", std::process::id()));
    fs::create_dir_all(home.join("release")).unwrap();
    fs::create_dir_all(home.join("dev")).unwrap();
    for binary in ["boxd", "cloud", "simcam"] {
        fs::copy(paths::target().join("release").join(binary), home.join("release").join(binary)).unwrap();
    }
    fs::copy(XTASK, home.join("xtask")).unwrap();
    chown(&home, Some(NOBODY), Some(NOBODY)).unwrap();
    chown(home.join("release"), Some(NOBODY), Some(NOBODY)).unwrap();
    home
}

fn user_namespaces() -> bool {
    let mut probe = Command::new("setpriv");
    if geteuid().is_root() {
        probe.args(["--reuid", &NOBODY.to_string(), "--regid", &NOBODY.to_string(), "--clear-groups"]);
    }
    let flags = [
        "--",
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "--pid",
        "--fork",
        "--net",
        "--mount-proc",
        "true",
    ];
    probe.args(flags).output().unwrap().status.success()
}
