//! `/api/v1` for how cameras are and were.

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Extension, Router};
use enrol::name128;
use hyper::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use model::status::CameraReport;
use model::{CameraId, CameraState, Private};
use serde::Deserialize;
use serde_json::{Value, json};

use super::alert::{Rules, Webhook};
use super::sample::{DAY_MS, HOUR_MS, Hour};
use super::uptime::{self, Line, MonthOf};
use super::{SILENT_MS, Span, Status};
use crate::http::{Client, json, told};
use crate::people::{Answer, Failure, Refusal, Who};
use crate::store::{Audit, Directory, From, Link, Role};
use crate::things::camera_for;

/// Single samples are told for so long, milliseconds; longer stretches in hours.
const RAW_MS: u64 = 48 * HOUR_MS;
/// What is told when nothing is asked for.
const USUAL_MS: u64 = 24 * HOUR_MS;
/// Longest stretch.
const MOST_MS: u64 = 400 * DAY_MS;
/// Most events in one answer.
const EVENTS: u32 = 200;
/// Most cameras in one table.
const CAMERAS: usize = 5_000;

/// What is under `/api/v1` for status. Needs [`Gate`](crate::people::Gate) as an extension.
pub fn routes(status: Status) -> Router {
    Router::new()
        .route("/api/v1/cameras/{camera}/status", get(now))
        .route("/api/v1/cameras/{camera}/latency", get(latency))
        .route("/api/v1/cameras/{camera}/events", get(events))
        .route("/api/v1/tenants/{tenant}/uptime", get(table))
        .route("/api/v1/tenants/{tenant}/uptime.csv", get(file))
        .route("/api/v1/tenants/{tenant}/alerts", get(alerts).put(set_alerts))
        .with_state(status)
}

fn seen(status: &Status, who: &Who, camera: &str) -> Result<(std::sync::Arc<Directory>, CameraId), Refusal> {
    let directory = status.store().directory().borrow().clone();
    camera_for(&directory, who, camera, Role::Viewer)?;
    Ok((directory, CameraId::new(camera).map_err(|_| Refusal::NotThere)?))
}

/// Whether anybody asks the camera's port how it is. What sends by itself has none.
fn pinged(link: &Link<'_>) -> bool {
    match link.from {
        From::Box(..) => true,
        From::Source(source) => source.kind != "push",
    }
}

fn described(span: &Span) -> Value {
    json!({ "from_ms": span.from_ms, "to_ms": span.to_ms, "reason": span.reason })
}

async fn now(State(status): State<Status>, who: Who, Path(camera): Path<String>) -> Answer {
    let (directory, id) = seen(&status, &who, &camera)?;
    let link = directory.link(&camera).ok_or(Refusal::NotThere)?;
    let now = status.store().now_ms();
    let current = status.current(&directory, &id);
    let (kept, heard_ms) = match link.from {
        From::Box(row, camera) => (Some(camera.report.clone()), row.seen.last_ms()),
        From::Source(source) => (serde_json::from_str::<CameraReport>(&source.report).ok(), None),
    };
    let (out, back_ms) = if let Some(current) = &current {
        (current.out, current.back_ms)
    } else {
        // Another cloud hears it: what that one has written down.
        let last = status.store().outages_before(&id, u64::MAX, 8).await?;
        let last = last.into_iter().find(|span| span.reason.counts());
        (last.filter(|last| last.to_ms.is_none()), last.and_then(|last| last.to_ms))
    };
    let heard = current.and_then(|current| current.report);
    let (heard_ms, report) = match heard {
        Some((at, report)) => (Some(at), Some(report)),
        None => (heard_ms, kept),
    };
    let since_report = heard_ms.map_or(0, |at| now.saturating_sub(at));
    let fresh = heard_ms.is_some() && since_report < SILENT_MS;
    let age = |age: Option<u64>| age.map(|age| age.saturating_add(since_report));
    let live = report.as_ref().filter(|_| fresh);
    let plays = live.filter(|report| out.is_none() && matches!(report.state, CameraState::Streaming(_)));
    Ok(told(json!({
        "now_ms": now,
        "state": if !link.on { "off" } else if out.is_some() { "out" } else if plays.is_some() { "streaming" } else { "connecting" },
        "outage": out.as_ref().map(described),
        "since_ms": out.map(|out| out.from_ms).or(back_ms),
        "tunnel": matches!(link.from, From::Box(..)).then_some(fresh),
        "heard_ms": heard_ms,
        "last_frame_age_ms": age(report.as_ref().and_then(|report| report.last_frame_age_ms)),
        "keyframe_age_ms": age(report.as_ref().and_then(|report| report.keyframe_age_ms)),
        "fps": plays.map(|report| report.fps),
        "bit_rate": plays.map(|report| report.bit_rate),
        "latency_ms": plays.and_then(|report| report.latency_ms),
        "pinged": pinged(&link),
        "ping_ms": live.and_then(|report| report.ping_ms),
        "stream": live.map(|report| report.stream),
        "sentence": report.as_ref().and_then(|report| report.state.trouble()).map(ToString::to_string),
    })))
}

