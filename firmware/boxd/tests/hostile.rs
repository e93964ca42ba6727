//! Cameras that attack (THREATS.md, rows 1 and 2): each is told for what it is, within the limits of memory, while another
//! camera loses nothing. Only loopback is touched.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test of a process from outside")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

const SPROP: &str = "Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==";
const IDR: &[u8] = &[0x65, 0x88, 0x84, 0, 0x10];
/// Most memory of the box and of a worker that is attacked, KiB: four access units of the largest size and what each holds
/// without.
const MEMORY_KIB: u64 = 48 << 10;
/// A worker's own limit of addresses; it cannot hold more.
const WORKER_KIB: u64 = 256 << 10;

fn sdp(video: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n{video}a=control:video\r\n"
    )
}

fn usual() -> String {
    sdp(&format!("a=fmtp:96 packetization-mode=1;sprop-parameter-sets={SPROP}\r\n"))
}

/// What a camera does when it is asked for its description, and after PLAY.
#[derive(Clone)]
struct Camera {
    describe: fn(&mut TcpStream, &str) -> io::Result<()>,
    play: fn(&mut TcpStream) -> io::Result<()>,
}

impl Camera {
    /// Starts it; its address.
    fn url(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let camera = self.clone();
                // A box that hangs up is what is wanted.
                std::thread::spawn(move || camera.converse(stream));
            }
        });
        format!("rtsp://{address}/live")
    }

    fn converse(self, mut stream: TcpStream) -> io::Result<()> {
        let mut received = Vec::new();
        loop {
            let mut chunk = [0; 2048];
            let len = stream.read(&mut chunk)?;
            if len == 0 {
                return Ok(());
            }
            received.extend_from_slice(chunk.get(..len).unwrap_or_default());
            while let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&received[..end]).into_owned();
                received.drain(..end + 4);
                let cseq = head.lines().find_map(|line| line.strip_prefix("CSeq: ")).unwrap_or("1");
                match head.split(' ').next() {
                    Some("DESCRIBE") => (self.describe)(&mut stream, cseq)?,
                    Some("SETUP") => answer(
                        &mut stream,
                        cseq,
                        "Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n",
                        b"",
                    )?,
                    Some("PLAY") => {
                        answer(&mut stream, cseq, "Session: 1\r\n", b"")?;
                        (self.play)(&mut stream)?;
                    }
                    _ => answer(&mut stream, cseq, "", b"")?,
                }
            }
        }
    }
}

fn answer(stream: &mut TcpStream, cseq: &str, more: &str, body: &[u8]) -> io::Result<()> {
    let head = format!("RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\n{more}Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}

fn describe(stream: &mut TcpStream, cseq: &str, sdp: &[u8]) -> io::Result<()> {
    answer(stream, cseq, "Content-Type: application/sdp\r\n", sdp)
}

fn as_usual(stream: &mut TcpStream, cseq: &str) -> io::Result<()> {
    describe(stream, cseq, usual().as_bytes())
}

/// Sends nothing, until the box hangs up.
fn silence(stream: &mut TcpStream) -> io::Result<()> {
    stream.read(&mut [0]).map(drop)
}

/// One RTP packet in the RTSP connection.
fn packet(number: u16, stamp: u32, marker: bool, payload: &[u8]) -> Vec<u8> {
    let len = (12 + payload.len()) as u16;
    let mut out = vec![b'$', 0];
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&[0x80, if marker { 0xe0 } else { 0x60 }]);
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&stamp.to_be_bytes());
    out.extend_from_slice(&[0, 0, 0, 9]);
    out.extend_from_slice(payload);
    out
}

/// Pictures that the good camera has sent.
static SENT: AtomicU64 = AtomicU64::new(0);

/// 25 keyframes a second.
fn pictures(stream: &mut TcpStream) -> io::Result<()> {
    for number in 0_u16.. {
        stream.write_all(&packet(number, u32::from(number) * 3600, true, IDR))?;
        SENT.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(40));
    }
    Ok(())
}

