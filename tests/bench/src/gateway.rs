//! Viewers of one camera through the gateway, beside nginx with proxy_cache in the same run: both stand before the same
//! box and get the same viewers in turn, window by window, in network namespaces of their own.

use std::collections::HashSet;
use std::env;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{paths, world};

use crate::process::Measured;
use crate::row::{Row, median, quantile};
use crate::stage::{self, Stage};
use crate::viewers::{Kind, Seen, watch};

/// Set inside the world that the benchmark makes.
const INSIDE: &str = "STREAMBOX_BENCH_GATEWAY";
/// Viewers that watch.
const VIEWERS: u32 = 500;
/// Connections that only pull.
const FLOOD: u32 = 32;
/// Windows of each, per kind of viewer; the figures are medians over windows.
const WINDOWS: usize = 3;
const WINDOW: Duration = Duration::from_secs(8);
const FLOOD_WINDOW: Duration = Duration::from_secs(4);
/// Memory that each may fill with objects, MiB.
const CACHE_MIB: u64 = 256;
const GATEWAY_PORT: u16 = 28080;
const NGINX_PORT: u16 = 28081;
const PEER: &str = "nginx proxy_cache";

/// Measures in a world of its own.
pub(crate) fn run() -> Result<Vec<Row>> {
    if env::var_os(INSIDE).is_some() {
        world::furnish()?;
        return measure();
    }
    stage::build("the gateway", &["--package", "cloud-stub", "--example", "gateway"])?;
    drop(Stage::set()?);
    let mut inside = world::unshared(&env::current_exe()?)?;
    let status = inside.arg("gateway").env(INSIDE, "1").status()?;
    ensure!(status.success(), "the benchmark in its world failed");
    Ok(Vec::new()) // printed in there
}

/// One of the two that are compared.
struct Server {
    process: Measured,
    port: u16,
}

/// What one window showed of a server.
struct Window {
    p50_ms: f64,
    p99_ms: f64,
    cpu_s_per_gb: f64,
    mb_per_s: f64,
    failures: u64,
    objects: HashSet<String>,
    /// Requests that the box got.
    fetches: f64,
}

fn measure() -> Result<Vec<Row>> {
    let stage = Stage::set()?;
    let _camera = stage.start_cameras(1, &[])?;
    let _boxd = stage.start_box(1)?;
    stage.wait_streaming(1)?;
    let upstream = stage.site().url("").trim_start_matches("http://").to_owned();
    let gateway = start_gateway(&stage, &upstream)?;
    let nginx = start_nginx(&stage, &upstream)?;
    for port in [GATEWAY_PORT, NGINX_PORT] {
        stage.until("both serve", Duration::from_secs(10), || {
            Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok())
        })?;
    }
    // The window of the box fills; a plain viewer needs whole segments.
    watch(GATEWAY_PORT, "/bench", Kind::Parts, 1, Duration::from_secs(6))?;

    let mut rows = Vec::new();
    for (kind, viewers, time, words) in [
        (Kind::Parts, VIEWERS, WINDOW, "500 viewers in step, by parts"),
        (Kind::Segments, VIEWERS, WINDOW, "500 viewers, by whole segments"),
        (Kind::Flood, FLOOD, FLOOD_WINDOW, "32 connections, one segment as fast as it comes"),
    ] {
        let mut all: [Vec<Window>; 2] = [Vec::new(), Vec::new()];
        for round in 1..=WINDOWS {
            eprintln!("gateway: {words}: window {round} of {WINDOWS}");
            for (server, windows) in [&gateway, &nginx].into_iter().zip(&mut all) {
                windows.push(window(&stage, server, kind, viewers, time)?);
            }
        }
        rows.extend(compare(kind, words, &all));
    }
    rows.push(Row::beside(
        "gateway: memory (PSS) after all this",
        gateway.process.pss_mib(),
        "MiB",
        PEER,
        gateway.process.pss_mib() / nginx.process.pss_mib(),
    ));
    Ok(rows)
}

fn window(stage: &Stage, server: &Server, kind: Kind, viewers: u32, time: Duration) -> Result<Window> {
    let (fetched, cpu) = (fetches(stage)?, server.process.cpu_ms());
    let Seen { mut deliveries_ms, bytes, failures, objects, seconds } =
        watch(server.port, "/bench", kind, viewers, time)?;
    ensure!(deliveries_ms.len() > 100, "only {} deliveries, {failures} failures", deliveries_ms.len());
    let bytes = bytes as f64;
    Ok(Window {
        p50_ms: median(&mut deliveries_ms),
        p99_ms: quantile(&mut deliveries_ms, 0.99),
        cpu_s_per_gb: (server.process.cpu_ms() - cpu) / 1e3 / (bytes / 1e9),
        mb_per_s: bytes / 1e6 / seconds,
        failures,
        objects,
        fetches: fetches(stage)? - fetched,
    })
}

