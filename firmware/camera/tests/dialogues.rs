//! Real cameras' descriptions, from retina's own test data where its sources are at hand.

#![allow(clippy::disallowed_methods, missing_docs, reason = "reads the sources of a dependency")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy.toml exempts only what stands under cfg(test)"
)]

use std::path::PathBuf;

use camera::session::message::Response;
use camera::session::sdp::examine;

/// The folder of retina's dialogues in cargo's registry, if the sources are unpacked there.
fn testdata() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    let registries = std::fs::read_dir(home.join("registry/src")).ok()?;
    registries
        .flatten()
        .map(|registry| registry.path().join("retina-0.4.21/src/client/testdata"))
        .find(|folder| folder.is_dir())
}

#[test]
fn real_descriptions_are_accepted() {
    let Some(folder) = testdata() else {
        eprintln!("retina's sources are not unpacked: nothing to read");
        return;
    };
    let mut read = 0;
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let bytes = std::fs::read(entry.path()).unwrap();
        if name.contains("_describe") {
            let response = Response::read(&bytes).unwrap_or_else(|error| panic!("{name}: {error:?}"));
            let response = response.unwrap_or_else(|| panic!("{name}: cut short"));
            let offer = examine(&response.body).unwrap_or_else(|trouble| panic!("{name}: {trouble}"));
            assert!(offer.media.iter().all(|medium| !medium.encoding.is_empty()), "{name}: {offer:?}");
            read += 1;
        } else if name.ends_with("_sdp.txt") {
            examine(&bytes).unwrap_or_else(|trouble| panic!("{name}: {trouble}"));
            read += 1;
        } else {
            // SETUP, PLAY, TEARDOWN and OPTIONS answers.
            Response::read(&bytes).unwrap_or_else(|error| panic!("{name}: {error:?}"));
            read += 1;
        }
    }
    assert!(read >= 40, "{read}");
}
