//! A TUF client around `update::tuf` for the conformance suite of the TUF project: files, sockets and the clock are here.
//!
//! In a checkout of `theupdateframework/tuf-conformance`, with its requirements and `faketime` installed:
//!
//!     cargo build -p update --example tuf_client
//!     cp firmware/update/examples/tuf_client.xfails target/debug/examples/
//!     PYTHONPATH=firmware/update/examples pytest -p tuf_ed25519 tuf_conformance --entrypoint target/debug/examples/tuf_client
//!
//! `tuf_ed25519.py` lets the suite's repositories sign with Ed25519 where a test does not ask for something else, because
//! Ed25519 is all that a box takes; `tuf_client.xfails` names what does not apply, and why.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a client is the shell: it has the IO"
)]

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, fs, process};

use update::Floors;
use update::tuf::{Answer, Freshness, Role, State, Trusted, Verifier};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A server that says nothing for so long is gone.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() {
    if let Err(error) = run() {
        eprintln!("tuf_client: {error}");
        process::exit(1);
    }
}

fn run() -> Result<()> {
    let mut options: HashMap<String, Vec<String>> = HashMap::new();
    let mut words = Vec::new();
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix("--") {
            Some(name) => {
                let value = arguments.next().ok_or("an option without a value")?;
                options.entry(name.to_owned()).or_default().push(value);
            }
            None => words.push(argument),
        }
    }
    let option = |name: &str| -> Result<&str> {
        let value = options.get(name).and_then(|values| values.last());
        Ok(value.ok_or_else(|| format!("--{name} is missing"))?)
    };
    let folder = Path::new(option("metadata-dir")?);
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["init", root] => {
            fs::copy(root, folder.join("root.json"))?;
        }
        ["refresh"] => {
            refresh(folder, option("metadata-url")?)?;
        }
        ["download"] => {
            let trusted = refresh(folder, option("metadata-url")?)?;
            let names = options.get("target-name").map(Vec::as_slice).unwrap_or_default();
            for name in names {
                download(&trusted, name, option("target-base-url")?, Path::new(option("target-dir")?))?;
            }
        }
        _ => return Err("init ROOT, refresh or download".into()),
    }
    Ok(())
}

/// Brings the metadata up to date, keeping what was verified after each step.
fn refresh(folder: &Path, url: &str) -> Result<Trusted> {
    let file = |role: Role| folder.join(format!("{role}.json"));
    let floors = folder.join("floors");
    let state = State {
        root: fs::read(file(Role::Root))?,
        timestamp: fs::read(file(Role::Timestamp)).ok(),
        snapshot: fs::read(file(Role::Snapshot)).ok(),
        targets: fs::read(file(Role::Targets)).ok(),
        floors: fs::read(&floors).ok().map(|bytes| Floors::decode(&bytes)).transpose()?.unwrap_or_default(),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut verifier = Verifier::new(state, Freshness::Clock(now))?;
    while let Some(want) = verifier.wants() {
        let answer = get(url, &want.path, want.most_bytes)?;
        let step = verifier.give(answer);
        let state = verifier.state();
        fs::write(file(Role::Root), &state.root)?;
        for (role, bytes) in [
            (Role::Timestamp, &state.timestamp),
            (Role::Snapshot, &state.snapshot),
            (Role::Targets, &state.targets),
        ] {
            if let Some(bytes) = bytes {
                fs::write(file(role), bytes)?;
            }
        }
        fs::write(&floors, state.floors.encode())?;
        step?;
    }
    Ok(verifier.trusted().ok_or("nothing is trusted")?.clone())
}

/// Fetches one target, unless it is there already.
fn download(trusted: &Trusted, name: &str, url: &str, folder: &Path) -> Result<()> {
    let file = trusted.target(name).ok_or_else(|| format!("{name} is not a target"))?;
    let place: PathBuf = folder.join(name.replace('%', "%25").replace('/', "%2F"));
    if fs::read(&place).is_ok_and(|bytes| file.check(name, &bytes).is_ok()) {
        return Ok(());
    }
    let path = trusted.path(name, file).ok_or("the target has no hash that names a file")?;
    let Answer::Bytes(bytes) = get(url, &path, file.length)? else {
        return Err(format!("{path} is not on the server").into());
    };
    file.check(name, &bytes)?;
    Ok(fs::write(place, bytes)?)
}

/// One file below an address, by HTTP/1.0 and no more of it than needed.
fn get(url: &str, path: &str, most: u64) -> Result<Answer> {
    let url = format!("{}/{path}", url.trim_end_matches('/'));
    let rest = url.strip_prefix("http://").ok_or("only http:// is spoken here")?;
    let (host, path) = rest.split_once('/').ok_or("an address without a path")?;
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /{} HTTP/1.0\r\nHost: {host}\r\n\r\n", path.replace(' ', "%20"))?;
    let mut answer = Vec::new();
    let head = most.saturating_add(16 * 1024);
    stream.take(head).read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or("no HTTP answer")?;
    let body = answer.split_off(end + 4);
    match answer.split(|byte| *byte == b' ').nth(1) {
        Some(b"200") if body.len() as u64 <= most => Ok(Answer::Bytes(body)),
        Some(b"200") => Err(format!("{url} has more than {most} bytes").into()),
        Some(b"403" | b"404") => Ok(Answer::Missing),
        status => Err(format!("{url}: {:?}", status.map(String::from_utf8_lossy)).into()),
    }
}
