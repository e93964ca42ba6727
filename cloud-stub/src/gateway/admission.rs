//! Who may have what a link leads to: what a viewer brings along, and the trait that judges it.
//!
//! What everybody may have ([`Directory::public`]) is never judged. All else is judged before each answer, again after each
//! wait, and while a large body is handed out; so a right that was taken back ends within [`AGAIN`], and nothing restarts.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::Uri;
use hyper::header::{AUTHORIZATION, COOKIE, HeaderMap};
use hyper::http::request::Parts;
use model::{CameraId, Private};
use tokio::sync::watch;

use super::directory::{At, Directory, Place};
use crate::http::Client;
use crate::ingest::Here;

/// How often whoever waits, or takes a large body, is judged again: with the directory's own delay still within a second.
pub(super) const AGAIN: Duration = Duration::from_millis(250);
/// How often a verdict may be put off within one judgement.
const PUT_OFF: usize = 3;
/// Longest token, bytes: a JWT with a few keys of its issuer's own.
const LONGEST: usize = 4096;

/// Something that is waited for.
pub type Later = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Judges those who may not watch because everybody may.
pub trait Admission<D>: fmt::Debug + Send + Sync + 'static {
    /// Whether this viewer may watch, at once. The camera may be one that is not there.
    fn judge(&self, directory: &D, caller: &Caller) -> Verdict;
}

/// What an [`Admission`] says.
pub enum Verdict {
    /// This viewer may watch.
    Yes,
    /// This viewer is told that there is nothing.
    No,
    /// It is not known yet: to be asked again when this has ended.
    Later(Later),
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yes => "Yes",
            Self::No => "No",
            Self::Later(_) => "Later",
        })
    }
}

/// Lets nobody in: what is not public is not there.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

impl<D> Admission<D> for Nobody {
    fn judge(&self, _: &D, _: &Caller) -> Verdict {
        Verdict::No
    }
}

/// A secret that stands in a link's path behind the public id: `/{public_id}~{token}/`. Relative names in pages and
/// playlists keep it by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token(Private<String>);

impl Token {
    /// Reads a token: 1 to 4096 of the characters that a path may have without being spelled otherwise (RFC 3986,
    /// 2.3), and `=` and `+` for the sake of base64.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~=+".contains(&byte);
        let fits = (1..=LONGEST).contains(&text.len()) && text.bytes().all(plain);
        fits.then(|| Self(Private::new(text.to_owned())))
    }

    /// The token itself.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// A viewer, and what they ask for.
#[derive(Clone)]
pub struct Caller {
    /// The link.
    pub camera: CameraId,
    /// Out of the link's path, else of `Authorization: Bearer`.
    pub token: Option<Token>,
    /// Their cookies, and no other header.
    pub cookies: HeaderMap,
    /// Where they are, as far as it is known.
    pub address: Option<IpAddr>,
    /// The request's path: it may hold the token.
    uri: Uri,
    /// Whether the token stands in the path.
    in_path: bool,
}

impl Caller {
    /// Reads a request; `None` when its path begins with no link.
    pub(super) fn read(request: &Parts) -> Option<Self> {
        let (first, _) = halves(&request.uri);
        let (id, written) = match split(first) {
            None => (first, None),
            Some((id, token)) => (id, Some(Token::parse(token)?)),
        };
        let camera = CameraId::new(id).ok()?;
        let in_path = written.is_some();
        let token = written.or_else(|| bearer(&request.headers));
        let mut cookies = HeaderMap::new();
        for cookie in request.headers.get_all(COOKIE) {
            cookies.append(COOKIE, cookie.clone());
        }
        let address = request.extensions.get::<Client>().map(|client| client.0);
        Some(Self { camera, token, cookies, address, uri: request.uri.clone(), in_path })
    }

    /// What is asked for below the link, without the token; `None` for the link itself without a slash at its end.
    pub fn name(&self) -> Option<&str> {
        halves(&self.uri).1
    }

    /// The link as this viewer has it: `{public_id}` or `{public_id}~{token}`.
    pub(super) fn link(&self) -> String {
        match self.token.as_ref().filter(|_| self.in_path) {
            Some(token) => format!("{}~{}", self.camera, token.expose()),
            None => self.camera.to_string(),
        }
    }

