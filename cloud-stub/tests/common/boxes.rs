//! Boxes as a store knows them: each is a number, from which its keys are made.

use cloud_stub::store::{HelloWords, Store};
use enrol::{Identity, Unsigned, sign_hello, sign_join};

use crate::stage::URL;

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
