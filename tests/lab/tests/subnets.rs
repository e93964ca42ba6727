//! Cameras that are on the box's wire but not in its network, and cameras on its other wires.

use std::{
    net::Ipv4Addr,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lab::{
    account::Account,
    boxd::Boxd,
    factory::{Factory, Host},
    simcam::Simcam,
    test_name,
    world::{self, run},
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// The owner's password at the box's page.
const OWNER: &str = "a quiet lighthouse";
/// Where Hikvision's and Dahua's cameras are when they leave the factory.
const HIKVISION: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 64);
const DAHUA: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 108);
/// An address that the box's administrator gave it.
const ADMINISTRATOR: &str = "192.168.50.1/24";
/// How soon a device that answers is on the list.
const FOUND: Duration = Duration::from_secs(20);
/// What the box gets from these cameras' makers' prefixes.
const HIKVISION_CARD: &str = "44:19:b6:11:22:33";
const DAHUA_CARD: &str = "3c:ef:8c:00:00:07";

#[test]
fn a_camera_of_another_network_is_reached_for_a_while() {
    let test = test_name!();
    world::beside(test, || {
        let mut factory = Factory::new(test, &["box", "far", "beside"])?;
        for (name, address, card) in [("far", HIKVISION, HIKVISION_CARD), ("beside", DAHUA, DAHUA_CARD)] {
            card_of(factory.host(name)?, card)?;
            factory.readdress(name, address)?;
        }
        let router = factory.host("box")?;
        // The strictest check of senders that a kernel has, and an address that is not the box's to take away.
        for interface in ["all", "eth0"] {
            set(router, &format!("net.ipv4.conf.{interface}.rp_filter=1"))?;
        }
        run("ip", &["-n", "box", "address", "add", ADMINISTRATOR, "dev", "eth0"])?;
        let far = Simcam::start(
            factory.host("far")?,
            &["--sadp", "--maker", "Hikvision", "--path", "/Streaming/Channels/101"],
        )?;
        let beside = Simcam::start(
            factory.host("beside")?,
            &["--dhip", "--maker", "Dahua", "--model", "IPC-HFW2431S"],
        )?;

        let mut boxd = Boxd::start(router, "", &[])?;
        let owner = Account::open(boxd.site(), OWNER)?;
        for (address, source) in [(HIKVISION, "sadp"), (DAHUA, "dhip")] {
            let took = boxd.wait_for(FOUND, source, |boxd| {
                Ok(device(boxd, address)?.is_some_and(|it| told(&it, source)))
            })?;
            println!("{address} is found by {source} after {:.1} s more", took.as_secs_f64());
            let found = device(&boxd, address)?.context("found and gone")?;
            ensure!(found["rtsp"] == json!([]), "nobody has spoken RTSP with it: {found}");
        }
        let key = device(&boxd, HIKVISION)?.context("found and gone")?["key"].clone();
        ensure!(key == HIKVISION_CARD, "its key is {key}");
        ensure!(
            obstacles(&owner, HIKVISION)?.contains(&"other_subnet".to_owned()),
            "the page does not say that it is elsewhere"
        );
        ensure!(
            fact(factory.host("far")?, &far, "requests")? == 0,
            "it was contacted before its owner asked"
        );

        let asked = Instant::now();
        let answer = owner.post("/api/v1/setup/reach", &json!({ "key": key }))?;
        ensure!(answer.status == 200, "reach: {} {}", answer.status, answer.text());
        println!("reached after {:.1} s", asked.elapsed().as_secs_f64());
        let lent = borrowed(router)?.context("no address was borrowed")?;
        ensure!(
            !is_factory_address(lent) && lent.octets()[..3] == HIKVISION.octets()[..3],
            "{lent} was borrowed"
        );
        ensure!(obstacles(&owner, HIKVISION)?.is_empty(), "it is still elsewhere for the page");

        // The key of before still names it, though it tells more now.
        let added =
            owner.post("/api/v1/setup/cameras", &json!({ "picks": [{ "device": key }], "login": null }))?;
        let added: Value = serde_json::from_slice(&added.body)?;
        let id = added["outcomes"][0]["Ok"].as_str().with_context(|| format!("{added}"))?.to_owned();
        boxd.wait_streaming(std::slice::from_ref(&id), Duration::from_secs(30))?;

        // The second camera is served by the same address.
        let second = device(&boxd, DAHUA)?.context("found and gone")?["key"].clone();
        let answer = owner.post("/api/v1/setup/reach", &json!({ "key": second }))?;
        ensure!(answer.status == 200, "reach: {} {}", answer.status, answer.text());
        ensure!(addresses(router)?.matches(":reach").count() == 1, "{}", addresses(router)?);
        ensure!(fact(factory.host("beside")?, &beside, "wrong")? == 0, "it was shown a login");

        // After a crash the next start takes the address away, and gets one again for the camera that is streamed.
        boxd.process().signal(Signal::SIGKILL)?;
        boxd.process().wait(Duration::from_secs(5))?;
        ensure!(borrowed(router)? == Some(lent), "nobody was there to give it back");
        let mut boxd = Boxd::start(router, "", &[])?;
        boxd.wait_streaming(std::slice::from_ref(&id), Duration::from_secs(45))?;
        ensure!(addresses(router)?.matches(":reach").count() == 1, "{}", addresses(router)?);

        // At a proper stop it is gone, and nothing else is.
        boxd.finish()?;
        ensure!(borrowed(router)?.is_none(), "{}", addresses(router)?);
        ensure!(addresses(router)?.contains(ADMINISTRATOR), "{}", addresses(router)?);
        Ok(())
    });
}

