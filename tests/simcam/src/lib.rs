//! A scriptable IP camera: RTSP server, ONVIF device, WS-Discovery responder, and every quirk that
//! cameras show, on demand. It is the other side of the tests, so it shares no code with the firmware.
//!
//! * A clip ([`clip`]) is cut into RTP packets once ([`rtp`]) and shared by all cameras of the process.
//! * One thread (`pace`) sends each frame when it is due: per client the headers are patched, and one write hands the
//!   frame to the kernel.
//! * Everything else (RTSP, HTTP, discovery, control) is a task of one tokio thread.
//! * [`quirks`] is what a camera does wrong; [`cli`] and the control socket change it.

#![allow(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "texts are short and made once per request"
)]

use std::{
    fs::File,
    hash::{BuildHasher, RandomState},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

pub mod auth;
mod camera;
pub mod cli;
mod client;
pub mod clip;
mod control;
mod dhip;
mod encoder;
mod log;
mod onvif;
mod pace;
mod pipe;
pub mod ports;
pub mod quirks;
mod request;
pub mod rtp;
mod rtsp;
mod sadp;
mod sdp;
mod station;
mod wsd;

use camera::{Camera, Parts, Reel, Sound, Stream};
use cli::{Options, SoundOption};

/// A random number (the seed of std's hash maps).
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(Instant::now())
}

fn reel(path: &Path, fps: f64) -> Result<Arc<Reel>> {
    let clip = clip::Clip::read(path)?;
    let video = rtp::video(&clip);
    let gop = encoder::gop(clip.pictures.iter().map(|picture| picture.key));
    Ok(Arc::new(Reel { codec: clip.codec, sets: clip.sets, video, fps, gop }))
}

fn sound(option: &SoundOption) -> Result<Arc<Sound>> {
    Ok(Arc::new(match option {
        SoundOption::Aac(path) => {
            let aac = clip::Aac::read(path)?;
            let frames = rtp::aac(&aac);
            Sound { kind: rtp::AAC_TYPE, rate: aac.rate, samples: 1024, config: Some(aac.config), frames }
        }
        SoundOption::Pcma => {
            Sound { kind: rtp::PCMA_TYPE, rate: 8000, samples: 160, config: None, frames: rtp::tone() }
        }
    }))
}

fn cameras(options: &Options, log: &Arc<log::Log>) -> Result<Vec<Arc<Camera>>> {
    let mut quirks = quirks::Quirks::default();
    for quirk in &options.quirks {
        quirks.set(quirk).map_err(|error| anyhow!(error))?;
    }
    let main = reel(&options.clip, options.fps)?;
    let second = options.second.as_ref().map(|path| reel(path, options.fps)).transpose()?;
    let variants: Vec<_> =
        options.variants.iter().map(|path| reel(path, options.fps)).collect::<Result<_>>()?;
    let sub = options.sub.as_ref().map(|path| reel(path, options.sub_fps)).transpose()?;
    let sound = options.sound.as_ref().map(sound).transpose()?;
    if sound.as_ref().is_some_and(|sound| sound.frames.is_empty()) {
        bail!("the sound has no frames");
    }
    let login = |user: &String, password: &String| auth::Login {
        user: user.clone(),
        password: password.clone(),
        schemes: options.schemes.clone(),
        realm: "simcam".into(),
        nonce: format!("{:016x}", random()),
        qop: options.qop,
    };
    let onvif_login = options.onvif_user.as_ref().map(|user| login(user, &options.onvif_password));
    let login = options.user.as_ref().map(|user| login(user, &options.password));
    let start = Instant::now() + Duration::from_millis(100);
    let interval = Duration::from_secs_f64(1.0 / options.fps);
    Ok((0..options.cameras)
        .map(|index| {
            let mut streams = Vec::new();
            for channel in 1..=options.channels {
                let (above, before) = match options.channels {
                    1 => (String::new(), String::new()),
                    _ => (format!("/ch{channel}"), format!("ch{channel}-")),
                };
                let named = options.channel_names.get(usize::from(channel) - 1);
                let made = |path: &str, kind: &str, reel: &Arc<Reel>| {
                    let (path, token) = (format!("{above}{path}"), format!("{before}{kind}"));
                    let mut stream = Stream::new(path, token, reel, kind == "main", sound.clone());
                    stream.source = channel;
                    stream.source_name = named.cloned().unwrap_or(stream.source_name);
                    stream
                };
                let mut stream = made(&options.path, "main", &main);
                stream.has_second = second.is_some();
                stream.reels.extend(second.iter().chain(&variants).cloned());
                streams.push(stream);
                streams.extend(sub.as_ref().map(|sub| made(&options.sub_path, "sub", sub)));
            }
            let several = options.cameras > 1;
            Arc::new(Camera::new(Parts {
                index: usize::from(index),
                name: if several { format!("{}-{index}", options.name) } else { options.name.clone() },
                maker: options.maker.clone(),
                model: options.model.clone(),
                login: login.clone(),
                onvif_login: onvif_login.clone(),
                rtsp_port: options.rtsp_port + index,
                http_port: if options.http_port == 0 { 0 } else { options.http_port + index },
                streams,
                quirks: quirks.clone(),
                log: Arc::clone(log),
                start: start + interval * u32::from(index) / u32::from(options.cameras),
            }))
        })
        .collect())
}

