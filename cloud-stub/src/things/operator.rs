//! What the operator of the cloud sees: how many there are of everything, and every box.

use std::sync::Arc;

use axum::extract::{Query, State};
use model::CameraState;
use serde_json::{Value, json};

use super::{Page, Things, boxes};
use crate::http::told;
use crate::people::{Answer, Who};
use crate::store::BoxState;

pub(super) async fn summary(State(things): State<Arc<Things>>, who: Who) -> Answer {
    who.operates()?;
    let (directory, now) = (things.store.directory().borrow().clone(), things.store.now_ms());
    let active = directory.boxes().filter(|row| row.state == BoxState::Active);
    let (mut boxes, mut online) = (0, 0);
    for row in active {
        boxes += 1;
        online += usize::from(row.is_online(now));
    }
    let streams = |state: &CameraState| matches!(state, CameraState::Streaming(_));
    let sources = directory.portal().sources.iter().count();
    Ok(told(json!({
        "boxes": boxes,
        "online": online,
        "cameras": directory.cameras().count() + sources,
        "sources": sources,
        "streaming": directory.cameras().filter(|row| streams(&row.report.state)).count(),
        "tenants": directory.portal().tenants.iter().count(),
        "people": directory.portal().people.iter().count(),
    })))
}

pub(super) async fn boxes(State(things): State<Arc<Things>>, who: Who, Query(page): Query<Page>) -> Answer {
    who.operates()?;
    let (directory, now) = (things.store.directory().borrow().clone(), things.store.now_ms());
    let wanted = page.query.to_lowercase();
    let mut rows: Vec<_> = directory.boxes().filter(|row| row.is_like(&wanted)).collect();
    rows.sort_by_key(|row| (row.enrolled_ms, row.address));
    let total = rows.len();
    let rows = page.of(rows).map(|row| boxes::described(&directory, row, now));
    Ok(told(json!({ "total": total, "boxes": rows.collect::<Vec<Value>>() })))
}