#[test]
fn what_cannot_be_reached_safely_is_refused_in_words() {
    let test = test_name!();
    world::beside(test, || {
        let mut factory = Factory::new(test, &["box", "one", "two", "three"])?;
        for (name, card) in [("one", HIKVISION_CARD), ("two", "44:19:b6:11:22:34"), ("three", DAHUA_CARD)] {
            card_of(factory.host(name)?, card)?;
        }
        // Two new cameras at the same address, and one in a network to which the box has a route.
        let third = Ipv4Addr::new(172, 20, 7, 9);
        for (name, address) in [("one", HIKVISION), ("two", HIKVISION), ("three", third)] {
            factory.readdress(name, address)?;
        }
        let hosts =
            ["one", "two", "three"].map(|name| factory.host(name)).into_iter().collect::<Result<Vec<_>>>()?;
        let new = ["--sadp", "--quirk", "activated=off"];
        let cameras = hosts.iter().map(|host| Simcam::start(host, &new)).collect::<Result<Vec<_>>>()?;
        let router = factory.host("box")?;
        run("ip", &["-n", "box", "route", "add", "172.16.0.0/12", "via", "10.77.0.254"])?;
        let before = addresses(router)?;

        let mut boxd = Boxd::start(router, "", &[])?;
        let owner = Account::open(boxd.site(), OWNER)?;
        boxd.wait_for(FOUND, "three devices", |boxd| {
            Ok(boxd.site().json("/api/v1/devices")?.as_array().map_or(0, Vec::len) == 3)
        })?;
        for (key, code) in [
            (HIKVISION_CARD, "reach_shared_address"),
            (DAHUA_CARD, "reach_overlap"),
            ("nobody", "no_such_device"),
        ] {
            let answer = owner.post("/api/v1/setup/reach", &json!({ "key": key }))?;
            let said: Value = serde_json::from_slice(&answer.body)?;
            ensure!(
                said["code"] == code && said["error"].as_str().is_some_and(|words| words.len() > 40),
                "{key}: {said}"
            );
        }
        ensure!(addresses(router)? == before, "the box's addresses have changed: {}", addresses(router)?);
        for (host, camera) in hosts.iter().zip(&cameras) {
            ensure!(
                fact(host, camera, "wrong")? + fact(host, camera, "right")? == 0,
                "a new camera was shown a login"
            );
        }
        boxd.finish()
    });
}

