//! What the set-up page of a real box bears (THREATS.md, rows 9 and 21): floods of guesses, of connections, and every known way to
//! kill tiny_http, which stands behind the front door. Only loopback is touched.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test of a process from outside")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail the test")]

#[allow(dead_code, reason = "each test file needs a part of it")]
mod page;

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use page::{PASSWORD, TestBox, answer};

/// An address of loopback that no other test uses.
fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 77, (number / 200) as u8, 2 + (number % 200) as u8)
}

/// What the page answers somebody who has nothing to do with an attack, and how long it took.
fn elsewhere(running: &TestBox) -> (u16, Duration) {
    let start = Instant::now();
    let got = running.ask_from(
        Ipv4Addr::new(127, 99, 0, 1),
        "GET /api/v1/setup/state HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    );
    (got.status, start.elapsed())
}

fn answers(running: &TestBox, during: &str) {
    let (status, took) = elsewhere(running);
    assert!(status == 200 && took < Duration::from_secs(3), "{during}: {status} after {took:?}");
}

/// Row 21.
#[test]
fn requests_that_kill_a_plain_tiny_http_leave_the_page_answering() {
    let running = TestBox::start("killers", "");
    running.wait_for("its page", || running.page().is_some());
    let page = running.page().unwrap();
    let head = "Host: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\nOrigin: http://127.0.0.1\r\n";
    let post = "POST /api/v1/setup/login HTTP/1.1";
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(4096));
    for (what, request, expected) in [
        (
            "a body announced as 100 GB",
            format!("{post}\r\n{head}Content-Length: 99999999999\r\n\r\n{{}}"),
            &[413][..],
        ),
        (
            "a body beyond all numbers",
            format!("{post}\r\n{head}Content-Length: 99999999999999999999999\r\n\r\n"),
            &[400, 413],
        ),
        ("a negative body", format!("{post}\r\n{head}Content-Length: -1\r\n\r\n"), &[400]),
        ("a signed body", format!("{post}\r\n{head}Content-Length: +2\r\n\r\n{{}}"), &[400]),
        (
            "two lengths",
            format!("{post}\r\n{head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}x"),
            &[400],
        ),
        ("a foreign encoding", format!("{post}\r\n{head}Transfer-Encoding: gzip\r\n\r\n"), &[400]),
        (
            "chunked, then not",
            format!("{post}\r\n{head}Transfer-Encoding: chunked, identity\r\n\r\n"),
            &[400],
        ),
        (
            "a length and chunks",
            format!("{post}\r\n{head}Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            &[400],
        ),
        ("bad chunks", format!("{post}\r\n{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n"), &[400]),
        (
            "endless chunks",
            format!("{post}\r\n{head}Transfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(64)),
            &[413],
        ),
        (
            "a chunk of 16 EB",
            format!("{post}\r\n{head}Transfer-Encoding: chunked\r\n\r\nfffffffffffffff0\r\nx"),
            &[400, 413, 408],
        ),
        (
            "a promise to wait",
            format!("{post}\r\n{head}Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"),
            &[413],
        ),
        (
            "a strange expectation",
            format!("{post}\r\n{head}Expect: x\r\nContent-Length: 2\r\n\r\n{{}}"),
            &[400],
        ),
        ("a long line", format!("GET /setup/ HTTP/1.1\r\n{head}X: {}\r\n\r\n", "y".repeat(100_000)), &[431]),
        ("many lines", format!("GET /setup/ HTTP/1.1\r\n{head}{}\r\n", "X: y\r\n".repeat(500)), &[431]),
        ("bytes that are no text", format!("GET /setup/ HTTP/1.1\r\n{head}Cookie: \u{e9}\r\n\r\n"), &[400]),
        ("a long address", format!("GET /setup/{} HTTP/1.1\r\n{head}\r\n", "a".repeat(70_000)), &[414, 431]),
        ("an upgrade", format!("GET /setup/ HTTP/1.1\r\n{head}Upgrade: x\r\n\r\n"), &[403]),
        ("a method that nobody knows", format!("BREW /setup/ HTTP/1.1\r\n{head}\r\n"), &[405]),
    ] {
        let got = running.ask(&request);
        assert!(expected.contains(&got.status), "{what}: {got:?}");
        answers(&running, what);
    }
    assert_eq!(running.page(), Some(page), "it is the same process still");
    assert!(!running.log("stderr").contains("the set-up page's process ended"));
}

/// Row 21.
#[test]
fn slow_requests_hold_back_nobody_and_end() {
    let running = TestBox::start("slow", "");
    let mut slow: Vec<TcpStream> = (0..40).map(|number| running.connect(address(number % 4))).collect();
    // Half drip a head, half have said a whole head and drip a body.
    let start = Instant::now();
    for (number, stream) in slow.iter_mut().enumerate() {
        let words: &[u8] = if number % 2 == 0 {
            b"POST /api/v1/setup/login HTTP/1.1\r\nHost: 127"
        } else {
            b"POST /api/v1/setup/login HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\n\
              Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n{"
        };
        stream.write_all(words).unwrap();
    }
    while start.elapsed() < Duration::from_secs(6) {
        for stream in &mut slow {
            let _ = stream.write_all(b" ");
        }
        answers(&running, "while others are slow");
        std::thread::sleep(Duration::from_millis(200));
    }
    for (number, stream) in slow.iter_mut().enumerate() {
        let got = answer(stream, "");
        let status = if number % 2 == 0 { [0, 408] } else { [408, 503] };
        assert!(status.contains(&got.status), "{number}: {got:?}");
    }
    assert!(start.elapsed() < Duration::from_secs(25), "{:?}", start.elapsed());
}

/// Row 21. The box holds 1024 connections at most; whoever comes gets the seat of the one that has been silent longest.
#[test]
fn thousands_of_half_open_connections_cost_little_and_shut_nobody_out() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let running = TestBox::start("half-open-page", "");
    answers(&running, "before");
    let before = running.resident_kib();
    let mut held = Vec::new();
    for (crowd, addresses) in [(2000, 10), (5000, 40)] {
        while held.len() < crowd {
            let mut stream = running.connect(address(held.len() % addresses));
            let _ = stream.write_all(b"GET /setup/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX: y");
            held.push(stream);
            if held.len() % 500 == 0 {
                answers(&running, &format!("{} half-open connections", held.len()));
            }
        }
        answers(&running, &format!("all of {crowd}"));
        let cost = running.resident_kib().saturating_sub(before);
        println!("{crowd} half-open connections cost {cost} KiB");
        assert!(cost <= 32 << 10, "{crowd} half-open connections cost {cost} KiB");
    }
    // Each of these has said how it goes on: a body of 60 kB, of which the last byte never comes.
    held.clear();
    for number in 0..1000 {
        let mut stream = running.connect(address(number % 40));
        // The box may have closed it already.
        let _ = stream.write_all(
            running.post_text("login", "", &" ".repeat(60_000)).strip_suffix(' ').unwrap().as_bytes(),
        );
        held.push(stream);
        if number % 250 == 249 {
            answers(&running, &format!("{number} half bodies"));
        }
    }
    let cost = running.resident_kib().saturating_sub(before);
    println!("1000 half bodies cost {cost} KiB");
    assert!(cost <= 48 << 10, "1000 half bodies cost {cost} KiB");
}

/// Row 9. The gate's own test counts 10,000 guesses a minute in virtual time; here they come over sockets.
#[test]
fn a_flood_of_guesses_leaves_the_owner_signed_in_and_lets_the_owner_in() {
    let (running, owner) = TestBox::owned("flood", "");
    let (over, checked_so_far) = (AtomicBool::new(false), AtomicUsize::new(0));
    let start = Instant::now();
    let counts = std::thread::scope(|threads| {
        let attackers: Vec<_> = (0..4)
            .map(|attacker| {
                let (running, over, checked_so_far) = (&running, &over, &checked_so_far);
                threads.spawn(move || {
                    let (mut checked, mut refused) = (0, 0);
                    for number in 0.. {
                        if over.load(Ordering::Relaxed) {
                            break;
                        }
                        let got = running.login_from(address(attacker * 50 + number % 50), "canary-guess");
                        match got.status {
                            401 => {
                                checked += 1;
                                checked_so_far.fetch_add(1, Ordering::Relaxed);
                            }
                            429 => {
                                assert!(got.header("retry-after").is_some(), "{got:?}");
                                refused += 1;
                            }
                            status => panic!("{status}: {got:?}"),
                        }
                    }
                    (checked, refused)
                })
            })
            .collect();
        while checked_so_far.load(Ordering::Relaxed) < 20 {
            assert!(start.elapsed() < Duration::from_secs(40), "20 guesses take so long");
            assert_eq!(running.state(&owner)["signed_in"], true);
            assert_eq!(running.get("/api/v1/setup/overview", &owner).status, 200);
            std::thread::sleep(Duration::from_millis(100));
        }
        // From the address of before; then in the browser of before, from another address.
        assert_eq!(running.login(PASSWORD).status, 200);
        let mark = owner.split("; ").find(|cookie| cookie.starts_with("box-known=")).unwrap();
        let login = format!("{{\"password\":\"{PASSWORD}\"}}");
        let moved = running.post_from(Ipv4Addr::new(127, 99, 0, 2), "login", mark, &login);
        assert_eq!(moved.status, 200, "{moved:?}");
        let stranger = running.login_from(Ipv4Addr::new(127, 99, 0, 3), PASSWORD);
        assert_eq!(stranger.status, 429, "nobody else gets a check: {stranger:?}");
        over.store(true, Ordering::Relaxed);
        attackers
            .into_iter()
            .map(|attacker| attacker.join().unwrap())
            .fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    });
    println!("{} guesses were checked, {} refused in {:?}", counts.0, counts.1, start.elapsed());
    assert!(counts.0 <= 20 && counts.1 > 100, "{counts:?}");
}
