//! Many viewers in one thread: each has a connection of its own, follows the live playlist as players do, throws the
//! pictures away and notes how long each delivery took.

use std::cell::RefCell;
use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout};

/// A viewer that gets nothing for this long has lost.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes read at once, and where there are so many viewers that their buffers together would be too much.
const PIECE: usize = 256 << 10;
const SMALL_PIECE: usize = 16 << 10;
const MANY: u32 = 1000;
/// Viewers of one address: more are more addresses of loopback's.
const PER_ADDRESS: u32 = 1000;

/// What a viewer fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Each part as soon as it is listed, by blocking reloads: all viewers in step.
    Parts,
    /// Each whole segment, asking for the playlist every 2 s, each viewer in a rhythm of its own.
    Segments,
    /// One finished segment again and again, as fast as it comes.
    Flood,
}

/// What all viewers together saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// From request to last byte of each part or segment, milliseconds.
    pub(crate) deliveries_ms: Vec<f64>,
    /// Bytes of bodies.
    pub(crate) bytes: u64,
    /// Answers other than 200, and connections that broke.
    pub(crate) failures: u64,
    /// Different addresses that were asked for.
    pub(crate) objects: HashSet<String>,
    /// How long it lasted, seconds.
    pub(crate) seconds: f64,
}

/// Lets `viewers` watch what is under `base` on a port for so long.
pub(crate) fn watch(port: u16, base: &str, kind: Kind, viewers: u32, time: Duration) -> Result<Seen> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let seen = Rc::new(RefCell::new(Seen::default()));
    let start = Instant::now();
    let end = start + time;
    let set = LocalSet::new();
    for number in 0..viewers {
        let (seen, base) = (seen.clone(), base.to_owned());
        // Connections are not all made in the same instant, and segment viewers stay out of step.
        let spread = if kind == Kind::Segments { 2000 } else { 200 };
        let delay = Duration::from_millis(u64::from(number * spread / viewers.max(1)));
        set.spawn_local(async move {
            sleep(delay).await;
            while Instant::now() < end {
                let piece = if viewers > MANY { SMALL_PIECE } else { PIECE };
                if let Err(_broken) = view((number, port), &base, (kind, piece), end, &seen).await {
                    seen.borrow_mut().failures += 1;
                    sleep(Duration::from_millis(100)).await;
                }
            }
        });
    }
    runtime.block_on(set);
    let mut seen = Rc::try_unwrap(seen).ok().context("a viewer is still there")?.into_inner();
    seen.seconds = start.elapsed().as_secs_f64();
    Ok(seen)
}

/// One viewer on one connection.
async fn view(
    ends: (u32, u16),
    base: &str,
    (kind, piece): (Kind, usize),
    end: Instant,
    seen: &RefCell<Seen>,
) -> Result<()> {
    let mut viewer = Viewer::connect(ends, piece, seen).await?;
    let mut playlist = viewer.text(&format!("{base}/live.m3u8")).await?;
    while Instant::now() < end {
        let name = match kind {
            Kind::Parts => {
                let (msn, part) = newest_part(&playlist).context("no part is listed")?;
                let query = format!("_HLS_msn={msn}&_HLS_part={}", part + 1);
                playlist = viewer.text(&format!("{base}/live.m3u8?{query}")).await?;
                let (msn, part) = newest_part(&playlist).context("no part is listed")?;
                format!("{msn}.{part}.m4s")
            }
            Kind::Segments | Kind::Flood => newest_segment(&playlist).context("no segment")?.to_owned(),
        };
        let path = format!("{base}/{name}");
        let rounds = if kind == Kind::Flood { 20 } else { 1 };
        for _ in 0..rounds {
            let asked = Instant::now();
            viewer.get(&path, None).await?;
            seen.borrow_mut().deliveries_ms.push(asked.elapsed().as_secs_f64() * 1000.0);
        }
        if kind == Kind::Segments {
            sleep(Duration::from_secs(2).saturating_sub(Duration::from_millis(1))).await;
            playlist = viewer.text(&format!("{base}/live.m3u8")).await?;
        }
    }
    Ok(())
}

struct Viewer<'a> {
    stream: TcpStream,
    buffer: Vec<u8>,
    seen: &'a RefCell<Seen>,
}

impl<'a> Viewer<'a> {
    async fn connect((number, port): (u32, u16), piece: usize, seen: &'a RefCell<Seen>) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        let own = Ipv4Addr::from(Ipv4Addr::LOCALHOST.to_bits() + number / PER_ADDRESS);
        socket.bind(SocketAddr::from((own, 0)))?;
        let stream = socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; piece], seen })
    }

    async fn text(&mut self, path: &str) -> Result<String> {
        let mut body = Vec::new();
        self.get(path, Some(&mut body)).await?;
        Ok(String::from_utf8(body)?)
    }

    /// One GET that must answer 200, its body kept or thrown away.
    async fn get(&mut self, path: &str, kept: Option<&mut Vec<u8>>) -> Result<()> {
        timeout(PATIENCE, self.exchange(path, kept)).await.context("too slow")?
    }

    async fn exchange(&mut self, path: &str, mut kept: Option<&mut Vec<u8>>) -> Result<()> {
        if !self.seen.borrow().objects.contains(path) {
            self.seen.borrow_mut().objects.insert(path.to_owned());
        }
        let request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n");
        self.stream.write_all(request.as_bytes()).await?;
        let mut filled = 0;
        let head = loop {
            let room = self.buffer.get_mut(filled..).filter(|room| !room.is_empty()).context("long head")?;
            let read = self.stream.read(room).await?;
            ensure!(read > 0, "the connection was closed");
            filled += read;
            let got = self.buffer.get(..filled).unwrap_or_default();
            if let Some(at) = got.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let text = String::from_utf8_lossy(self.buffer.get(..head).unwrap_or_default()).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.context("no length")?.trim().parse()?;
        if !text.starts_with("http/1.1 200 ") {
            bail!("{path}: {text}");
        }
        let mut left = length.checked_sub(filled - head).context("more than was announced")?;
        if let Some(kept) = kept.as_mut() {
            kept.extend_from_slice(self.buffer.get(head..filled).unwrap_or_default());
        }
        while left > 0 {
            let room = left.min(self.buffer.len());
            let read = self.stream.read(self.buffer.get_mut(..room).unwrap_or_default()).await?;
            ensure!(read > 0, "the body ends early");
            left -= read;
            if let Some(kept) = kept.as_mut() {
                kept.extend_from_slice(self.buffer.get(..read).unwrap_or_default());
            }
        }
        self.seen.borrow_mut().bytes += length as u64;
        Ok(())
    }
}

/// The last part that a playlist lists, from its URI `{msn}.{part}.m4s`.
pub(crate) fn newest_part(playlist: &str) -> Option<(u64, u32)> {
    let line = playlist.lines().rfind(|line| line.starts_with("#EXT-X-PART:"))?;
    let uri = line.split("URI=\"").nth(1)?.split('"').next()?;
    let (msn, part) = uri.strip_suffix(".m4s")?.split_once('.')?;
    Some((msn.parse().ok()?, part.parse().ok()?))
}

/// The last whole segment that a playlist lists.
fn newest_segment(playlist: &str) -> Option<&str> {
    playlist.lines().rfind(|line| !line.is_empty() && !line.starts_with('#'))
}