#[test]
fn cameras_are_found_on_the_wire_without_the_default_route() {
    let test = test_name!();
    world::beside(test, || {
        let factory = Factory::new(test, &["box", "first", "ready"])?;
        let router = factory.host("box")?;
        run("ip", &["-n", "box", "route", "add", "default", "via", "10.77.0.254"])?;
        // A second switch, with a camera of each maker and one that only speaks ARP.
        run("ip", &["link", "add", "yard", "type", "bridge", "mcast_snooping", "0"])?;
        run("ip", &["link", "set", "yard", "up"])?;
        second_wire("box", "eth1", "172.31.9.1/24", None)?;
        let mut yard = Vec::new();
        for (name, address, card, words) in [
            ("hik", "172.31.9.64/24", "44:19:b6:00:00:64", Some(["--sadp"].as_slice())),
            ("dah", "172.31.9.108/24", "3c:ef:8c:00:01:08", Some(["--dhip"].as_slice())),
            ("mute", "172.31.9.13/24", "48:ea:63:00:00:13", None),
        ] {
            run("ip", &["netns", "add", name])?;
            second_wire(name, "eth0", address, Some(card))?;
            if let Some(words) = words {
                yard.push(simcam(factory.host("first")?, name, words)?);
            }
        }
        let login = ["--user", "admin", "--password", "right-pass-1", "--discovery", "--sadp"];
        // Cameras of the same name would have the same ONVIF endpoint.
        let fresh = Simcam::start(
            factory.host("first")?,
            &[&login[..], &["--name", "fresh", "--quirk", "activated=off"]].concat(),
        )?;
        let ready = Simcam::start(factory.host("ready")?, &login)?;

        let adopt = "[discovery]\nadopt = true\nuser = \"admin\"\npassword = \"right-pass-1\"\n";
        let mut boxd = Boxd::start(router, adopt, &[])?;
        for (last, source) in [(64, "sadp"), (108, "dhip"), (13, "neighbour")] {
            let address = Ipv4Addr::new(172, 31, 9, last);
            let took = boxd.wait_for(Duration::from_secs(45), source, |boxd| {
                Ok(device(boxd, address)?
                    .is_some_and(|it| told(&it, source) && it["interfaces"] == json!(["eth1"])))
            })?;
            println!("{address} is found by {source} on eth1 after {:.1} s more", took.as_secs_f64());
        }
        // A camera without its first password is shown, and no login is tried; the ready one beside it streams.
        boxd.wait_for(Duration::from_secs(30), "the ready camera's stream", |boxd| {
            Ok(boxd.cameras()?.iter().any(|(_, camera)| camera["state"]["state"] == "streaming"))
        })?;
        ensure!(fact(factory.host("ready")?, &ready, "right")? > 0, "the ready camera was shown no login");
        ensure!(boxd.cameras()?.len() == 1, "{:?}", boxd.cameras()?);
        let fresh_host = factory.host("first")?;
        let shown = fact(fresh_host, &fresh, "wrong")? + fact(fresh_host, &fresh, "right")?;
        ensure!(shown == 0, "a new camera was shown a login");
        boxd.finish()
    });
}

/// A camera on a namespace of its own that is no host of the factory.
fn simcam(any: &Host, namespace: &str, words: &[&str]) -> Result<lab::process::Process> {
    let mut command = any.command("nsenter");
    command.arg(format!("--net=/run/netns/{namespace}")).arg(lab::paths::binary("simcam")?);
    command.arg("--clip").arg(lab::paths::workspace().join("tests/media/gate.h264"));
    command.args(["--rtsp-port", "5540", "--http-port", "8099"]).args(words);
    let mut process = any.spawn(&format!("{namespace}-simcam"), command)?;
    process.wait_for("ready", Duration::from_secs(20))?;
    Ok(process)
}

