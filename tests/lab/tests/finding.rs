//! People find the box without knowing an address: by name, in the list of devices, by a check of connectivity, over TLS and by the
//! code on its label. Who looks is other people's: avahi and nss-mdns as on Linux, GSSDP as a UPnP client, curl, OpenSSL, Chromium.

use std::{
    collections::BTreeMap,
    fs,
    net::Ipv4Addr,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lab::{
    account::Account,
    boxd::Boxd,
    cloud::Cloud,
    factory::{Factory, Host},
    internet::{Internet, VIDEO},
    process::Process,
    test_name,
    tls::Authority,
    world::{self, SCRATCH},
};
use serde_json::{Value, json};

const SHORT: Duration = Duration::from_secs(15);
const LIGHTS: &str = "[board]\nlights = \"file\"\nbutton = \"pipe\"\n\n[discovery]\nenabled = false\n\n";

/// A Linux desktop's way to names that end in `.local`: D-Bus, avahi, and nss-mdns in front of them.
struct Desktop {
    host: Host,
    _bus: Process,
    _avahi: Process,
}

/// A page that avahi lists.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    host: String,
    address: String,
    port: String,
    text: String,
}

impl Desktop {
    fn start(host: &Host) -> Result<Self> {
        for folder in ["/run/dbus", "/run/avahi-daemon"] {
            fs::create_dir_all(folder)?;
        }
        let mut command = host.command("dbus-daemon");
        command.args(["--system", "--nofork", "--nopidfile"]);
        let bus = host.spawn("dbus", command)?;
        let end = Instant::now() + SHORT;
        while fs::metadata("/run/dbus/system_bus_socket").is_err() {
            ensure!(Instant::now() < end, "D-Bus does not come up");
            thread::sleep(Duration::from_millis(20));
        }
        let config = PathBuf::from(SCRATCH).join("desktop.conf");
        fs::write(&config, "[server]\nuse-ipv6=no\n[publish]\ndisable-publishing=yes\n")?;
        let mut command = host.command("avahi-daemon");
        command.arg("--file").arg(config).args(["--no-drop-root", "--no-chroot", "--no-rlimits"]);
        let mut avahi = host.spawn("desktop-avahi", command)?;
        avahi.wait_for("Server startup complete", SHORT)?;
        Ok(Self { host: host.clone(), _bus: bus, _avahi: avahi })
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let mut command = self.host.command(program);
        command.args(arguments);
        self.host.output(program, command, Duration::from_secs(40))
    }

    /// What any program gets for a name.
    fn address(&self, name: &str) -> Option<String> {
        let printed = self.run("getent", &["ahostsv4", name]).ok()?;
        Some(printed.split_whitespace().next()?.to_owned())
    }

    /// The pages that avahi finds, by their names in its list.
    fn pages(&self) -> Result<BTreeMap<String, Listed>> {
        let printed = self.run("avahi-browse", &["-rtp", "_http._tcp"])?;
        let listed = |line: &str| {
            let fields: Vec<&str> = line.split(';').collect();
            let [_, _, _, name, _, _, host, address, port, text] = fields.try_into().ok()?;
            let listed = Listed {
                host: host.to_owned(),
                address: address.to_owned(),
                port: port.to_owned(),
                text: text.to_owned(),
            };
            Some((name.to_owned(), listed))
        };
        Ok(printed.lines().filter(|line| line.starts_with('=')).filter_map(listed).collect())
    }
}

