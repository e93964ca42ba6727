//! What can be asked for, and how it is answered: one [`Page`] is the handler of every request.
//!
//! Requests come through embedded-svc's traits, so any server can bring them: [`crate::serve`] brings tiny_http's, tests bring
//! their own. The clock and random bytes come through [`World`], what the box does through [`Desk`].

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use embedded_svc::http::server::{Connection, Handler};
use embedded_svc::http::{Headers as _, Method, Query as _};
use model::CameraId;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::answer::{Answer, Fault};
use crate::desk::{self, Ask, Change, Language, Login, Pick};
use crate::desk_client::Desk;
use crate::gate::{Gate, Random};
use crate::page;
use crate::request::{BODY_BYTES, Cookie, Request};
use crate::routes::{Found, Part, What, Who, find};

mod account;

/// Most characters of a name.
const NAME: usize = 64;
/// Most cameras that are added at once.
const PICKS: usize = 64;
/// Most cameras that are put into order.
const ORDER: usize = 256;
/// Longest time that a restart into a new version is put off, seconds.
const LATER_S: u32 = 24 * 3600;
/// Questions that wait for cameras. Others find threads beside them.
const SLOW: usize = 8;

/// What the page has from outside beside requests.
pub trait World: Send + Sync {
    /// What has passed since some fixed moment.
    fn now(&self) -> Duration;

    /// Random bytes; `None` when the system has none.
    fn random(&self) -> Option<Random>;
}

/// The page.
#[derive(Debug)]
pub struct Page<D, W> {
    desk: D,
    world: W,
    gate: Mutex<Gate>,
    /// Held while a password is worked on, which takes 19 MiB: one at a time.
    kiln: Mutex<()>,
    site: Mutex<Site>,
    slow: AtomicUsize,
}

/// What everybody may know of the box.
#[derive(Debug, Clone, Default)]
pub struct Site {
    /// The page's language, once chosen.
    pub language: Option<Language>,
    /// What the owner calls this place.
    pub name: Option<String>,
}