/// A stretch of time.
#[derive(Debug, Deserialize)]
struct Stretch {
    from_ms: Option<u64>,
    to_ms: Option<u64>,
}

async fn latency(
    State(status): State<Status>,
    who: Who,
    Path(camera): Path<String>,
    Query(stretch): Query<Stretch>,
) -> Answer {
    let (directory, id) = seen(&status, &who, &camera)?;
    let pinged = pinged(&directory.link(&camera).ok_or(Refusal::NotThere)?);
    let now = status.store().now_ms();
    let to = stretch.to_ms.unwrap_or(now).min(now);
    let from = stretch.from_ms.unwrap_or(to.saturating_sub(USUAL_MS));
    if from > to || to - from > MOST_MS {
        return Err(Failure::new(StatusCode::BAD_REQUEST, "from_ms is before to_ms, by 400 days at most."));
    }
    let raw = to - from <= RAW_MS && from >= now.saturating_sub(RAW_MS);
    let points: Vec<Value> = if raw {
        let (first, last) = (from / HOUR_MS, to / HOUR_MS);
        let mut hours: std::collections::BTreeMap<u64, Hour> =
            status.store().sample_hours(&id, first, last + 1).await?.into_iter().collect();
        for hour in first..=last {
            if let Some(newer) = status.hour(&directory, &id, hour) {
                let kept = hours.remove(&hour).unwrap_or_default();
                let mut whole = newer;
                whole.fill(&kept);
                hours.insert(hour, whole);
            }
        }
        let all = hours.iter().flat_map(|(hour, samples)| {
            samples.samples().map(move |(offset, sample)| (hour * HOUR_MS + offset, *sample))
        });
        let within = all.filter(|(at, _)| (from..=to).contains(at));
        within
            .map(|(at, sample)| {
                json!([
                    at,
                    sample.ping_ms,
                    sample.latency_ms,
                    sample.fps,
                    sample.bit_rate,
                    sample.keyframe_age_ms
                ])
            })
            .collect()
    } else {
        let days = status.store().sample_days(&id, from / DAY_MS, to / DAY_MS + 1).await?;
        let all = days.iter().flat_map(|(day, sums)| {
            sums.sums().map(move |(hour, sum)| (day * DAY_MS + hour * HOUR_MS, *sum))
        });
        let within = all.filter(|(at, _)| (from..=to).contains(at));
        within
            .map(|(at, sum)| {
                json!([
                    at,
                    sum.ping_ms,
                    sum.latency_ms,
                    sum.fps,
                    sum.bit_rate,
                    null,
                    sum.slowest_ms,
                    sum.samples,
                    pinged.then_some(sum.answered)
                ])
            })
            .collect()
    };
    let mut columns = vec!["ms", "ping_ms", "latency_ms", "fps", "bit_rate", "keyframe_age_ms"];
    if !raw {
        columns.extend(["slowest_ping_ms", "samples", "answered"]);
    }
    let step_ms = if raw { super::sample::STEP_MS } else { HOUR_MS };
    Ok(told(json!({
        "pinged": pinged,
        "step_ms": step_ms,
        "from_ms": from,
        "to_ms": to,
        "columns": columns,
        "points": points,
    })))
}

/// Which part of a list.
#[derive(Debug, Deserialize)]
struct Before {
    before: Option<u64>,
    limit: Option<u32>,
}

async fn events(
    State(status): State<Status>,
    who: Who,
    Path(camera): Path<String>,
    Query(page): Query<Before>,
) -> Answer {
    let (directory, id) = seen(&status, &who, &camera)?;
    let limit = page.limit.unwrap_or(EVENTS).min(EVENTS);
    let before = page.before.unwrap_or(u64::MAX);
    let mut spans = status.store().outages_before(&id, before, limit).await?;
    // What began in the last seconds is not written yet.
    let open = status.current(&directory, &id).and_then(|current| current.out);
    if let Some(open) =
        open.filter(|open| open.from_ms < before && !spans.iter().any(|span| span.from_ms == open.from_ms))
    {
        spans.insert(0, open);
    }
    let shown = spans.iter().filter(|span| uptime::shown(span.reason));
    Ok(told(shown.map(described).collect::<Vec<Value>>()))
}

/// Which month.
#[derive(Debug, Deserialize)]
struct Asked {
    month: Option<String>,
}

async fn table(
    State(status): State<Status>,
    who: Who,
    Path(tenant): Path<String>,
    Query(asked): Query<Asked>,
) -> Answer {
    let (month, lines) = lines(&status, &who, &tenant, &asked).await?;
    let cameras = lines.iter().map(|line| {
        json!({
            "id": line.id,
            "title": line.title,
            "site": line.site,
            "counted_s": line.uptime.counted_s,
            "up_s": line.uptime.up_s,
            "down_s": line.uptime.down_s,
            "percent": line.uptime.percent(),
            "outages": line.uptime.outages,
            "longest_s": line.uptime.longest_s,
        })
    });
    Ok(told(json!({ "month": month.to_string(), "cameras": cameras.collect::<Vec<Value>>() })))
}

