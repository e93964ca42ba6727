//! Many viewers, one fetch.

use std::time::{Duration, Instant};

use crate::stage::{GATE, Stage, YARD, ordinary, start_box, until};

#[tokio::test]
async fn five_hundred_viewers_of_one_camera_are_one_fetch_per_object() {
    let (port, fetches) = start_box(ordinary).await;
    let stage = Stage::before(port);
    // As a player goes: playlist, blocking reload, part, segment; all viewers at about the same time.
    for path in ["live.m3u8", "live.m3u8?_HLS_msn=9&_HLS_part=1", "8.m4s", "7.m4s", "none.m4s", "404.m4s"] {
        let viewers: Vec<_> = (0..500).map(|_| stage.later(&format!("/{GATE}/{path}"))).collect();
        let mut first = None;
        for viewer in viewers {
            let got = viewer.await.unwrap();
            assert_eq!(first.get_or_insert(got.clone()), &got, "{path}: everybody gets the same");
        }
    }
    let mut all = fetches.all();
    all.sort();
    assert_eq!(
        all,
        [
            "/gate/404.m4s",
            "/gate/7.m4s",
            "/gate/8.m4s",
            "/gate/live.m3u8",
            "/gate/live.m3u8?_HLS_msn=9&_HLS_part=1"
        ]
    );
    let numbers = stage.gateway.numbers();
    assert_eq!((numbers.fetches("ok"), numbers.answers("nothing")), (5, 500));
    assert_eq!(numbers.answers("hit") + numbers.answers("wait") + numbers.answers("fetch"), 2500);
    assert_eq!(numbers.answers("fetch"), 5);
}

#[tokio::test]
async fn a_directive_spelled_otherwise_is_the_same_object() {
    let (port, fetches) = start_box(ordinary).await;
    let stage = Stage::before(port);
    for query in
        ["_HLS_msn=9&_HLS_part=1", "_HLS_part=1&_HLS_msn=9", "x=1&_HLS_msn=09&_HLS_part=1&_HLS_skip=NO"]
    {
        assert_eq!(stage.get(&format!("/{GATE}/live.m3u8?{query}")).await.status, 200);
    }
    assert_eq!(fetches.all(), ["/gate/live.m3u8?_HLS_msn=9&_HLS_part=1"]);
}

#[tokio::test]
async fn a_waiter_that_leaves_disturbs_nobody_and_the_last_one_ends_the_fetch() {
    let (port, fetches) = start_box(ordinary).await;
    let stage = Stage::before(port);
    let path = format!("/{GATE}/8.m4s");
    let (first, second) = (stage.later(&path), stage.later(&path));
    until("the fetch is under way", || fetches.all().len() == 1).await;
    first.abort();
    assert_eq!(second.await.unwrap().body.len(), 100_000);
    assert_eq!(fetches.all().len(), 1);

    let blocked = stage.later(&format!("/{GATE}/live.m3u8?_HLS_msn=77"));
    until("the reload is under way", || fetches.all().len() == 2).await;
    blocked.abort();
    // Its connection and its place are free: far more of them than places.
    for _ in 0..50 {
        let blocked = stage.later(&format!("/{GATE}/live.m3u8?_HLS_msn=78"));
        tokio::time::sleep(Duration::from_millis(5)).await;
        blocked.abort();
    }
    assert_eq!(stage.get(&format!("/{GATE}/live.m3u8?_HLS_msn=9")).await.status, 200);
}

#[tokio::test]
async fn a_playlist_is_shared_for_a_fraction_of_a_part_and_no_longer() {
    let (port, fetches) = start_box(ordinary).await;
    let stage = Stage::before(port);
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(1050) {
        assert_eq!(stage.get(&format!("/{GATE}/live.m3u8")).await.header("cache-control"), "no-store");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let fetched = fetches.all().len();
    assert!((5..=11).contains(&fetched), "{fetched} fetches in about a second");
}

#[tokio::test]
async fn who_asks_for_far_parts_cannot_keep_others_from_the_next_one() {
    let (port, fetches) = start_box(ordinary).await;
    let stage = Stage::before(port);
    let harm: Vec<_> = (0..50)
        .map(|part| stage.later(&format!("/{GATE}/live.m3u8?_HLS_msn=1000&_HLS_part={part}")))
        .collect();
    until("some of them are under way", || fetches.all().len() >= 8).await;
    let next = stage.get(&format!("/{GATE}/live.m3u8?_HLS_msn=9&_HLS_part=3")).await;
    assert_eq!(next.status, 200);
    assert_eq!(stage.get(&format!("/{YARD}/live.m3u8?_HLS_msn=9")).await.status, 200);
    for harm in harm {
        harm.abort();
    }
}
