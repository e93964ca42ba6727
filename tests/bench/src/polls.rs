//! Questions for updates: how many boxes a second are told what to have, each question signed by its box and each answer by
//! the cloud, over HTTP, with all boxes in the store and a campaign that is open to them. Cloud and boxes share this machine's
//! cores. First all ask for the first time, which is written down; then again and again, as they do each hour.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use cloud_stub::config;
use cloud_stub::fleet::{self, Draft, Fleet, Note, Steer};
use cloud_stub::store::{By, HelloWords, Options, Store, System};
use enrol::{Asked, Identity, Unsigned, sign_hello, sign_join, sign_question, verify_hello};
use image::publish::{self, Expiry, Key, Publisher, keys};
use time::OffsetDateTime;

use crate::process::Measured;
use crate::row::{Row, quantile};

/// Connections that are kept open, each asking as soon as it was answered.
const CONNECTIONS: usize = 16;
/// How long is measured.
const WINDOW: Duration = Duration::from_secs(15);
/// What it is meant to carry, a second.
const AIM: f64 = 1000.0;
/// A cloud that does not answer in this time never does.
const START: Duration = Duration::from_secs(30);
const BOARD: &str = "bench";

/// A folder that goes with its value.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Measures with so many boxes.
pub(crate) fn run(boxes: u32) -> Result<Vec<Row>> {
    let folder = Folder(std::env::temp_dir().join(format!("streambox-polls-{}", std::process::id())));
    fs::create_dir_all(&folder.0)?;
    let updates = publish(&folder.0)?;
    let runtime = tokio::runtime::Runtime::new()?;
    eprintln!("polls: {boxes} boxes join");
    runtime.block_on(fill(&folder.0, &updates, boxes))?;
    drop(runtime);
    let (cloud, port) = start(&folder.0, &updates)?;
    let questions: Vec<Vec<u8>> = (0..boxes).map(|number| request(number, port)).collect::<Result<_>>()?;

    eprintln!("polls: each box asks for the first time");
    let (all, first) = (Instant::now(), ask(port, &questions, None)?);
    let first_rate = first.len() as f64 / all.elapsed().as_secs_f64();
    eprintln!("polls: they ask again for {} s", WINDOW.as_secs());
    let (before, start) = (cloud.cpu_ms(), Instant::now());
    let mut again = ask(port, &questions, Some(start + WINDOW))?;
    let elapsed = start.elapsed().as_secs_f64();
    let (cpu, rate) = ((cloud.cpu_ms() - before) / again.len() as f64, again.len() as f64 / elapsed);
    let what = |figure: &str| format!("polls: {figure}, {boxes} boxes in the store");
    Ok(vec![
        Row::alone(&what("first questions, each written down"), first_rate, "a second"),
        Row::beside(&what("questions answered"), rate, "a second", "aim: 1000", rate / AIM),
        Row::alone(&what("p99 of an answer"), quantile(&mut again, 0.99), "ms"),
        Row::alone(&what("processor time of the cloud for one"), cpu, "ms"),
    ])
}

/// Two releases, and the keys beside them.
fn publish(folder: &Path) -> Result<config::Updates> {
    let path = |name: &str| folder.join(name);
    keys::make(&path("keys"), OffsetDateTime::now_utc(), Expiry::default())?;
    let key = |name: &str| Key::open(&path("keys").join(format!("{name}.pem")));
    let updates = config::Updates { dir: path("out"), key: path("keys/online.pem"), everyone: false };
    fs::create_dir_all(&updates.dir)?;
    for version in ["1.0", "1.1"] {
        fs::write(path("image"), version.repeat(1000))?;
        let publisher = Publisher {
            folder: &updates.dir,
            first_root: &fs::read(path("keys/1.root.json"))?,
            online: &key("online")?,
            now: OffsetDateTime::now_utc(),
            expiry: Expiry::default(),
            progress: &|_, _| {},
        };
        let draft = publish::Draft::first(path("image"), path("image"), BOARD, version);
        publisher.publish(&draft, &[key("offline-1")?, key("offline-2")?])?;
    }
    Ok(updates)
}

fn database(folder: &Path) -> String {
    format!("sqlite:{}", folder.join("cloud.db").display())
}

fn identity(number: u32) -> Result<Identity> {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    Identity::from_seed(&seed).ok().context("a key from a number")
}

