use http_body_util::BodyExt as _;
use media::Stream;
use model::{CameraId, Trouble};

use super::*;
use crate::cloud::Cloud;
use feed::Feed;

/// One sample of the OpenMetrics text format: name, labels as text, value.
type Sample = (String, String, f64);

/// Reads OpenMetrics 1.0 text strictly: every sample belongs to the family announced by the TYPE line before it, names
/// and labels use the allowed characters, no series twice, EOF last.
fn parse(text: &str) -> Result<Vec<Sample>, String> {
    let name_ok = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let mut samples: Vec<Sample> = Vec::new();
    let mut family = (String::new(), String::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == "# EOF" {
            return if lines.next().is_none() { Ok(samples) } else { Err("text after EOF".into()) };
        }
        if let Some(meta) = line.strip_prefix("# ") {
            let (keyword, rest) = meta.split_once(' ').ok_or(line)?;
            let (name, value) = rest.split_once(' ').ok_or(line)?;
            match keyword {
                "TYPE" => family = (name.to_owned(), value.to_owned()),
                "HELP" => {}
                "UNIT" if name.ends_with(&format!("_{value}")) => {}
                _ => return Err(line.to_owned()),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').ok_or(line)?;
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').ok_or(line)?),
            None => (series, ""),
        };
        let expected = match family.1.as_str() {
            "counter" => format!("{}_total", family.0),
            "gauge" => family.0.clone(),
            other => return Err(format!("{other} is not used here")),
        };
        if name != expected || !name_ok(name) {
            return Err(format!("{name} in the family {}", family.0));
        }
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (key, quoted) = label.split_once('=').ok_or(line)?;
            let value = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or(line)?;
            if !name_ok(key) || value.contains(['"', '\\']) {
                return Err(line.to_owned());
            }
        }
        let value: f64 = value.parse().map_err(|_| line)?;
        if samples.iter().any(|(known, with, _)| known == name && with == labels) {
            return Err(format!("{series} twice"));
        }
        samples.push((name.to_owned(), labels.to_owned(), value));
    }
    Err("no EOF".into())
}

async fn scrape(shared: &Shared) -> Vec<Sample> {
    let response = answer(shared);
    assert_eq!(response.headers()["content-type"], CONTENT_TYPE);
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    parse(std::str::from_utf8(&bytes).unwrap()).unwrap()
}

#[tokio::test(flavor = "current_thread")]
async fn a_scrape_is_well_formed_and_tells_each_camera() {
    let shared = Shared::new(Cloud::new(None, None));
    let empty = scrape(&shared).await;
    assert!(empty.iter().all(|(name, ..)| name.starts_with("streambox_")));
    assert!(empty.iter().any(|(name, _, value)| name == "streambox_process_resident_bytes" && *value > 0.0));

    for id in ["gate", "yard"] {
        let feed = Feed::new(Stream::new(media::Options::default(), 1));
        shared.add(CameraId::new(id).unwrap(), None, feed).unwrap();
    }
    let yard = shared.camera("yard").unwrap();
    yard.feed().set_state(CameraState::Waiting { trouble: Trouble::Busy, retry_in_ms: 1000 });
    yard.count_restart();
    yard.count_request();
    let samples = scrape(&shared).await;
    let value = |name: &str, labels: &str| {
        samples.iter().find(|(known, with, _)| known == name && with == labels).map(|(.., value)| *value)
    };
    assert_eq!(value("streambox_camera_state", "camera=\"gate\",state=\"connecting\""), Some(1.0));
    assert_eq!(value("streambox_camera_state", "camera=\"yard\",state=\"connecting\""), Some(0.0));
    assert_eq!(value("streambox_camera_state", "camera=\"yard\",state=\"waiting\""), Some(1.0));
    assert_eq!(value("streambox_camera_trouble", "camera=\"yard\",trouble=\"busy\""), Some(1.0));
    assert_eq!(value("streambox_camera_worker_restarts_total", "camera=\"yard\""), Some(1.0));
    assert_eq!(value("streambox_camera_requests_total", "camera=\"yard\""), Some(1.0));
    assert_eq!(value("streambox_camera_requests_total", "camera=\"gate\""), Some(0.0));
    assert_eq!(value("streambox_camera_last_unit_age_seconds", "camera=\"gate\""), None, "nothing came yet");
}

#[test]
fn a_process_name_cannot_shift_the_numbers() {
    let status = "Name:\tboxd\nVmRSS:\t    2048 kB\n";
    let stat = "7 (a ) R 9 (x) S 1 7 7 0 -1 4194560 1 0 0 0 250 150 0 0 20 0 1 0 5 6 7";
    let process = Process::parse(status, stat).unwrap();
    assert_eq!(process.resident_bytes, 2048 * 1024);
    assert!((process.cpu_seconds - 4.0).abs() < 1e-9);
    assert!(Process::parse(status, "7 (boxd").is_none());
}
