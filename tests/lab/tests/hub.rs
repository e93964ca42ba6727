//! The hub and the box's end of the tunnel against each other, on loopback with a wire between them that can be cut, moved
//! and closed: what a box does to stay reachable, and what a box gets that tries for more than its due.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod hub {
    pub(crate) mod packets;
    pub(crate) mod stage;
    pub(crate) mod wire;
}

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::{test_name, world};
use tokio::time::sleep;

use hub::packets::{self, Stranger};
use hub::stage::{Box, Stage, address, report};

/// Runs a scenario of this file on a runtime of its own.
fn scene(test: &str, scene: impl Future<Output = Result<()>>) {
    world::beside(test, || tokio::runtime::Runtime::new()?.block_on(scene));
}

#[test]
fn a_box_stays_reachable_through_faults_of_the_way() {
    scene(test_name!(), async {
        let mut stage = Stage::new(2)?;
        let mut box_ = Box::new(&stage, 1)?;
        let start = Instant::now();
        box_.fetched(&stage, Duration::from_secs(5)).await.context("at the start")?;
        println!("first object {:.1} s after the start", start.elapsed().as_secs_f64());
        box_.watch(&stage, Duration::from_secs(12)).await?;

        stage.wire.rebind();
        again("the NAT gave another port", &stage, &mut box_, 8.0).await?;

        stage.restart().await?;
        again("the hub was restarted", &stage, &mut box_, 10.0).await?;

        stage.wire.cut_up(true);
        stage.wire.cut_down(true);
        sleep(Duration::from_secs(20)).await;
        ensure!(!box_.client.status().borrow().stands, "20 s without network went unnoticed");
        stage.wire.cut_up(false);
        stage.wire.cut_down(false);
        again("the network came back after 20 s", &stage, &mut box_, 8.0).await?;
        ensure!(box_.via() == Some("udp"), "UDP works, yet the tunnel goes by {:?}", box_.via());
        Ok(())
    });
}

#[test]
fn a_box_without_udp_goes_by_websocket_and_returns() {
    scene(test_name!(), async {
        let mut stage = Stage::new(1)?;
        let mut box_ = Box::with_carrier(&stage, 1)?;
        box_.fetched(&stage, Duration::from_secs(5)).await.context("at the start")?;
        box_.watch(&stage, Duration::from_secs(12)).await?;

        stage.wire.cut_up(true);
        again("packets from the box are lost", &stage, &mut box_, 30.0).await?;
        ensure!(box_.via() == Some("tls") && stage.carriers() == 1);

        stage.restart().await?;
        again("the hub was restarted under a WebSocket", &stage, &mut box_, 15.0).await?;
        ensure!(box_.via() == Some("tls"));

        stage.wire.cut_up(false);
        let start = Instant::now();
        while box_.via() != Some("udp") {
            ensure!(start.elapsed().as_secs() < 75, "UDP works again, and nobody noticed");
            box_.fetched(&stage, Duration::from_secs(3)).await.context("on the way back to UDP")?;
            sleep(Duration::from_millis(200)).await;
        }
        println!("back on UDP after {:.1} s", start.elapsed().as_secs_f64());
        box_.fetched(&stage, Duration::from_secs(3)).await.context("over UDP again")?;
        sleep(Duration::from_secs(2)).await;
        ensure!(stage.carriers() == 0, "the WebSocket stays open for nothing");
        Ok(())
    });
}

/// Waits until something can be fetched again, and says how long that took.
async fn again(what: &str, stage: &Stage, box_: &mut Box, most: f64) -> Result<()> {
    let start = Instant::now();
    box_.fetched(stage, Duration::from_secs_f64(most)).await.with_context(|| what.to_owned())?;
    println!("{what}: fetched again after {:.1} s, by {:?}", start.elapsed().as_secs_f64(), box_.via());
    box_.watch(stage, Duration::from_secs(8)).await
}

#[test]
fn a_box_that_is_revoked_is_gone_within_a_second_and_others_are_not() {
    scene(test_name!(), async {
        let stage = Stage::new(2)?;
        let (first, second) = (Box::new(&stage, 1)?, Box::new(&stage, 2)?);
        first.fetched(&stage, Duration::from_secs(5)).await?;
        second.fetched(&stage, Duration::from_secs(5)).await?;
        stage.enrol(&[2]);
        let revoked = Instant::now();
        while stage.fetch(address(1), Duration::from_millis(300)).await.is_ok() {
            ensure!(revoked.elapsed() < Duration::from_secs(1), "it is still there");
        }
        println!("gone after {} ms", revoked.elapsed().as_millis());
        for _ in 0..10 {
            stage.fetch(address(2), Duration::from_secs(1)).await.context("the other box")?;
            ensure!(stage.fetch(address(1), Duration::from_millis(300)).await.is_err(), "it came back");
        }
        stage.enrol(&[1, 2]);
        first.fetched(&stage, Duration::from_secs(20)).await.context("enrolled again")?;
        Ok(())
    });
}

