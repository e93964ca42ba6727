//! The part of the hub: the cloud's hub with a directory of as many boxes as standard input says, line by line.

use std::io::BufRead as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use cloud_stub::hub::{Hub, Options, Reports};
use cloud_stub::store::{BoxRow, BoxState, Directory, Error, Seen};
use model::BoxId;
use model::status::{Answer, Report};
use tokio::sync::watch;

/// The hub's key, known to both parts.
pub(super) const KEY: [u8; 32] = [200; 32];

/// The tunnel key of a box.
pub(super) fn key(number: u32) -> [u8; 32] {
    let mut key = [1; 32];
    key[..4].copy_from_slice(&number.to_be_bytes());
    key
}

/// The address of a box inside.
pub(super) fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 13, 1, 1).to_bits() + number)
}

/// Nobody reports here.
struct Nobody;

impl Reports for Nobody {
    async fn report(&self, _: Ipv4Addr, _: &Report) -> Result<Answer, Error> {
        Ok(Answer { time_ms: 0, cameras: Vec::new(), hubs: Vec::new() })
    }
}

/// Serves until standard input ends.
pub(super) fn run(listen: SocketAddr) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let _inside = runtime.enter();
    let directory = watch::Sender::new(Arc::<Directory>::default());
    let options = Options { key: KEY, listen, network: "10.13.0.0/16".parse()? };
    let hub = Hub::start(&options, directory.subscribe(), Nobody)?;
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let boxes: u32 = line?.parse()?;
        directory.send_replace(Arc::new(full(boxes)?));
        while hub.handle().status().len() < boxes as usize {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        println!("enrolled");
    }
    Ok(())
}

fn full(boxes: u32) -> Result<Directory> {
    let mut directory = Directory::default();
    for number in 0..boxes {
        let private = ::tunnel::keys::PrivateKey::from_bytes(key(number));
        directory.put_box(BoxRow {
            id: id(number)?,
            identity: key(number),
            tunnel_key: *private.public().as_bytes(),
            address: address(number),
            owner: "ACME".into(),
            state: BoxState::Active,
            enrolled_ms: 0,
            version: String::new(),
            name: String::new(),
            site: String::new(),
            node: String::new(),
            seen: Seen::default(),
        });
    }
    Ok(directory)
}

/// 26 letters that spell a number.
fn id(number: u32) -> Result<BoxId> {
    let letters: String = (0..BoxId::LENGTH as u32)
        .map(|at| char::from(b'a' + number.wrapping_shr(at * 4) as u8 % 16))
        .collect();
    BoxId::new(&letters).ok().context("a box's name")
}
