//! Viewers by the thousand of one camera through nginx, as operators get it but for TLS, before two gateways: what nginx and
//! the gateways cost for each viewer, and how long a delivery takes. In network namespaces of its own, like `gateway`.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::clips::Numbered;
use lab::{paths, proxy, world};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::process::Measured;
use crate::row::{Row, median, quantile};
use crate::stage::{self, Stage};
use crate::viewers::{Kind, watch};

/// Set inside the world that the benchmark makes.
const INSIDE: &str = "STREAMBOX_BENCH_CLOUDS";
/// Viewers that watch.
const VIEWERS: u32 = 5000;
/// Time until all are connected and in their rhythm, and time that is measured.
const WARM_UP: Duration = Duration::from_secs(4);
const WINDOW: Duration = Duration::from_secs(15);
/// A small picture: at 4 Mbit/s the wire of the machine would be measured.
const CLIP: Numbered = Numbered { name: "numbered", size: (320, 180), kbit: 300 };
const GATEWAY_PORTS: [u16; 2] = [28_443, 29_443];
const NGINX_PORT: u16 = 28_082;
const CACHE_MIB: u64 = 256;

/// Measures in a world of its own.
pub(crate) fn run() -> Result<Vec<Row>> {
    if env::var_os(INSIDE).is_some() {
        world::furnish()?;
        return measure();
    }
    stage::build("the gateway", &["--package", "cloud-stub", "--example", "gateway"])?;
    drop(Stage::set()?);
    CLIP.file()?;
    let status = world::unshared(&env::current_exe()?)?.arg("clouds").env(INSIDE, "1").status()?;
    ensure!(status.success(), "the benchmark in its world failed");
    Ok(Vec::new()) // printed in there
}

fn measure() -> Result<Vec<Row>> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    ensure!(most > u64::from(VIEWERS) + 1000, "only {most} files may be open: raise the hard limit");
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let stage = Stage::set()?;
    let _camera = stage.start_cameras_of(&CLIP.file()?, 1, &[])?;
    let _boxd = stage.start_box(1)?;
    stage.wait_streaming(1)?;
    let upstream = stage.site().url("").trim_start_matches("http://").to_owned();
    let gateways = GATEWAY_PORTS.iter().map(|port| start_gateway(&stage, *port, &upstream));
    let gateways: Vec<Measured> = gateways.collect::<Result<_>>()?;
    let nginx = start_nginx(&stage)?;
    for port in GATEWAY_PORTS.into_iter().chain([NGINX_PORT]) {
        stage.until("all serve", Duration::from_secs(20), || {
            Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok())
        })?;
    }
    watch(NGINX_PORT, "/bench", Kind::Parts, 1, Duration::from_secs(6))?;
    let mut rows = Vec::new();
    for (kind, words) in [(Kind::Segments, "by whole segments"), (Kind::Parts, "by parts, in step")] {
        eprintln!("clouds: {VIEWERS} viewers through nginx {words}");
        let costs = || (nginx.cpu_ms(), gateways.iter().map(Measured::cpu_ms).sum::<f64>());
        let start = costs();
        let mut seen = watch(NGINX_PORT, "/bench", kind, VIEWERS, WARM_UP + WINDOW)?;
        let end = costs();
        ensure!(!seen.deliveries_ms.is_empty(), "nothing was delivered, {} failures", seen.failures);
        let watched = f64::from(VIEWERS) * seen.seconds;
        let row = |what: &str, value, unit| {
            Row::alone(&format!("clouds: 5000 viewers {words}: {what}"), value, unit)
        };
        rows.push(row("processor time of nginx", (end.0 - start.0) / watched, "ms per viewer-second"));
        rows.push(row(
            "processor time of both gateways",
            (end.1 - start.1) / watched,
            "ms per viewer-second",
        ));
        rows.push(row("deliveries", seen.deliveries_ms.len() as f64 / watched, "per viewer-second"));
        rows.push(row("throughput", seen.bytes as f64 / 1e6 / seen.seconds, "MB/s"));
        rows.push(row("delivery, p50", median(&mut seen.deliveries_ms), "ms"));
        rows.push(row("delivery, p99", quantile(&mut seen.deliveries_ms, 0.99), "ms"));
        rows.push(row("failures", seen.failures as f64, "requests"));
    }
    Ok(rows)
}

fn start_gateway(stage: &Stage, port: u16, upstream: &str) -> Result<Measured> {
    let mut command = Command::new(paths::target().join("release/examples/gateway"));
    command.args([&format!("127.0.0.1:{port}"), upstream, "cam0", &CACHE_MIB.to_string()]);
    Measured::start(&mut command, &stage.log(&format!("gateway-{port}")))
}

fn start_nginx(stage: &Stage) -> Result<Measured> {
    let dir = stage.dir("nginx")?;
    let [first, second] = GATEWAY_PORTS;
    let text = proxy::configuration(&[
        ("cloud-a:8443", &format!("127.0.0.1:{first}")),
        ("cloud-b:8443", &format!("127.0.0.1:{second}")),
        ("listen 443 ssl http2 backlog=4096;", &format!("listen 127.0.0.1:{NGINX_PORT} backlog=4096;")),
        ("ssl_certificate /etc/nginx/tls/fullchain.pem;", ""),
        ("ssl_certificate_key /etc/nginx/tls/privkey.pem;", ""),
        ("/run/nginx.pid", &dir.join("pid").display().to_string()),
        ("/var/cache/nginx/streambox", &dir.join("cache").display().to_string()),
    ])?;
    let file = dir.join("nginx.conf");
    fs::write(&file, text)?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(&dir).arg("-c").arg(&file).args(["-g", "daemon off; user root;"]);
    Measured::start(&mut command, &stage.log("nginx"))
        .context("nginx: run `cargo xtask setup` once, it installs what the benchmarks need")
}
