//! The RTSP sweep of one link: at the start and then every five minutes, for cameras that announce nothing.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use discovery::{
    Answer, rtsp,
    sweep::{Limits, Step, Sweep},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{found::Found, interfaces::Link};

/// Connections under way at once, over all links together.
pub(super) const AT_ONCE: usize = 64;
/// From the end of one sweep to the start of the next.
const EVERY: Duration = Duration::from_secs(300);
/// How long a connection may take, and then an answer: a LAN answers in milliseconds, a sleepy camera in some
/// hundreds.
const DEADLINE: Duration = Duration::from_secs(1);

pub(super) async fn run(link: Link, found: Arc<Found>, seats: Arc<Semaphore>) {
    loop {
        once(&link, &found, &seats).await;
        sleep(EVERY).await;
    }
}

async fn once(link: &Link, found: &Found, seats: &Arc<Semaphore>) {
    let mut sweep = Sweep::new(link.network, Limits { at_once: AT_ONCE, ..Limits::default() });
    let mut tries: JoinSet<Option<(Answer, SocketAddr)>> = JoinSet::new();
    loop {
        let now = found.now_ms();
        let wait = match sweep.next(now) {
            Step::Try(target) => {
                let Ok(seat) = Arc::clone(seats).acquire_owned().await else { return };
                let link = link.clone();
                tries.spawn(async move {
                    let answer = knock(target, &link).await;
                    drop(seat);
                    answer.map(|answer| (answer, target))
                });
                continue;
            }
            Step::Wait(until) => Duration::from_millis(until.saturating_sub(now)),
            Step::Full => DEADLINE,
            Step::Done => return,
        };
        tokio::select! {
            () = sleep(wait) => {}
            Some(over) = tries.join_next() => {
                sweep.finished();
                if let Ok(Some((answer, target))) = over {
                    found.hear(answer, target.ip(), &link.name);
                }
            }
        }
    }
}

/// Asks one address whether it speaks RTSP.
pub(super) async fn knock(target: SocketAddr, link: &Link) -> Option<Answer> {
    let socket = TcpSocket::new_v4().ok()?;
    // Where two links have the same subnet, only the device's name tells them apart. Old kernels allow it to root
    // alone; the route then decides.
    let _root_only = socket.bind_device(Some(link.name.as_bytes()));
    socket.bind(SocketAddr::from((link.network.own, 0))).ok()?;
    let mut stream = timeout(DEADLINE, socket.connect(target)).await.ok()?.ok()?;
    let talk = async {
        stream.write_all(&rtsp::options(target)).await.ok()?;
        let mut head = Vec::new();
        while !rtsp::is_enough(&head) {
            if stream.read_buf(&mut head).await.ok()? == 0 {
                break;
            }
        }
        rtsp::read(&head, target.ip(), target.port()).ok()
    };
    timeout(DEADLINE, talk).await.ok()?
}