async fn file(
    State(status): State<Status>,
    who: Who,
    Path(tenant): Path<String>,
    Query(asked): Query<Asked>,
) -> Answer {
    let (month, lines) = lines(&status, &who, &tenant, &asked).await?;
    let mut response = Response::new(Body::from(uptime::csv(month, &lines)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(name) = HeaderValue::try_from(format!("attachment; filename=\"uptime-{month}.csv\"")) {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

async fn lines(
    status: &Status,
    who: &Who,
    tenant: &str,
    asked: &Asked,
) -> Result<(MonthOf, Vec<Line>), Failure> {
    who.may(tenant, Role::Viewer)?;
    let store = status.store();
    let now = store.now_ms();
    let month = match &asked.month {
        None => MonthOf::of(now),
        Some(text) => MonthOf::parse(text).ok_or_else(|| {
            Failure::new(StatusCode::BAD_REQUEST, "A month is a year and a month, such as 2026-11.")
        })?,
    };
    let directory = store.directory().borrow().clone();
    let of_boxes = directory.cameras().map(|camera| camera.public_id.clone());
    let sources = directory.portal().sources.iter().filter_map(|(id, _)| CameraId::new(id).ok());
    let mut named: Vec<(CameraId, String, String)> = of_boxes
        .chain(sources)
        .filter_map(|id| {
            let link = directory.link(id.as_str()).filter(|link| link.tenant == tenant)?;
            let site =
                directory.portal().sites.get(link.site).map(|site| site.name.clone()).unwrap_or_default();
            let title = link.title().to_owned();
            Some((id, title, site))
        })
        .take(CAMERAS)
        .collect();
    named.sort_by(|a, b| (&a.2, &a.1, a.0.as_str()).cmp(&(&b.2, &b.1, b.0.as_str())));
    let ids: Vec<CameraId> = named.iter().map(|(id, ..)| id.clone()).collect();
    let (from, to) = month.bounds_ms();
    let mut known = store.outages_of(&ids, from, to).await?;
    let lines = named.into_iter().map(|(id, title, site)| {
        // One that nothing is known of yet has no time that counts.
        let (since, spans) = known.remove(&id).unwrap_or((now, Vec::new()));
        let uptime = uptime::uptime(month, since, &spans, now);
        Line { title, site, id: id.to_string(), uptime }
    });
    Ok((month, lines.collect()))
}

async fn alerts(State(status): State<Status>, who: Who, Path(tenant): Path<String>) -> Answer {
    who.may(&tenant, Role::Owner)?;
    let directory = status.store().directory().borrow().clone();
    Ok(told(status.rules(&Rules::of(&directory, &tenant), &[])))
}

async fn set_alerts(
    State(status): State<Status>,
    Extension(client): Extension<Client>,
    who: Who,
    Path(tenant): Path<String>,
    request: Request<Body>,
) -> Answer {
    who.may(&tenant, Role::Owner)?;
    let mut rules: Rules = json(request).await?;
    let wrong = |error: &dyn std::fmt::Display| Failure::new(StatusCode::BAD_REQUEST, &format!("{error}."));
    rules.check(status.courier().allows_private()).map_err(|error| wrong(&error))?;
    let directory = status.store().directory().borrow().clone();
    let before = Rules::of(&directory, &tenant);
    let mut made = Vec::new();
    for webhook in &mut rules.webhooks {
        let old = before.webhooks.iter().find(|old| old.url == webhook.url);
        webhook.secret = if let Some(old) = old {
            old.secret.clone()
        } else {
            let random = status.store().fresh("make a webhook's secret")?;
            made.push(webhook.url.clone());
            Private::new(name128(random))
        };
    }
    let audit =
        Audit { by: who.by(client), tenant: &tenant, what: "alerts.change", subject: &tenant, detail: "" };
    status.store().set_alerts(&tenant, &rules.kept(), audit).await?;
    Ok(told(status.rules(&rules, &made)))
}

impl Status {
    /// Rules as their owner sees them: a secret once, when it was made.
    fn rules(&self, rules: &Rules, made: &[Private<String>]) -> Value {
        let webhook = |hook: &Webhook| {
            let secret = made.contains(&hook.url).then(|| hook.secret.expose());
            json!({ "url": hook.url.expose(), "secret": secret })
        };
        json!({
            "emails": rules.emails,
            "webhooks": rules.webhooks.iter().map(webhook).collect::<Vec<Value>>(),
            "after_s": rules.after_ms() / 1000,
            "mail": self.courier().has_mail(),
        })
    }
}
