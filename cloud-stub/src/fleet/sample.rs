//! Boxes and databases for tests.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use model::BoxId;

use crate::store::{Options, Store, System};

/// The box of a number.
pub(crate) fn box_id(number: u32) -> BoxId {
    let letters = b"abcdefghijklmnopqrstuvwxyz234567";
    let letter = |place: u32| letters[(number.checked_shr(5 * place).unwrap_or(0) & 31) as usize] as char;
    BoxId::new(&(0..26).map(letter).collect::<String>()).unwrap()
}

/// A place for a database. It goes when it is dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let turn = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("cloud-fleet-{}-{turn}", std::process::id())))
    }

    pub(crate) async fn open(&self) -> Store {
        let options =
            Options { network: "10.13.0.0/16".parse().unwrap(), url: "https://cloud.example".to_owned() };
        Store::open(&format!("sqlite:{}", self.0.join("cloud.db").display()), options, System).await.unwrap()
    }

    /// Does something to the database that the store does not.
    pub(crate) async fn run(&self, statement: &'static str) {
        sqlx::any::install_default_drivers();
        let url = format!("sqlite://{}", self.0.join("cloud.db").display());
        let pool = sqlx::AnyPool::connect(&url).await.unwrap();
        assert_ne!(sqlx::query(statement).execute(&pool).await.unwrap().rows_affected(), 0, "{statement}");
        pool.close().await;
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing was made there if the store was never opened.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
