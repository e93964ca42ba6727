//! A wire for UDP between boxes and a hub: cut in either direction, or behind a NAT that forgets.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Result;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// The wire; dropping it pulls it.
pub(crate) struct Wire {
    pub(crate) near: SocketAddr,
    faults: Arc<Faults>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Faults {
    up: AtomicBool,
    down: AtomicBool,
    /// Counts how often the NAT forgot its ports.
    mapping: AtomicU64,
}

impl Wire {
    /// A wire to `hub`; boxes find its near end.
    pub(crate) fn new(hub: SocketAddr) -> Result<Self> {
        let near = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        near.set_nonblocking(true)?;
        let near = Arc::new(UdpSocket::from_std(near)?);
        let faults = Arc::new(Faults::default());
        let address = near.local_addr()?;
        let task = tokio::spawn(carry(near, hub, Arc::clone(&faults)));
        Ok(Self { near: address, faults, task })
    }

    pub(crate) fn cut_up(&self, cut: bool) {
        self.faults.up.store(cut, Ordering::SeqCst);
    }

    pub(crate) fn cut_down(&self, cut: bool) {
        self.faults.down.store(cut, Ordering::SeqCst);
    }

    /// Each box gets another port; what comes to the old ones is lost.
    pub(crate) fn rebind(&self) {
        self.faults.mapping.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(near: Arc<UdpSocket>, hub: SocketAddr, faults: Arc<Faults>) {
    let mut far: HashMap<SocketAddr, (u64, Arc<UdpSocket>, JoinHandle<()>)> = HashMap::new();
    let mut buffer = [0; 2048];
    loop {
        let Ok((length, from)) = near.recv_from(&mut buffer).await else { continue };
        let mapping = faults.mapping.load(Ordering::SeqCst);
        if far.get(&from).is_none_or(|(at, ..)| *at != mapping) {
            let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await else { continue };
            let socket = Arc::new(socket);
            let back = tokio::spawn(back(Arc::clone(&socket), Arc::clone(&near), from, Arc::clone(&faults)));
            if let Some((.., old)) = far.insert(from, (mapping, socket, back)) {
                old.abort();
            }
        }
        if let Some((_, socket, _)) = far.get(&from)
            && !faults.up.load(Ordering::SeqCst)
        {
            let _ = socket.send_to(&buffer[..length], hub).await;
        }
    }
}

async fn back(far: Arc<UdpSocket>, near: Arc<UdpSocket>, to: SocketAddr, faults: Arc<Faults>) {
    let mut buffer = [0; 2048];
    loop {
        let Ok((length, _)) = far.recv_from(&mut buffer).await else { continue };
        if !faults.down.load(Ordering::SeqCst) {
            let _ = near.send_to(&buffer[..length], to).await;
        }
    }
}