/// A picture in fragments (FU-A, RFC 6184 5.8) that ends after `bytes`.
fn fragments(stream: &mut TcpStream, bytes: usize) -> io::Result<()> {
    let mut fragment = vec![0x55; 32_000];
    let count = bytes / fragment.len();
    for number in 0..=count {
        fragment[0] = 0x7c;
        fragment[1] = 5 | if number == 0 { 0x80 } else { 0 } | if number == count { 0x40 } else { 0 };
        stream.write_all(&packet(number as u16, 3600, number == count, &fragment))?;
    }
    Ok(())
}

/// A sequence parameter set (ITU-T H.264, 7.3.2.1.1) of this many macroblocks each way.
fn sps(macroblocks: u32) -> Vec<u8> {
    let mut bits = String::new();
    let ue = |bits: &mut String, value: u32| {
        let digits = format!("{:b}", value + 1);
        bits.push_str(&"0".repeat(digits.len() - 1));
        bits.push_str(&digits);
    };
    // seq_parameter_set_id, log2_max_frame_num_minus4, pic_order_cnt_type, max_num_ref_frames
    for value in [0, 0, 2, 1] {
        ue(&mut bits, value);
    }
    bits.push('0');
    ue(&mut bits, macroblocks - 1);
    ue(&mut bits, macroblocks - 1);
    // frame_mbs_only_flag, direct_8x8_inference_flag, no cropping, no VUI, stop bit
    bits.push_str("11001");
    while !bits.len().is_multiple_of(8) {
        bits.push('0');
    }
    let bytes = bits.as_bytes().chunks(8).map(|byte| byte.iter().fold(0, |all, bit| all << 1 | (bit - b'0')));
    let mut unit = vec![0x67, 66, 0xc0, 30];
    for byte in bytes {
        // Emulation prevention (7.4.1.1).
        if byte <= 3 && unit.ends_with(&[0, 0]) {
            unit.push(3);
        }
        unit.push(byte);
    }
    unit
}

fn huge_picture(stream: &mut TcpStream, macroblocks: u32) -> io::Result<()> {
    for round in 0_u16..200 {
        let stamp = u32::from(round) * 3600;
        stream.write_all(&packet(round * 3, stamp, false, &sps(macroblocks)))?;
        stream.write_all(&packet(round * 3 + 1, stamp, false, &[0x68, 0xcb, 0x8c, 0xb2]))?;
        stream.write_all(&packet(round * 3 + 2, stamp, true, IDR))?;
        sleep(Duration::from_millis(40));
    }
    Ok(())
}

/// Each camera, what may be said of it, and what it does.
const HOSTILE: [(&str, &[&str], Camera); 9] = [
    (
        "sdp-of-10-mb",
        &["too_large"],
        Camera {
            describe: |stream, cseq| describe(stream, cseq, "a=x\r\n".repeat(2_000_000).as_bytes()),
            play: silence,
        },
    ),
    (
        "10000-media",
        &["too_large"],
        Camera {
            describe: |stream, cseq| describe(stream, cseq, usual().repeat(10_000).as_bytes()),
            play: silence,
        },
    ),
    (
        "nul-bytes",
        &["no_video", "protocol"],
        Camera {
            describe: |stream, cseq| describe(stream, cseq, usual().replace('v', "\0").as_bytes()),
            play: silence,
        },
    ),
    (
        "endless-head",
        &["too_large"],
        Camera {
            describe: |stream, _| {
                stream.write_all(b"RTSP/1.0 200 OK\r\nX: ")?;
                loop {
                    stream.write_all(&[b'y'; 4096])?;
                }
            },
            play: silence,
        },
    ),
    (
        "many-headers",
        &["too_large"],
        Camera {
            describe: |stream, _| {
                stream.write_all(b"RTSP/1.0 200 OK\r\n")?;
                loop {
                    stream.write_all(&b"X: y\r\n".repeat(512))?;
                }
            },
            play: silence,
        },
    ),
    (
        "65536-wide",
        &["unsupported_codec"],
        Camera {
            describe: |stream, cseq| describe(stream, cseq, sdp("").as_bytes()),
            play: |stream| huge_picture(stream, 4096),
        },
    ),
    (
        "32000-wide",
        &["unsupported_codec"],
        Camera {
            describe: |stream, cseq| describe(stream, cseq, sdp("").as_bytes()),
            play: |stream| huge_picture(stream, 2000),
        },
    ),
    (
        "nal-of-20-mb",
        &["too_large"],
        Camera { describe: as_usual, play: |stream| fragments(stream, 20_000_000) },
    ),
    (
        "endless-nal",
        // Nobody tells how much of a picture is there before it ends: the worker's memory is what ends it.
        &["too_large", "worker_died", "stalled"],
        Camera { describe: as_usual, play: |stream| fragments(stream, usize::MAX) },
    ),
];

