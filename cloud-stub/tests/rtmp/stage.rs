//! A cloud of its own for each test, and what a viewer gets from it.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::Connection as _;

pub(crate) use crate::folder::Folder;

/// The key of the camera `gate`, which is in the configuration.
pub(crate) const KEY: &str = "gate-key-0123456789";

/// Tries again until it is so.
pub(crate) fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < limit, "{what} did not happen within {limit:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn free() -> u16 {
    simcam::ports::free(Ipv4Addr::LOCALHOST).unwrap()
}

/// A cloud's process with the camera `gate`.
pub(crate) struct Cloud {
    child: Child,
    http: SocketAddr,
    pub(crate) rtmp: SocketAddr,
    pub(crate) folder: Folder,
    /// Its id among several.
    pub(crate) node: String,
    pub(crate) database: PathBuf,
}

impl Cloud {
    pub(crate) fn start() -> Self {
        let folder = Folder::new();
        let database = folder.0.join("cloud.db");
        Self::start_in(folder, database, "", String::new())
    }

    /// One of several that share a database.
    pub(crate) fn one_of_several(database: &Path) -> Self {
        let inner = SocketAddr::from((Ipv4Addr::LOCALHOST, free()));
        let node = cloud_stub::nodes::id_of(&format!("http://{inner}"));
        Self::start_in(
            Folder::new(),
            database.to_owned(),
            &format!("[cluster]\nlisten = \"{inner}\"\n"),
            node,
        )
    }

    fn start_in(folder: Folder, database: PathBuf, more: &str, node: String) -> Self {
        let (http, rtmp) = (free(), free());
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut text =
            format!("[http]\nlisten = \"127.0.0.1:{http}\"\n[hub]\nlisten = \"127.0.0.1:{udp}\"\n");
        writeln!(text, "[store]\nurl = \"sqlite:{}\"\n{more}", database.display()).unwrap();
        writeln!(text, "[rtmp]\nlisten = \"127.0.0.1:{rtmp}\"\n[log]\nlevel = \"trace\"").unwrap();
        writeln!(text, "[[camera]]\nid = \"gate\"\nrtmp_key = \"{KEY}\"").unwrap();
        let config = folder.0.join("cloud.toml");
        std::fs::write(&config, text).unwrap();
        let log = std::fs::File::create(folder.0.join("cloud.log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_cloud"))
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut cloud = Self { child, http: address(http), rtmp: address(rtmp), folder, node, database };
        until("the cloud's start", Duration::from_secs(60), || {
            let ended = cloud.child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", cloud.log());
            TcpStream::connect(cloud.http).is_ok().then_some(())
        });
        cloud
    }

    /// Does something in the database, as another process would, and says which source has changed.
    pub(crate) fn change(&self, source: &str, statements: &[String]) {
        let number = "UPDATE counter SET value = value + 1 WHERE name = 'change'".to_owned();
        let change = format!(
            "INSERT INTO change (id, at_ms, what, subject) \
             SELECT value, 0, 'source', '{source}' FROM counter WHERE name = 'change'"
        );
        self.sql(&[statements, &[number, change][..]].concat(), Duration::ZERO);
    }

    /// Does something in the database in one transaction, which nobody else may write in and which lasts this long.
    pub(crate) fn sql(&self, statements: &[String], lasts: Duration) {
        let url = format!("sqlite:{}", self.database.display());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut database = sqlx::SqliteConnection::connect(&url).await.unwrap();
            sqlx::query("BEGIN IMMEDIATE").execute(&mut database).await.unwrap();
            for statement in statements {
                sqlx::query(statement).execute(&mut database).await.unwrap();
            }
            tokio::time::sleep(lasts).await;
            sqlx::query("COMMIT").execute(&mut database).await.unwrap();
            database.close().await.unwrap();
        });
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Where an encoder with this key sends.
    pub(crate) fn url(&self, key: &str) -> String {
        format!("rtmp://{}/live/{key}", self.rtmp)
    }

    /// Everything that it has logged, at the most talkative level.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.0.join("cloud.log")).unwrap_or_default()
    }

    /// The body of a page, if there is one.
    pub(crate) fn get(&self, path: &str) -> Option<Vec<u8>> {
        let mut stream = TcpStream::connect(self.http).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.http);
        stream.write_all(head.as_bytes()).unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        let end = all.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        all.starts_with(b"HTTP/1.1 200").then(|| all[end + 4..].to_vec())
    }

    pub(crate) fn text(&self, path: &str) -> String {
        String::from_utf8_lossy(&self.get(path).unwrap_or_default()).into_owned()
    }

    /// A figure of `/metrics`, after `cloud_rtmp_`; 0 where nothing was counted.
    pub(crate) fn figure(&self, name: &str) -> u64 {
        let name = format!("cloud_rtmp_{name} ");
        let metrics = self.text("/metrics");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name)).map(str::to_owned);
        line.map_or(0, |number| number.parse().unwrap())
    }

    /// Connections that the cloud ended, by why.
    pub(crate) fn refused(&self, why: &str) -> u64 {
        self.figure(&format!("refused_total{{why=\"{why}\"}}"))
    }

    /// Waits until so many encoders send.
    pub(crate) fn publishers(&self, number: u64, limit: Duration) {
        until(&format!("{number} publishers"), limit, || (self.figure("publishers") == number).then_some(()));
    }

    /// Resident memory, KiB.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse().unwrap()
    }

    /// Everything that the camera's playlists list, as two files: fMP4 and MPEG-TS.
    pub(crate) fn record(&self) -> [PathBuf; 2] {
        [("live.m3u8", "mp4"), ("ts/index.m3u8", "ts")].map(|(list, kind)| {
            let base = list.trim_end_matches("live.m3u8").trim_end_matches("index.m3u8");
            let playlist = self.text(&format!("/gate/{list}"));
            let mut out = Vec::new();
            for line in playlist.lines() {
                let init = line.strip_prefix("#EXT-X-MAP:URI=\"").and_then(|uri| uri.strip_suffix('"'));
                let segment = (!line.starts_with('#') && !line.is_empty()).then_some(line);
                if let Some(name) = init.or(segment) {
                    out.extend(self.get(&format!("/gate/{base}{name}")).expect("what is listed is there"));
                }
            }
            let file = self.folder.0.join(format!("record.{kind}"));
            std::fs::write(&file, out).unwrap();
            file
        })
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the cloud said:\n{}", self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
