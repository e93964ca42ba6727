//! Turns `web/` into what front door and gateway serve.
//!
//! hls.js is not in this repository. It is taken from, in this order: the file that `STREAMBOX_HLS_JS` names;
//! `web/node_modules` (made by `npm ci` or `cargo xtask web`); an `npm ci` into the build directory. Without any of
//! them the build goes on, says so, and the player uses the browser's own HLS.

#![allow(clippy::disallowed_methods, reason = "cargo tells a build script everything by environment")]

use std::error::Error;
use std::fs;

use assets::build::{Web, without_map};

/// The pages' own files. A file comes after those that it imports.
const FILES: [&str; 7] =
    ["icon.svg", "style.css", "lists.js", "logic.js", "engines.js", "index.js", "player.js"];
/// Pages: rendered by the server, so only the names of files are filled in here.
const PAGES: [&str; 2] = ["index.html", "player.html"];
/// The build of hls.js without subtitles, DRM and alternate audio: it keeps low latency and sound in the same file.
const HLS_JS: &str = "hls.js/dist/hls.light.min.js";

fn main() -> Result<(), Box<dyn Error>> {
    let mut web = Web::of_this_crate()?;
    if let Some(text) = hls_js(&web)? {
        web.add_text("hls.js", &text)?;
    }
    for name in FILES {
        web.add(name)?;
    }
    for name in PAGES {
        let text = web.page(name, "/assets/")?;
        web.write(
            name,
            &text.replace("{{hls.js}}", "").replace("<link rel=\"preload\" as=\"script\" href=\"\">\n", ""),
        )?;
    }
    web.finish()
}

/// The text of hls.js, or `None` with a warning that says what to do.
fn hls_js(web: &Web) -> Result<Option<String>, Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed=STREAMBOX_HLS_JS");
    if let Ok(path) = std::env::var("STREAMBOX_HLS_JS") {
        println!("cargo::rerun-if-changed={path}");
        let text = fs::read_to_string(&path).map_err(|error| format!("STREAMBOX_HLS_JS={path}: {error}"))?;
        return Ok(Some(without_map(&text)));
    }
    match web.npm(&[HLS_JS])? {
        Ok(texts) => Ok(texts.into_iter().next()),
        Err(why) => {
            println!(
                "cargo::warning=The player is built without hls.js ({why}): only browsers with HLS of their own will play. \
                 Install npm, run `cargo xtask web` and build again, or name the file in STREAMBOX_HLS_JS."
            );
            Ok(None)
        }
    }
}
