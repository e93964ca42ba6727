//! What the owner chose, as it is kept: `core.json`. Pure: bytes in, bytes out.
//!
//! Invariant: what this program does not know is written back as it was read, at the top and in each camera, and so is a
//! known field that holds what it cannot read: an older or a newer version of the program finds it again.

use model::{CameraId, Private};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use setup::desk::{Language, Login};

/// What this program writes. A file of a later version is read as far as it is understood.
const VERSION: u64 = 1;

/// Everything that the owner chose.
#[derive(Debug, Clone, Default)]
pub(crate) struct Core {
    /// The owner's password, as an argon2id string; `None` while the box has no owner.
    pub(crate) password: Option<Private<String>>,
    /// The page's language.
    pub(crate) language: Option<Language>,
    /// What the owner calls this place.
    pub(crate) name: Option<String>,
    /// Most kbit/s that may go out: `Some(None)`: no limit, `None`: as the configuration says.
    #[allow(clippy::option_option, reason = "the file tells the two apart as null and as nothing")]
    pub(crate) uplink_kbps: Option<Option<u32>>,
    /// The cameras' order, those of the configuration included.
    pub(crate) order: Vec<CameraId>,
    /// The cameras that were added on the page.
    pub(crate) cameras: Vec<Kept>,
    /// Ids of cameras that were removed, and which picture of which device each belongs to.
    pub(crate) retired: Vec<(CameraId, String)>,
    other: Map<String, Value>,
    /// Cameras that this program cannot read.
    strange: Vec<Value>,
}

/// A camera that was added on the page.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    /// First path segment of its links.
    pub(crate) id: CameraId,
    /// What people call it.
    pub(crate) name: Option<String>,
    /// Where it is, without user and password; some makers have a password in the path.
    pub(crate) address: Private<String>,
    /// Which picture of which device it is: what its id was made from, and what the id belongs to for ever.
    pub(crate) identity: String,
    /// Who was at the address when the owner picked it ([`model::DeviceKey`] as text); `None`: nobody said.
    pub(crate) device: Option<String>,
    /// The device's serial number, once it told.
    pub(crate) serial: Option<String>,
    /// User name and password.
    pub(crate) login: Option<Login>,
    /// Which picture of a recorder.
    pub(crate) channel: Option<String>,
    /// Whether it is streamed.
    pub(crate) on: bool,
    /// What this program does not know.
    pub(crate) other: Map<String, Value>,
}

/// The bytes are none of this program's: torn, or something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the file is damaged, or is something else")]
pub(crate) struct Foreign;