fn compare(kind: Kind, words: &str, windows: &[Vec<Window>; 2]) -> Vec<Row> {
    let [ours, theirs] = windows;
    let beside = |what: &str, unit: &'static str, figure: fn(&Window) -> f64| {
        let mut values: Vec<f64> = ours.iter().map(figure).collect();
        let mut ratios: Vec<f64> =
            ours.iter().zip(theirs).map(|(ours, theirs)| figure(ours) / figure(theirs)).collect();
        let what = format!("gateway: {words}: {what}");
        Row::beside(&what, median(&mut values), unit, PEER, median(&mut ratios))
    };
    let mut rows = vec![
        beside("processor time", "s per GB", |window| window.cpu_s_per_gb),
        beside("throughput", "MB/s", |window| window.mb_per_s),
        beside("delivery, p50", "ms", |window| window.p50_ms),
        beside("delivery, p99", "ms", |window| window.p99_ms),
    ];
    for (name, windows) in [("gateway", ours), (PEER, theirs)] {
        if kind == Kind::Parts {
            // The playlist that each viewer begins with may not be kept by anybody, so it is no object that could be
            // fetched once; what it costs the box shows here.
            let mut per_object: Vec<f64> = windows
                .iter()
                .map(|window| {
                    let named = window.objects.iter().filter(|path| !path.ends_with("/live.m3u8")).count();
                    window.fetches / named as f64
                })
                .collect();
            let what = format!("{name}: {words}: requests at the box per object, first playlists included");
            rows.push(Row::alone(&what, median(&mut per_object), "requests"));
        }
        let failures: u64 = windows.iter().map(|window| window.failures).sum();
        rows.push(Row::alone(&format!("{name}: {words}: failures"), failures as f64, "requests"));
    }
    rows
}

/// Requests that the box has answered for its camera so far.
fn fetches(stage: &Stage) -> Result<f64> {
    let text = stage.site().get("/metrics")?.text();
    let line = text.lines().find(|line| line.starts_with("streambox_camera_requests_total{"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).context("the box's count of requests")
}

fn start_gateway(stage: &Stage, upstream: &str) -> Result<Server> {
    let listen = format!("127.0.0.1:{GATEWAY_PORT}");
    let mut command = Command::new(paths::target().join("release/examples/gateway"));
    command.args([&listen, upstream, "cam0", &CACHE_MIB.to_string()]);
    Ok(Server { process: Measured::start(&mut command, &stage.log("gateway"))?, port: GATEWAY_PORT })
}

fn start_nginx(stage: &Stage, upstream: &str) -> Result<Server> {
    let dir = stage.dir("nginx")?;
    let file = dir.join("nginx.conf");
    fs::write(&file, nginx_conf(&dir, upstream))?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(&dir).arg("-c").arg(&file).arg("-e").arg(dir.join("error.log"));
    let process = Measured::start(&mut command, &stage.log("nginx"))
        .context("nginx: run `cargo xtask setup` once, it installs what the benchmarks need")?;
    Ok(Server { process, port: NGINX_PORT })
}

/// As its manual advises for HLS: one fetch at a time per object, kept connections to the box, sendfile from memory.
fn nginx_conf(dir: &Path, upstream: &str) -> String {
    let dir = dir.display();
    format!(
        "daemon off;\nuser root;\nworker_processes 2;\npid {dir}/pid;\nevents {{ worker_connections 8192; }}\n\
         http {{\n access_log off;\n sendfile on;\n tcp_nodelay on;\n keepalive_requests 10000000;\n\
         types {{ video/mp4 m4s mp4; application/vnd.apple.mpegurl m3u8; }}\n\
         client_body_temp_path {dir}/body;\n proxy_temp_path {dir}/temp;\n fastcgi_temp_path {dir}/f;\n\
         uwsgi_temp_path {dir}/u;\n scgi_temp_path {dir}/s;\n\
         proxy_cache_path {dir}/cache keys_zone=hls:10m inactive=10m max_size={CACHE_MIB}m use_temp_path=off;\n\
         upstream box {{ server {upstream}; keepalive 32; }}\n\
         server {{\n listen 127.0.0.1:{NGINX_PORT} reuseport backlog=4096;\n\
         location /bench/ {{\n proxy_pass http://box/cam0/;\n proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\";\n proxy_set_header Host 127.0.0.1;\n proxy_cache hls;\n\
         proxy_cache_key $uri$is_args$args;\n proxy_cache_lock on;\n proxy_cache_lock_timeout 20s;\n\
         proxy_cache_lock_age 20s;\n proxy_buffers 32 64k;\n proxy_buffer_size 64k;\n }}\n }}\n}}\n"
    )
}
