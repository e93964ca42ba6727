//! The control socket: one line asks, lines answer, the last one is `.` alone.
//!
//! Invariant: a command never changes anything when it is answered with `error`.

use std::{
    fmt::Write as _,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::{
    camera::{Camera, lock},
    log::{COLUMNS, Log},
    quirks::Quirks,
};

/// The commands, for the help.
pub(crate) const HELP: &str = "\
  set KEY=VALUE ...      changes quirks of all cameras
  at N set KEY=VALUE ... changes quirks of camera N (from 0)
  drop, at N drop        closes all RTSP connections
  facts                  a line per camera: sessions, frames sent, right and wrong logins, locked or not, HTTP
                         requests, changes of an encoder
  stamps [FROM]          a line per video frame handed to the kernel, from entry FROM on (4096 are kept):
                         camera, client, frame, RTP stamp, keyframe, unix microseconds; then `next N`
  now                    unix microseconds";

/// Serves the control socket.
pub(crate) async fn serve(cameras: Arc<Vec<Arc<Camera>>>, log: Arc<Log>, listener: TcpListener) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let (cameras, log) = (Arc::clone(&cameras), Arc::clone(&log));
            tokio::spawn(async move {
                let _ = connection(&cameras, &log, stream).await; // a controller that is gone is no news
            });
        }
    }
}

async fn connection(cameras: &[Arc<Camera>], log: &Log, mut stream: TcpStream) -> std::io::Result<()> {
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = match command(cameras, log, &line) {
            Ok(answer) => answer,
            Err(error) => format!("error: {error}\n"),
        };
        write.write_all(format!("{answer}.\n").as_bytes()).await?;
    }
    Ok(())
}

fn command(cameras: &[Arc<Camera>], log: &Log, line: &str) -> Result<String, String> {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    let mut chosen = cameras;
    if words.first() == Some(&"at") {
        let index =
            words.get(1).and_then(|word| word.parse::<usize>().ok()).ok_or("at needs a camera's number")?;
        chosen = cameras.get(index..=index).ok_or_else(|| format!("there is no camera {index}"))?;
        words.drain(..2);
    }
    match words.as_slice() {
        ["set", settings @ ..] => {
            let changed: Vec<Quirks> = chosen
                .iter()
                .map(|camera| {
                    let mut quirks = camera.quirks();
                    settings.iter().try_for_each(|setting| quirks.set(setting)).map(|()| quirks)
                })
                .collect::<Result<_, _>>()?;
            for (camera, quirks) in chosen.iter().zip(changed) {
                *lock(&camera.quirks) = quirks;
            }
            Ok("ok\n".into())
        }
        ["drop"] => {
            for camera in chosen {
                camera.dropped.send_modify(|count| *count += 1);
            }
            Ok("ok\n".into())
        }
        ["facts"] => {
            let mut text = String::new();
            for camera in chosen {
                let ledger = lock(&camera.ledger);
                let _ = writeln!(
                    text,
                    "camera={} sessions={} frames={} right={} wrong={} locked={} requests={} changes={}",
                    camera.index,
                    camera.sessions.load(Ordering::Relaxed),
                    camera.sent.load(Ordering::Relaxed),
                    ledger.right,
                    ledger.wrong,
                    ledger.locked(Instant::now()),
                    camera.requests.load(Ordering::Relaxed),
                    camera.changes.load(Ordering::Relaxed),
                );
            }
            Ok(text)
        }
        ["stamps", from @ ..] => {
            let from = match from {
                [] => 0,
                [from] => from.parse().map_err(|_| format!("{from}: not a number"))?,
                _ => return Err("stamps takes one number".into()),
            };
            let (lines, next) = log.since(from);
            Ok(format!("{COLUMNS}\n{lines}next {next}\n"))
        }
        ["now"] => Ok(format!("{}\n", crate::log::unix_us())),
        ["help"] => Ok(format!("{HELP}\n")),
        _ => Err(format!("{line}: no such command; try help")),
    }
}