/// A box that is killed with the test.
struct TestBox {
    child: Child,
    port: u16,
    directory: PathBuf,
}

impl Drop for TestBox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl TestBox {
    fn start(cameras: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hostile-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("box.toml");
        let config = format!(
            "[http]\nlisten = \"127.0.0.1:{port}\"\n[discovery]\nenabled = false\n[state]\ndir = \"{}/state\"\n{cameras}",
            directory.display()
        );
        std::fs::write(&file, config).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_boxd"))
            .arg("--config")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, port, directory }
    }

    fn camera(&self, id: &str) -> Value {
        let ask = || -> io::Result<Value> {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
            stream.write_all(
                format!("GET /api/v1/cameras/{id} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                    .as_bytes(),
            )?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer
                .split_once("\r\n\r\n")
                .and_then(|(_, body)| serde_json::from_str(body).ok())
                .unwrap_or_default())
        };
        ask().unwrap_or_default()
    }

    fn workers(&self) -> Vec<u32> {
        let pid = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }
}

fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let start = Instant::now();
    while !there() {
        assert!(start.elapsed() < Duration::from_secs(40), "the box never showed {what}");
        sleep(Duration::from_millis(50));
    }
}

/// Most memory that a process has held, KiB; 0 when it is gone.
fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[test]
fn a_camera_that_attacks_harms_itself_only() {
    let good = Camera { describe: as_usual, play: pictures }.url();
    let camera = |id: &str, url: &str| format!("[[camera]]\nid = \"{id}\"\nurl = \"{url}\"\n");
    let mut cameras = camera("good", &good);
    for (id, _, hostile) in &HOSTILE {
        cameras += &camera(id, &hostile.clone().url());
    }
    let running = TestBox::start(&cameras);
    wait_for("the good camera", || running.camera("good")["state"]["state"] == "streaming");
    let mut wrong = Vec::new();
    for (id, expected, _) in &HOSTILE {
        let said =
            || running.camera(id)["state"]["trouble"]["trouble"].as_str().unwrap_or_default().to_owned();
        let mut heard = String::new();
        let start = Instant::now();
        while !expected.contains(&heard.as_str()) && start.elapsed() < Duration::from_secs(30) {
            sleep(Duration::from_millis(50));
            let now = said();
            if !now.is_empty() {
                heard = now;
            }
        }
        if !expected.contains(&heard.as_str()) {
            let sentence = running.camera(id)["sentence"].clone();
            wrong.push(format!("{id}: {heard:?} instead of {expected:?}: {sentence}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    let sent = SENT.load(Ordering::Relaxed);
    wait_for("all that the good camera has sent", || {
        running.camera("good")["facts"]["units"].as_u64().unwrap_or(0) >= sent
    });
    let facts = running.camera("good")["facts"].clone();
    assert_eq!((&facts["lost_units"], &facts["interruptions"]), (&0.into(), &0.into()), "{facts}");
    assert!(peak_kib(running.child.id()) < MEMORY_KIB, "the box took {} KiB", peak_kib(running.child.id()));
    for worker in running.workers() {
        assert!(peak_kib(worker) < WORKER_KIB, "a worker took {} KiB", peak_kib(worker));
    }
}
