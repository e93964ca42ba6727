//! A box's disk in a file, releases in a folder, and web servers that serve them well or badly.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use board::block::BlockDevice as _;
use board::file_disk::FileDisk;
use board::header::Header;
use board::map::{BoardMap, PartitionMap};
use board::partition::Window;
use board::slot::SlotName;
use board::slots::{Image, Slots};
use board::store::Store;
use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use update::tuf::{key_entry, key_id, sign};
use update::{Chunk, FORMAT, Floors, Release};

pub(crate) const CHUNK: usize = 64 << 10;
const MAP: &str = r#"
name = "test"
[disk]
device = "/nonexistent"
bytes = 0x0200_0000
[partition]
env1 = { at = 0x0002_0000, bytes = 0x0001_0000 }
env2 = { at = 0x0003_0000, bytes = 0x0001_0000 }
id = { at = 0x0004_0000, bytes = 0x0002_0000 }
fit_a = { at = 0x0010_0000, bytes = 0x0020_0000 }
fit_b = { at = 0x0030_0000, bytes = 0x0020_0000 }
root_a = { at = 0x0050_0000, bytes = 0x0080_0000 }
root_b = { at = 0x00d0_0000, bytes = 0x0080_0000 }
data = { at = 0x0150_0000, bytes = 0x0010_0000 }
"#;

pub(crate) fn hash(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |digits, byte| digits + &format!("{byte:02x}"))
}

/// Random bytes, for a key.
pub(crate) fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut seed).unwrap();
    seed
}

/// A system: its two images.
#[derive(Clone)]
pub(crate) struct System {
    pub(crate) version: &'static str,
    pub(crate) security: u32,
    pub(crate) fit: Vec<u8>,
    pub(crate) root: Vec<u8>,
}

/// Bytes that look like a program's: no chunk like another, compressible by half.
fn bytes(seed: u8, chunks: usize) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let mut bytes = Vec::new();
    for index in 0..chunks * CHUNK {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.push(if index % 2 == 0 { (state >> 56) as u8 } else { seed });
    }
    bytes
}

/// Version 1: 5 MiB.
pub(crate) fn first() -> System {
    System { version: "1.0", security: 1, fit: bytes(1, 16), root: bytes(2, 64) }
}

/// A version that differs from `old` in one chunk of the FIT and `changed` of the root.
pub(crate) fn next(old: &System, version: &'static str, changed: usize) -> System {
    let mut new = System { version, ..old.clone() };
    new.fit[3 * CHUNK + 5] ^= 0x80;
    for index in 0..changed {
        let at = index * (new.root.len() / changed) + 77;
        new.root[at] ^= 0x80;
    }
    new
}

/// Signs releases.
pub(crate) struct Publisher {
    offline: Vec<Ed25519KeyPair>,
    online: Ed25519KeyPair,
    pub(crate) online_seed: [u8; 32],
    targets: serde_json::Map<String, Value>,
    /// Of all metadata but the root.
    pub(crate) version: u64,
    root_version: u64,
    pub(crate) expires: &'static str,
    /// Which offline keys sign targets, in order: two of the three are needed.
    pub(crate) signers: &'static [usize],
}

impl Publisher {
    pub(crate) fn new() -> Self {
        let key = || Ed25519KeyPair::from_seed_unchecked(&seed()).unwrap();
        let online_seed = seed();
        Self {
            offline: vec![key(), key(), key()],
            online: Ed25519KeyPair::from_seed_unchecked(&online_seed).unwrap(),
            online_seed,
            targets: serde_json::Map::new(),
            version: 0,
            root_version: 1,
            expires: "2038-01-01T00:00:00Z",
            signers: &[0, 1],
        }
    }

    /// Whoever has stolen the online key, and has offline keys of his own only.
    pub(crate) fn with_online_key_of(other: &Self) -> Self {
        let online = Ed25519KeyPair::from_seed_unchecked(&other.online_seed).unwrap();
        Self { online, online_seed: other.online_seed, version: other.version + 1000, ..Self::new() }
    }

    /// Takes a new online key, which the next root names: what to do when the old one was stolen.
    pub(crate) fn renew_online_key(&mut self, folder: &Path) {
        self.online_seed = seed();
        self.online = Ed25519KeyPair::from_seed_unchecked(&self.online_seed).unwrap();
        self.root_version += 1;
        self.announce(folder);
    }

