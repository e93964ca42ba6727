//! The gateway: each object is fetched from its box once, however many watch.
//!
//! ```text
//! viewer ─▶ Gateway::answer ─▶ Shelf: at hand? on its way? ─▶ Upstream: one GET to the box ─▶ tunnel
//!                │                    ▲
//!                ├── Directory ───────┘ a link that is switched off: everything of it is dropped at once
//!                └── Here: cameras without a box, whose pictures this cloud has itself
//! ```
//!
//! * [`Directory`] says which camera a public id stands for; nothing else of the cloud is known here.
//! * [`Admission`] says who may watch what not everybody may, before each answer and after each wait.
//! * [`object`] names what can be fetched, and reads how long it is true.
//! * [`cache`] and [`shelf`] keep it within a bound, and let all who ask at once wait for one fetch.
//! * [`upstream`] fetches; every await has a deadline. [`pieces`] hands it out, piece by piece: readers own nothing.
//! * [`routes`] mounts it, [`inside`] is its way through the tunnel.
//! * [`answer`] and [`status`] speak to viewers: uniform, and without anything that only the owner may know.
//!
//! Only names that [`media::ObjectName`] knows ever go to a box.

mod admission;
mod answer;
mod cache;
mod directory;
mod here;
mod inside;
mod numbers;
mod object;
mod pieces;
mod routes;
mod shelf;
mod status;
mod upstream;

use std::cell::Cell;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use door::Body as Own;
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use model::CameraId;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use admission::{AGAIN, Judge, Pass, Standing};
pub use admission::{Admission, Caller, Later, Nobody, Token, Verdict};
pub use directory::{At, Camera, Directory, Place};
pub use inside::inside;
use numbers::By;
pub use numbers::Numbers;
use object::{Key, Object};
use pieces::Still;
pub use pieces::{Body, Dropped, Guarded, Shared};
pub use routes::routes;
use shelf::{Asked, Failure, Order, Outcome, Shelf};
pub use upstream::{Connector, Limits, Stream};
use upstream::{Upstream, now_ms};

use crate::ingest::Here;
use crate::nodes::Seal;

/// How often what is over is dropped.
const TIDY: Duration = Duration::from_secs(1);
/// A directory that changes all the time is looked at this often.
const LOOK: Duration = Duration::from_millis(50);

/// What the gateway is told at its start.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where public links begin, without a slash at the end.
    pub url: String,
    /// Bytes of bodies at hand and on their way.
    pub cache: u64,
    /// Limits for boxes.
    pub limits: Limits,
}

/// The gateway. It stops looking after its cache when it is dropped.
#[derive(Debug)]
pub struct Gateway<D: Directory> {
    judge: Judge<D>,
    shelf: Arc<Shelf>,
    upstream: Arc<Upstream>,
    numbers: Numbers,
    url: String,
    /// Moves when a camera of the shelf is public no more.
    closed: watch::Sender<()>,
    keeper: JoinHandle<()>,
}

impl<D: Directory> Gateway<D> {
    /// A gateway for these links, as far as they are public. To be called within a runtime.
    pub fn new(directory: watch::Receiver<Arc<D>>, connector: Connector, options: Options) -> Self {
        let shelf = Shelf::new(options.cache);
        let upstream = Arc::new(Upstream::new(connector, options.limits));
        let closed = watch::Sender::new(());
        let keeper = tokio::spawn(keep(directory.clone(), shelf.clone(), upstream.clone(), closed.clone()));
        let judge = Judge { directory, admission: Arc::new(Nobody), here: Here::default() };
        Self { judge, shelf, upstream, numbers: Numbers::default(), url: options.url, closed, keeper }
    }

    /// The same, with somebody who says who may watch what is not public.
    #[must_use]
    pub fn with_admission(mut self, admission: Arc<dyn Admission<D>>) -> Self {
        self.judge.admission = admission;
        self
    }

    /// The same, with the cameras whose pictures this cloud has itself.
    #[must_use]
    pub fn with_here(mut self, here: Here) -> Self {
        self.judge.here = here;
        self
    }

    /// Puts what is counted into a registry, as `gateway_…`.
    pub fn register(&self, registry: &mut Registry) {
        self.numbers.register(registry, &self.shelf);
    }

