//! One worker process per camera, started again whenever it dies.
//!
//! ```text
//!        start            link ends
//! pause ───────> running ───────────> pause (doubled when it died young)
//!   │               ├── refused, held ─> idle: no process until the time is over, or the owner has changed something
//!   └──── stop ─────┴──────────────── stop: killed, waited for; also of a camera that was taken away
//! ```
//!
//! A worker runs in a process group of its own, so that a Ctrl-C reaches only the supervisor, and dies with it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use camera::{Source, wire};
use feed::{Feed, Link, first_sequence_number};
use media::Stream;
use model::status::Picture;
use model::{CameraId, CameraState, DeviceKey, Trouble};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cloud::jittered;
use crate::floor::Floor;
use crate::link::{self, Ended};
use crate::logins::{Gate, Logins};
use crate::rest::Alarm;
use crate::state::{Camera, Shared, lock, stopping};

/// Pause before a worker that died is started again, the first time and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// A worker that lived this long had done its work: its death is not held against the next one.
const GROWN_UP: Duration = Duration::from_secs(20);

/// Starts and watches workers. A handle, cheap to clone; what it starts runs where it was made.
#[derive(Clone)]
pub(crate) struct Supervisor(Arc<Inner>);

struct Inner {
    shared: Shared,
    options: media::Options,
    floor: Arc<Floor>,
    logins: Logins,
    moved: watch::Receiver<()>,
    stop: watch::Receiver<bool>,
    runtime: Handle,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    cameras: JoinSet<()>,
    /// What each camera's keeper is to do; a sender that is dropped ends it.
    plans: BTreeMap<CameraId, watch::Sender<Plan>>,
}

/// What a camera's keeper is to do.
#[derive(Clone)]
enum Plan {
    /// Keep a worker alive.
    Stream(Arc<Frames>),
    /// Contact nobody: the owner must say first what is right.
    Hold(Trouble),
}

impl Supervisor {
    /// A supervisor of no workers, which starts them anew when the box has `moved` to another address and ends them all
    /// when `stop` turns true. Streams count from the floor's time. Called within the runtime that the workers' links
    /// belong to.
    pub(crate) fn new(
        shared: Shared,
        options: media::Options,
        floor: Arc<Floor>,
        logins: Logins,
        moved: watch::Receiver<()>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let (runtime, running) = (Handle::current(), Mutex::default());
        Self(Arc::new(Inner { shared, options, floor, logins, moved, stop, runtime, running }))
    }

    /// Adds a camera and starts its worker; `None` when the id is taken.
    ///
    /// # Errors
    /// When the source does not fit a frame.
    pub(crate) fn add(
        &self,
        source: &Source,
        device: Option<DeviceKey>,
    ) -> anyhow::Result<Option<Arc<Camera>>> {
        let inner = &self.0;
        let frames = Frames::new(source, &inner.logins)?;
        let feed = Feed::new(Stream::new(inner.options, first_sequence_number(inner.floor.time(now()))));
        let Some(camera) = inner.shared.add(source.id.clone(), device, feed) else { return Ok(None) };
        // An ONVIF device tells by itself, once it was asked.
        camera.set_small(source.small.is_some() && frames.small.is_some());
        let (plan, plans) = watch::channel(Plan::Stream(Arc::new(frames)));
        let mut running = lock(&inner.running);
        running.plans.insert(source.id.clone(), plan);
        // What has ended since takes no room.
        while running.cameras.try_join_next().is_some() {}
        running
            .cameras
            .spawn_on(keep(camera.clone(), plans, inner.moved.clone(), inner.stop.clone()), &inner.runtime);
        Ok(Some(camera))
    }

    /// Another address or login for a camera: its worker is started anew.
    ///
    /// # Errors
    /// When the source does not fit a frame.
    pub(crate) fn change(&self, source: &Source) -> anyhow::Result<()> {
        let frames = Frames::new(source, &self.0.logins)?;
        self.plan(&source.id, Plan::Stream(Arc::new(frames)));
        Ok(())
    }

    /// Ends a camera's worker, and starts none before [`Self::change`]: whoever is at its address is shown no login.
    pub(crate) fn hold(&self, id: &CameraId, trouble: Trouble) {
        self.plan(id, Plan::Hold(trouble));
    }

    fn plan(&self, id: &CameraId, plan: Plan) {
        if let Some(plans) = lock(&self.0.running).plans.get(id) {
            plans.send_replace(plan);
        }
    }

