//! Boxes with a camera, as a store knows them.

use cloud_stub::store::Store;
use model::status::{Report, Uplink};
use serde_json::json;

use crate::boxes::{code, join};

/// A box of this owner with one camera: their ids.
pub(crate) async fn with_camera(store: &Store, number: u8, owner: &str, camera: &str) -> (String, String) {
    let session = code(store, number, number).await;
    store.claim(&session.code.parse().unwrap(), owner).await.unwrap();
    let id = join(store, number, &session.session, owner).await;
    let from = store.directory().borrow().by_id(&id.parse().unwrap()).unwrap().address;
    let camera = json!({
        "id": "gate", "name": camera, "state": { "state": "connecting" }, "stream": "main",
        "fps": 0.0, "bit_rate": 0
    });
    let report = Report {
        version: "1.0".to_owned(),
        uptime_s: 1,
        time_ms: 1,
        cameras: vec![serde_json::from_value(camera).unwrap()],
        uplink: Uplink::default(),
        findable: None,
    };
    let answer = store.report(from, &report).await.unwrap();
    store.refresh().await.unwrap();
    (id, answer.cameras[0].public_id.to_string())
}
