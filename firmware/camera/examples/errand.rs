//! Asks one camera one question, as the box would, and prints the answer as JSON.
//!
//! ```text
//! cargo run -p camera --example errand -- improve http://admin:secret@192.168.1.64/onvif/device_service
//! ```

use camera::Source;
use camera::errand::{Errand, Outcome, run};
use model::CameraId;

const HELP: &str = "Usage: errand inspect|improve|snapshot|channels ADDRESS
ADDRESS is a URL or a host, with user:password@ in front where the camera wants them.
Example: errand inspect http://admin:secret@192.168.1.64/onvif/device_service";

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let errand = match words.first().map(String::as_str) {
        Some("inspect") => Errand::Inspect,
        Some("improve") => Errand::Improve,
        Some("snapshot") => Errand::Snapshot,
        Some("channels") => Errand::Channels,
        _ => return said(HELP, false),
    };
    let source = CameraId::new("camera").ok().zip(words.get(1));
    let Some(Ok(source)) = source.map(|(id, address)| Source::new(id, address, None, None)) else {
        return said(HELP, false);
    };
    // A fixed seed: nonces of a tool that asks once need not surprise anybody.
    match run(&source, errand, 1).await {
        Ok(Outcome::Snapshot { jpeg }) => said(&format!("a JPEG of {} bytes", jpeg.len()), true),
        Ok(outcome) => said(&serde_json::to_string(&outcome).unwrap_or_default(), true),
        Err(trouble) => said(&format!("{}: {trouble}", trouble.code()), false),
    }
}

#[allow(clippy::print_stdout, reason = "this is what the tool is for")]
fn said(text: &str, good: bool) -> std::process::ExitCode {
    println!("{text}");
    if good { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}
