//! Certificates that come by themselves: our cloud against Pebble, Let's Encrypt's own ACME server for tests, with names
//! from its fake DNS and certificates that live for half a minute.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use lab::{
    paths,
    process::{self, Process, tail},
    test_name,
    tls::Authority,
    world::{self, SCRATCH},
};
use nix::sys::signal::Signal;
use serde_json::json;

const NAME: &str = "video.example.org";
/// Pebble waits a little between its steps, and refuses some nonces on purpose.
const ORDER: Duration = Duration::from_secs(40);
/// How long a certificate lives, seconds; two thirds of it are over after [`RENEWAL`].
const LIFE_S: u64 = 30;
const RENEWAL: Duration = Duration::from_secs(LIFE_S / 3 * 2);
const SHORT: Duration = Duration::from_secs(15);

#[test]
fn a_certificate_comes_by_itself_is_kept_and_is_renewed_in_time() {
    let test = test_name!();
    world::beside(test, || {
        let stage = Stage::new(&world::logs(test))?;
        let pebble = stage.pebble()?;
        let start = Instant::now();
        let mut cloud = stage.cloud()?;
        ensure!(stage.plain("/some/page?x=1")? == format!("308 https://{NAME}:8443/some/page?x=1"));
        ensure!(stage.plain("/.well-known/acme-challenge/nothing")?.starts_with("404 "));
        let first = stage.certificate_within(ORDER, &cloud, None)?;
        let ordered = start.elapsed();
        ensure!(stage.healthz()?, "the page is not there with the new certificate");

        // A restart asks for nothing: account and certificate are in the store.
        ensure!(cloud.stop(Duration::from_secs(2))?.success(), "the cloud does not end within 2 s");
        let accounts = asked(&pebble, "new-account");
        cloud = stage.cloud()?;
        let kept = stage.certificate_within(SHORT, &cloud, None)?;
        ensure!(kept == first, "after a restart it shows another certificate");

        let second = stage.certificate_within(RENEWAL + ORDER, &cloud, Some(&first))?;
        let renewed = start.elapsed().saturating_sub(ordered);
        ensure!(stage.healthz()?, "the page is not there with the renewed certificate");
        ensure!(asked(&pebble, "new-account") == accounts, "a second account was made");

        // Without the server the last one is shown on; when the server is back, the next one comes.
        pebble.signal(Signal::SIGKILL)?;
        thread::sleep(RENEWAL + Duration::from_secs(3));
        ensure!(stage.certificate()? == second, "without the ACME server another certificate is shown");
        ensure!(cloud.said().contains("no certificate"), "the operator is told nothing");

        println!(
            "first certificate after {:.1} s, the next one {:.1} s later (two thirds of its life are {} s)",
            ordered.as_secs_f64(),
            renewed.as_secs_f64(),
            RENEWAL.as_secs()
        );
        for secret in ["BEGIN PRIVATE KEY", "BEGIN EC PRIVATE KEY"] {
            ensure!(!cloud.said().contains(secret), "a key in the log");
        }
        ensure!(!cloud.said().contains("ERROR"), "{}", tail(&cloud.said()));
        drop(cloud);
        Ok(())
    });
}

/// Pebble, its DNS, and where everything lies.
struct Stage {
    folder: PathBuf,
    logs: PathBuf,
    authority: Authority,
    _names: Process,
}

impl Stage {
    fn new(logs: &Path) -> Result<Self> {
        let folder = PathBuf::from(SCRATCH).join("acme");
        fs::create_dir_all(&folder)?;
        let authority = Authority::new(&folder, &["localhost"])?;
        let mut names = Command::new("pebble-challtestsrv");
        names.args(["-defaultIPv6", "", "-defaultIPv4", "127.0.0.1", "-dns01", "127.0.0.1:8053"]);
        names.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-management", "127.0.0.1:8055"]);
        let names = Process::spawn(names, &logs.join("names.log"))?;
        Ok(Self { folder, logs: logs.to_owned(), authority, _names: names })
    }

