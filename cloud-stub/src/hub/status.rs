//! The web server inside the tunnel: boxes report to `POST /box/v1/status`. Who reports is known by the source address
//! alone, which only the holder of the box's tunnel key can have. Head, body and their times are bounded, and so is how
//! often a box is heard.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use door::{Body, Service, Trouble, Visit, not_found, reply, text};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use model::status::{Answer, Report};
use tokio::time::timeout;

use super::bucket::{Buckets, EVERY};
use crate::store::{Error, Refused, Store};

/// Where boxes report.
const PATH: &str = "/box/v1/status";
/// Most bytes of a report: 256 cameras with long names.
const BODY_BYTES: usize = 64 << 10;
/// A report must be there after this, also over a slow uplink.
const BODY_TIME: Duration = Duration::from_secs(15);
/// An answer must be found after this; a box waits no longer.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Who takes the reports.
pub trait Reports: Send + Sync + 'static {
    /// Takes the report of the box with this address inside the tunnel.
    fn report(&self, from: Ipv4Addr, report: &Report) -> impl Future<Output = Result<Answer, Error>> + Send;
}

impl Reports for Store {
    async fn report(&self, from: Ipv4Addr, report: &Report) -> Result<Answer, Error> {
        Self::report(self, from, report).await
    }
}

/// The service behind the door inside the tunnel.
pub(super) struct Status<R> {
    reports: R,
    buckets: Mutex<Buckets>,
}

impl<R: Reports> Status<R> {
    pub(super) fn new(reports: R) -> Self {
        Self { reports, buckets: Mutex::default() }
    }

    async fn judge(
        &self,
        request: Request<Incoming>,
        from: IpAddr,
    ) -> Result<Response<Body>, Response<Body>> {
        if request.uri().path() != PATH {
            return Err(not_found());
        }
        if request.method() != Method::POST {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Reports are posted.\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return Err(response);
        }
        let IpAddr::V4(from) = from else { return Err(not_found()) };
        let taken = {
            let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
            buckets.take(from, Instant::now())
        };
        if let Err(wait) = taken {
            return Err(later(StatusCode::TOO_MANY_REQUESTS, wait, "Reports come too often.\n"));
        }
        let body = timeout(BODY_TIME, Limited::new(request.into_body(), BODY_BYTES).collect())
            .await
            .map_err(|_| text(StatusCode::REQUEST_TIMEOUT, "The report took longer than 15 s.\n"))?
            .map_err(|_| text(StatusCode::PAYLOAD_TOO_LARGE, "A report has at most 65536 bytes.\n"))?
            .to_bytes();
        let report: Report = serde_json::from_slice(&body)
            .map_err(|error| text(StatusCode::BAD_REQUEST, format!("This is no report: {error}.\n")))?;
        let answer = timeout(ANSWER_TIME, self.reports.report(from, &report))
            .await
            .map_err(|_| later(StatusCode::SERVICE_UNAVAILABLE, EVERY, "The database is slow.\n"))?
            .map_err(|error| refusal(from, &error))?;
        let json = serde_json::to_vec(&answer)
            .map_err(|error| text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")))?;
        Ok(reply(StatusCode::OK, "application/json", json))
    }
}

fn later(status: StatusCode, wait: Duration, sentence: &'static str) -> Response<Body> {
    let mut response = text(status, sentence);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
    response
}

/// What a box is told; what is wrong with the database is the operator's affair.
fn refusal(from: Ipv4Addr, error: &Error) -> Response<Body> {
    match error {
        Error::Refused(Refused::NoBox(_)) => {
            text(StatusCode::FORBIDDEN, "No box of this address is known.\n")
        }
        Error::Refused(refused) => text(StatusCode::UNPROCESSABLE_ENTITY, format!("{refused}.\n")),
        Error::Broken { .. } => {
            tracing::error!("the report of {from}: {error}");
            text(StatusCode::INTERNAL_SERVER_ERROR, "The cloud cannot take the report.\n")
        }
        Error::Gone { .. } | Error::Locked { .. } | Error::Full { .. } => {
            tracing::warn!("the report of {from}: {error}");
            later(StatusCode::SERVICE_UNAVAILABLE, EVERY, "The cloud cannot take the report now.\n")
        }
    }
}

impl<R: Reports> Service for Status<R> {
    type Body = Body;

    async fn answer(&self, request: Request<Incoming>, visit: Visit) -> Response<Body> {
        let (Ok(response) | Err(response)) = self.judge(request, visit.peer.ip()).await;
        response
    }

    fn trouble(&self, trouble: Trouble<'_>) {
        match trouble {
            Trouble::Accept(_) => tracing::warn!("inside the tunnel: {trouble}"),
            Trouble::Handshake(..) | Trouble::Connection(..) => {
                tracing::debug!("inside the tunnel: {trouble}");
            }
        }
    }
}
