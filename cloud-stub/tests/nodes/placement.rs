//! Who lives, and where a box is: written once when it moves, believed while its cloud lives.

use cloud_stub::gateway::{At, Directory as _};
use cloud_stub::nodes::{DEAD_MS, holder};
use cloud_stub::store::{By, NewSource, Node};
use model::Private;

use crate::stage::{Cloud, Stage, report};

fn place(cloud: &Cloud, stage: &Stage) -> At {
    cloud.store.directory().borrow().place(&stage.links[0]).unwrap().at
}

#[tokio::test]
async fn a_box_is_where_it_reported_last_and_only_a_move_is_written() {
    let stage = Stage::new().await;
    assert_eq!(place(&stage.a, &stage), At::Node(stage.b.inner));
    assert_eq!(place(&stage.b, &stage), At::Box(stage.address));

    let version = |cloud: &Cloud| cloud.store.directory().borrow().version();
    let before = version(&stage.a);
    for _ in 0..5 {
        stage.b.store.report(stage.address, &report()).await.unwrap();
    }
    stage.refresh().await;
    assert_eq!(version(&stage.a), before, "a report that says nothing new is no change");

    stage.a.store.report(stage.address, &report()).await.unwrap();
    stage.refresh().await;
    assert_eq!(version(&stage.b), before + 1, "one change for a move");
    assert_eq!(place(&stage.a, &stage), At::Box(stage.address));
    assert_eq!(place(&stage.b, &stage), At::Node(stage.a.inner));
}

#[tokio::test]
async fn the_boxes_of_a_dead_cloud_are_tried_by_whoever_is_asked() {
    let stage = Stage::new().await;
    let mut wakes = stage.a.store.directory();
    wakes.mark_unchanged();
    let beats = DEAD_MS / 2000;
    for beat in 1..=beats {
        assert_eq!(place(&stage.a, &stage), At::Node(stage.b.inner), "before beat {beat}");
        stage.clock.forward_ms(2000);
        stage.a.store.beat(&stage.a.id, &stage.a.node).await.unwrap();
    }
    assert_eq!(place(&stage.a, &stage), At::Box(stage.address), "8 s without a stamp");
    assert!(wakes.has_changed().unwrap(), "whoever follows the directory hears of a death");

    stage.b.store.beat(&stage.b.id, &stage.b.node).await.unwrap();
    stage.a.store.beat(&stage.a.id, &stage.a.node).await.unwrap();
    assert_eq!(place(&stage.a, &stage), At::Node(stage.b.inner), "it lives again");

    stage.b.store.leave(&stage.b.id).await.unwrap();
    stage.a.store.refresh().await.unwrap();
    assert_eq!(place(&stage.a, &stage), At::Box(stage.address), "it has stopped: nobody waits");
}

#[tokio::test]
async fn sources_are_shared_out_among_those_that_live() {
    let stage = Stage::new().await;
    let held = |cloud: &Cloud| {
        let directory = cloud.store.directory().borrow().clone();
        (0..100).map(|n| holder(&directory, &format!("{n}")).unwrap().to_owned()).collect::<Vec<_>>()
    };
    stage.b.store.beat(&stage.b.id, &stage.b.node).await.unwrap();
    assert_eq!(held(&stage.a), held(&stage.b));
    assert!(held(&stage.a).contains(&stage.a.id) && held(&stage.a).contains(&stage.b.id));
    stage.b.store.leave(&stage.b.id).await.unwrap();
    stage.a.store.refresh().await.unwrap();
    assert!(held(&stage.a).iter().all(|id| *id == stage.a.id));
}

#[tokio::test]
async fn viewers_are_led_to_the_cloud_that_an_encoder_came_to() {
    let stage = Stage::new().await;
    let tenant = stage.a.store.add_tenant("Other", By::COMMAND_LINE).await.unwrap();
    let settings = Private::new("{}".to_owned());
    let new = NewSource { title: "Yard", site: "", kind: "push", settings, tunnel_key: None };
    let (id, _) = stage.a.store.add_source(&tenant, &new, By::COMMAND_LINE).await.unwrap();
    stage.b.store.beat(&stage.b.id, &stage.b.node).await.unwrap();
    stage.refresh().await;
    let at = |cloud: &Cloud| cloud.store.directory().borrow().place(&id).unwrap().at;
    for (to, from) in [(&stage.a, &stage.b), (&stage.b, &stage.a)] {
        to.store.hold_sources(std::slice::from_ref(&id)).await.unwrap();
        stage.refresh().await;
        assert_eq!((at(to), at(from)), (At::Here, At::Node(to.inner)));
    }
    stage.b.store.leave(&stage.b.id).await.unwrap();
    stage.a.store.refresh().await.unwrap();
    assert_eq!(at(&stage.a), At::Here, "its cloud is gone");
}

#[tokio::test]
async fn a_line_that_somebody_took_away_is_written_again_and_old_ones_go() {
    let stage = Stage::new().await;
    // As a cloud of another address would leave behind that died a day ago.
    let old = Node { url: "http://10.9.9.9:8444".into(), endpoint: "old:51820".into() };
    stage.b.store.come_in("old", &old).await.unwrap();
    stage.b.store.leave(&stage.a.id).await.unwrap();
    stage.clock.forward_ms(25 * 3_600_000);
    stage.b.store.beat(&stage.b.id, &stage.b.node).await.unwrap();
    stage.a.store.beat(&stage.a.id, &stage.a.node).await.unwrap();
    stage.refresh().await;
    let directory = stage.b.store.directory().borrow().clone();
    let mut ids: Vec<&str> = directory.portal().nodes.iter().map(|(id, _)| id).collect();
    ids.sort_unstable();
    let mut both = [stage.a.id.as_str(), stage.b.id.as_str()];
    both.sort_unstable();
    assert_eq!(ids, both);
}
