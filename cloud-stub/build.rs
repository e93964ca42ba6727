//! Turns `web/` into the portal that the cloud serves.
//!
//! Preact, htm, uqr and uPlot are not in this repository: they come from npm as [`Web::npm`] says. Without them the build goes on,
//! says so, and the page tells how to build it whole; links to cameras need none of it.

use std::error::Error;

use assets::build::Web;

/// What comes from npm: its file, and the name by which the portal's modules import it.
const PACKAGES: [(&str, &str); 6] = [
    ("preact/dist/preact.mjs", "preact.js"),
    ("preact/hooks/dist/hooks.mjs", "preact/hooks.js"),
    ("htm/dist/htm.mjs", "htm.js"),
    ("uqr/dist/index.mjs", "uqr.js"),
    ("uplot/dist/uPlot.esm.js", "uplot.js"),
    ("uplot/dist/uPlot.min.css", "uplot.css"),
];
/// What set-up page and portal share.
const SHARED: &[&str] =
    &["icon.svg", "style.css", "language.js", "figures.js", "password.js", "words.js", "parts.js"];
/// The portal's own files. A file comes after those that it imports.
const FILES: &[&str] = &[
    "portal.css",
    "words/kk.json",
    "words/ru.json",
    "words/en.json",
    "api.js",
    "logic.js",
    "rollout.js",
    "store.js",
    "pieces.js",
    "enter.js",
    "wall.js",
    "cameras.js",
    "graph.js",
    "status.js",
    "access.js",
    "camera.js",
    "add.js",
    "boxes.js",
    "window.js",
    "sites.js",
    "sheet.js",
    "people.js",
    "profile.js",
    "alerts.js",
    "uptime.js",
    "audit.js",
    "operator.js",
    "updates.js",
    "plan.js",
    "campaign.js",
    "history.js",
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
            web.page("index.html", "/portal/assets/")?
        }
        Err(why) => {
            println!(
                "cargo::warning=The portal is built without its libraries ({why}) and will only say so. \
                 Install npm, run `cargo xtask web` and build again."
            );
            web.page("bare.html", "/portal/assets/")?
        }
    };
    web.write("portal.html", &page)?;
    web.finish()
}