    /// What is counted.
    pub fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// Bytes and objects in the cache.
    pub fn kept(&self) -> (u64, usize) {
        self.shelf.kept()
    }

    /// Answers a request for `/{public_id}` or anything below it.
    pub async fn answer(&self, request: &Parts) -> Response<Body> {
        match request.method {
            Method::GET | Method::HEAD => {}
            Method::OPTIONS => return answer::options().map(Body::Own),
            _ => return answer::not_allowed().map(Body::Own),
        }
        let Some(caller) = Caller::read(request) else { return self.nothing().map(Body::Own) };
        // Whether there is such a link is not told before the token stands where it is judged.
        if let Some(path) = caller.moved() {
            return answer::private(answer::moved(StatusCode::TEMPORARY_REDIRECT, path)).map(Body::Own);
        }
        let Some((place, pass)) = self.judge.ask(&caller).await else {
            return self.nothing().map(Body::Own);
        };
        let own = match caller.name() {
            // Relative names in a page need the slash at the end of its address.
            None => answer::moved(StatusCode::PERMANENT_REDIRECT, format!("/{}/", caller.link())),
            Some("") => self.page(&caller.camera, &place),
            Some("status") => self.status(&caller.camera, &place),
            Some("qr.svg") => self.qr(&caller),
            Some(name) => return self.object(&caller, place, pass, name, request).await,
        };
        shown(own.map(Body::Own), pass)
    }

    /// Seals what is asked of other clouds.
    pub fn seal(&self, seal: Seal) {
        self.upstream.seal(seal);
    }

    /// Answers another cloud, which has admitted its viewer, for an object of a box that this one holds or of a camera that it
    /// takes in. What would have to be asked of a third is unavailable here; a box that cannot be reached is 502, so that the other knows it from a camera that
    /// sends nothing.
    pub async fn for_cloud(&self, request: &Parts) -> Response<Body> {
        let path = request.uri.path().strip_prefix('/').unwrap_or_default();
        let named = path.split_once('/').and_then(|(id, name)| Some((CameraId::new(id).ok()?, name)));
        let place = |id: &CameraId| self.judge.directory.borrow().place(id);
        let found = named.and_then(|(id, name)| {
            let key = Key::parse(&id, name, request.uri.query().unwrap_or_default())?.ok()?;
            Some((place(&id)?, key))
        });
        let Some((at, key)) = found else { return self.nothing().map(Body::Own) };
        if matches!(at.at, At::Node(_)) {
            return answer::unavailable(None).map(Body::Own);
        }
        if at.at == At::Here {
            let Some(feed) = self.judge.here.feed(&key.camera) else {
                return answer::unavailable(None).map(Body::Own);
            };
            return here::object(&feed, &key, request).await.map(Body::Own);
        }
        let asked = self.shelf.ask(&key, &at, Instant::now(), |order| self.fetch(&key, &at, order));
        let (outcome, by) = match asked {
            Asked::Here(object) => (Ok(object), By::Hit),
            Asked::Coming(waiting, first) => {
                (waiting.outcome().await, if first { By::Fetch } else { By::Wait })
            }
            Asked::Busy => (Err(Failure::Busy), By::Refused),
        };
        // Whatever came: a link that was switched off meanwhile is dead.
        if place(&key.camera).as_ref() != Some(&at) {
            return self.nothing().map(Body::Own);
        }
        let lost = outcome.as_ref().is_err_and(|_| self.upstream.contact(&at).is_lost());
        let mut response = self.said(&key, &at, &outcome, by, request);
        if lost {
            *response.status_mut() = StatusCode::BAD_GATEWAY;
        }
        response
    }

    fn nothing(&self) -> Response<Own> {
        self.numbers.answered(By::Nothing, 0);
        answer::not_found()
    }

