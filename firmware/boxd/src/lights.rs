//! What the box is doing, for its lights and its page, and the reset button.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use board::map::{BoardMap, Panel};
use board::{
    Button, ButtonAt, Condition, Edge, Facts, Gesture, Keys, Leds, Lights, LightsAt, PatternFile, Pipe,
    Press, decide,
};
use model::{CameraState, Trouble};
use nix::sys::stat::Mode;
use tokio::sync::{mpsc, watch};

use crate::cloud::Phase;
use crate::config;
use crate::names::interfaces;
use crate::state::{Shared, stopping};

/// How often the lights are set right: nobody looks faster.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Where Linux has its lights and input devices.
const LEDS: &str = "/sys/class/leds";
const INPUTS: &str = "/dev/input";
/// The simulated ones in the state directory.
const LIGHTS_FILE: &str = "lights";
const BUTTON_PIPE: &str = "button";

/// What the box is doing now: the one value that page and lights show.
pub(crate) fn condition(shared: &Shared) -> Condition {
    let cameras = shared.cameras();
    let seen: Vec<(bool, Option<(Trouble, Duration)>)> = cameras
        .iter()
        .map(|camera| {
            let live = matches!(camera.feed().state(), CameraState::Streaming(_));
            (live, camera.feed().trouble())
        })
        .collect();
    let cameras = seen.iter().map(|(live, trouble)| board::Camera {
        live: *live,
        trouble: trouble.as_ref().map(|(trouble, _)| trouble),
        dark_for: trouble.as_ref().map_or(Duration::ZERO, |(_, dark_for)| *dark_for),
    });
    decide(&Facts {
        network: interfaces::list().is_ok_and(|interfaces| !interfaces.is_empty()),
        cameras: cameras.collect(),
        blocked: matches!(shared.cloud().status().phase, Phase::Stopped),
    })
}

/// Light and button: those that the configuration names, then the board's own, then none. What cannot be read of the map is said
/// by whoever needs more of it.
pub(crate) fn panel(board: &config::Board) -> Panel {
    let text = board.map.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
    let own = text.and_then(|text| BoardMap::parse(&text).ok()).map_or_else(Panel::default, |map| map.panel);
    Panel {
        lights: board.lights.clone().unwrap_or(own.lights),
        button: board.button.clone().unwrap_or(own.button),
    }
}

/// Shows the condition and watches the button until `stop` turns true. `held` is called when somebody has held the button for
/// ten seconds; a short press does nothing, so that nobody who leans on the box does harm.
pub(crate) async fn keep(
    Panel { lights, button }: Panel,
    state_dir: PathBuf,
    shared: Shared,
    held: impl Fn(),
    mut stop: watch::Receiver<bool>,
) {
    let show = show(lights, &state_dir, &shared);
    let press = press(button, &state_dir, held);
    tokio::select! {
        ((), ()) = async { tokio::join!(show, press) } => {}
        () = stopping(&mut stop) => {}
    }
}

