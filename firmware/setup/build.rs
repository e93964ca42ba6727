//! Turns `web/` into what the page's process serves.
//!
//! Preact, htm and uqr are not in this repository: they come from npm as [`Web::npm`] says. Without them the build goes on, says
//! so, and the page tells how to build it whole.

use std::error::Error;

use assets::build::Web;

/// What comes from npm: its file, and the name by which the page's modules import it.
const PACKAGES: [(&str, &str); 4] = [
    ("preact/dist/preact.mjs", "preact.js"),
    ("preact/hooks/dist/hooks.mjs", "preact/hooks.js"),
    ("htm/dist/htm.mjs", "htm.js"),
    ("uqr/dist/index.mjs", "uqr.js"),
];
/// What set-up page and portal share.
const SHARED: &[&str] =
    &["icon.svg", "style.css", "language.js", "figures.js", "password.js", "words.js", "parts.js"];
/// The page's own files. A file comes after those that it imports.
const FILES: &[&str] = &[
    "words/kk.json",
    "words/ru.json",
    "words/en.json",
    "logic.js",
    "obstacle.js",
    "api.js",
    "store.js",
    "start.js",
    "find.js",
    "camera.js",
    "cameras.js",
    "cloud.js",
    "links.js",
    "box.js",
    "help.js",
    "app.js",
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut web = Web::of_this_crate()?;
    let page = match web.npm(&PACKAGES.map(|(file, _)| file))? {
        Ok(texts) => {
            for ((_, name), text) in PACKAGES.iter().zip(texts) {
                web.add_text(name, &text)?;
            }
            for name in SHARED {
                web.share(name)?;
            }
            for name in FILES {
                web.add(name)?;
            }
            web.page("index.html", "/setup/assets/")?
        }
        Err(why) => {
            println!(
                "cargo::warning=The set-up page is built without its libraries ({why}) and will only say so. \
                 Install npm, run `cargo xtask web` and build again."
            );
            web.page("bare.html", "/setup/assets/")?
        }
    };
    web.write("page.html", &page)?;
    web.finish()
}