/// Lets the boxes join, and opens a campaign to all of them.
async fn fill(folder: &Path, updates: &config::Updates, boxes: u32) -> Result<()> {
    let url = "http://127.0.0.1".to_owned();
    let options = Options { network: "10.13.0.0/16".parse()?, url: url.clone() };
    let store = Store::open(&database(folder), options, System).await?;
    for number in 0..boxes {
        let identity = identity(number)?;
        let mut nonce = [0; 16];
        nonce[..4].copy_from_slice(&number.to_be_bytes());
        let mut tunnel_key = [9; 32];
        tunnel_key[..4].copy_from_slice(&number.to_be_bytes());
        let version = "1.0".to_owned();
        let words = Unsigned { tunnel_key, version, cloud: url.clone(), nonce, findable: None };
        let hello = sign_hello(&identity, words);
        let words = HelloWords {
            box_id: identity.box_id(),
            identity: verify_hello(&hello)?,
            version: "1.0",
            nonce: &hello.nonce,
        };
        let session = store.hello(words).await?;
        let owner = format!("Owner {}", number % 500);
        store.claim(&session.code.parse().ok().context("a code")?, &owner).await?;
        store.join(&sign_join(&identity, &session.session, &owner, tunnel_key)).await?;
        if number % 1000 == 999 {
            eprintln!("polls: {} of {boxes}", number + 1);
        }
    }
    let fleet = Fleet::new(store.clone(), Some(updates));
    let campaign = "a".repeat(26);
    let draft = Draft {
        name: "bench".to_owned(),
        version: "1.1".to_owned(),
        boards: Vec::new(),
        canaries: Vec::new(),
        bake_s: 24 * 3600,
        note: String::new(),
        who: String::new(),
    };
    let steer = |how| fleet::Command::Steer { campaign: campaign.clone(), how, reason: "bench".to_owned() };
    let commands = [
        fleet::Command::Draft { campaign: campaign.clone(), draft },
        steer(Steer::Start),
        steer(Steer::Advance),
        steer(Steer::Advance),
        steer(Steer::Advance),
    ];
    for command in commands {
        let note =
            Note { by: By::COMMAND_LINE, tenant: "", what: "fleet.bench", subject: &campaign, detail: "" };
        fleet.command(command, note).await??;
    }
    store.close().await?;
    Ok(())
}

/// The cloud, once it answers, and its port.
fn start(folder: &Path, updates: &config::Updates) -> Result<(Measured, u16)> {
    let web = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let hub = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let text = format!(
        "[http]\nlisten = \"127.0.0.1:{web}\"\n[hub]\nlisten = \"127.0.0.1:{hub}\"\n[store]\nurl = {:?}\n\
         [updates]\ndir = \"{}\"\nkey = \"{}\"\n[log]\nlevel = \"warn\"\n",
        database(folder),
        updates.dir.display(),
        updates.key.display()
    );
    let (file, log) = (folder.join("cloud.toml"), folder.join("cloud.log"));
    fs::write(&file, text)?;
    let cloud = Measured::start(Command::new(lab::paths::binary("cloud")?).arg("--config").arg(file), &log)?;
    let begin = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, web)).is_err() {
        ensure!(begin.elapsed() < START, "the cloud does not start:\n{}", fs::read_to_string(&log)?);
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok((cloud, web))
}

/// A box's question as it goes over the line; it comes from an address of its own.
fn request(number: u32, port: u16) -> Result<Vec<u8>> {
    let asked = Asked { board: BOARD.to_owned(), version: "1.0".to_owned(), security: 1, nonce: [3; 32] };
    let body = serde_json::to_string(&sign_question(&identity(number)?, asked))?;
    let from = Ipv4Addr::from_bits(Ipv4Addr::new(10, 200, 0, 0).to_bits() + number);
    let head = format!(
        "POST /api/v1/updates/assignment HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nx-forwarded-for: {from}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Ok([head.as_bytes(), body.as_bytes()].concat())
}

/// Asks all questions, once or until a moment; gives how long each took, ms.
fn ask(port: u16, questions: &[Vec<u8>], until: Option<Instant>) -> Result<Vec<f64>> {
    std::thread::scope(|scope| {
        let parts = questions.chunks(questions.len().div_ceil(CONNECTIONS).max(1));
        let threads: Vec<_> = parts.map(|part| scope.spawn(move || ask_some(port, part, until))).collect();
        let mut took = Vec::new();
        for thread in threads {
            let Ok(part) = thread.join() else { bail!("a connection's thread died") };
            took.extend(part?);
        }
        Ok(took)
    })
}

fn ask_some(port: u16, questions: &[Vec<u8>], until: Option<Instant>) -> Result<Vec<f64>> {
    let mut line = BufReader::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port))?);
    line.get_ref().set_nodelay(true)?;
    line.get_ref().set_read_timeout(Some(START))?;
    let mut took = Vec::new();
    loop {
        for question in questions {
            for turn in 1.. {
                let begin = Instant::now();
                line.get_ref().write_all(question)?;
                let body = answer(&mut line)?;
                took.push(begin.elapsed().as_secs_f64() * 1000.0);
                let told: serde_json::Value = serde_json::from_slice(&body)?;
                if told["signed"]["target"] == "bench/1.1.json" {
                    break;
                }
                // A cloud whose database is slow has a new box ask again.
                ensure!(until.is_none() && turn < 10, "a box was told {told}");
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(took);
            }
        }
        if until.is_none() {
            return Ok(took);
        }
    }
}

/// The body of a good answer.
fn answer(line: &mut BufReader<TcpStream>) -> Result<Vec<u8>> {
    let (mut head, mut length) = (String::new(), None);
    line.read_line(&mut head)?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "a question was answered with {head:?}");
    loop {
        head.clear();
        line.read_line(&mut head)?;
        match head.trim().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = Some(value.parse()?);
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length.context("an answer without a length")?];
    line.read_exact(&mut body)?;
    Ok(body)
}