    /// Takes a camera away: its links are unknown at once, its worker is killed.
    pub(crate) fn remove(&self, id: &CameraId) {
        self.0.shared.remove(id);
        lock(&self.0.running).plans.remove(id);
    }

    /// Waits until all workers are gone, after `stop` turned true.
    pub(crate) async fn finish(self) {
        let mut cameras = std::mem::take(&mut lock(&self.0.running).cameras);
        while cameras.join_next().await.is_some() {}
    }
}

/// The clock, since 1970.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Where a camera's pictures are, as its worker is told.
struct Frames {
    gate: Gate,
    main: wire::Frame,
    small: Option<wire::Frame>,
}

impl Frames {
    fn new(source: &Source, logins: &Logins) -> Result<Self, wire::WireError> {
        let small = source.small_picture();
        Ok(Self {
            gate: Gate::new(logins, source),
            main: wire::encode_source(source)?,
            small: small.as_ref().map(wire::encode_source).transpose()?,
        })
    }

    fn of(&self, picture: Picture) -> &wire::Frame {
        match (picture, &self.small) {
            (Picture::Sub, Some(small)) => small,
            _ => &self.main,
        }
    }
}

/// Why a worker's time was over.
enum Over {
    /// It died.
    Died(String),
    /// Another picture is wanted, or the box has another address: its connection is of no use any more.
    Session,
    /// The camera refused the login.
    Refused,
    /// Something else is to be done from now on.
    Replanned,
    /// The box ends, or the camera was taken away.
    Stop,
}

/// Keeps one camera's worker alive until `stop`, or until nobody plans for it any more.
async fn keep(
    camera: Arc<Camera>,
    mut plans: watch::Receiver<Plan>,
    mut moved: watch::Receiver<()>,
    mut stop: watch::Receiver<bool>,
) {
    let mut pause = PAUSE.0;
    let mut pictures = camera.pictures();
    loop {
        let plan = plans.borrow_and_update().clone();
        // A refused login waits without a process; so does a camera that the owner must look at.
        let idle = match &plan {
            Plan::Hold(trouble) => Some((trouble.clone(), None)),
            Plan::Stream(frames) => frames.gate.refusal().map(|refused| {
                let trouble = if refused.worked {
                    Trouble::Locked { seconds: refused.wait.as_secs_f64().ceil() as u32 }
                } else {
                    Trouble::WrongPassword
                };
                (trouble, Some(refused.wait))
            }),
        };
        if let Some((trouble, wait)) = idle {
            link::report(&camera, CameraState::Stopped { trouble });
            let over = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over => {}
                changed = plans.changed() => match changed {
                    Ok(()) => camera.feed().begin_anew(),
                    Err(_) => return,
                },
                () = stopping(&mut stop) => return,
            }
            continue;
        }
        let Plan::Stream(frames) = plan else { continue };
        let born = Instant::now();
        let wanted = *pictures.borrow_and_update();
        moved.mark_unchanged();
        let over = match Worker::start(&camera, frames.of(wanted)).await {
            Ok(mut worker) => {
                let over = tokio::select! {
                    Err(error) = link::feed(&mut worker.link, &camera, &frames.gate) => match error {
                        Ended::Refused => Over::Refused,
                        error => Over::Died(error.to_string()),
                    },
                    never = wake(&mut worker.alarm, &camera) => match never {},
                    Ok(()) = pictures.changed() => Over::Session,
                    Ok(()) = moved.changed() => Over::Session,
                    changed = plans.changed() => if changed.is_ok() { Over::Replanned } else { Over::Stop },
                    () = stopping(&mut stop) => Over::Stop,
                };
                worker.end(&camera).await;
                over
            }
            Err(error) => Over::Died(format!("{error:#}")),
        };
        let reason = match over {
            Over::Stop => return,
            Over::Session | Over::Refused => {
                // What comes next belongs to another session, with other stamps and another size.
                camera.feed().interrupt();
                continue;
            }
            Over::Replanned => {
                camera.feed().interrupt();
                camera.feed().begin_anew();
                continue;
            }
            Over::Died(reason) => reason,
        };
        if born.elapsed() >= GROWN_UP {
            pause = PAUSE.0;
        }
        let wait = jittered(pause);
        camera.feed().worker_died(wait);
        camera.count_restart();
        tracing::warn!(camera = %camera.id(), %reason, again_in_ms = wait.as_millis() as u64, "a worker ended");
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            changed = plans.changed() => if changed.is_err() { return },
            () = stopping(&mut stop) => return,
        }
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// Keeps a worker awake as long as somebody watches.
async fn wake(alarm: &mut Alarm, camera: &Camera) -> Infallible {
    loop {
        camera.feed().watched().await;
        alarm.ring();
    }
}

