//! Notes when the program was built: no clock of a box can be right and before that.

#![allow(clippy::disallowed_methods, reason = "cargo tells a build script everything by environment")]

use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    // Set, it makes builds of the same sources the same (reproducible-builds.org).
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo::rerun-if-changed=build.rs");
    let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.trim().parse::<u64>().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    println!("cargo::rustc-env=BOXD_BUILT={}", given.unwrap_or(now));
}
