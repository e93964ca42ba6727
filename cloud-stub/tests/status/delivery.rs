//! What people are to be told reaches them: over restarts, by one cloud at a time, a few tries long and not for ever.

use std::time::Duration;

use cloud_stub::ingest::Rule;
use cloud_stub::status::alert::hook::Hooks;
use cloud_stub::status::alert::{Courier, Message, Way};
use cloud_stub::status::{Batch, Options, SILENT_MS, Status};
use cloud_stub::store::{Node, Role, Store};
use serde_json::json;
use sqlx::any::AnyPoolOptions;

use crate::post::{self, Inbox};
use crate::stage::{Browser, Stage, URL, ZERO, mailer, playing};

const OWNER: &str = "owner@example.org";
const TRIES: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(30)];
const DAY_MS: u64 = 86_400_000;

/// A cloud whose owner hears by mail.
struct Office {
    stage: Stage,
    mails: Inbox<(String, String)>,
    owner: Browser,
    tenant: String,
}

impl Office {
    async fn new() -> Self {
        let mails = post::mail().await;
        let stage = Stage::new(mails.port, &["gate"]).await;
        let owner = stage.person(OWNER, "ACME", Role::Owner, "en").await;
        let tenant = stage.get(&owner, "/api/v1/me").await["tenants"][0]["id"].as_str().unwrap().to_owned();
        let office = Self { stage, mails, owner, tenant };
        office.tell(&[OWNER]).await;
        office
    }

    /// Says who is told.
    async fn tell(&self, emails: &[&str]) {
        let words = json!({ "emails": emails, "webhooks": [], "after_s": 60 });
        let path = format!("/api/v1/tenants/{}/alerts", self.tenant);
        assert!(self.stage.put(&self.owner, &path, &words).await.0.is_success());
    }

    /// Somebody who delivers by mail, as another process does.
    fn courier(&self) -> Courier {
        let hooks = Hooks::new(Rule::default(), None).unwrap();
        Courier::new(URL.to_owned(), Some(mailer(self.mails.port)), hooks, TRIES.to_vec())
    }

    /// Writes messages down, as a cloud does that has decided them and ends.
    async fn write(&self, numbers: std::ops::Range<u64>, holder: &str, made_ms: u64) {
        let batch = Batch {
            messages: numbers.map(|number| self.message(number, holder, made_ms)).collect(),
            ..Batch::default()
        };
        self.stage.store.write_status(&batch).await.unwrap();
    }

    fn message(&self, number: u64, holder: &str, made_ms: u64) -> Message {
        let named = json!({ "id": self.tenant, "name": "ACME" });
        let notice = json!({
            "id": "n", "event": "camera_out", "tenant": named, "site": named, "cameras": [], "still": [],
            "since_ms": made_ms, "until_ms": null, "reason": "camera", "at_ms": made_ms
        });
        Message {
            id: format!("m{number}"),
            tenant: self.tenant.clone(),
            way: Way::Mail,
            reader: OWNER.to_owned(),
            notice: notice.to_string(),
            made_ms,
            holder: holder.to_owned(),
            tries: 0,
            due_ms: made_ms,
        }
    }

    /// Messages that wait in the database.
    async fn waiting(&self) -> i64 {
        let pool = AnyPoolOptions::new().max_connections(1).connect(&self.stage.database()).await.unwrap();
        let count = sqlx::query_scalar("SELECT COUNT(*) FROM message").fetch_one(&pool).await.unwrap();
        pool.close().await;
        count
    }

    /// One look of a cloud at what is due, to its end.
    async fn round(&self, courier: &Courier, store: &Store, cloud: &str, alive: Option<&[&str]>) {
        let directory = store.directory().borrow().clone();
        courier.deliver(store, &directory, cloud, alive, self.stage.now()).await.unwrap();
        courier.settle(Duration::from_secs(10)).await;
    }
}

#[tokio::test]
async fn what_was_decided_and_not_delivered_outlives_a_restart() {
    let mut office = Office::new().await;
    office.mails.deaf(true);
    for _ in 0..4 {
        office.stage.wait(30_000).await;
        office.stage.report(vec![playing("gate")]).await;
    }
    office.stage.wait(100_000).await;
    assert_eq!(office.waiting().await, 1, "the site has fallen silent");
    office.stage.restart().await;
    office.mails.deaf(false);
    office.stage.wait(40_000).await;
    office.stage.status.courier().settle(Duration::from_secs(10)).await;
    let mails = office.mails.arrived();
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert!(mails[0].1.contains("2026-11-10 00:02:00 (UTC)"), "{mails:?}");
    office.stage.wait(300_000).await;
    assert_eq!((office.waiting().await, office.mails.arrived().len()), (0, 1), "it is told once");
}

