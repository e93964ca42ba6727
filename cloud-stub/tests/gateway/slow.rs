//! Viewers who read slowly, or not at all.

use http_body_util::BodyExt as _;
use hyper::Request;

use crate::stage::{GATE, IMMUTABLE, Stage, found, ordinary, start_box, until};

/// Bytes of a segment, and how many viewers read one each.
const SEGMENT: usize = 1 << 20;
const VIEWERS: usize = 200;
/// The cache, and the most that 200 slow viewers may hold beside it: two pieces of 64 KiB each.
const CACHE: u64 = 8 << 20;
const HELD: u64 = VIEWERS as u64 * (128 << 10);
/// What the rest of this process needs, allocator included.
const REST: u64 = 48 << 20;

/// Bytes of this process in memory (proc(5), statm: the second field, in pages of 4 KiB).
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[tokio::test]
async fn slow_viewers_hold_a_piece_each_and_no_segment() {
    let (port, _) = start_box(async |path: String| {
        let number: u8 = path.bytes().fold(1, u8::wrapping_add);
        found(IMMUTABLE, vec![number; SEGMENT])
    })
    .await;
    let stage = Stage::with(port, CACHE, cloud_stub::gateway::Limits::default());
    let before = resident();
    let mut held = Vec::new();
    for number in 0..VIEWERS {
        let request = Request::get(format!("/{GATE}/{number}.m4s")).body(()).unwrap();
        let response = stage.gateway.answer(&request.into_parts().0).await;
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        // What a connection has taken and cannot get rid of.
        let frame = body.frame().await.unwrap().unwrap();
        held.push((body, frame));
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < CACHE + HELD + REST, "{} MiB are held", grown >> 20);
    assert!(stage.gateway.kept().0 <= CACHE);

    // Who reads on what is gone is told so: half a segment is never given for a whole one.
    let (first, _) = held.remove(0);
    assert!(first.collect().await.is_err());
    // What is at hand is read to its end, however slowly it began.
    let (last, frame) = held.pop().unwrap();
    let rest = last.collect().await.unwrap().to_bytes();
    assert_eq!(frame.data_ref().unwrap().len() + rest.len(), SEGMENT);
}

#[tokio::test]
async fn a_small_object_is_given_whole_even_when_it_is_dropped_meanwhile() {
    let (port, _) = start_box(ordinary).await;
    let stage = Stage::before(port);
    let request = Request::get(format!("/{GATE}/live.m3u8")).body(()).unwrap();
    let body = stage.gateway.answer(&request.into_parts().0).await.into_body();
    stage.change(|links| links.0.clear());
    until("it is dropped", || stage.gateway.kept().1 == 0).await;
    assert!(!body.collect().await.unwrap().to_bytes().is_empty());
}