/// Waits until something holds.
fn until(what: &str, limit: Duration, holds: impl Fn() -> Result<bool>) -> Result<Duration> {
    let start = Instant::now();
    while !holds()? {
        ensure!(start.elapsed() < limit, "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(100));
    }
    Ok(start.elapsed())
}

#[test]
fn two_boxes_on_one_lan_are_found_by_name_and_in_the_list_of_devices() {
    let test = test_name!();
    world::beside(test, || {
        let mut factory = Factory::new(test, &["box", "second", "viewer"])?;
        let desktop = Desktop::start(factory.host("viewer")?)?;
        let addresses =
            ["box", "second"].map(|name| factory.host(name).map(|host| host.address().to_string()));
        let [first, second] = addresses;
        let (first, second) = (first?, second?);
        let first_box = Boxd::start(factory.host("box")?, LIGHTS, &[])?;
        let mut second_box = Boxd::start(factory.host("second")?, LIGHTS, &[])?;

        // By name, with what Linux programs use.
        let took = until("streambox.local", SHORT, || Ok(desktop.address("streambox.local").is_some()))?;
        println!("streambox.local is known {:.1} s after the boxes' start", took.as_secs_f64());
        until("both boxes in avahi's list", SHORT, || Ok(desktop.pages()?.len() == 2))?;
        let pages = desktop.pages()?;
        for address in [&first, &second] {
            let listed =
                pages.values().find(|page| page.address == *address).context("a box is not listed")?;
            ensure!(listed.port == "8080" && listed.text.contains("path=/setup/"), "{listed:?}");
            let own = listed.host.strip_prefix("streambox-").is_some_and(|rest| rest.contains(".local"));
            ensure!(own, "{listed:?}");
            ensure!(desktop.address(&listed.host).as_ref() == Some(address), "{listed:?}");
        }
        let plain = desktop.address("streambox.local").context("the plain name has gone")?;
        ensure!([&first, &second].contains(&&plain), "{plain}");

        // A browser goes there.
        let mut command = desktop.host.command("chromium");
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--virtual-time-budget=3000",
            "--dump-dom",
        ]);
        command.arg("http://streambox.local:8080/setup/");
        let dom = desktop.host.output("chromium", command, Duration::from_secs(60))?;
        ensure!(dom.contains("Streambox") || dom.contains("streambox"), "Chromium shows {dom}");
        ensure!(!dom.contains("ERR_NAME_NOT_RESOLVED"), "Chromium does not know the name");

        // As Windows does.
        let found = desktop.run("gssdp-discover", &["-i", "eth0", "-n", "4", "-t", "upnp:rootdevice"])?;
        for address in [&first, &second] {
            let location = format!("http://{address}:8080/ssdp.xml");
            ensure!(found.contains(&location), "{location} is not in {found}");
            let description = desktop.run("curl", &["-sS", "--fail", &location])?;
            let page = format!("<presentationURL>http://{address}:8080/setup/</presentationURL>");
            ensure!(description.contains(&page), "{description}");
        }

        // Whoever has the plain name leaves; the other one gets it.
        let (mut leaves, stays, other) =
            if plain == first { (first_box, second_box, &second) } else { (second_box, first_box, &first) };
        let left = if plain == first { "box" } else { "second" };
        leaves.process().stop(Duration::from_secs(5))?;
        let took = until("the other box under the plain name", Duration::from_secs(20), || {
            Ok(desktop.address("streambox.local").as_ref() == Some(other))
        })?;
        println!("the plain name goes over in {:.1} s", took.as_secs_f64());
        ensure!(desktop.pages()?.len() == 1, "the box that said goodbye is listed still");
        leaves.check_log()?;
        drop(leaves);

        // It moves, and its names with it.
        second_box = stays;
        let stayed = if left == "box" { "second" } else { "box" };
        let moved = Ipv4Addr::new(10, 77, 0, 99);
        factory.readdress(stayed, moved)?;
        second_box.moved(moved);
        let took = until("the names at the new address", Duration::from_secs(20), || {
            Ok(desktop.address("streambox.local") == Some(moved.to_string()))
        })?;
        println!("the names follow a new address in {:.1} s", took.as_secs_f64());
        second_box.check_log()?;
        second_box.finish()
    });
}