#[derive(Serialize)]
struct State {
    claimed: bool,
    signed_in: bool,
    can_claim: bool,
    claim_ends_in_s: Option<u64>,
    language: Option<Language>,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSite {
    language: Option<Language>,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Picks {
    picks: Vec<Pick>,
    login: Option<Login>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    ids: Vec<CameraId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reach {
    key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Join {
    session: String,
    accept: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Uplink {
    // Must be there, even as null: a slip must not lift the limit.
    #[serde(deserialize_with = "Option::deserialize")]
    kbps: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Time {
    unix_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    in_s: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl<D: Desk, W: World> Page<D, W> {
    /// The page of a box.
    pub fn new(desk: D, world: W, gate: Gate, site: Site) -> Self {
        let (gate, site) = (Mutex::new(gate), Mutex::new(site));
        Self { desk, world, gate, kiln: Mutex::new(()), site, slow: AtomicUsize::new(0) }
    }

    /// The answer to a request.
    fn answer(&self, path: &str, request: &Request<'_>) -> Answer {
        self.routed(path, request).unwrap_or_else(Answer::from)
    }

    fn routed(&self, path: &str, request: &Request<'_>) -> Result<Answer, Fault> {
        let (what, who, part) = match find(request.method, path) {
            Found::Route(what, who, part) => (what, who, part),
            Found::Method(allowed) => return Err(Fault::method(allowed)),
            Found::Nothing => return Err(Fault::new(404, "no_such_address", "There is no such address.")),
        };
        // Anybody may link to the page itself.
        if !matches!(what, What::Page | What::Asset) {
            request.judge_origin()?;
        }
        let session = request.cookie(Cookie::Session);
        if who == Who::Owner && !lock(&self.gate).signed_in(self.world.now(), session) {
            return Err(Fault::new(401, "signed_out", "Sign in first."));
        }
        match what {
            What::Page => Ok(page::page().into()),
            What::Asset => asset(&part, request),
            What::State => Ok(self.state(request)),
            What::Claim => self.claim(request),
            What::Login => self.login(request),
            What::Logout => self.logout(request),
            What::Password => self.change_password(request),
            What::Reset => self.reset(request),
            What::Site => self.set_site(request),
            _ => self.desk(what, part, request),
        }
    }

    /// What the main process does and knows.
    fn desk(&self, what: What, part: Part, request: &Request<'_>) -> Result<Answer, Fault> {
        let id = || match part {
            Part::Id(id) => Ok(id),
            Part::None | Part::Name(_) => Err(Fault::unexpected()),
        };
        match what {
            What::Overview => match self.desk.ask(Ask::Overview)? {
                desk::Answer::Overview(overview) => Ok(Answer::json(200, &overview)),
                _ => Err(Fault::unexpected()),
            },
            What::Add => {
                let Picks { picks, login } = request.json()?;
                if picks.len() > PICKS {
                    return Err(Fault::malformed());
                }
                let _place = self.place()?;
                match self.desk.ask(Ask::Add { picks, login })? {
                    desk::Answer::Added { outcomes } => {
                        Ok(Answer::json(200, &serde_json::json!({ "outcomes": outcomes })))
                    }
                    _ => Err(Fault::unexpected()),
                }
            }
            What::Change => {
                let change: Change = request.json()?;
                named(change.name.as_deref())?;
                self.done(Ask::Change { id: id()?, change })
            }
            What::Remove => self.done(Ask::Remove { id: id()? }),
            What::Order => {
                let Order { ids } = request.json()?;
                if ids.len() > ORDER {
                    return Err(Fault::malformed());
                }
                self.done(Ask::Order { ids })
            }
            What::Encoder => {
                let _place = self.place()?;
                match self.desk.ask(Ask::Inspect { id: id()? })? {
                    desk::Answer::Encoder(encoder) => Ok(Answer::json(200, &encoder)),
                    _ => Err(Fault::unexpected()),
                }
            }
            What::Improve => {
                let Nothing {} = request.json()?;
                let _place = self.place()?;
                match self.desk.ask(Ask::Improve { id: id()? })? {
                    desk::Answer::Improved { before, after } => {
                        Ok(Answer::json(200, &serde_json::json!({ "before": before, "after": after })))
                    }
                    _ => Err(Fault::unexpected()),
                }
            }
            What::Snapshot => {
                let _place = self.place()?;
                match self.desk.ask(Ask::Snapshot { id: id()? })? {
                    desk::Answer::Snapshot { jpeg } => picture(&jpeg),
                    _ => Err(Fault::unexpected()),
                }
            }
            What::Reach => {
                let Reach { key } = request.json()?;
                let _place = self.place()?;
                self.done(Ask::Reach { key })
            }
            What::Join => {
                let Join { session, accept } = request.json()?;
                self.done(Ask::Join { session, accept })?;
                match self.desk.ask(Ask::Overview)? {
                    desk::Answer::Overview(overview) => Ok(Answer::json(202, &overview.join)),
                    _ => Err(Fault::unexpected()),
                }
            }
            What::Uplink => {
                let Uplink { kbps } = request.json()?;
                self.done(Ask::SetUplink { kbps })
            }
            What::Time => {
                let Time { unix_ms } = request.json()?;
                self.done(Ask::SetTime { unix_ms })
            }
            What::Update => {
                let Update { in_s } = request.json()?;
                if in_s > LATER_S {
                    return Err(Fault::malformed());
                }
                self.done(Ask::Update { in_s })
            }
            What::Events => match self.desk.ask(Ask::Events)? {
                desk::Answer::Events { events } => {
                    Ok(Answer::json(200, &serde_json::json!({ "events": events })))
                }
                _ => Err(Fault::unexpected()),
            },
            What::Diagnostics => match self.desk.ask(Ask::Diagnostics)? {
                desk::Answer::Diagnostics { text } => {
                    let file = Answer::file("text/plain; charset=utf-8", text.into_bytes());
                    Ok(file.with("content-disposition", "attachment; filename=\"streambox-diagnostics.txt\""))
                }
                _ => Err(Fault::unexpected()),
            },
            What::Restart => {
                let Nothing {} = request.json()?;
                self.done(Ask::Restart)
            }
            _ => Err(Fault::unexpected()),
        }
    }

    fn state(&self, request: &Request<'_>) -> Answer {
        let now = self.world.now();
        let session = request.cookie(Cookie::Session);
        let mut gate = lock(&self.gate);
        let left = gate.claimable(now, request.visitor());
        let (claimed, signed_in) = (gate.owned(), gate.signed_in(now, session));
        drop(gate);
        let Site { language, name } = lock(&self.site).clone();
        let answer = Answer::json(
            200,
            &State {
                claimed,
                signed_in,
                can_claim: left.is_some(),
                claim_ends_in_s: left.map(|left| left.as_secs()),
                language,
                name,
            },
        );
        // A page that is in use keeps its browser's cookie as long as the box keeps the session.
        match session.filter(|_| signed_in) {
            Some(session) => answer.with("set-cookie", account::session_line(request, session)),
            None => answer,
        }
    }

    fn set_site(&self, request: &Request<'_>) -> Result<Answer, Fault> {
        let NewSite { language, name } = request.json()?;
        named(name.as_deref())?;
        let answer = self.done(Ask::SetSite { language, name: name.clone() })?;
        let mut site = lock(&self.site);
        site.language = language.or(site.language);
        if let Some(name) = name {
            site.name = Some(name).filter(|name| !name.is_empty());
        }
        Ok(answer)
    }

    /// Asks for something that is only done.
    fn done(&self, ask: Ask) -> Result<Answer, Fault> {
        match self.desk.ask(ask)? {
            desk::Answer::Done => Ok(Answer::done()),
            _ => Err(Fault::unexpected()),
        }
    }

    /// A place among those who wait for cameras.
    fn place(&self) -> Result<Place<'_>, Fault> {
        let place = Place(&self.slow);
        if self.slow.fetch_add(1, Ordering::Relaxed) >= SLOW {
            return Err(Fault::new(503, "busy", "The box is asking too many cameras at once: try again."));
        }
        Ok(place)
    }

    fn random(&self) -> Result<Random, Fault> {
        self.world.random().ok_or_else(|| Fault::new(500, "failed", "The box has no random numbers."))
    }
}

/// A file of the page.
fn asset(part: &Part<'_>, request: &Request<'_>) -> Result<Answer, Fault> {
    let Part::Name(name) = part else { return Err(Fault::unexpected()) };
    let (encoding, kept) =
        (request.headers.header("accept-encoding"), request.headers.header("if-none-match"));
    let served = page::asset(name, encoding, kept);
    served.map(Answer::from).ok_or_else(|| Fault::new(404, "no_such_file", "There is no such file."))
}

/// Given back when dropped.
struct Place<'p>(&'p AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Refuses a name that is too long or holds control characters.
fn named(name: Option<&str>) -> Result<(), Fault> {
    match name {
        Some(name) if name.chars().count() > NAME || name.chars().any(char::is_control) => {
            Err(Fault::new(400, "invalid_name", "A name has at most 64 characters, in one line."))
        }
        _ => Ok(()),
    }
}

/// What a camera calls a picture is sent only if it begins like one (JPEG: ITU-T T.81, B.1.1.3).
fn picture(base64: &str) -> Result<Answer, Fault> {
    let jpeg = STANDARD.decode(base64).ok().filter(|jpeg| jpeg.starts_with(&[0xff, 0xd8, 0xff]));
    let jpeg = jpeg.ok_or_else(|| Fault::new(502, "no_picture", "The camera sent no picture."))?;
    Ok(Answer::file("image/jpeg", jpeg))
}

impl<C: Connection, D: Desk, W: World> Handler<C> for Page<D, W> {
    type Error = C::Error;

    fn handle(&self, connection: &mut C) -> Result<(), C::Error> {
        let mut body = Zeroizing::new(Vec::new());
        let too_long = read(connection, &mut body)?;
        let answer = {
            let (headers, _) = connection.split();
            let path = headers.uri().split('?').next().unwrap_or_default();
            if too_long {
                Fault::new(413, "too_long", "A request's body has at most 64 KiB.").into()
            } else {
                self.answer(path, &Request { method: headers.method(), headers, body })
            }
        };
        let length = answer.body.len().to_string();
        let mut lines: Vec<(&str, &str)> =
            answer.headers.iter().map(|(name, value)| (*name, value.as_ref())).collect();
        lines.push(("content-length", &length));
        connection.initiate_response(answer.status, None, &lines)?;
        if connection.method() != Method::Head {
            connection.write_all(&answer.body)?;
        }
        connection.flush()
    }
}

/// Reads the body to its end; whether it is too long.
fn read<C: Connection>(connection: &mut C, body: &mut Zeroizing<Vec<u8>>) -> Result<bool, C::Error> {
    // In one piece from the start: a body that grows would leave copies of a password behind.
    body.reserve_exact(BODY_BYTES.min(connection.content_len().unwrap_or(0) as usize));
    let mut piece = Zeroizing::new([0; 4096]);
    loop {
        let len = connection.read(&mut *piece)?;
        if len == 0 {
            return Ok(false);
        }
        if body.len() + len > BODY_BYTES {
            return Ok(true);
        }
        body.extend_from_slice(piece.get(..len).unwrap_or_default());
    }
}

/// Nobody leaves a half-made value behind: a poisoned lock is used as it is.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