/// A running worker. Dropped, it is killed.
struct Worker {
    child: Child,
    link: Link,
    alarm: Alarm,
}

impl Worker {
    async fn start(camera: &Camera, source: &wire::Frame) -> anyhow::Result<Self> {
        let (child, ours) = spawn(camera.id())?;
        camera.set_worker(child.id());
        let alarm = Alarm::new(ours.try_clone().context("cannot watch the link")?);
        let mut socket = UnixStream::from_std(ours).context("cannot watch the link")?;
        tell(&mut socket, source).await?;
        Ok(Self { child, link: Link::new(socket), alarm })
    }

    /// Ends it, if it still runs, and takes its status from the kernel.
    async fn end(mut self, camera: &Camera) {
        camera.set_worker(None);
        if let Err(error) = self.child.kill().await {
            tracing::warn!(camera = %camera.id(), %error, "cannot end a worker");
        }
    }
}

/// Starts a worker process that knows nothing yet, and the box's end of the link to it. Dropped, the process is killed.
///
/// # Errors
/// When the system has no room for it.
pub(crate) fn spawn(id: &CameraId) -> anyhow::Result<(Child, StdUnixStream)> {
    let (ours, theirs) = StdUnixStream::pair().context("cannot make a socket pair")?;
    ours.set_nonblocking(true).context("cannot make a socket pair")?;
    let child = Command::new("/proc/self/exe")
        .arg0("boxd")
        .args(["camera", id.as_str()])
        .env_clear()
        // One heap for all threads: a second one would be 1 MiB for a name that was looked up.
        .env("MALLOC_ARENA_MAX", "1")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .context("cannot start a worker")?;
    Ok((child, ours))
}

/// Tells a worker what it is for.
///
/// # Errors
/// When it is gone.
pub(crate) async fn tell(socket: &mut UnixStream, frame: &wire::Frame) -> anyhow::Result<()> {
    for bytes in [&frame.header[..], &frame.body] {
        socket.write_all(bytes).await.context("cannot tell the worker where its camera is")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use camera::StreamChoice;

    use super::*;

    #[test]
    fn a_pause_is_jittered_but_never_longer_than_it_should_be() {
        let pauses: Vec<_> = (0..100).map(|_| jittered(PAUSE.0)).collect();
        assert!(pauses.iter().all(|pause| *pause >= PAUSE.0 / 2 && *pause <= PAUSE.0));
        assert!(pauses.iter().any(|pause| *pause != pauses[0]));
    }

    #[test]
    fn a_worker_is_sent_to_the_picture_that_is_wanted_as_far_as_there_is_one() {
        let told = |url: &str, small: Option<&str>, picture| {
            let id = CameraId::new("gate").unwrap();
            let source = Source::new(id, url, None, None).unwrap();
            let source = match small {
                Some(small) => source.with_small(small).unwrap(),
                None => source,
            };
            let scratch = crate::cloud::files_tests::Scratch::new("supervisor-frames");
            let frames = Frames::new(&source, &Logins::open(scratch.files())).unwrap();
            let frame = frames.of(picture);
            let header = wire::Header::decode(&frame.header).unwrap();
            let source = wire::decode_source(&header, &frame.body).unwrap();
            (source.address.to_string(), source.stream)
        };
        let (main, sub) = ("rtsp://10.0.0.2/1", "rtsp://10.0.0.2/2");
        assert_eq!(told(main, Some(sub), Picture::Main), (main.to_owned(), StreamChoice::Auto));
        assert_eq!(told(main, Some(sub), Picture::Sub), (sub.to_owned(), StreamChoice::Sub));
        assert_eq!(told(main, None, Picture::Sub), (main.to_owned(), StreamChoice::Auto));
        let onvif = "http://10.0.0.2/onvif/device_service";
        assert_eq!(told(onvif, None, Picture::Sub), (onvif.to_owned(), StreamChoice::Sub));
    }
}
