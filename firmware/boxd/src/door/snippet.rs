//! Lines for box.toml that add a discovered device: a proposal for a person, safe to paste whatever the device says.

use std::fmt::Write as _;

use model::{CameraId, Device};

/// A proposed id that is not in `taken`, and the lines.
pub(crate) fn config(device: &Device, taken: &[String]) -> (String, String) {
    let id = free_id(device, taken);
    let best = device.onvif.first().or_else(|| device.rtsp.first()).map(|fact| fact.value.clone());
    let address = best.or_else(|| device.addresses.first().map(ToString::to_string)).unwrap_or_default();
    let text = format!(
        "[[camera]]\nid = {}\nurl = {}\nuser = \"\"\npassword = \"\"\n",
        quoted(&id),
        quoted(&address)
    );
    (id, text)
}

/// An id from the device's own words, else its address; with a number after it when it is taken.
fn free_id(device: &Device, taken: &[String]) -> String {
    let words = [&device.name, &device.model, &device.maker];
    let named = words.into_iter().flatten().map(|fact| slug(&fact.value)).find(|slug| !slug.is_empty());
    let base = named
        .or_else(|| device.addresses.first().map(|address| format!("cam-{}", slug(&address.to_string()))))
        .unwrap_or_else(|| "cam".to_owned());
    let mut id = base.clone();
    for number in 2_u32.. {
        if CameraId::new(&id).is_ok() && !taken.contains(&id) {
            break;
        }
        id = format!("{base}-{number}");
    }
    id
}

/// The letters and digits of a text, at most 24, runs of anything else as one `-`.
pub(crate) fn slug(text: &str) -> String {
    let mut slug = String::new();
    for character in text.chars().take(64) {
        if slug.len() >= 24 {
            break;
        }
        if character.is_ascii_alphanumeric() {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(slug.trim_end_matches('-').len());
    slug
}

/// A TOML basic string (TOML 1.0, "String"), in ASCII only: what a page or a terminal shows is what is pasted.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            plain if plain == ' ' || plain.is_ascii_graphic() => quoted.push(plain),
            other => {
                let _ = write!(quoted, "\\U{:08X}", u32::from(other));
            }
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use model::{DeviceKey, Fact, Source};
    use proptest::prelude::*;

    use super::*;

    fn device(name: &str, url: &str) -> Device {
        let fact = |value: &str| Fact { value: value.to_owned(), source: Source::WsDiscovery };
        Device {
            addresses: vec!["10.0.0.7".parse().unwrap()],
            name: Some(fact(name)),
            onvif: vec![fact(url)],
            ..Device::new(DeviceKey::Endpoint("e".into()))
        }
    }

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        camera: Vec<Entry>,
    }

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Entry {
        id: CameraId,
        url: String,
        user: String,
        password: String,
    }

    proptest! {
        #[test]
        fn whatever_a_device_is_called_the_lines_add_one_camera(name in any::<String>(), url in any::<String>()) {
            let (id, text) = config(&device(&name, &url), &[]);
            let file: File = toml::from_str(&text).unwrap();
            prop_assert_eq!(file.camera.len(), 1);
            prop_assert_eq!(file.camera[0].id.as_str(), id);
            prop_assert_eq!(&file.camera[0].url, &url);
            prop_assert!(file.camera[0].user.is_empty() && file.camera[0].password.is_empty());
        }
    }

    #[test]
    fn ids_are_readable_and_free() {
        let taken = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        assert_eq!(config(&device("AXIS M1065-L (gate)", "u"), &[]).0, "axis-m1065-l-gate");
        assert_eq!(config(&device("Gate", "u"), &taken(&["gate", "gate-2"])).0, "gate-3");
        assert_eq!(config(&device("Metrics", "u"), &[]).0, "metrics-2", "the front door keeps this name");
        assert_eq!(config(&device("大门", "u"), &[]).0, "cam-10-0-0-7");
    }
}