#[tokio::test]
async fn clouds_that_look_at_the_same_time_deliver_each_message_once() {
    let office = Office::new().await;
    let (a, b) = (office.courier(), office.courier());
    let (store_a, store_b) = (office.stage.another().await, office.stage.another().await);
    // Of its own, of the other one that lives, and of one that is dead.
    office.write(0..10, "a", ZERO).await;
    office.write(10..20, "b", ZERO).await;
    office.round(&a, &store_a, "a", None).await;
    assert_eq!((office.waiting().await, office.mails.arrived().len()), (10, 10), "only its own");
    office.round(&a, &store_a, "a", Some(&["b"])).await;
    assert_eq!(office.waiting().await, 10, "the other lives");
    office.write(20..60, "dead", ZERO).await;
    for _ in 0..3 {
        tokio::join!(
            office.round(&a, &store_a, "a", Some(&["b"])),
            office.round(&b, &store_b, "b", Some(&["a"]))
        );
    }
    assert_eq!((office.waiting().await, office.mails.arrived().len()), (0, 60));
}

#[tokio::test]
async fn what_a_cloud_has_left_is_anothers_once_it_is_known_who_lives() {
    let office = Office::new().await;
    let (store, other) = (office.stage.another().await, office.stage.another().await);
    let node = |name: &str| Node { url: format!("http://{name}"), endpoint: String::new() };
    store.come_in("b", &node("b")).await.unwrap();
    other.come_in("a", &node("a")).await.unwrap();
    store.beat("b", &node("b")).await.unwrap();
    assert_eq!(store.directory().borrow().alive().len(), 2);
    office.write(0..1, "a", ZERO).await;
    office.write(1..2, "dead", ZERO).await;
    let options = Options { sign: Box::new(|_| None), node: Some("b".to_owned()), courier: office.courier() };
    let status = Status::new(store.clone(), options);
    let left = async || {
        status.deliver().await.unwrap();
        status.courier().settle(Duration::from_secs(10)).await;
        office.waiting().await
    };
    assert_eq!(left().await, 2, "it has just begun, and knows of nobody that he is dead");
    office.stage.forward(SILENT_MS);
    assert_eq!(left().await, 1, "one lives and delivers its own");
    other.leave("a").await.unwrap();
    store.beat("b", &node("b")).await.unwrap();
    assert_eq!((left().await, office.mails.arrived().len()), (0, 2), "it has stopped");
}

#[tokio::test]
async fn a_message_is_tried_a_few_times_and_not_when_it_is_old_or_nobody_is_to_hear_it() {
    let office = Office::new().await;
    let courier = office.courier();
    office.mails.deaf(true);
    office.write(0..1, "", ZERO).await;
    for _ in 0..100 {
        office.stage.forward(1_000);
        office.round(&courier, &office.stage.store, "", None).await;
    }
    assert_eq!((office.mails.knocks(), office.waiting().await), (3, 0), "two pauses are three tries");
    office.mails.deaf(false);
    office.write(1..2, "", office.stage.now() - DAY_MS).await;
    office.write(2..3, "", office.stage.now() - DAY_MS + 1_000).await;
    office.round(&courier, &office.stage.store, "", None).await;
    assert_eq!((office.waiting().await, office.mails.arrived().len()), (0, 1), "one is too old");
    office.write(3..4, "", office.stage.now()).await;
    office.tell(&["another@example.org"]).await;
    office.round(&courier, &office.stage.store, "", None).await;
    assert_eq!((office.waiting().await, office.mails.arrived().len()), (0, 1), "nobody is to hear it");
}

#[tokio::test]
async fn a_cloud_that_ended_in_the_middle_of_a_try_has_counted_it() {
    let office = Office::new().await;
    office.write(0..1, "", ZERO).await;
    let store = &office.stage.store;
    // Taken, and never delivered: once more than a message is tried.
    for tries in 0..3 {
        office.stage.forward(60_000);
        let due = store.messages("", None, office.stage.now(), 9).await.unwrap();
        assert_eq!((due.len(), due[0].tries), (1, tries));
        let again = due.iter().map(|message| (message.clone(), office.stage.now() + 5_000)).collect();
        let taken = due.into_iter().map(|message| (message, office.stage.now() + 5_000)).collect();
        assert_eq!(store.try_messages(taken, "").await.unwrap().len(), 1);
        assert_eq!(store.try_messages(again, "b").await.unwrap(), [], "another has it");
        assert_eq!(store.messages("", None, office.stage.now(), 9).await.unwrap(), [], "not yet");
    }
    office.stage.forward(60_000);
    office.round(&office.courier(), store, "", None).await;
    assert_eq!((office.waiting().await, office.mails.arrived().len()), (0, 0), "it is given up");
}