/// Is the cameras that `options` describe, until SIGTERM or SIGINT.
///
/// # Errors
/// When a file cannot be played or a port cannot be opened.
pub async fn run(options: &Options) -> Result<()> {
    let log = Arc::new(match &options.stamp_log {
        Some(path) => {
            log::Log::to_file(File::create(path).with_context(|| format!("creating {}", path.display()))?)?
        }
        None => log::Log::default(),
    });
    let snapshot = Arc::new(match &options.snapshot {
        Some(path) => std::fs::read(path).with_context(|| format!("reading {}", path.display()))?,
        None => include_bytes!("../../media/gate.jpg").to_vec(),
    });
    let cameras = Arc::new(cameras(options, &log)?);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    for camera in cameras.iter() {
        let listener = open((options.bind, camera.rtsp_port)).await?;
        tokio::spawn(rtsp::serve(Arc::clone(camera), listener));
        if camera.http_port != 0 {
            let listener = open((options.bind, camera.http_port)).await?;
            tokio::spawn(onvif::serve(Arc::clone(camera), Arc::clone(&snapshot), listener));
        }
    }
    if let Some(address) = &options.control {
        let listener = TcpListener::bind(address).await.with_context(|| format!("opening {address}"))?;
        tokio::spawn(control::serve(Arc::clone(&cameras), Arc::clone(&log), listener));
    }
    let mut ports = Vec::new();
    if options.discovery {
        for port in wsd::ports().context("opening WS-Discovery")? {
            let port = Arc::new(port);
            tokio::spawn(wsd::serve(Arc::clone(&cameras), Arc::clone(&port)));
            ports.push(port);
        }
    }
    if options.sadp {
        for station in station::all(sadp::GROUP).context("opening SADP")? {
            tokio::spawn(sadp::serve(Arc::clone(&cameras), station));
        }
    }
    if options.dhip {
        for station in station::all(dhip::GROUP).context("opening DHIP")? {
            tokio::spawn(dhip::serve(Arc::clone(&cameras), station));
        }
    }
    let paced = Arc::clone(&cameras);
    std::thread::Builder::new().name("pace".into()).spawn(move || pace::run(&paced))?;
    println!("ready");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    for port in &ports {
        wsd::announce(&cameras, port, "Bye").await;
    }
    log.flush();
    Ok(())
}

async fn open(address: (std::net::IpAddr, u16)) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("opening TCP {}:{}", address.0, address.1))
}