    /// The root that boxes trust.
    pub(crate) fn root(&self) -> Vec<u8> {
        self.root_with(self.root_version, &self.offline, 2)
    }

    /// The next root as the holder of the second release key would like it: his is the only one.
    pub(crate) fn root_of_one(&self) -> Vec<u8> {
        self.root_with(self.root_version + 1, &self.offline[1..2], 1)
    }

    fn root_with(&self, version: u64, offline_keys: &[Ed25519KeyPair], threshold: u32) -> Vec<u8> {
        let entry = |key: &Ed25519KeyPair| key_entry(key.public_key().as_ref());
        let ids: Vec<_> = offline_keys.iter().map(|key| key_id(&entry(key)).unwrap()).collect();
        let online = key_id(&entry(&self.online)).unwrap();
        let keys: BTreeMap<_, _> = offline_keys
            .iter()
            .chain([&self.online])
            .map(|key| (key_id(&entry(key)).unwrap(), entry(key)))
            .collect();
        let (offline, online) =
            (json!({"keyids": ids, "threshold": threshold}), json!({"keyids": [online], "threshold": 1}));
        let signed = json!({
            "_type": "root", "spec_version": "1.0.31", "version": version, "expires": "2038-01-01T00:00:00Z",
            "consistent_snapshot": true, "keys": keys,
            "roles": {"root": offline, "targets": offline, "snapshot": online, "timestamp": online},
        });
        serde_json::to_vec(&sign(&signed, offline_keys).unwrap()).unwrap()
    }

    /// Adds a release to the folder.
    pub(crate) fn publish(&mut self, folder: &Path, system: &System) {
        let cut = |bytes: &[u8]| {
            let chunks = bytes.chunks(CHUNK).map(|plain| {
                let packed = zstd::bulk::compress(plain, 3).unwrap();
                let chunk = Chunk(hex(&hash(plain)), packed.len() as u32);
                write(&folder.join(chunk.path()), &packed);
                chunk
            });
            update::Image { bytes: bytes.len() as u64, chunks: chunks.collect(), sha256: hex(&hash(bytes)) }
        };
        let release = Release {
            format: FORMAT,
            board: "test".into(),
            version: system.version.into(),
            security: system.security,
            schema: 1,
            chunk_bytes: CHUNK as u32,
            fit: cut(&system.fit),
            root: cut(&system.root),
        };
        let description = serde_json::to_vec(&release).unwrap();
        let sha256 = hex(&hash(&description));
        let since = self.version + 1;
        self.targets.insert(
            format!("test/{}.json", system.version),
            json!({"length": description.len(), "hashes": {"sha256": sha256},
                   "custom": {"board": "test", "version": system.version, "since": since,
                              "security": system.security}}),
        );
        write(&folder.join(format!("targets/test/{sha256}.{}.json", system.version)), &description);
        self.announce(folder);
    }

    /// Lists a version no longer.
    pub(crate) fn forget(&mut self, version: &str) {
        self.targets.remove(&format!("test/{version}.json"));
    }

    /// Signs everything anew.
    pub(crate) fn announce(&mut self, folder: &Path) {
        self.announce_with(folder, |_, _| {});
    }

