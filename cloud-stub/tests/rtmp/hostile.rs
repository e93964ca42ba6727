//! Whoever means no good disturbs nobody: garbage, slow ones, and a thousand who say nothing.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::clip::{Clip, pictures};
use crate::publisher::{Publisher, message};
use crate::stage::{Cloud, KEY, until};

/// A connection from one of many addresses.
fn from(number: u32, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let address = Ipv4Addr::from(0x7f00_0100 + number % 8);
    socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

#[test]
fn a_thousand_who_say_nothing_take_no_picture_from_who_sends() {
    let (cloud, clip) = (Cloud::start(), Clip::new("libx264", 8));
    let mut encoder = clip.pushed(&cloud.url(KEY));
    cloud.publishers(1, Duration::from_secs(10));
    until("a playlist", Duration::from_secs(10), || cloud.get("/gate/live.m3u8"));
    let before = cloud.memory();
    let crowd: Vec<_> = (0..1000).map(|number| from(number, cloud.rtmp)).collect();
    until("all of them", Duration::from_secs(5), || (cloud.figure("connections_open") == 1001).then_some(()));
    // Half of them shake hands, as far as they must to be the most trouble.
    for mut stream in crowd.iter().step_by(2) {
        stream.write_all(&[&[3][..], &[0; 1536], &[9; 1000]].concat()).unwrap();
    }
    for text in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x16, 3, 1, 0, 200, 1], &[3; 9000], &[0; 100]] {
        from(9, cloud.rtmp).write_all(text).unwrap();
    }
    // One whose first message announces 16 MB, and one that opens chunk streams without end.
    for said in [
        vec![3, 0, 0, 0, 0xff, 0xff, 0xff, 20, 0, 0, 0, 0],
        (3..60).flat_map(|id| message(id, 9, 1, 0, &[])).collect::<Vec<u8>>(),
    ] {
        let mut stream = from(10, cloud.rtmp);
        let _ = stream.write_all(&[&[3][..], &[0; 2 * 1536], &said].concat());
    }
    until("garbage is known", Duration::from_secs(5), || (cloud.refused("broken") >= 5).then_some(()));
    let grown = cloud.memory().saturating_sub(before);
    println!("1,000 idle connections: {grown} KiB more, with a stream that fills its window");
    // A second of this stream is of 100 KiB or so; 20 KiB per stranger would be far too much already.
    assert!(grown < 20_000, "{grown} KiB");
    let began = Instant::now();
    let end = until("the encoder's end", Duration::from_secs(20), || encoder.try_wait().unwrap());
    assert!(end.success());
    until("their end", Duration::from_secs(15), || (cloud.figure("connections_open") == 0).then_some(()));
    assert!(began.elapsed() < Duration::from_secs(15) && cloud.refused("late") >= 1000);
    let [fmp4, _] = cloud.record();
    let shown = pictures(&fmp4);
    assert!(
        shown == clip.pictures,
        "{} of {} pictures of {} s",
        shown.len(),
        clip.pictures.len(),
        clip.seconds
    );
    drop(crowd);
}

#[test]
fn whoever_is_slow_is_closed_after_10_s() {
    let cloud = Cloud::start();
    let mut slow = from(1, cloud.rtmp);
    slow.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let began = Instant::now();
    let ended = until("its end", Duration::from_secs(14), || {
        // A byte at a time moves nothing out of reach.
        std::thread::sleep(Duration::from_millis(200));
        slow.write_all(&[3]).is_err().then(|| began.elapsed())
    });
    assert!(ended > Duration::from_secs(9), "{ended:?}");
    assert_eq!(cloud.refused("late"), 1);
}

#[test]
fn one_address_has_no_more_than_its_share() {
    let cloud = Cloud::start();
    let crowd: Vec<_> = (0..300).map(|_| from(0, cloud.rtmp)).collect();
    until("the refusals", Duration::from_secs(5), || (cloud.refused("crowded") == 300 - 256).then_some(()));
    let mut neighbour = Publisher::connect(cloud.rtmp, KEY);
    assert!(neighbour.hears("NetStream.Publish.Start"), "others are not concerned");
    drop(crowd);
}