    async fn object(
        &self,
        caller: &Caller,
        place: Place,
        pass: Pass,
        name: &str,
        request: &Parts,
    ) -> Response<Body> {
        let id = &caller.camera;
        let key = match Key::parse(id, name, request.uri.query().unwrap_or_default()) {
            None => return self.nothing().map(Body::Own),
            Some(Err(_)) => {
                self.numbers.answered(By::Refused, 0);
                return shown(answer::malformed().map(Body::Own), pass);
            }
            Some(Ok(key)) => key,
        };
        if place.at == At::Here {
            return self.object_here(caller, place, pass, &key, request).await;
        }
        let asked = self.shelf.ask(&key, &place, Instant::now(), |order| self.fetch(&key, &place, order));
        let (outcome, by, pass) = match asked {
            Asked::Here(object) => (Ok(object), By::Hit, pass),
            Asked::Coming(waiting, first) => {
                let Some((outcome, pass)) = self.wait(caller, &place, waiting.outcome()).await else {
                    return self.nothing().map(Body::Own);
                };
                (outcome, if first { By::Fetch } else { By::Wait }, pass)
            }
            Asked::Busy => (Err(Failure::Busy), By::Refused, pass),
        };
        let response = shown(self.said(&key, &place, &outcome, by, request), pass);
        response.map(|body| body.only_while(|| self.still(caller, place)))
    }

    /// Whether a viewer who was just let in still may have more.
    fn still(&self, caller: &Caller, place: Place) -> Still {
        let mut standing = Standing::new(self.judge.clone(), caller.clone(), place);
        Box::new(move |cx| standing.may_go_on(cx))
    }

    /// The answer that a fetch came to, counted.
    fn said(&self, key: &Key, place: &Place, outcome: &Outcome, by: By, request: &Parts) -> Response<Body> {
        let response = match outcome.as_ref().map(|object| (object, &**object)) {
            Ok((object, Object::Media(media))) => answer::media(key.object, object, media, request),
            Ok((_, Object::Missing)) => answer::not_found().map(Body::Own),
            Ok((_, Object::Malformed)) => answer::malformed().map(Body::Own),
            Ok((_, Object::Unready)) | Err(Failure::Busy) => answer::unavailable(None).map(Body::Own),
            Err(_) => answer::unavailable(self.away_since_ms(&key.camera, place)).map(Body::Own),
        };
        let bytes = if request.method == Method::HEAD {
            0
        } else {
            hyper::body::Body::size_hint(response.body()).lower()
        };
        self.numbers.answered(by, bytes);
        response
    }

    /// The same from memory: what a feed has needs no cache.
    async fn object_here(
        &self,
        caller: &Caller,
        place: Place,
        pass: Pass,
        key: &Key,
        request: &Parts,
    ) -> Response<Body> {
        let Some(feed) = self.judge.here.feed(&place.camera) else {
            return shown(answer::unavailable(None).map(Body::Own), pass);
        };
        let Some((response, pass)) = self.wait(caller, &place, here::object(&feed, key, request)).await
        else {
            return self.nothing().map(Body::Own);
        };
        if feed.is_closed() {
            return self.nothing().map(Body::Own);
        }
        let sent = hyper::body::Body::size_hint(response.body()).lower();
        self.numbers.answered(By::Here, if request.method == Method::HEAD { 0 } else { sent });
        let response = shown(response.map(Body::Own), pass);
        response.map(|body| body.only_while(|| self.still(caller, place)))
    }

    /// What is waited for, for whoever may have it until the end; `None` when that is over, or the link leads elsewhere.
    async fn wait<T>(
        &self,
        caller: &Caller,
        place: &Place,
        waiting: impl Future<Output = T>,
    ) -> Option<(T, Pass)> {
        let mut closed = self.closed.subscribe();
        let mut coming = pin!(waiting);
        let mut outcome = None;
        // Only of what is on the shelf is it known when it is closed.
        let shelved = place.at != At::Here;
        loop {
            // Whatever came, and whoever was let in before: what was closed meanwhile is closed.
            let (now, pass) = self.judge.ask(caller).await?;
            if now != *place {
                return None;
            }
            if let Some(outcome) = outcome.take() {
                return Some((outcome, pass));
            }
            tokio::select! {
                biased;
                what = &mut coming => outcome = Some(what),
                // A crowd that waits is not woken by what does not concern it.
                _ = closed.changed(), if pass == Pass::Public && shelved => {}
                () = tokio::time::sleep(AGAIN), if pass == Pass::Private || !shelved => {}
            }
        }
    }