    /// The same, with a hand in the signed targets: it is given the ids of the release keys, too.
    pub(crate) fn announce_with(&mut self, folder: &Path, hand: impl FnOnce(&mut Value, &[String])) {
        self.version += 1;
        let version = self.version;
        let document = |kind: &str, field: &str, content: Value| {
            json!({"_type": kind, "spec_version": "1.0.31", "version": version,
                   "expires": self.expires, field: content})
        };
        let signed = |value: &Value, keys: &[&Ed25519KeyPair]| {
            serde_json::to_vec(&sign(value, keys.iter().copied()).unwrap()).unwrap()
        };
        let listed = |bytes: &[u8]| json!({"version": version, "length": bytes.len(), "hashes": {"sha256": hex(&hash(bytes))}});
        let offline: Vec<_> = self.signers.iter().map(|index| &self.offline[*index]).collect();
        let targets = document("targets", "targets", Value::Object(self.targets.clone()));
        let mut targets = sign(&targets, offline).unwrap();
        let ids = self.offline.iter().map(|key| key_id(&key_entry(key.public_key().as_ref())).unwrap());
        hand(&mut targets, &ids.collect::<Vec<_>>());
        let targets = serde_json::to_vec(&targets).unwrap();
        let meta = json!({"targets.json": listed(&targets)});
        let snapshot = signed(&document("snapshot", "meta", meta), &[&self.online]);
        let meta = json!({"snapshot.json": listed(&snapshot)});
        let timestamp = signed(&document("timestamp", "meta", meta), &[&self.online]);
        write(&folder.join(format!("metadata/{}.root.json", self.root_version)), &self.root());
        write(&folder.join(format!("metadata/{version}.targets.json")), &targets);
        write(&folder.join(format!("metadata/{version}.snapshot.json")), &snapshot);
        write(&folder.join("metadata/timestamp.json"), &timestamp);
    }
}

pub(crate) fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A box with two slots on a disk that is a file: slot a runs `System`, which is good.
pub(crate) struct Machine {
    pub(crate) home: PathBuf,
    partitions: PartitionMap,
    pub(crate) config: String,
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.home);
    }
}