#[test]
fn reports_are_known_by_their_address_and_bounded() {
    scene(test_name!(), async {
        let stage = Stage::new(2)?;
        let (first, second) = (Box::new(&stage, 1)?, Box::new(&stage, 2)?);
        first.fetched(&stage, Duration::from_secs(5)).await?;
        second.fetched(&stage, Duration::from_secs(5)).await?;
        let report = report();
        let (status, body) = second.post("/box/v1/status", &report).await?;
        ensure!(status == 200 && body.contains("\"time_ms\":4711"), "{status} {body}");
        ensure!(stage.reported() == [address(2)]);

        let (status, _) = first.post("/box/v1/status", &"x".repeat((64 << 10) + 1)).await?;
        ensure!(status == 413, "65,537 bytes: {status}");
        let (status, _) = first.post("/box/v1/status", "{}").await?;
        ensure!(status == 400, "no report: {status}");
        let (status, _) = first.post("/api/v1/enrol", &report).await?;
        ensure!(status == 404, "another path: {status}");
        let mut answers = Vec::new();
        for _ in 0..12 {
            answers.push(first.post("/box/v1/status", &report).await?.0);
        }
        ensure!(answers.iter().filter(|status| **status == 200).count() <= 9, "{answers:?}");
        ensure!(answers.ends_with(&[429, 429]), "{answers:?}");
        let (status, _) = second.post("/box/v1/status", &report).await?;
        ensure!(status == 200, "the other box pays for it");
        Ok(())
    });
}

/// THREATS row 16.
#[test]
fn a_box_reaches_nobody_and_nothing_but_the_web_server() {
    scene(test_name!(), async {
        let stage = Stage::new(2)?;
        let (mut thief, mut victim) = (Stranger::new(&stage, 1)?, Stranger::new(&stage, 2)?);
        thief.greet().await?;
        victim.greet().await?;
        let (own, other, hub) = (address(1), address(2), stage.hub_address());

        // What is allowed is answered, so that silence means something.
        thief.send(&packets::echo(own, hub));
        let answers = thief.listen(Duration::from_millis(500)).await;
        ensure!(answers.len() == 1, "an echo, by which the MTU is found: {answers:?}");

        let broadcast = Ipv4Addr::new(10, 13, 255, 255);
        let elsewhere =
            [other, broadcast, Ipv4Addr::BROADCAST, Ipv4Addr::LOCALHOST, Ipv4Addr::new(224, 0, 0, 1)];
        let mut tries = Vec::new();
        for to in elsewhere {
            tries.push(packets::echo(own, to));
            tries.push(packets::udp(own, to, 40_000, 53));
            tries.push(packets::tcp(own, to, 40_001, 80, packets::SYN));
        }
        for port in [1, 22, 53, 443, 5432, 8080, 8443, 51820] {
            tries.push(packets::tcp(own, hub, 40_002, port, packets::SYN));
            tries.push(packets::tcp(own, hub, 80, port, packets::SYN));
            tries.push(packets::udp(own, hub, 40_002, port));
        }
        for from in
            [other, hub, Ipv4Addr::LOCALHOST, Ipv4Addr::new(10, 13, 9, 9), Ipv4Addr::new(192, 0, 2, 1)]
        {
            tries.push(packets::tcp(from, hub, 40_003, 80, packets::SYN));
            tries.push(packets::echo(from, hub));
            tries.push(packets::tcp(from, other, 40_003, 80, packets::SYN));
        }
        let mut fragment = packets::tcp(own, hub, 40_004, 80, packets::SYN);
        fragment[6] = 0x20;
        packets::seal(&mut fragment);
        tries.push(fragment);
        for packet in &tries {
            thief.send(packet);
        }
        let answers = thief.listen(Duration::from_secs(2)).await;
        ensure!(answers.is_empty(), "{} answers to {} tries: {answers:?}", answers.len(), tries.len());
        let reached = victim.listen(Duration::from_millis(300)).await;
        ensure!(reached.is_empty(), "the other box got {reached:?}");

        // The web server is there all the while.
        thief.send(&packets::tcp(own, hub, 40_005, 80, packets::SYN));
        let answers = thief.listen(Duration::from_millis(500)).await;
        ensure!(answers.len() == 1, "the web server answers a SYN: {answers:?}");
        Ok(())
    });
}