    /// Where to send whoever brings the token as `?token=`: to where relative names keep it. `None` when nobody does.
    pub(super) fn moved(&self) -> Option<String> {
        if self.in_path {
            return None;
        }
        let query = self.uri.query().filter(|query| query.contains("token="))?;
        let pairs = || url::form_urlencoded::parse(query.as_bytes());
        let token = pairs().find_map(|(key, value)| (key == "token").then(|| Token::parse(&value)))??;
        let rest = pairs().filter(|(key, _)| key != "token");
        let rest = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(rest).finish();
        let mark = if rest.is_empty() { "" } else { "?" };
        Some(format!("/{}~{}/{}{mark}{rest}", self.camera, token.expose(), self.name().unwrap_or_default()))
    }
}

impl fmt::Debug for Caller {
    /// Neither cookies nor the path: they hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("camera", &self.camera)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// The first segment of a path, and what comes after its slash.
fn halves(uri: &Uri) -> (&str, Option<&str>) {
    let path = uri.path();
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)))
}

/// A public id and the token behind it. Some programs write `~` as `%7E`, which is the same (RFC 3986, 6.2.2.2).
fn split(segment: &str) -> Option<(&str, &str)> {
    segment.split_once('~').or_else(|| segment.split_once("%7E")).or_else(|| segment.split_once("%7e"))
}

/// The token of `Authorization: Bearer …` (RFC 6750, 2.1).
fn bearer(headers: &HeaderMap) -> Option<Token> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Token::parse(token.trim()))?
}

/// Why a viewer gets an answer: what others may keep of it depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// Everybody may have it.
    Public,
    /// This viewer may, or asks under a secret: nobody else is to find it in a cache.
    Private,
}

/// Who judges, and by what.
#[derive(Debug)]
pub(super) struct Judge<D> {
    pub(super) directory: watch::Receiver<Arc<D>>,
    pub(super) admission: Arc<dyn Admission<D>>,
    pub(super) here: Here,
}

impl<D> Clone for Judge<D> {
    fn clone(&self) -> Self {
        Self { directory: self.directory.clone(), admission: self.admission.clone(), here: self.here.clone() }
    }
}

/// What a judgement comes to, or what it waits for.
enum Judged {
    Over(Option<(Place, Pass)>),
    Later(Later),
}

impl<D: Directory> Judge<D> {
    /// Whether this viewer may have it, and where it is; `None` is the same no for whatever reason.
    pub(super) async fn ask(&self, caller: &Caller) -> Option<(Place, Pass)> {
        for _ in 0..=PUT_OFF {
            match self.look(caller) {
                Judged::Over(outcome) => return outcome,
                Judged::Later(later) => later.await,
            }
        }
        None
    }

    fn look(&self, caller: &Caller) -> Judged {
        let directory = self.directory.borrow();
        let place = directory.place(&caller.camera);
        let open = place.is_none() && self.here.is_open(&caller.camera);
        let place = place.or_else(|| open.then(|| Place { at: At::Here, camera: caller.camera.clone() }));
        if open || (place.is_some() && directory.public(&caller.camera)) {
            let pass = if caller.in_path { Pass::Private } else { Pass::Public };
            return Judged::Over(place.map(|place| (place, pass)));
        }
        // A signature may have to be checked: nobody who changes the directory waits for that.
        let now = directory.clone();
        drop(directory);
        match self.admission.judge(&now, caller) {
            Verdict::Yes => Judged::Over(place.map(|place| (place, Pass::Private))),
            Verdict::No => Judged::Over(None),
            Verdict::Later(later) => Judged::Later(later),
        }
    }
}

/// A viewer who is taking a large body, for [`Standing::may_go_on`].
pub(super) struct Standing<D> {
    judge: Judge<D>,
    caller: Caller,
    place: Place,
    looked: Instant,
    asking: Option<Later>,
    put_off: usize,
}

impl<D: Directory> Standing<D> {
    /// One who was just let in.
    pub(super) fn new(judge: Judge<D>, caller: Caller, place: Place) -> Self {
        Self { judge, caller, place, looked: Instant::now(), asking: None, put_off: 0 }
    }