    fn pebble(&self) -> Result<Process> {
        let config = self.folder.join("pebble.json");
        let text = json!({ "pebble": {
            "listenAddress": "127.0.0.1:14000",
            "managementListenAddress": "127.0.0.1:15000",
            "certificate": self.authority.certificate_file(),
            "privateKey": self.authority.key_file(),
            "httpPort": 80,
            "tlsPort": 5001,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
            "certificateValidityPeriod": LIFE_S,
        }});
        fs::write(&config, text.to_string())?;
        let mut pebble = Command::new("pebble");
        pebble
            .arg("-config")
            .arg(&config)
            .args(["-dnsserver", "127.0.0.1:8053"])
            .env("PEBBLE_VA_NOSLEEP", "1");
        let mut pebble = Process::spawn(pebble, &self.logs.join("pebble.log"))?;
        pebble.wait_for("Listening on", SHORT)?;
        Ok(pebble)
    }

    fn cloud(&self) -> Result<Process> {
        let config = self.folder.join("cloud.toml");
        let text = format!(
            "[http]\nlisten = \"127.0.0.1:8443\"\nurl = \"https://{NAME}:8443\"\ntls = \"acme\"\n\
             acme_directory = \"https://localhost:14000/dir\"\nacme_ca = \"{}\"\nacme_contact = \"mailto:admin@example.org\"\n\
             redirect_listen = \"127.0.0.1:80\"\n[hub]\nlisten = \"127.0.0.1:51820\"\n[store]\nurl = \"sqlite:{}\"\n",
            self.authority.root_file().display(),
            self.folder.join("cloud.db").display(),
        );
        fs::write(&config, text)?;
        let mut cloud = Command::new(paths::binary("cloud")?);
        cloud.arg("--config").arg(&config);
        let mut cloud = Process::spawn(cloud, &self.logs.join("cloud.log"))?;
        cloud.wait_for("listening:", SHORT)?;
        Ok(cloud)
    }

    /// Waits until a certificate is shown, another one than `old`.
    fn certificate_within(&self, limit: Duration, cloud: &Process, old: Option<&str>) -> Result<String> {
        let start = Instant::now();
        loop {
            match self.certificate() {
                Ok(found) if old != Some(found.as_str()) => return Ok(found),
                _ if start.elapsed() > limit => bail!("no new certificate:\n{}", tail(&cloud.said())),
                _ => thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// The certificate that is shown now, PEM, whatever it is worth.
    fn certificate(&self) -> Result<String> {
        let mut python = Command::new("python3");
        python.args(["-c", "import ssl; print(ssl.get_server_certificate(('127.0.0.1', 8443), timeout=5))"]);
        process::output(python, &self.logs.join("certificate.log"), SHORT)
    }

    /// Whether somebody who trusts Pebble's root only gets an answer under the cloud's name.
    fn healthz(&self) -> Result<bool> {
        let root = self.folder.join("pebble-root.pem");
        let mut fetch = curl();
        fetch.arg("--cacert").arg(self.authority.root_file()).arg("-o").arg(&root);
        fetch.arg("https://localhost:15000/roots/0");
        process::output(fetch, &self.logs.join("root.log"), SHORT).context("Pebble's root")?;
        let mut page = curl();
        page.arg("--cacert").arg(&root).args(["--resolve", &format!("{NAME}:8443:127.0.0.1")]);
        page.arg(format!("https://{NAME}:8443/healthz"));
        Ok(process::output(page, &self.logs.join("healthz.log"), SHORT)? == "ok\n")
    }

    /// Status and destination of a plain request.
    fn plain(&self, path: &str) -> Result<String> {
        let mut page = Command::new("curl");
        page.args([
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code} %{redirect_url}",
            "-H",
            "Host: evil.example",
        ]);
        page.arg(format!("http://127.0.0.1:80{path}"));
        process::output(page, &self.logs.join("plain.log"), SHORT)
    }
}

/// How often Pebble was asked for this.
fn asked(pebble: &Process, what: &str) -> usize {
    pebble.said().lines().filter(|line| line.contains(what)).count()
}

fn curl() -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--max-time", "10"]);
    curl
}
