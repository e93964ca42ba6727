//! Carriers: datagrams that travel by other means than our UDP socket. Queues are bounded and drop when full, as UDP does.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::Handle;
use crate::peers::CarrierId;

/// Datagrams that wait to be taken to one carrier's peer.
const OUTGOING: usize = 256;
/// Datagrams from all carriers that wait for the thread.
const INCOMING: usize = 4096;

/// One open carrier. Dropping it closes it.
#[derive(Debug)]
pub struct Carrier {
    /// Its name; a peer's remote becomes [`crate::peers::Remote::Carrier`] of it.
    pub id: CarrierId,
    /// Datagrams to take to the peer.
    pub outgoing: mpsc::Receiver<Bytes>,
    pub(super) handle: Handle,
}

impl Carrier {
    /// A datagram came from the peer.
    pub fn deliver(&self, bytes: &[u8]) {
        self.handle.deliver(self.id, bytes);
    }

    /// Both directions at once: what takes datagrams that came from the peer, and those to take to it.
    pub fn ends(&mut self) -> (impl FnMut(&[u8]), &mut mpsc::Receiver<Bytes>) {
        let Self { id, outgoing, handle } = self;
        (|bytes: &[u8]| handle.deliver(*id, bytes), outgoing)
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.handle.close(self.id);
    }
}

/// Those that are open, and what came in by them.
#[derive(Debug, Default)]
pub(super) struct Carriers {
    open: HashMap<CarrierId, mpsc::Sender<Bytes>>,
    last: u64,
    incoming: VecDeque<(CarrierId, Bytes)>,
}

impl Carriers {
    pub(super) fn open(&mut self) -> (CarrierId, mpsc::Receiver<Bytes>) {
        self.last += 1;
        let (sender, receiver) = mpsc::channel(OUTGOING);
        self.open.insert(CarrierId(self.last), sender);
        (CarrierId(self.last), receiver)
    }

    pub(super) fn close(&mut self, id: CarrierId) {
        self.open.remove(&id);
    }

    /// True when the thread has to be woken.
    pub(super) fn deliver(&mut self, id: CarrierId, bytes: &[u8]) -> bool {
        if self.incoming.len() >= INCOMING {
            return false;
        }
        self.incoming.push_back((id, Bytes::copy_from_slice(bytes)));
        self.incoming.len() == 1
    }

    pub(super) fn send(&self, id: CarrierId, bytes: &[u8]) {
        if let Some(carrier) = self.open.get(&id) {
            let _ = carrier.try_send(Bytes::copy_from_slice(bytes));
        }
    }

    /// What came in since it was last asked.
    pub(super) fn delivered(&mut self) -> VecDeque<(CarrierId, Bytes)> {
        core::mem::take(&mut self.incoming)
    }
}
