//! Two clouds on one PostgreSQL with nginx before them, as operators get it: any of them shows any camera, a change made at
//! one acts at the other, the database may restart, and the cloud that holds the tunnel may die.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lab::{
    cloud::Cloud,
    factory::Host,
    link::{Link, Outcome},
    postgres::Postgres,
    process::Process,
    proxy, test_name, world,
};
use nix::sys::signal::Signal;

/// Until the picture moves again after the cloud that holds the tunnel was killed, seconds.
const KILLED: f64 = 30.0;
/// Until what one cloud was told acts at the other.
const ACTS: Duration = Duration::from_secs(1);
/// The median of that, by which one sees that the database tells and need not be asked.
const TOLD: Duration = Duration::from_millis(300);
/// A box hears of other hubs with the answer to its next report: every 30 s.
const REPORT: Duration = Duration::from_secs(40);
/// What nginx had is gone after this: it counts whole seconds.
const KEPT: Duration = Duration::from_millis(2500);
/// How long the database is away.
const AWAY: Duration = Duration::from_secs(5);

/// What stands beside the link.
struct Beside {
    postgres: Postgres,
    _nginx: Process,
    database: String,
}

impl Beside {
    /// Where the cloud is reached that holds the box, as all clouds know it.
    fn holder(&self) -> Result<String> {
        let query = "SELECT node.url FROM boxes JOIN node ON node.id = boxes.node";
        Ok(self.postgres.sql("clouds", query)?.trim().to_owned())
    }
}

#[test]
fn two_clouds_are_as_good_as_one_and_outlive_each_other() {
    let test = test_name!();
    world::beside(test, || {
        let mut beside = None;
        let mut link = Link::start_with(test, |internet, authority| {
            let postgres = Postgres::start(&world::logs(test))?;
            let database = postgres.database("clouds")?;
            let site = authority.site(lab::internet::VIDEO, lab::internet::WEB_ADDRESS, 443)?;
            let first = proxy::cloud(0, internet.cloud(), site, &database)?;
            let nginx = proxy::start(internet.cloud(), authority)?;
            beside = Some(Beside { postgres, _nginx: nginx, database });
            Ok(first)
        })?;
        let mut beside = beside.context("nothing beside the link")?;
        let host = link.internet.cloud().clone();
        let public = link.cloud.link("gate")?;
        // The second comes when the box has long joined: the box must hear of it.
        let mut second = proxy::cloud(1, &host, link.cloud.site().clone(), &beside.database)?;
        let told = Instant::now();
        link.boxd.process().wait_for("has told of other hubs", REPORT)?;
        println!("the box knows both hubs {:.0} s after the second came", told.elapsed().as_secs_f64());

        for number in [0, 1] {
            for name in ["", "status", "live.m3u8"] {
                let status = ask(&host, number, &format!("/{}/{name}", public.id))?;
                ensure!(status == 200, "cloud {number} says {status} to {name:?}");
            }
        }
        changes_act(&link, &second, &host, &public.id)?;
        nginx_forgets(&link, &public.id)?;
        database_restarts(&mut link, &mut beside)?;

        kill(&mut link, &mut second, &beside, 0)?;
        kill(&mut link, &mut second, &beside, 1)?;
        second.check_log()?;
        link.finish()
    });
}

/// Links go off and on by the command line, which is one process more on the database, and by either cloud.
fn changes_act(link: &Link, second: &Cloud, host: &Host, id: &str) -> Result<()> {
    let mut took = Vec::new();
    for round in 0..3 {
        for (word, expected) in [("off", 404), ("on", 200)] {
            let by = if round % 2 == 0 { &link.cloud } else { second };
            by.owner(&["camera", word, id])?;
            for number in [0, 1] {
                let start = Instant::now();
                while ask(host, number, &format!("/{id}/"))? != expected {
                    ensure!(start.elapsed() < ACTS, "{word}: no effect at cloud {number} within {ACTS:?}");
                }
                took.push(start.elapsed());
            }
        }
    }
    took.sort();
    let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
    println!(
        "a change acts at both clouds: median {} ms, worst {} ms",
        median.as_millis(),
        worst.as_millis()
    );
    ensure!(median < TOLD, "the clouds hear of changes only when they ask");
    Ok(())
}

/// What nginx keeps of a link that is switched off is gone within two seconds.
fn nginx_forgets(link: &Link, id: &str) -> Result<()> {
    let (site, viewer) = (link.cloud.site(), link.internet.viewer());
    let playlist = site.get(viewer, &format!("/{id}/live.m3u8"))?.text();
    let name = playlist
        .lines()
        .rev()
        .find(|line| line.split('.').next_back() == Some("m4s"))
        .context("no segment")?;
    let path = format!("/{id}/{name}");
    site.get(viewer, &path)?;
    link.cloud.owner(&["camera", "off", id])?;
    let off = Instant::now();
    while site.ask(viewer, &path)?.status != 404 {
        ensure!(off.elapsed() < KEPT, "a segment of a link that is off is still there after {KEPT:?}");
        thread::sleep(Duration::from_millis(20));
    }
    println!("a segment that nginx had is gone after {} ms", off.elapsed().as_millis());
    link.cloud.owner(&["camera", "on", id])?;
    Ok(())
}

/// The picture must not notice.
fn database_restarts(link: &mut Link, beside: &mut Beside) -> Result<()> {
    thread::sleep(Duration::from_secs(5));
    let what = format!("PostgreSQL away for {} s", AWAY.as_secs());
    let outcome = link.fault(&what, 1.0, |_| {
        beside.postgres.stop()?;
        thread::sleep(AWAY);
        beside.postgres.go_on()
    })?;
    if outcome != Outcome::Unseen {
        link.complain(format!("{what}: {outcome:?}"));
    }
    Ok(())
}

/// The cloud that holds the tunnel is killed, and comes back once the picture moves again.
fn kill(link: &mut Link, second: &mut Cloud, beside: &Beside, expected: usize) -> Result<()> {
    let held = beside.holder()?;
    ensure!(held == proxy::inner(expected), "{held} holds the box");
    let name = ["the first", "the second"][expected];
    link.fault(&format!("{name} cloud killed, which held the tunnel"), KILLED, |link| {
        let process = if expected == 0 { link.cloud.process() } else { second.process() };
        process.signal(Signal::SIGKILL)?;
        process.wait(Duration::from_secs(5))?;
        Ok(())
    })?;
    let held = beside.holder()?;
    println!("the tunnel goes by {} and {held} holds the box", link.tunnel()?["via"]);
    if held != proxy::inner(1 - expected) {
        link.complain(format!("{held} holds the box"));
    }
    // A node that is dead is nobody's hope: it starts again and takes its share.
    let dead = if expected == 0 { &mut link.cloud } else { second };
    dead.start_again()?;
    thread::sleep(Duration::from_secs(3));
    Ok(())
}

/// The status of a GET at one cloud itself.
fn ask(host: &Host, number: usize, path: &str) -> Result<u16> {
    let mut curl = host.command("curl");
    curl.args(["--silent", "--output", "/dev/null", "--max-time", "5", "--write-out", "%{http_code}"]);
    curl.arg(proxy::direct(number, path));
    let said = host.output("curl", curl, Duration::from_secs(6))?;
    said.trim().parse().with_context(|| said.clone())
}