async fn show(lights: LightsAt, state_dir: &Path, shared: &Shared) {
    let opened = match lights {
        LightsAt::None => return,
        LightsAt::File => std::fs::create_dir_all(state_dir).map(|()| {
            let file: Box<dyn Lights> = Box::new(PatternFile::new(state_dir.join(LIGHTS_FILE)));
            file
        }),
        LightsAt::Sysfs(name) => Leds::open(Path::new(LEDS), &name).map(|led| {
            let led: Box<dyn Lights> = Box::new(led);
            led
        }),
    };
    let mut lights = match opened {
        Ok(lights) => lights,
        Err(error) => return tracing::warn!(%error, "the lights stay dark ([board] lights)"),
    };
    let mut complained = false;
    loop {
        if let Err(error) = lights.show(condition(shared))
            && !std::mem::replace(&mut complained, true)
        {
            tracing::warn!(%error, "the lights do not show what the box is doing ([board] lights)");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn press(button: ButtonAt, state_dir: &Path, held: impl Fn()) {
    let opened = match button {
        ButtonAt::None => return,
        ButtonAt::Pipe => pipe(&state_dir.join(BUTTON_PIPE)).map(|pipe| {
            let pipe: Box<dyn Button> = Box::new(pipe);
            pipe
        }),
        ButtonAt::Evdev(name) => Keys::open(Path::new(INPUTS), &name).map(|keys| {
            let keys: Box<dyn Button> = Box::new(keys);
            keys
        }),
    };
    let button = match opened {
        Ok(button) => button,
        Err(error) => return tracing::warn!(%error, "the reset button does nothing ([board] button)"),
    };
    let start = Instant::now();
    let mut edges = edges(button);
    let mut press = Press::new();
    loop {
        let until = press.wake().map(|wake| wake.saturating_sub(start.elapsed()));
        let gesture = tokio::select! {
            edge = edges.recv() => match edge {
                Some(edge) => press.edge(edge == Edge::Down, start.elapsed()),
                None => return,
            },
            () = tokio::time::sleep(until.unwrap_or_default()), if until.is_some() => press.poll(start.elapsed()),
        };
        match gesture {
            Some(Gesture::Held) => {
                tracing::warn!("the reset button was held for ten seconds");
                held();
            }
            Some(Gesture::Short) => {
                tracing::info!("the reset button was pressed; hold it for ten seconds to reset the box");
            }
            None => {}
        }
    }
}

/// The button's edges. Reading blocks, so it has a thread of its own, which ends with the process.
fn edges(mut button: Box<dyn Button>) -> mpsc::Receiver<Edge> {
    let (told, edges) = mpsc::channel(8);
    let watch = move || {
        loop {
            match button.edge() {
                Ok(edge) => {
                    if told.blocking_send(edge).is_err() {
                        return;
                    }
                }
                Err(error) => return tracing::warn!(%error, "the reset button has gone"),
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name("button".to_owned()).spawn(watch) {
        tracing::warn!(%error, "the reset button does nothing");
    }
    edges
}

/// A simulated button; its named pipe is made when there is none.
fn pipe(path: &Path) -> std::io::Result<Pipe> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    match nix::unistd::mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR) {
        Ok(()) | Err(nix::errno::Errno::EEXIST) => Ok(Pipe::new(path.to_owned())),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn the_configurations_light_and_button_come_before_the_boards_own() {
        let map = concat!(env!("CARGO_MANIFEST_DIR"), "/../../board/boards/nanopi-r2s/board.toml");
        let own = config::Board { map: Some(map.into()), ..config::Board::default() };
        let light = LightsAt::Sysfs("nanopi-r2s:red:sys".to_owned());
        let key = ButtonAt::Evdev("event0".to_owned());
        assert_eq!(panel(&own), Panel { lights: light.clone(), button: key });
        let said = config::Board { button: Some(ButtonAt::None), ..own };
        assert_eq!(panel(&said), Panel { lights: light, button: ButtonAt::None });
        let lost = config::Board { map: Some("/absent".into()), ..config::Board::default() };
        assert_eq!(panel(&lost), Panel::default());
    }

    #[tokio::test]
    async fn a_button_that_is_held_resets_and_one_that_is_touched_does_not() {
        let directory = std::env::temp_dir().join(format!("boxd-button-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        let resets = AtomicU32::new(0);
        let path = directory.join(BUTTON_PIPE);
        let presses = async {
            while !path.exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let write = |words: &'static str| {
                let path = path.clone();
                tokio::task::spawn_blocking(move || std::fs::write(path, words).unwrap())
            };
            write("down\n").await.unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
            write("up\n").await.unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert_eq!(resets.load(Ordering::Relaxed), 0);
            write("down\n").await.unwrap();
            tokio::time::sleep(board::HOLD.saturating_sub(Duration::from_millis(500))).await;
            assert_eq!(resets.load(Ordering::Relaxed), 0, "not yet");
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(resets.load(Ordering::Relaxed), 1);
            write("up\n").await.unwrap();
        };
        let held = || {
            resets.fetch_add(1, Ordering::Relaxed);
        };
        tokio::select! {
            () = press(ButtonAt::Pipe, &directory, held) => panic!("the button has gone"),
            () = presses => {}
        }
        let _ = std::fs::remove_dir_all(&directory);
    }
}
