//! The public link under random faults, one after the other, for as long as wanted: a minute in the lab, hours in
//! `cargo xtask soak`. Each run prints its seed; the same seed brings the same faults.

use std::{
    env, thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use lab::{
    link::{Link, Outcome},
    test_name, world,
};
use nix::sys::signal::Signal;

/// Until the picture moves again, seconds; twice that when UDP is gone, or for two faults at once.
const AGAIN: f64 = 15.0;
const AGAIN_HARDER: f64 = 30.0;
/// Memory may grow by so much over a soak, MiB: caches fill, and nothing else.
const GROWTH: f64 = 64.0;

/// Random numbers that a seed repeats (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }
}

fn wanted(name: &str) -> Result<Option<u64>> {
    let Ok(text) = env::var(name) else { return Ok(None) };
    Ok(Some(text.parse().with_context(|| format!("{name}: {text:?} is no number"))?))
}

#[test]
fn the_public_link_outlasts_random_faults() {
    let test = test_name!();
    world::beside(test, || {
        let time = Duration::from_secs(wanted("STREAMBOX_SOAK_MINUTES")?.unwrap_or(1) * 60);
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let seed = wanted("STREAMBOX_SOAK_SEED")?.unwrap_or(now);
        println!("seed {seed}");
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let mut link = Link::start(test)?;
        thread::sleep(Duration::from_secs(10));
        let before = link.memory()?;
        let (mut faults, mut worst) = (0_u32, 0.0_f64);
        let start = Instant::now();
        while start.elapsed() < time {
            faults += 1;
            let minute = start.elapsed().as_secs() / 60;
            let choice = dice.roll(10);
            let outcome = fault(&mut link, &mut dice, choice).with_context(|| format!("minute {minute}"))?;
            if let Outcome::Again(took) = outcome {
                worst = worst.max(took);
            }
            thread::sleep(Duration::from_secs(dice.roll(10)));
        }
        let after = link.memory()?;
        println!(
            "{faults} faults in {} s, the worst stood {worst:.1} s; box {:.0} to {:.0} MiB, cloud {:.0} to {:.0} MiB",
            start.elapsed().as_secs(),
            before.0,
            after.0,
            before.1,
            after.1
        );
        for (what, before, after) in [("box", before.0, after.0), ("cloud", before.1, after.1)] {
            if after - before > GROWTH {
                link.complain(format!("the {what} grew from {before:.0} to {after:.0} MiB"));
            }
        }
        link.finish()
    });
}

/// Brings one fault, waits until it is over and the picture moves.
fn fault(link: &mut Link, dice: &mut Dice, choice: u64) -> Result<Outcome> {
    match choice {
        0 => link.fault("new ports at the NAT", AGAIN, |link| link.internet.rebind()),
        1 => link.fault("new address of the NAT", AGAIN, |link| link.internet.move_nat()),
        2 => link.fault("new ports and a new address of the box", AGAIN_HARDER, |link| {
            link.internet.rebind()?;
            link.move_box()
        }),
        3 => link.fault("cloud restarted", AGAIN, |link| link.cloud.restart(Signal::SIGTERM)),
        4 => link.fault("cloud killed", AGAIN, |link| link.cloud.restart(Signal::SIGKILL)),
        5 => link.fault("another address in DNS", AGAIN, |link| link.internet.move_hub()),
        6 => {
            let outage = 1 + dice.roll(90);
            link.internet.cut(true)?;
            thread::sleep(Duration::from_secs(outage));
            link.fault(&format!("{outage} s without a network"), AGAIN, |link| link.internet.cut(false))
        }
        7 => {
            let without =
                link.fault("no UDP any more", AGAIN_HARDER, |link| link.internet.block_udp(true))?;
            link.fault("UDP works again", AGAIN, |link| link.internet.block_udp(false))?;
            Ok(without)
        }
        8 => link.fault("box restarted", AGAIN, |link| link.restart_box(None)),
        _ => {
            let percent = 1 + dice.roll(5) as u32;
            link.internet.lose(percent)?;
            link.watch(&format!("{percent} % loss"), Duration::from_secs(10 + dice.roll(20)), 0.7)?;
            link.internet.lose(0)?;
            Ok(Outcome::Unseen)
        }
    }
}