impl Core {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Foreign`] when it is no JSON object with a version.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Foreign> {
        let Ok(Value::Object(mut all)) = serde_json::from_slice(bytes) else { return Err(Foreign) };
        if !all.get("version").is_some_and(Value::is_u64) {
            return Err(Foreign);
        }
        let mut strange = Vec::new();
        let mut cameras: Vec<Kept> = Vec::new();
        let listed = take::<Vec<Value>>(&mut all, "cameras").unwrap_or_default();
        for value in listed {
            match Kept::read(&value) {
                Some(camera) if !cameras.iter().any(|known| known.id == camera.id) => cameras.push(camera),
                _ => strange.push(value),
            }
        }
        let retired = take::<Map<String, Value>>(&mut all, "retired").unwrap_or_default();
        let uplink_kbps = match all.get("uplink_kbps") {
            Some(Value::Null) => {
                all.remove("uplink_kbps");
                Some(None)
            }
            _ => take(&mut all, "uplink_kbps").map(Some),
        };
        Ok(Self {
            password: take::<String>(&mut all, "password").map(Private::new),
            language: take(&mut all, "language"),
            name: take(&mut all, "name"),
            uplink_kbps,
            order: take(&mut all, "order").unwrap_or_default(),
            cameras,
            retired: retired
                .into_iter()
                .filter_map(|(id, of)| Some((CameraId::new(&id).ok()?, of.as_str()?.to_owned())))
                .collect(),
            other: all,
            strange,
        })
    }

    /// The file's bytes. They hold every password.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut all = self.other.clone();
        let newer = all.get("version").and_then(Value::as_u64).unwrap_or(0);
        put(&mut all, "version", Some(VERSION.max(newer)));
        put(&mut all, "password", self.password.as_ref().map(Private::expose));
        put(&mut all, "language", self.language);
        put(&mut all, "name", self.name.as_ref());
        put(&mut all, "uplink_kbps", self.uplink_kbps);
        put(&mut all, "order", Some(&self.order));
        let cameras = self.cameras.iter().map(Kept::value).chain(self.strange.iter().cloned());
        all.insert("cameras".to_owned(), Value::Array(cameras.collect()));
        let retired = self.retired.iter().map(|(id, of)| (id.to_string(), Value::from(of.as_str())));
        all.insert("retired".to_owned(), Value::Object(retired.collect()));
        let mut bytes = serde_json::to_vec_pretty(&all).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// A camera that was added on the page.
    pub(crate) fn camera(&self, id: &CameraId) -> Option<&Kept> {
        self.cameras.iter().find(|camera| camera.id == *id)
    }

    /// The same, to be changed.
    pub(crate) fn camera_mut(&mut self, id: &CameraId) -> Option<&mut Kept> {
        self.cameras.iter_mut().find(|camera| camera.id == *id)
    }

    /// A camera's place in the owner's order.
    pub(crate) fn rank(&self, id: &CameraId) -> u32 {
        self.order.iter().position(|other| other == id).map_or(u32::MAX, |at| at as u32)
    }
}

impl Kept {
    fn read(value: &Value) -> Option<Self> {
        let mut all = value.as_object()?.clone();
        let user = take::<String>(&mut all, "user");
        let password = take::<String>(&mut all, "password");
        Some(Self {
            id: take(&mut all, "id")?,
            address: Private::new(take(&mut all, "address")?),
            identity: take(&mut all, "identity")?,
            name: take(&mut all, "name"),
            device: take(&mut all, "device"),
            serial: take(&mut all, "serial"),
            login: user.map(|user| Login { user, password: Private::new(password.unwrap_or_default()) }),
            channel: take(&mut all, "channel"),
            on: take(&mut all, "on").unwrap_or(true),
            other: all,
        })
    }

    fn value(&self) -> Value {
        let mut all = self.other.clone();
        put(&mut all, "id", Some(&self.id));
        put(&mut all, "address", Some(self.address.expose()));
        put(&mut all, "identity", Some(&self.identity));
        put(&mut all, "name", self.name.as_ref());
        put(&mut all, "device", self.device.as_ref());
        put(&mut all, "serial", self.serial.as_ref());
        put(&mut all, "user", self.login.as_ref().map(|login| &login.user));
        put(&mut all, "password", self.login.as_ref().map(|login| login.password.expose()));
        put(&mut all, "channel", self.channel.as_ref());
        put(&mut all, "on", Some(self.on));
        Value::Object(all)
    }
}

/// Takes a field out, unless it holds what this program cannot read: that stays.
fn take<T: DeserializeOwned>(all: &mut Map<String, Value>, name: &str) -> Option<T> {
    let value = T::deserialize(all.get(name)?).ok()?;
    all.remove(name);
    Some(value)
}

/// Writes a field; `None` leaves what stands there, which this program could not read.
fn put(all: &mut Map<String, Value>, name: &str, value: Option<impl Serialize>) {
    if let Some(value) = value.and_then(|value| serde_json::to_value(value).ok()) {
        all.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn sample() -> Value {
        json!({
            "version": 1,
            "password": "$argon2id$v=19$x",
            "language": "kk",
            "name": "Цех 1",
            "uplink_kbps": null,
            "order": ["gate", "hall"],
            "cameras": [{
                "id": "gate", "name": "Gate", "address": "rtsp://10.0.0.7/1", "identity": "address 10.0.0.7",
                "device": "abc", "user": "admin", "password": "п@:/#%", "on": false, "ptz": {"speed": 3}
            }, { "id": "Not An Id", "address": "x" }],
            "retired": {"yard": "address 10.0.0.9"},
            "network": {"static": "10.0.0.2"}
        })
    }

    fn read(value: &Value) -> Core {
        Core::read(&serde_json::to_vec(value).unwrap()).unwrap()
    }

    fn written(core: &Core) -> Value {
        serde_json::from_slice(&core.bytes()).unwrap()
    }

    #[test]
    fn what_is_known_is_read_and_what_is_not_is_written_back() {
        let core = read(&sample());
        let gate = core.camera(&CameraId::new("gate").unwrap()).unwrap();
        assert_eq!(gate.login.as_ref().unwrap().password.expose(), "п@:/#%");
        assert!(!gate.on);
        assert_eq!(core.uplink_kbps, Some(None), "the owner wants no limit");
        assert_eq!(core.rank(&CameraId::new("hall").unwrap()), 1);
        assert_eq!(written(&core), sample());
    }

    #[test]
    fn a_field_of_a_later_version_is_kept_until_the_owner_sets_it_anew() {
        let mut later = sample();
        later["version"] = json!(7);
        later["language"] = json!("de");
        later["password"] = json!({"passkey": "x"});
        let mut core = read(&later);
        assert_eq!((core.language, core.password.is_some()), (None, false));
        assert_eq!(written(&core), later);
        core.language = Some(Language::En);
        later["language"] = json!("en");
        assert_eq!(written(&core), later);
    }

    #[test]
    fn what_is_no_such_file_is_told_apart() {
        for foreign in [&b""[..], b"{\"version\":1,\"cam", b"[]", b"{}", b"{\"version\":\"x\"}", b"\xff\xfe"]
        {
            assert_eq!(Core::read(foreign).unwrap_err(), Foreign);
        }
        let empty = read(&json!({"version": 1}));
        assert!(empty.cameras.is_empty() && empty.password.is_none() && empty.uplink_kbps.is_none());
    }

    #[test]
    fn secrets_are_never_printed() {
        let printed = format!("{:?}", read(&sample()));
        assert!(!printed.contains("argon2id") && !printed.contains("п@"), "{printed}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_file_or_not(bytes: Vec<u8>) {
            let _ = Core::read(&bytes);
        }

        #[test]
        fn any_object_comes_back(name in "\\PC{0,20}", text in "\\PC{0,20}", number: i64) {
            let value = json!({"version": 1, name: number, "cameras": [{"id": text}, number], "order": number, "retired": {}});
            let core = Core::read(&serde_json::to_vec(&value).unwrap()).unwrap();
            let again = Core::read(&core.bytes()).unwrap();
            prop_assert_eq!(again.bytes(), core.bytes());
        }
    }
}