#[test]
fn the_page_is_reached_over_tls_by_a_check_of_connectivity_and_its_lights_say_what_it_says() {
    let test = test_name!();
    world::beside(test, || {
        let factory = Factory::new(test, &["box", "viewer"])?;
        let (host, viewer) = (factory.host("box")?, factory.host("viewer")?);
        let mut boxd = Boxd::start(host, LIGHTS, &[])?;
        let address = host.address();
        let curl = |arguments: &[&str]| -> Result<String> {
            let mut command = viewer.command("curl");
            command.args(["-sS", "--max-time", "10"]).args(arguments);
            viewer.output("curl", command, SHORT)
        };

        // A network of its own leads every check of connectivity here; nothing else is reached by such a name.
        let at = format!("{address}:8080");
        for (name, path) in [
            ("connectivitycheck.gstatic.com", "/generate_204"),
            ("captive.apple.com", "/hotspot-detect.html"),
            ("www.msftconnecttest.com", "/connecttest.txt"),
        ] {
            let connect = format!("{name}:80:{at}");
            let url = format!("http://{name}{path}");
            let head = curl(&["-i", "--connect-to", &connect, &url])?;
            ensure!(head.starts_with("HTTP/1.1 302"), "{name}: {head}");
            ensure!(head.to_lowercase().contains(&format!("location: http://{at}/setup/")), "{name}: {head}");
        }
        let other = curl(&["-i", "--connect-to", &format!("evil.example:80:{at}"), "http://evil.example/"])?;
        ensure!(other.starts_with("HTTP/1.1 421"), "{other}");

        // TLS: OpenSSL sees the fingerprint that the box prints, and believes the names once it believes the certificate.
        let secure = format!("{address}:8443");
        let mut command = viewer.command("sh");
        let ask = format!(
            "openssl s_client -connect {secure} </dev/null 2>/dev/null | openssl x509 -outform PEM > {SCRATCH}/box.pem && \
             openssl x509 -in {SCRATCH}/box.pem -noout -fingerprint -sha256"
        );
        command.args(["-c", &ask]);
        let printed = viewer.output("openssl", command, SHORT)?;
        let fingerprint = printed.trim().rsplit('=').next().context("no fingerprint")?.to_owned();
        ensure!(boxd.process().said().contains(&fingerprint), "the box does not print {fingerprint}");
        let believe = format!("{SCRATCH}/box.pem");
        for name in ["streambox.local", &address.to_string()] {
            let connect = format!("{name}:8443:{secure}");
            let url = format!("https://{name}:8443/healthz");
            let healthy = curl(&["--cacert", &believe, "--connect-to", &connect, &url])?;
            ensure!(healthy == "ok\n", "{name}: {healthy}");
        }
        let url = format!("https://{secure}/healthz");
        ensure!(curl(&["--tls-max", "1.1", "-k", &url]).is_err(), "TLS 1.1 is spoken");

        // One value for page and lights.
        let owner = Account::open(boxd.site(), "a long password")?;
        let lights = Boxd::state_dir(host).join("lights");
        let said = || -> Result<String> {
            let text = fs::read_to_string(&lights)?;
            Ok(text.split(':').next().unwrap_or_default().to_owned())
        };
        let page = || -> Result<Value> { owner.json("/api/v1/setup/overview") };
        until("searching", SHORT, || Ok(said()? == "searching"))?;
        let overview = page()?;
        ensure!(overview["condition"] == "searching", "{}", overview["condition"]);
        ensure!(overview["secure"]["fingerprint"] == fingerprint, "{}", overview["secure"]);
        let pages = overview["pages"].to_string();
        ensure!(pages.contains(&format!("http://{at}/setup/")), "{pages}");
        until("the name on the page", SHORT, || {
            Ok(page()?["pages"][0] == "http://streambox.local:8080/setup/")
        })?;
        host.plugged(false)?;
        until("the lights without a cable", SHORT, || Ok(said()? == "plugged"))?;
        host.plugged(true)?;
        until("the lights with the cable again", SHORT, || Ok(said()? == "searching"))?;

        // The button, held: the box forgets its owner and stays who it is.
        let state = Boxd::state_dir(host);
        let kept = ["identity.key", "label.code"].map(|name| fs::read(state.join(name)));
        let label = overview["label"].as_str().context("no label")?.to_owned();
        fs::write(state.join("button"), "down\n")?;
        until("the reset", Duration::from_secs(30), || {
            let state = boxd.site().json("/api/v1/setup/state");
            Ok(state.is_ok_and(|state| state["claimed"] == false))
        })?;
        for (name, before) in ["identity.key", "label.code"].iter().zip(kept) {
            ensure!(fs::read(state.join(name))? == before?, "{name} has changed");
        }
        ensure!(boxd.process().said().matches(&label).count() >= 1, "the label has changed");
        boxd.check_log()?;
        boxd.finish()
    });
}

#[test]
fn a_label_leads_to_the_box_through_the_cloud() {
    let test = test_name!();
    world::beside(test, || {
        let factory = Factory::new(test, &["box"])?;
        let internet = Internet::new(test, &[factory.host("box")?])?;
        let authority = Authority::new(&PathBuf::from(SCRATCH).join("tls"), &[VIDEO])?;
        let cloud = Cloud::start(internet.cloud(), &authority, None)?;
        let host = factory.host("box")?;
        let configuration = format!("[discovery]\nenabled = false\n\n{}", Cloud::box_config(&authority));
        let start = Instant::now();
        let mut boxd = Boxd::start(host, &configuration, &[])?;
        let code = fs::read_to_string(Boxd::state_dir(host).join("label.code"))?.trim().to_owned();
        ensure!(boxd.process().said().contains(&code), "the box does not print its label's code");

        // Before anybody has joined it, from anywhere.
        let address = format!("http://{}:8080/setup/", host.address());
        let find =
            |code: &str| cloud.site().open(internet.viewer())?.post("/api/v1/find", &json!({ "code": code }));
        let leads = |code: &str, page: &str| -> Result<bool> {
            let answer = find(code)?;
            Ok(answer.status == 200 && answer.text().contains(page))
        };
        until("the box by its label", Duration::from_secs(40), || {
            thread::sleep(Duration::from_secs(4));
            leads(&code, &address)
        })?;
        println!("found by its label {:.1} s after its start", start.elapsed().as_secs_f64());
        let found: Value = serde_json::from_str(&find(&code)?.text())?;
        ensure!(found["seen_s"].as_u64().is_some_and(|seconds| seconds < 60), "{found}");
        let mut wrong = code.clone();
        wrong.replace_range(0..1, if code.starts_with('A') { "B" } else { "A" });
        ensure!(find(&wrong)?.status == 404, "{}", find(&wrong)?.text());
        ensure!(cloud.site().get(internet.viewer(), "/find")?.text().contains("ABCDE-FGH23"));
        boxd.check_log()?;
        boxd.finish()?;
        cloud.check_log()
    });
}
