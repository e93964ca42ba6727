//! A player that is not ours gets every picture of a clip, over TCP and UDP, whatever the login.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

struct Camera(Child);

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn media(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../media").join(name)
}

fn camera(arguments: &[&str]) -> Camera {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simcam"));
    command.args(["--bind", "127.0.0.1", "--http-port", "0"]).args(arguments).current_dir(media(""));
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    Camera(child)
}

/// A port that nobody had a moment ago.
fn free_port() -> u16 {
    simcam::ports::free(std::net::Ipv4Addr::LOCALHOST).unwrap()
}

/// Whether ffmpeg is there; a machine without it still has the unit tests.
fn ffmpeg_is_there() -> bool {
    let there = Command::new("ffmpeg").arg("-version").output().is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("ffmpeg is missing: not judged");
    }
    there
}

/// Hashes of decoded pictures, in order; fails on any warning.
fn pictures(arguments: &[&str]) -> Vec<String> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "warning"])
        .args(arguments)
        .args(["-map", "0:v", "-f", "framemd5", "-"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{arguments:?}: {said}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

/// Plays over the seam of the loop: the pictures are the clip's, in its order, none missing.
fn plays(clip: &str, url: &str, transport: &str, count: usize) {
    let path = media(clip);
    let source = pictures(&["-i", path.to_str().unwrap()]);
    let count_text = count.to_string();
    let got = pictures(&["-rtsp_transport", transport, "-i", url, "-frames:v", &count_text]);
    assert_eq!(got.len(), count);
    assert_eq!(source.iter().collect::<BTreeSet<_>>().len(), source.len(), "pictures of the clip differ");
    let first = source.iter().position(|picture| *picture == got[0]).expect("a picture of the clip");
    for (index, picture) in got.iter().enumerate() {
        assert_eq!(
            *picture,
            source[(first + index) % source.len()],
            "{clip} over {transport}: picture {index}"
        );
    }
}

#[test]
fn h264_with_digest_over_tcp_and_udp() {
    if !ffmpeg_is_there() {
        return;
    }
    let port = free_port().to_string();
    let _camera = camera(&[
        "--clip",
        "gate.h264",
        "--sound",
        "gate.aac",
        "--rtsp-port",
        &port,
        "--user",
        "us er",
        "--password",
        "p@:/#%",
        "--auth",
        "sha256,md5,basic",
    ]);
    for transport in ["tcp", "udp"] {
        plays("gate.h264", &format!("rtsp://us%20er:p%40%3A%2F%23%25@127.0.0.1:{port}/main"), transport, 160);
    }
}

#[test]
fn h265_with_a_tone() {
    if !ffmpeg_is_there() {
        return;
    }
    let port = free_port().to_string();
    let _camera = camera(&["--clip", "hall.h265", "--fps", "20", "--sound", "pcma", "--rtsp-port", &port]);
    plays("hall.h265", &format!("rtsp://127.0.0.1:{port}/main"), "tcp", 50);
}

fn ask(connection: &mut BufReader<TcpStream>, line: &str, end: &str) -> Vec<String> {
    connection.get_mut().write_all(line.as_bytes()).unwrap();
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        assert_ne!(connection.read_line(&mut line).unwrap(), 0, "closed after {lines:?}");
        let line = line.trim_end().to_owned();
        if line == end {
            return lines;
        }
        lines.push(line);
    }
}

fn connect(address: &str) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    BufReader::new(stream)
}

#[test]
fn quirks_change_while_it_runs() {
    let (rtsp, control) = (free_port(), format!("127.0.0.1:{}", free_port()));
    let _camera = camera(&["--clip", "yard.h264", "--rtsp-port", &rtsp.to_string(), "--control", &control]);
    let address = format!("127.0.0.1:{rtsp}");
    let mut control = connect(&control);
    let mut rtsp = connect(&address);
    let url = format!("rtsp://{address}/main");
    let describe = format!("DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\n\r\n");
    let setup = format!(
        "SETUP {url}/video RTSP/1.0\r\nCSeq: 2\r\nTransport: RTP/AVP;unicast;client_port=5000-5001\r\n\r\n"
    );

    assert_eq!(ask(&mut rtsp, &describe, "")[0], "RTSP/1.0 200 OK");
    assert_eq!(ask(&mut control, "set refuse=453 udp=off\n", "."), ["ok"]);
    let mut rtsp = connect(&address);
    assert_eq!(ask(&mut rtsp, &describe, "")[0], "RTSP/1.0 453 Not Enough Bandwidth");
    ask(&mut control, "set refuse=off\n", ".");
    assert_eq!(ask(&mut rtsp, &setup, "")[0], "RTSP/1.0 461 Unsupported Transport");

    let wrong = ask(&mut control, "set udp=on refuse=maybe\n", ".");
    assert!(wrong[0].starts_with("error: refuse=maybe"), "{wrong:?}");
    assert_eq!(
        ask(&mut rtsp, &setup, "")[0],
        "RTSP/1.0 461 Unsupported Transport",
        "half a command changes nothing"
    );

    assert_eq!(ask(&mut control, "at 0 drop\n", "."), ["ok"]);
    assert_eq!(rtsp.read_line(&mut String::new()).unwrap(), 0, "dropped");
    assert_eq!(
        ask(&mut control, "facts\n", ".")[0],
        "camera=0 sessions=0 frames=0 right=0 wrong=0 locked=false requests=0 changes=0"
    );
}
