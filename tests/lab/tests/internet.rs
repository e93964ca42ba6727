//! The lab's internet is one: what a box may reach it reaches, what nobody may reach nobody does, and each fault does
//! what its name says. Other people's programs judge it, so that later a failure is the box's or the cloud's own.

use std::{
    net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lab::{
    factory::{Factory, Host},
    internet::{HUB, HUB_ADDRESSES, Internet, VIEWER_ADDRESS, WEB_ADDRESS},
    test_name,
    wireguard::{self, Peer, Pings, ping},
    world,
};

const PORT: u16 = 51_820;
/// Outer addresses of the inner, WireGuard's network here.
const BOX_INNER: &str = "10.99.0.2";
const CLOUD_INNER: &str = "10.99.0.1";
const SOON: Duration = Duration::from_millis(100);

/// Whether a TCP connection comes about.
fn connects(from: &Host, to: Ipv4Addr, port: u16) -> bool {
    let to = SocketAddrV4::new(to, port).into();
    from.within(|| Ok(TcpStream::connect_timeout(&to, Duration::from_millis(500))?)).is_ok()
}

fn pings(from: &Host, to: &str) -> Result<Pings> {
    ping(from, &[], to, 2, SOON)
}

#[test]
fn the_way_is_as_drawn() {
    let test = test_name!();
    world::inside(test, || {
        let mut factory = Factory::new(test, &["box", "cam"])?;
        let mut internet = Internet::new(test, &[factory.host("box")?])?;
        let (hub, moved) = (HUB_ADDRESSES[0].to_string(), HUB_ADDRESSES[1].to_string());
        let boxx = factory.host("box")?.clone();
        let (cloud, viewer) = (internet.cloud().clone(), internet.viewer().clone());

        // who reaches whom
        let [web, at_box] = [(&cloud, 443), (&boxx, 8080)]
            .map(|(host, port)| host.within(|| Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?)));
        let (_web, _at_box) = (web?, at_box?);
        ensure!(connects(&boxx, WEB_ADDRESS, 443), "the box reaches the cloud");
        ensure!(connects(&viewer, WEB_ADDRESS, 443), "the viewer reaches the cloud");
        ensure!(connects(factory.host("cam")?, boxx.address(), 8080), "a camera reaches the box");
        ensure!(!connects(factory.host("cam")?, WEB_ADDRESS, 443), "a camera has no way out");
        for led in [false, true] {
            if led {
                internet.lead_to_factory()?;
            }
            for address in [boxx.address(), Ipv4Addr::new(100, 64, 0, 2), Ipv4Addr::new(198, 51, 100, 2)] {
                for outsider in [&viewer, &cloud] {
                    ensure!(!connects(outsider, address, 8080), "{outsider:?} reaches {address}, led: {led}");
                    ensure!(
                        pings(outsider, &address.to_string())?.answered == 0,
                        "{address} answers, led: {led}"
                    );
                }
            }
        }
        ensure!(
            pings(&viewer, &hub)?.answered == 2 && pings(&cloud, &VIEWER_ADDRESS.to_string())?.answered == 2
        );

        // a tunnel through both NATs
        let (a, b) = (wireguard::private_key(&boxx)?, wireguard::private_key(&cloud)?);
        let at_box = Peer::start(&boxx, "wg0", &a, &format!("{BOX_INNER}/24"), None)?;
        let at_hub = Peer::start(&cloud, "wg1", &b, &format!("{CLOUD_INNER}/24"), Some(PORT))?;
        at_hub.add(&wireguard::public_key(&cloud, &a)?, None, &["10.99.0.2/32"], 0)?;
        let hub_key = wireguard::public_key(&boxx, &b)?;
        at_box.add(&hub_key, Some(&format!("{HUB}:{PORT}")), &["10.99.0.0/24"], 1)?;
        let through = |limit: u64| -> Result<Duration> {
            let start = Instant::now();
            while ping(&cloud, &[], BOX_INNER, 1, SOON)?.answered == 0 {
                ensure!(start.elapsed() < Duration::from_secs(limit), "nothing comes through");
            }
            Ok(start.elapsed())
        };
        println!("tunnel through both NATs after {:?}", through(8)?);
        let before = at_hub.endpoint()?;
        ensure!(before == internet.mapping(PORT)?, "{before}, but the NAT says {}", internet.mapping(PORT)?);
        ensure!(before.starts_with("198.51.100.2:2") || before.starts_with("198.51.100.2:3"), "{before}");

        internet.rebind()?;
        println!("after a rebinding: {:?}", through(8)?);
        let rebound = at_hub.endpoint()?;
        ensure!(rebound.starts_with("198.51.100.2:") && rebound != before, "{before} became {rebound}");
        internet.move_nat()?;
        println!("after a move of the NAT: {:?}", through(8)?);
        ensure!(at_hub.endpoint()?.starts_with("198.51.100.3:"), "{}", at_hub.endpoint()?);

        internet.block_udp(true)?;
        ensure!(ping(&cloud, &[], BOX_INNER, 3, SOON)?.answered == 0, "UDP gets through");
        ensure!(connects(&boxx, WEB_ADDRESS, 443), "TCP is dropped as well");
        internet.block_udp(false)?;
        through(8)?;
        internet.cut(true)?;
        ensure!(!connects(&boxx, WEB_ADDRESS, 443), "the cut lets TCP through");
        internet.cut(false)?;
        through(8)?;

        internet.lose(5)?;
        let way = ping(&boxx, &[], &hub, 1000, Duration::from_millis(2))?;
        let lost = f64::from(way.sent - way.answered) / f64::from(way.sent) * 100.0;
        println!("of 5 % loss each way, pings see {lost:.1} %");
        ensure!((6.0..14.0).contains(&lost), "{lost} % of the pings were lost, not about 9.75");
        internet.lose(0)?;

        let free = upload(&boxx, &cloud)?;
        internet.uplink(Some(1000))?;
        let bound = upload(&boxx, &cloud)?;
        println!("up: {free:.1} Mbit/s, bound to {bound:.2} Mbit/s");
        ensure!(free > 20.0 && (0.7..1.1).contains(&bound), "{free} Mbit/s free, {bound} Mbit/s bound");
        internet.uplink(None)?;
        ensure!(upload(&boxx, &cloud)? > 20.0, "the bound stays");

        factory.readdress("box", Ipv4Addr::new(10, 77, 0, 101))?;
        println!("after a new address of the box: {:?}", through(8)?);

        internet.move_hub()?;
        ensure!(
            pings(&boxx, &hub)?.answered == 0 && pings(&boxx, &moved)?.answered == 2,
            "the hub did not move"
        );
        let mut look = boxx.command("getent");
        look.args(["hosts", HUB]);
        let known = boxx.output("getent", look, Duration::from_secs(5))?;
        ensure!(known.starts_with(&moved), "{HUB} is {known}");
        Ok(())
    });
}

/// Mbit/s from one host to another over one TCP connection, for 2 s, seen by the receiver.
fn upload(from: &Host, to: &Host) -> Result<f64> {
    use std::io::{Read, Write};
    let listener = to.within(|| Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 9000))?))?;
    let address = SocketAddrV4::new(to.address(), 9000);
    let mut sender = from.within(|| Ok(TcpStream::connect(address)?))?;
    let (mut receiver, _) = listener.accept()?;
    let pump = thread::spawn(move || {
        let block = [0_u8; 16384];
        while sender.write_all(&block).is_ok() {}
    });
    let (start, mut block, mut bytes) = (Instant::now(), vec![0; 65536], 0_usize);
    while start.elapsed() < Duration::from_secs(2) {
        bytes += receiver.read(&mut block).context("the upload broke")?;
    }
    let rate = bytes as f64 * 8.0 / start.elapsed().as_secs_f64() / 1e6;
    receiver.shutdown(std::net::Shutdown::Both)?;
    drop(receiver);
    let _ = pump.join();
    Ok(rate)
}
