//! `cargo xtask fuzz rtmp`: see the function of the same name.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::rtmp(data));
