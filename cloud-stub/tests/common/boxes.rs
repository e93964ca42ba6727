//! Boxes as a store knows them: each is a number, from which its keys are made.

use cloud_stub::store::{HelloWords, Store};
use enrol::{Identity, Unsigned, sign_hello, sign_join};
use model::status::{Report, Uplink};
use serde_json::json;

use crate::browser::URL;

/// A box's code.
pub(crate) async fn code(store: &Store, number: u8, nonce: u8) -> model::enrol::Session {
    let identity = Identity::from_seed(&[number; 32]).unwrap();
    let words = Unsigned {
        tunnel_key: [nonce; 32],
        version: "1.0".to_owned(),
        cloud: URL.to_owned(),
        nonce: [nonce; 16],
        findable: None,
    };
    let hello = sign_hello(&identity, words);
    let words = HelloWords {
        box_id: identity.box_id(),
        identity: enrol::verify_hello(&hello).unwrap(),
        version: "1.0",
        nonce: &hello.nonce,
    };
    store.hello(words).await.unwrap()
}

/// A box says yes to its claim; gives its id.
pub(crate) async fn join(store: &Store, number: u8, session: &str, owner: &str) -> String {
    let identity = Identity::from_seed(&[number; 32]).unwrap();
    store.join(&sign_join(&identity, session, owner, [number; 32])).await.unwrap();
    store.refresh().await.unwrap();
    identity.box_id().to_string()
}

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