    /// Whether the next piece may be handed out.
    pub(super) fn may_go_on(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.asking.is_none() && self.looked.elapsed() < AGAIN {
            return Poll::Ready(true);
        }
        loop {
            if let Some(later) = &mut self.asking {
                if later.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.asking = None;
                self.put_off += 1;
            }
            match self.judge.look(&self.caller) {
                Judged::Over(outcome) => {
                    (self.looked, self.put_off) = (Instant::now(), 0);
                    return Poll::Ready(outcome.is_some_and(|(place, _)| place == self.place));
                }
                Judged::Later(_) if self.put_off >= PUT_OFF => return Poll::Ready(false),
                Judged::Later(later) => self.asking = Some(later),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::Request;
    use proptest::prelude::*;

    use super::*;

    fn caller(uri: &str, headers: &[(&str, &str)]) -> Option<Caller> {
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Caller::read(&request.body(()).unwrap().into_parts().0)
    }

    fn token(uri: &str, headers: &[(&str, &str)]) -> Option<String> {
        caller(uri, headers)?.token.map(|token| token.expose().to_owned())
    }

    #[test]
    fn the_token_is_behind_the_first_tilde_or_in_the_header() {
        let caller = caller("/gate~a.b~c/live.m3u8?_HLS_msn=1", &[]).unwrap();
        assert_eq!((caller.camera.as_str(), caller.name()), ("gate", Some("live.m3u8")));
        assert_eq!(caller.link(), "gate~a.b~c");
        assert_eq!(token("/gate%7Es3cret/", &[]).as_deref(), Some("s3cret"));
        let bearer = [("authorization", "bearer  abc")];
        assert_eq!(token("/gate/", &bearer).as_deref(), Some("abc"));
        assert_eq!(token("/gate~path/", &bearer).as_deref(), Some("path"));
        assert_eq!(token("/gate/", &[("authorization", "Basic abc")]), None);
        for nothing in ["/gate~/", "/gate~a%2Fb/", "/gate~a b/", "/~x/", "/~", "/", "/Gate~x/"] {
            let Ok(uri) = nothing.parse::<Uri>() else { continue };
            assert!(Caller::read(&Request::get(uri).body(()).unwrap().into_parts().0).is_none());
        }
        let long = format!("/gate~{}/", "x".repeat(LONGEST));
        assert!(token(&long, &[]).is_some() && token(&long.replace('~', "~x"), &[]).is_none());
    }

    #[test]
    fn a_token_in_the_query_moves_into_the_path_and_the_rest_stays() {
        let moved = |uri| caller(uri, &[]).unwrap().moved();
        assert_eq!(moved("/gate/?token=a.b"), Some("/gate~a.b/".into()));
        assert_eq!(moved("/gate?token=a%2Bb"), Some("/gate~a+b/".into()));
        let playlist = moved("/gate/live.m3u8?_HLS_msn=7&token=x&_HLS_part=1");
        assert_eq!(playlist.as_deref(), Some("/gate~x/live.m3u8?_HLS_msn=7&_HLS_part=1"));
        for stays in ["/gate/", "/gate/?token=", "/gate/?token=a/b", "/gate/?my_token=x", "/gate~y/?token=x"]
        {
            assert_eq!(moved(stays), None, "{stays}");
        }
    }

    #[test]
    fn a_caller_is_never_printed_with_what_it_brings() {
        let headers = [("authorization", "Bearer canary"), ("cookie", "streambox=canary")];
        let callers = [caller("/gate/?token=canary", &headers), caller("/gate~canary/", &headers)];
        for caller in callers {
            let caller = caller.unwrap();
            assert!(!format!("{caller:?} {:?}", caller.token).contains("canary"));
        }
    }

    proptest! {
        #[test]
        fn no_path_panics_and_what_is_read_leads_back_to_itself(path in "/[a-z~%7E./?=&+]{0,40}", query in "[ -~]{0,30}") {
            let Ok(uri) = format!("{path}?{}", query.replace(['#', ' ', '"', '<', '>', '`'], "")).parse::<Uri>() else { return Ok(()) };
            let (parts, ()) = Request::get(uri).body(()).unwrap().into_parts();
            let Some(caller) = Caller::read(&parts) else { return Ok(()) };
            if let Some(token) = &caller.token {
                let again: Uri = format!("/{}/x", caller.link()).parse().unwrap();
                let (parts, ()) = Request::get(again).body(()).unwrap().into_parts();
                let again = Caller::read(&parts).unwrap();
                prop_assert_eq!((&again.camera, again.token.as_ref()), (&caller.camera, Some(token)));
            }
            if let Some(moved) = caller.moved() {
                let (parts, ()) = Request::get(moved).body(()).unwrap().into_parts();
                let there = Caller::read(&parts).unwrap();
                prop_assert!(there.token.is_some() && there.moved().is_none(), "one redirect is enough");
                prop_assert_eq!(there.camera, caller.camera);
            }
        }
    }
}
