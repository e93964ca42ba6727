//! `boxd tunnel` and wireguard-go understand each other, whoever begins.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lab::{
    factory::{Factory, Host},
    paths,
    process::{self, Process},
    test_name, world,
};
use nix::sys::signal::Signal;

/// How soon a tunnel must carry the first ping.
const STANDS: Duration = Duration::from_secs(10);
/// Bytes of the download.
const DOWNLOAD: usize = 64 << 20;
/// The server's name, which only this world knows.
const NAME: &str = "hub.example.org";

struct Keys {
    private: String,
    public: String,
}

fn keys() -> Result<Keys> {
    let say = |words: &str| -> Result<String> {
        let output = Command::new("sh").args(["-c", words]).output()?;
        ensure!(output.status.success(), "{words}: install wireguard-tools");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let private = say("wg genkey")?;
    let public = say(&format!("echo {private} | wg pubkey"))?;
    Ok(Keys { private, public })
}

fn file(name: &str, text: &str) -> Result<PathBuf> {
    let path = Path::new(world::SCRATCH).join(name);
    fs::write(&path, text)?;
    Ok(path)
}

/// Runs a short command on a host.
fn on(host: &Host, program: &str, words: &[&str]) -> Result<String> {
    let mut command = host.command(program);
    command.args(words);
    host.output(&format!("{program}-{}", host.name()), command, Duration::from_secs(60))
}

fn wait(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) -> Result<Duration> {
    let begin = Instant::now();
    while !condition() {
        ensure!(begin.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(begin.elapsed())
}

/// Somebody else's WireGuard: 10.98.0.1 on the link and 10.97.0.1 behind it.
fn wireguard_go(host: &Host, config: &Path) -> Result<Process> {
    let mut command = host.command("wireguard-go");
    command.args(["--foreground", "wg9"]).env("LOG_LEVEL", "error");
    let control = Path::new("/run/wireguard/wg9.sock");
    // Left behind by one that was killed.
    let _ = fs::remove_file(control);
    let process = host.spawn("wireguard-go", command)?;
    wait("wireguard-go's control socket", STANDS, || control.exists())?;
    // Up before it has a peer, or its first handshake waits for 5 s.
    on(host, "ip", &["link", "set", "wg9", "mtu", "1380", "up"])?;
    on(host, "wg", &["setconf", "wg9", &config.display().to_string()])?;
    on(host, "ip", &["address", "add", "10.98.0.1/24", "dev", "wg9"])?;
    on(host, "ip", &["address", "add", "10.97.0.1/32", "dev", "lo"])?;
    Ok(process)
}

fn boxd(host: &Host, config: &Path) -> Result<Process> {
    let mut command = host.command(paths::binary("boxd")?);
    command.arg("tunnel").arg("--config").arg(config);
    host.spawn("boxd-tunnel", command)
}

fn ping(host: &Host, to: &str) -> bool {
    let mut command = host.command("ping");
    command.args(["-c", "1", "-W", "1", "-q", to]);
    process::output(command, &host.log("ping"), Duration::from_secs(5)).is_ok()
}

/// One tunnel from start to end; `ours_begins` tells who knows where the other is.
fn talk(own: &Host, theirs: &Host, ours_begins: bool) -> Result<()> {
    let (ours, other, shared) = (keys()?, keys()?, keys()?.private);
    let theirs_config = file(
        "wg9.conf",
        &format!(
            "[Interface]\nPrivateKey = {}\nListenPort = 51820\n[Peer]\nPublicKey = {}\nPresharedKey = {shared}\n\
             AllowedIPs = 10.98.0.2/32\n{}",
            other.private,
            ours.public,
            if ours_begins {
                String::new()
            } else {
                format!("Endpoint = {}:51821\nPersistentKeepalive = 1\n", own.address())
            }
        ),
    )?;
    let ours_config = file(
        "wg0.conf",
        &format!(
            "[Interface]\nAddress = 10.98.0.2/24\nPrivateKey = {}\nMTU = 1380\nDNS = 10.98.0.1\n{}\n[Peer]\nPublicKey = {}\n\
             PresharedKey = {shared}\nAllowedIPs = 10.98.0.1/32, 10.97.0.0/16\n{}",
            ours.private,
            if ours_begins { "" } else { "ListenPort = 51821\n" },
            other.public,
            if ours_begins {
                format!("Endpoint = {NAME}:51820\nPersistentKeepalive = 1\n")
            } else {
                String::new()
            }
        ),
    )?;
    let who = if ours_begins { "ours begins" } else { "wireguard-go begins" };
    // Whoever is asked is there first.
    let (mut boxd, _theirs) = if ours_begins {
        let theirs = wireguard_go(theirs, &theirs_config)?;
        (boxd(own, &ours_config)?, theirs)
    } else {
        let mut boxd = boxd(own, &ours_config)?;
        boxd.wait_for("is up", STANDS)?;
        (boxd, wireguard_go(theirs, &theirs_config)?)
    };
    let took = wait("the first ping", STANDS, || {
        if ours_begins { ping(own, "10.98.0.1") } else { ping(theirs, "10.98.0.2") }
    })?;
    println!("{who}: the first ping is answered after {:.2} s", took.as_secs_f64());
    ensure!(ping(own, "10.97.0.1"), "{who}: a network behind the peer must be reached");
    ensure!(on(own, "ip", &["link", "show", "wg0"])?.contains("mtu 1380"), "the MTU is the file's");
    ensure!(boxd.said().contains("DNS has no effect"), "what is ignored is said:\n{}", boxd.said());
    for (to, from, address) in [(own, theirs, "10.98.0.1"), (theirs, own, "10.98.0.2")] {
        let speed =
            download(to, from, address).with_context(|| format!("{who}: a download by {}", to.name()))?;
        println!("{who}: {} downloads with {speed:.2} Gbit/s", to.name());
    }
    boxd.signal(Signal::SIGTERM)?;
    ensure!(boxd.wait(Duration::from_secs(5))?.success(), "it ends when asked");
    ensure!(on(own, "ip", &["link", "show", "wg0"]).is_err(), "its interface is gone with it");
    ensure!(!boxd.said().contains("ERROR"), "{}", boxd.said());
    let _ = on(theirs, "ip", &["address", "delete", "10.97.0.1/32", "dev", "lo"]);
    Ok(())
}

/// Gbit/s of a download that arrived unchanged.
fn download(to: &Host, from: &Host, address: &str) -> Result<f64> {
    let folder = Path::new(world::SCRATCH).join("served");
    fs::create_dir_all(&folder)?;
    let content: Vec<u8> =
        (0..DOWNLOAD as u64).map(|at| (at.wrapping_mul(0x9E37_79B9) >> 13) as u8).collect();
    fs::write(folder.join("file"), &content)?;
    let mut server = from.command("python3");
    server.args(["-m", "http.server", "8000", "--bind", address, "--directory"]).arg(&folder);
    let _server = from.spawn("http-server", server)?;
    let fetched = Path::new(world::SCRATCH).join("fetched");
    let url = format!("http://{address}:8000/file");
    let fetched_name = fetched.display().to_string();
    wait("the web server", STANDS, || on(to, "curl", &["-sf", "-o", &fetched_name, "--head", &url]).is_ok())?;
    let begin = Instant::now();
    on(to, "curl", &["-sSf", "--max-time", "60", "-o", &fetched_name, &url])?;
    let took = begin.elapsed().as_secs_f64();
    ensure!(fs::read(&fetched)? == content, "it arrived changed");
    Ok(DOWNLOAD as f64 * 8e-9 / took)
}

/// A file that sends everything into the tunnel, as most providers write them: what the machine is connected to itself stays
/// where it was, the tunnel's own datagrams find out, and nothing is left behind, not after a kill either.
fn everything(own: &Host, theirs: &Host) -> Result<()> {
    // The server and the world, both beyond the LAN; without the tunnel the way to both is the LAN.
    let (server, world) = ("192.0.2.77", "203.0.113.7");
    for address in [server, world] {
        on(theirs, "ip", &["address", "add", &format!("{address}/32"), "dev", "lo"])?;
    }
    on(own, "ip", &["route", "add", "default", "dev", "eth0"])?;
    let (ours, other) = (keys()?, keys()?);
    let theirs_config = file(
        "wg9.conf",
        &format!(
            "[Interface]\nPrivateKey = {}\nListenPort = 51820\n[Peer]\nPublicKey = {}\nAllowedIPs = 10.98.0.2/32\n",
            other.private, ours.public
        ),
    )?;
    let ours_config = file(
        "wg0.conf",
        &format!(
            "[Interface]\nAddress = 10.98.0.2/32\nPrivateKey = {}\n[Peer]\nPublicKey = {}\nAllowedIPs = 0.0.0.0/0, ::/0\n\
             Endpoint = {server}:51820\n",
            ours.private, other.public
        ),
    )?;
    let rules = || -> Result<String> {
        Ok(on(own, "ip", &["rule"])? + &on(own, "ip", &["-6", "rule"])? + &on(own, "ip", &["route"])?)
    };
    let way = |to: &str| on(own, "ip", &["route", "get", to]);
    let before = rules()?;
    for killed in [true, false] {
        let wireguard = wireguard_go(theirs, &theirs_config)?;
        let mut boxd = boxd(own, &ours_config)?;
        boxd.wait_for("is up", STANDS)?;
        let took = wait("the world through the tunnel", STANDS, || ping(own, world))?;
        println!("everything in the tunnel: the world answers after {:.2} s", took.as_secs_f64());
        ensure!(way(world)?.contains("dev wg0"), "the world is in the tunnel: {}", way(world)?);
        let lan = theirs.address().to_string();
        ensure!(way(&lan)?.contains("dev eth0") && ping(own, &lan), "the LAN stays where it is");
        drop(wireguard);
        ensure!(!ping(own, world), "nothing of the world goes around a tunnel that is silent");
        boxd.signal(if killed { Signal::SIGKILL } else { Signal::SIGTERM })?;
        let ended = boxd.wait(Duration::from_secs(5))?;
        ensure!(ended.success() != killed, "it ended with {ended}");
        ensure!(way(world)?.contains("dev eth0") && ping(own, world), "the machine is as it was");
        on(theirs, "ip", &["address", "delete", "10.97.0.1/32", "dev", "lo"])?;
    }
    ensure!(rules()? == before, "rules are left behind:\n{}", rules()?);
    on(own, "ip", &["route", "delete", "default"])?;
    Ok(())
}

/// What it says when it cannot.
fn refused(host: &Host, config: &Path, privileged: bool) -> Result<String> {
    let boxd = paths::binary("boxd")?;
    let mut command = if privileged {
        host.command(boxd)
    } else {
        let mut command = host.command("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all", "--"]).arg(boxd);
        command
    };
    command.arg("tunnel").arg("--config").arg(config);
    let mut process = host.spawn("boxd-refused", command)?;
    let status = process.wait(Duration::from_secs(5))?;
    ensure!(!status.success(), "it must fail:\n{}", process.said());
    Ok(process.said())
}

#[test]
fn standard_wireguard_is_joined_and_joins() {
    let test = test_name!();
    world::beside(test, || {
        let factory = Factory::new(test, &["box", "server"])?;
        let (own, theirs) = (factory.host("box")?, factory.host("server")?);
        let hosts = file("hosts", &format!("127.0.0.1 localhost\n{} {NAME}\n", theirs.address()))?;
        world::run("mount", &["--bind", &hosts.display().to_string(), "/etc/hosts"])?;

        talk(own, theirs, true)?;
        talk(own, theirs, false)?;
        everything(own, theirs)?;

        let wrong = file("wrong.conf", "[Interface]\nPrivateKey = not-a-key\n")?;
        let said = refused(own, &wrong, true)?;
        ensure!(said.contains("wrong.conf:2: a key is 32 bytes") && !said.contains("not-a-key"), "{said}");
        let routes = on(own, "ip", &["route"])?;
        let (ours, other) = (keys()?, keys()?);
        let text = format!(
            "[Interface]\nPrivateKey = {}\nAddress = 10.98.0.2/32\n[Peer]\nPublicKey = {}\nAllowedIPs = 10.77.0.0/24\n",
            ours.private, other.public
        );
        let said = refused(own, &file("taken.conf", &text)?, true)?;
        ensure!(said.contains("ip route"), "{said}");
        ensure!(on(own, "ip", &["route"])? == routes, "the host's own routes must stay");
        let said = refused(own, Path::new("/run/lab/wg0.conf"), false)?;
        ensure!(said.contains("this needs root"), "{said}");
        Ok(())
    });
}
