//! WebSockets from boxes whose network lets no UDP out. Anybody may open one, so there are bounds: in all, and in time for
//! one that no box has come through.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};
use tunnel::carrier::{pump, server};
use tunnel::io::Handle;
use tunnel::peers::{CarrierId, Remote};

/// WebSockets at a time.
const MOST: usize = 16_384;
/// How long one may stay that no box has proven to be behind, or not lately.
const UNPROVEN: Duration = Duration::from_secs(60);
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(15);

/// The open ones.
pub(super) struct Carriers {
    handle: Handle,
    places: Arc<Semaphore>,
    open: Mutex<HashMap<CarrierId, Open>>,
}

struct Open {
    /// When a box was last seen behind it; before that, when it was opened.
    proven: Instant,
    task: AbortHandle,
}

impl Carriers {
    pub(super) fn new(handle: Handle) -> Arc<Self> {
        Arc::new(Self { handle, places: Arc::new(Semaphore::new(MOST)), open: Mutex::default() })
    }

    /// Answers a request for a WebSocket: 101, and datagrams from then on. None for any other request, or when there are
    /// too many. `kept` is held for as long as the connection lasts.
    pub(super) fn upgrade<T, B: Default>(
        self: &Arc<Self>,
        request: &mut Request<T>,
        kept: impl Send + 'static,
    ) -> Option<Response<B>> {
        let response = server::answer(request)?;
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let upgrade = hyper::upgrade::on(request);
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let kept = (kept, place);
            if let Ok(stream) = upgrade.await {
                this.carry(TokioIo::new(stream), kept);
            }
        });
        Some(response)
    }

    fn carry(
        self: &Arc<Self>,
        stream: TokioIo<hyper::upgrade::Upgraded>,
        kept: (impl Send + 'static, OwnedSemaphorePermit),
    ) {
        let mut carrier = self.handle.carrier();
        let id = carrier.id;
        // Made here, so that a task that is ended before it began is taken from the list, too.
        let gone = Gone { carriers: Arc::clone(self), id };
        // The list knows the task before the task can leave it.
        let mut open = self.open();
        let task = tokio::spawn(async move {
            let socket = server::upgraded(stream).await;
            let (deliver, outgoing) = carrier.ends();
            let ended = pump(socket, deliver, outgoing).await;
            tracing::debug!("a box's WebSocket: {ended}");
            drop((gone, kept));
        });
        open.insert(id, Open { proven: Instant::now(), task: task.abort_handle() });
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<CarrierId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.open().len()
    }

    /// Closes those that no box is behind, for ever.
    pub(super) async fn tidy(self: Arc<Self>) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            if self.open().is_empty() {
                continue;
            }
            let used: HashSet<CarrierId> = self
                .handle
                .status()
                .into_iter()
                .filter_map(|peer| match peer.remote {
                    Some(Remote::Carrier(id)) => Some(id),
                    _ => None,
                })
                .collect();
            let now = Instant::now();
            for (id, open) in self.open().iter_mut() {
                if used.contains(id) {
                    open.proven = now;
                } else if now.saturating_duration_since(open.proven) > UNPROVEN {
                    open.task.abort();
                }
            }
        }
    }
}

/// Takes a carrier from the list however its task ends.
struct Gone {
    carriers: Arc<Carriers>,
    id: CarrierId,
}

impl Drop for Gone {
    fn drop(&mut self) {
        self.carriers.open().remove(&self.id);
    }
}