    /// Starts a fetch as a task of its own.
    fn fetch(&self, key: &Key, place: &Place, order: Order) -> tokio::task::AbortHandle {
        let (upstream, numbers) = (self.upstream.clone(), self.numbers.clone());
        let (key, place) = (key.clone(), place.clone());
        let task = tokio::spawn(async move {
            let mut room = order.room();
            let outcome = upstream.fetch(&place, &key, &mut room).await;
            numbers.fetched(outcome.as_ref().map(|(object, ..)| object.size()).map_err(|failure| *failure));
            match outcome {
                Ok((object, stay, connection)) => {
                    order.deliver(Ok((object, stay)), room, Instant::now());
                    connection.keep().await;
                }
                Err(failure) => order.deliver(Err(failure), room, Instant::now()),
            }
        });
        task.abort_handle()
    }

    fn away_since_ms(&self, id: &CameraId, place: &Place) -> Option<u64> {
        let heard_ms = self.camera(id)?.heard_ms;
        status::away(heard_ms, self.upstream.contact(place), now_ms())?.since_ms
    }

    /// What is known of a link's camera: what this cloud sees itself is the newest.
    fn camera(&self, id: &CameraId) -> Option<Camera> {
        let here = &self.judge.here;
        let known = self.judge.directory.borrow().camera(id);
        let open = || {
            let name = id.as_str().to_owned();
            here.is_open(id).then_some(Camera { name, state: None, since_ms: None, heard_ms: None })
        };
        let camera = known.or_else(open)?;
        Some(match here.feed(id) {
            Some(feed) => here::seen(&feed, camera, now_ms()),
            None => camera,
        })
    }

    fn page(&self, id: &CameraId, place: &Place) -> Response<Own> {
        let Some(camera) = self.camera(id) else { return self.nothing() };
        let obstacle = status::obstacle(&camera, self.upstream.contact(place), now_ms());
        let html = player::player(player::Player {
            id: id.as_str(),
            name: &camera.name,
            sentence: obstacle.map(|obstacle| obstacle.sentence),
            status: "status",
            list: false,
        });
        player::page(html).map(Own::from)
    }

    fn status(&self, id: &CameraId, place: &Place) -> Response<Own> {
        let Some(camera) = self.camera(id) else { return self.nothing() };
        let now_ms = now_ms();
        let obstacle = status::obstacle(&camera, self.upstream.contact(place), now_ms);
        answer::plain("application/json", status::json(&camera, obstacle, now_ms).to_string())
    }

    /// The link as this viewer has it, as an image.
    fn qr(&self, caller: &Caller) -> Response<Own> {
        let link = format!("{}/{}/", self.url, caller.link());
        match qrcode::QrCode::new(&link) {
            Ok(code) => {
                let image = code.render::<qrcode::render::svg::Color<'_>>().min_dimensions(256, 256).build();
                answer::plain("image/svg+xml", image)
            }
            // Only a token of thousands of characters does not fit in.
            Err(_) => self.nothing(),
        }
    }
}

impl<D: Directory> Drop for Gateway<D> {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Ends what is no longer allowed as soon as the directory says so, and drops what is over.
async fn keep<D: Directory>(
    mut directory: watch::Receiver<Arc<D>>,
    shelf: Arc<Shelf>,
    upstream: Arc<Upstream>,
    closed: watch::Sender<()>,
) {
    let mut before = directory.borrow().clone();
    let mut tidy = tokio::time::interval(TIDY);
    loop {
        tokio::select! {
            changed = directory.changed() => {
                if changed.is_err() {
                    return; // the cloud is stopping
                }
                let now = directory.borrow_and_update().clone();
                let closes = Cell::new(false);
                shelf.keep(|camera, place| {
                    if before.public(camera) && !now.public(camera) {
                        closes.set(true);
                    }
                    now.place(camera).as_ref() == Some(place)
                });
                if closes.get() {
                    closed.send_replace(());
                }
                before = now;
                tokio::time::sleep(LOOK).await;
            }
            _ = tidy.tick() => {
                shelf.tidy(Instant::now());
                upstream.tidy(Instant::now());
            }
        }
    }
}

/// An answer as this viewer may have it: the uniform no is the same for all.
fn shown(response: Response<Body>, pass: Pass) -> Response<Body> {
    match pass {
        Pass::Private if response.status() != StatusCode::NOT_FOUND => answer::private(response),
        _ => response,
    }
}
