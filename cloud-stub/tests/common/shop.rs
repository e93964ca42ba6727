//! A publisher's desk: releases in a folder, and the keys beside it.

use std::fs;

use cloud_stub::config;
use image::publish::{CHUNK, Draft, Expiry, Key, Publisher, keys};
use model::update::Question;
use time::OffsetDateTime;
use update::assignment::Expected;
use update::tuf::{Answer as Fetched, Freshness, State, Trusted, Verifier};

use crate::folder::Folder;

/// Releases in a folder, and the keys beside it.
pub(crate) struct Shop(pub(crate) Folder);

impl Shop {
    pub(crate) fn new() -> Self {
        let shop = Self(Folder::new());
        keys::make(&shop.0.0.join("keys"), OffsetDateTime::now_utc(), Expiry::default()).unwrap();
        fs::create_dir_all(shop.0.0.join("out")).unwrap();
        shop
    }

    pub(crate) fn key(&self, name: &str) -> Key {
        Key::open(&self.0.0.join("keys").join(format!("{name}.pem"))).unwrap()
    }

    pub(crate) fn publish(&self, version: &str, security: u32) {
        let path = |name: &str| self.0.0.join(name);
        fs::write(path("image"), version.repeat(1000)).unwrap();
        let publisher = Publisher {
            folder: &path("out"),
            first_root: &fs::read(path("keys/1.root.json")).unwrap(),
            online: &self.key("online"),
            now: OffsetDateTime::now_utc(),
            expiry: Expiry::default(),
            progress: &|_, _| {},
        };
        let draft = Draft {
            fit: path("image"),
            root: path("image"),
            board: "b".to_owned(),
            version: version.to_owned(),
            security,
            schema: 1,
            chunk: CHUNK,
        };
        publisher.publish(&draft, &[self.key("offline-1"), self.key("offline-2")]).unwrap();
    }

    /// What the cloud is told of it; no campaign is needed.
    pub(crate) fn config(&self) -> config::Updates {
        config::Updates { dir: self.0.0.join("out"), key: self.0.0.join("keys/online.pem"), everyone: true }
    }

    /// What a box that has never updated makes of an answer to its question: all that it fetches, `fetch` brings.
    pub(crate) async fn verified(
        &self,
        asked: &Question,
        answer: &[u8],
        fetch: impl AsyncFn(String) -> Option<Vec<u8>>,
    ) -> Trusted {
        let root = fs::read(self.0.0.join("keys/1.root.json")).unwrap();
        let expected = Expected { box_id: asked.box_id.to_string(), nonce: asked.nonce.clone() };
        let freshness = Freshness::Assignment { bytes: answer.to_vec(), expected };
        let mut verifier = Verifier::new(State { root, ..State::default() }, freshness).unwrap();
        while let Some(want) = verifier.wants() {
            let found = fetch(format!("/updates/metadata/{}", want.path)).await;
            verifier.give(found.map_or(Fetched::Missing, Fetched::Bytes)).unwrap();
        }
        verifier.trusted().unwrap().clone()
    }
}