/// Connects an interface of a namespace to the second switch.
fn second_wire(namespace: &str, interface: &str, address: &str, card: Option<&str>) -> Result<()> {
    let cable = format!("y-{namespace}");
    run("ip", &["link", "add", &cable, "type", "veth", "peer", "name", interface, "netns", namespace])?;
    run("ip", &["link", "set", &cable, "master", "yard", "up"])?;
    if let Some(card) = card {
        run("ip", &["-n", namespace, "link", "set", interface, "address", card])?;
    }
    run("ip", &["-n", namespace, "link", "set", interface, "up"])?;
    run("ip", &["-n", namespace, "address", "add", address, "brd", "+", "dev", interface])
}

/// Gives a host another network card.
fn card_of(host: &Host, mac: &str) -> Result<()> {
    run("ip", &["-n", host.name(), "link", "set", "eth0", "address", mac])
}

fn set(host: &Host, parameter: &str) -> Result<()> {
    let mut command = host.command("sysctl");
    command.args(["-qw", parameter]);
    host.output("sysctl", command, Duration::from_secs(5)).map(drop)
}

/// The host's IPv4 addresses, a line each.
fn addresses(host: &Host) -> Result<String> {
    let mut command = Command::new("ip");
    command.args(["-n", host.name(), "-4", "-o", "address", "show", "dev", "eth0"]);
    let lines = lab::process::output(command, &host.log("ip"), Duration::from_secs(5))?;
    // Without the seconds that are left.
    let named: Vec<&str> = lines.lines().filter_map(|line| line.split('\\').next()).collect();
    Ok(named.join("\n"))
}

/// The address that the box has for a while.
fn borrowed(host: &Host) -> Result<Option<Ipv4Addr>> {
    let all = addresses(host)?;
    let line = all.lines().find(|line| line.contains("eth0:reach"));
    let address = line.and_then(|line| line.split_whitespace().nth(3)?.split('/').next()?.parse().ok());
    Ok(address)
}

fn is_factory_address(address: Ipv4Addr) -> bool {
    matches!(address.octets()[3], 0 | 1 | 64 | 108 | 254 | 255)
}

fn device(boxd: &Boxd, address: Ipv4Addr) -> Result<Option<Value>> {
    let devices = boxd.site().json("/api/v1/devices")?;
    let text = address.to_string();
    let here =
        |device: &&Value| device["addresses"].as_array().is_some_and(|all| all.iter().any(|it| *it == *text));
    Ok(devices.as_array().and_then(|all| all.iter().find(here).cloned()))
}

fn told(device: &Value, source: &str) -> bool {
    device["sources"].as_array().is_some_and(|all| all.iter().any(|it| it == source))
}

/// What the page says stands in a device's way.
fn obstacles(owner: &Account, address: Ipv4Addr) -> Result<Vec<String>> {
    let overview = owner.json("/api/v1/setup/overview")?;
    let text = address.to_string();
    let devices = overview["devices"].as_array().context("no devices")?;
    let here =
        |device: &&Value| device["addresses"].as_array().is_some_and(|all| all.iter().any(|it| *it == *text));
    let found = devices.iter().find(here).with_context(|| format!("{address} is not on the page"))?;
    let codes = found["obstacles"].as_array().context("no obstacles")?;
    Ok(codes.iter().filter_map(|obstacle| Some(obstacle["code"].as_str()?.to_owned())).collect())
}

/// What a camera counted. It is asked on its own host: nobody else may have a way to it.
fn fact(host: &Host, camera: &Simcam, name: &str) -> Result<u64> {
    let facts = host.within(|| camera.tell("facts"))?;
    let word = facts.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    word.and_then(|number| number.parse().ok()).with_context(|| format!("{name} in {facts}"))
}