impl Machine {
    pub(crate) fn new(name: &str, runs: &System, publisher: &Publisher) -> Self {
        let home = std::env::temp_dir().join(format!("boxd-updater-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(home.join("releases")).unwrap();
        fs::write(home.join("board.toml"), MAP).unwrap();
        fs::write(home.join("cmdline"), "console=ttyAMA0 slot=a reset=normal\n").unwrap();
        fs::write(home.join("root.json"), publisher.root()).unwrap();
        let map = BoardMap::parse(MAP).unwrap();
        let file = fs::File::create(home.join("disk")).unwrap();
        file.set_len(map.disk_bytes).unwrap();
        let mut disk = FileDisk::open(&home.join("disk")).unwrap();
        let header = Header {
            version: runs.version.into(),
            board: "test".into(),
            security: runs.security,
            schema: 1,
            fit: (runs.fit.len() as u64, hash(&runs.fit)),
            root: (runs.root.len() as u64, hash(&runs.root)),
        };
        disk.write(map.partitions.fit(SlotName::A).at, &header.encode().unwrap()).unwrap();
        for (image, bytes) in [(Image::Fit, &runs.fit), (Image::Root, &runs.root)] {
            disk.write(image.region(&map.partitions, SlotName::A).at, bytes).unwrap();
        }
        let partitions = map.partitions.clone();
        let mut slots = Slots::new(disk, map.partitions, SlotName::A).unwrap();
        slots.commit().unwrap();
        let machine = Self { home, partitions, config: String::new() };
        machine.configure("");
        machine
    }

    /// Writes the configuration, with these lines more.
    pub(crate) fn configure(&self, more: &str) {
        let home = self.home.display();
        let text = format!(
            "[state]\ndir = \"{home}/state\"\n[http]\nlisten = \"127.0.0.1:0\"\nannounce = false\n\
             [discovery]\nenabled = false\n\
             [board]\nmap = \"{home}/board.toml\"\ndisk = \"{home}/disk\"\ncommand_line = \"{home}/cmdline\"\n\
             {}\n[update]\nroot = \"{home}/root.json\"\nusb = \"{home}/usb\"\n{more}",
            self.config
        );
        fs::write(self.home.join("box.toml"), text).unwrap();
    }

    /// Its partitions.
    pub(crate) fn map(&self) -> PartitionMap {
        self.partitions.clone()
    }

    /// The small state.
    pub(crate) fn store(&self) -> Store<Window<FileDisk>> {
        let disk = FileDisk::open(&self.home.join("disk")).unwrap();
        Store::new(Window::new(disk, self.map().id()))
    }

    /// As a commit of a system with this security version does.
    pub(crate) fn raise_floor(&self, security: u32) {
        let mut store = self.store();
        let floors = store.get("floors").unwrap().map(|bytes| Floors::decode(&bytes).unwrap());
        let floors = Floors { security, ..floors.unwrap_or_default() };
        store.set("floors", &floors.encode()).unwrap();
    }

    pub(crate) fn releases(&self) -> PathBuf {
        self.home.join("releases")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_boxd"));
        command.args(arguments).arg("--config").arg(self.home.join("box.toml"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What `boxd update --json` says.
    pub(crate) fn view(&self) -> Value {
        let output = self.run(&["update", "--json"]);
        assert!(output.status.success(), "{}", text(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub(crate) fn slots(&self) -> Slots<FileDisk> {
        let map = BoardMap::parse(MAP).unwrap();
        Slots::new(FileDisk::open(&self.home.join("disk")).unwrap(), map.partitions, SlotName::A).unwrap()
    }

    /// Whether a slot holds exactly this system.
    pub(crate) fn holds(&self, slot: SlotName, system: &System) -> bool {
        let map = BoardMap::parse(MAP).unwrap().partitions;
        let slots = self.slots();
        let same = |image: Image, bytes: &[u8]| {
            let mut there = vec![0; bytes.len()];
            slots.disk().read(image.region(&map, slot).at, &mut there).unwrap();
            there == bytes
        };
        let header = slots.header(slot).unwrap();
        header.is_some_and(|header| header.version == system.version)
            && same(Image::Fit, &system.fit)
            && same(Image::Root, &system.root)
    }

    /// The bytes of everything but the environment and the small state.
    pub(crate) fn other_slot(&self) -> Vec<u8> {
        let map = BoardMap::parse(MAP).unwrap().partitions;
        let disk = FileDisk::open(&self.home.join("disk")).unwrap();
        let mut bytes = Vec::new();
        for region in [map.fit(SlotName::B), map.root(SlotName::B)] {
            let mut part = vec![0; region.bytes as usize];
            disk.read(region.at, &mut part).unwrap();
            bytes.extend(part);
        }
        bytes
    }
}

pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Ends a process when a test ends.
pub(crate) struct Ended(pub(crate) Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a server does with a request for a file.
pub(crate) type Behave = dyn Fn(&str, Vec<u8>, &mut TcpStream) -> std::io::Result<()> + Send + Sync;

/// A web server over a folder.
pub(crate) struct Server {
    pub(crate) url: String,
    /// Bytes of chunks that were served.
    pub(crate) chunk_bytes: Arc<AtomicU64>,
    /// Every path that was asked for.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn new(folder: &Path) -> Self {
        Self::behaving(
            folder,
            Arc::new(|_: &str, file: Vec<u8>, stream: &mut TcpStream| answer(stream, &file)),
        )
    }

    pub(crate) fn behaving(folder: &Path, behave: Arc<Behave>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let chunk_bytes = Arc::new(AtomicU64::new(0));
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (folder, bytes, log) = (folder.to_owned(), chunk_bytes.clone(), asked.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (folder, bytes, log, behave) =
                    (folder.clone(), bytes.clone(), log.clone(), behave.clone());
                thread::spawn(move || serve(stream, &folder, &bytes, &log, &*behave));
            }
        });
        Self { url, chunk_bytes, asked }
    }

    pub(crate) fn chunks_asked(&self) -> usize {
        self.asked.lock().unwrap().iter().filter(|path| path.starts_with("chunks/")).count()
    }
}

fn serve(mut stream: TcpStream, folder: &Path, bytes: &AtomicU64, log: &Mutex<Vec<String>>, behave: &Behave) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let path = line.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
        while reader.read_line(&mut line).unwrap_or(0) > 2 {}
        log.lock().unwrap().push(path.clone());
        let done = match fs::read(folder.join(&path)) {
            Ok(file) => {
                if path.starts_with("chunks/") {
                    bytes.fetch_add(file.len() as u64, Ordering::SeqCst);
                }
                behave(&path, file, &mut stream)
            }
            Err(_) => stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"),
        };
        if done.is_err() {
            return;
        }
    }
}

/// A good answer.
pub(crate) fn answer(stream: &mut TcpStream, body: &[u8]) -> std::io::Result<()> {
    stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes())?;
    stream.write_all(body)
}

/// Waits until something is so.
pub(crate) fn until(what: &str, seconds: u64, mut so: impl FnMut() -> bool) {
    for _ in 0..seconds * 20 {
        if so() {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("not in {seconds} s: {what}");
}
