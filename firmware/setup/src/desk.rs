//! What the page's process asks the box's main process, and what it is told.
//!
//! The page's process holds the sessions and reads what browsers send; it keeps nothing on disk and never speaks to a camera. The
//! main process keeps what the owner chose and does what is asked. Between them go lines of JSON on a socket pair: one
//! [`Ask`] with a number, one [`Reply`] with the same number. What is [`Serialize`] here and no secret is what the page's own
//! JSON API shows, so the page's scripts rely on these names.

use std::net::IpAddr;

use model::status::Picture;
use model::{CameraId, CameraState, Private};
use serde::{Deserialize, Serialize, Serializer};

/// A language of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Kazakh.
    Kk,
    /// Russian.
    #[default]
    Ru,
    /// English.
    En,
}

/// A question, or something to be done.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// What the page's process must know when it starts. Answered by [`Answer::Start`].
    Start,
    /// Keeps the owner's password, as an argon2id string (PHC format). Answered by [`Answer::Done`].
    SetPassword {
        /// The hash, never the password.
        hash: String,
    },
    /// Somebody signed in with the owner's password: an [`Event`] `signed_in`. Answered by [`Answer::Done`].
    SignedIn {
        /// From where.
        peer: IpAddr,
    },
    /// Keeps the owner's language, or the site's name. Answered by [`Answer::Done`].
    SetSite {
        /// The page's language.
        language: Option<Language>,
        /// What the owner calls this place; at most 64 characters.
        name: Option<String>,
    },
    /// Everything that the page shows. Answered by [`Answer::Overview`].
    Overview,
    /// Makes cameras of devices or addresses. Answered by [`Answer::Added`].
    Add {
        /// Which.
        picks: Vec<Pick>,
        /// The user name and password for all of them.
        login: Option<Login>,
    },
    /// Changes one camera. Answered by [`Answer::Done`].
    Change {
        /// Which.
        id: CameraId,
        /// What of it; what is `None` stays.
        change: Change,
    },
    /// Puts the cameras into this order; cameras that are not named come last. Answered by [`Answer::Done`].
    Order {
        /// Ids in the new order.
        ids: Vec<CameraId>,
    },
    /// Forgets a camera that was added on the page. Answered by [`Answer::Done`].
    Remove {
        /// Which.
        id: CameraId,
    },
    /// Asks a camera how it encodes its picture, over ONVIF. Answered by [`Answer::Encoder`].
    Inspect {
        /// Which.
        id: CameraId,
    },
    /// Sets a camera to H.264, a GOP of 1 s and a sensible bit rate, over ONVIF. Answered by [`Answer::Improved`].
    Improve {
        /// Which.
        id: CameraId,
    },
    /// A still picture of a camera. Answered by [`Answer::Snapshot`].
    Snapshot {
        /// Which.
        id: CameraId,
    },
    /// Gives the box a second address for a while, by which it reaches a device of another subnet. Answered by
    /// [`Answer::Done`].
    Reach {
        /// [`Found::key`].
        key: String,
    },
    /// The owner's answer to "Join ACME?". Answered by [`Answer::Done`].
    Join {
        /// The session of the question.
        session: String,
        /// Yes or no.
        accept: bool,
    },
    /// Limits what goes out to the cloud. Answered by [`Answer::Done`].
    SetUplink {
        /// kbit/s; `None`: no limit.
        kbps: Option<u32>,
    },
    /// Restarts into the version that is complete. Answered by [`Answer::Done`].
    Update {
        /// Seconds until then, at most a day; 0: at once, whoever watches.
        in_s: u32,
    },
    /// Sets a clock that nobody has set yet to what the owner's phone says. Answered by [`Answer::Done`].
    SetTime {
        /// Milliseconds since 1970.
        unix_ms: u64,
    },
    /// What changed and when, newest first. Answered by [`Answer::Events`].
    Events,
    /// What a helper needs to see, without secrets. Answered by [`Answer::Diagnostics`].
    Diagnostics,
    /// Starts the box anew. Answered by [`Answer::Done`] first.
    Restart,
    /// Forgets everything but the box's identity, then starts anew. Answered by [`Answer::Done`] first.
    FactoryReset,
}

/// What was asked for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// It is done, or under way.
    Done,
    /// To [`Ask::Start`].
    Start {
        /// The owner's password as [`Ask::SetPassword`] gave it; `None` while the box has no owner.
        password: Option<String>,
        /// The page's language, once chosen.
        language: Option<Language>,
        /// What the owner calls this place.
        #[serde(default)]
        name: Option<String>,
        /// Milliseconds since the box started.
        up_ms: u64,
    },
    /// To [`Ask::Overview`].
    Overview(Box<Overview>),
    /// To [`Ask::Add`], in the order of the picks.
    Added {
        /// The new camera, or why there is none.
        outcomes: Vec<Result<CameraId, Refusal>>,
    },
    /// To [`Ask::Inspect`].
    Encoder(Encoder),
    /// To [`Ask::Improve`].
    Improved {
        /// As it was.
        before: Encoder,
        /// As the camera says that it is now.
        after: Encoder,
    },
    /// To [`Ask::Snapshot`]: a JPEG of at most 512 KiB, in base64.
    Snapshot {
        /// Base64 (RFC 4648, section 4).
        jpeg: String,
    },
    /// To [`Ask::Events`].
    Events {
        /// Newest first, at most 200.
        events: Vec<Event>,
    },
    /// To [`Ask::Diagnostics`]: a text file.
    Diagnostics {
        /// The text.
        text: String,
    },
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// A short stable name by which the page finds its own words, for example `no_such_camera`.
    pub code: String,
    /// The sentence in plain English: what, and what to do next.
    pub sentence: String,
}

/// The answer to one [`Ask`].
pub type Reply = Result<Answer, Refusal>;

/// Most bytes of a line between the two processes, its end included: a snapshot in base64 is the longest.
pub const LINE_BYTES: usize = 1 << 20;

/// A line from the page's process.
#[derive(Debug, Serialize, Deserialize)]
pub struct Asked {
    /// Tells it from others that are under way.
    pub id: u64,
    /// The question.
    pub ask: Ask,
}

/// A line to the page's process.
#[derive(Debug, Serialize, Deserialize)]
pub struct Replied {
    /// [`Asked::id`].
    pub id: u64,
    /// The answer.
    pub reply: Reply,
}

/// A user name and password for cameras.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// User name.
    pub user: String,
    /// Password.
    #[serde(serialize_with = "in_the_clear")]
    pub password: Private<String>,
}

/// Between two processes of the box, over their own socket pair, a password must travel as it is.
fn in_the_clear<S: Serializer>(password: &Private<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(password.expose())
}

/// What a camera is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pick {
    /// A device that was found: [`Found::key`].
    Device(String),
    /// One picture of a device that has several (a recorder's channel): [`Found::key`] and [`Channel::token`].
    Channel(String, String),
    /// An address: `rtsp://…`, `http://…/onvif/device_service`, a host name or an IP address; user and password may be in it.
    Address(String),
}

/// What may be changed of a camera.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Change {
    /// What people call it; at most 64 characters.
    pub name: Option<String>,
    /// Whether it is streamed.
    pub on: Option<bool>,
    /// Another user name and password.
    pub login: Option<Login>,
}

/// Everything that the page shows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Overview {
    /// The box's clock, milliseconds since 1970.
    pub now_ms: u64,
    /// What the owner calls this place.
    pub name: Option<String>,
    /// What the box is doing, the same that its lights show: `plugged`, `searching`, `streaming` or `trouble`.
    pub condition: String,
    /// Where this page is on the LAN: by name first, then by address.
    pub pages: Vec<String>,
    /// The same over TLS, with the box's own certificate; `None` while there is none.
    pub secure: Option<Secure>,
    /// The code on the box's label: whoever types it at the cloud is led here.
    pub label: Option<String>,
    /// Devices on the LAN, the streamed ones too.
    pub devices: Vec<Found>,
    /// Cameras, in the owner's order.
    pub cameras: Vec<Row>,
    /// How the box stands with its cloud: as `/api/v1/join` says it.
    pub join: serde_json::Value,
    /// Whether the clock can be trusted; otherwise the page offers the phone's.
    pub clock_known: bool,
    /// Most kbit/s that may go out; `None`: no limit.
    pub uplink_cap_kbps: Option<u32>,
    /// bit/s that go out now.
    pub uplink_bit_rate: u64,
    /// The box's systems and their updates: as `/api/v1/update` says it.
    pub update: serde_json::Value,
    /// The firmware's version.
    pub version: String,
    /// Seconds since the box started.
    pub up_s: u64,
}

/// How to reach the page over TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secure {
    /// Where this page is: by name first, then by address.
    pub pages: Vec<String>,
    /// SHA-256 of the certificate as browsers show it, `AB:CD:…`: no browser knows who signed it, so people compare this.
    pub fingerprint: String,
}

/// A device on the LAN.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Found {
    /// What tells it from others.
    pub key: String,
    /// Its own name, maker and model, as far as it told.
    pub name: Option<String>,
    /// Maker.
    pub maker: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// The address that answered, and those beside it.
    pub addresses: Vec<IpAddr>,
    /// The box's network interfaces on which it was heard.
    pub interfaces: Vec<String>,
    /// By which protocols: `ws_discovery`, `mdns`, `ssdp`, `rtsp_sweep`, `sadp`, `dhip`, `neighbour`.
    pub sources: Vec<String>,
    /// The camera that it became; several for a recorder.
    pub cameras: Vec<CameraId>,
    /// What stands in the way, worst first.
    pub obstacles: Vec<Obstacle>,
    /// Pictures of a recorder; empty for a camera, and while nobody could ask.
    pub channels: Vec<Channel>,
}

/// One picture of a recorder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// What the recorder calls it to itself.
    pub token: String,
    /// What it calls it to people.
    pub name: String,
}

/// A camera of the box.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// First path segment of its links.
    pub id: CameraId,
    /// What people call it.
    pub name: String,
    /// Where it is, without user and password.
    pub address: String,
    /// Maker, as far as it told.
    pub maker: Option<String>,
    /// Model, as far as it told.
    pub model: Option<String>,
    /// Whether it is streamed.
    pub on: bool,
    /// Whether the page may change it: cameras of the configuration file are changed there.
    pub ours: bool,
    /// What it is doing.
    pub state: CameraState,
    /// What stands in the way or could be better, worst first.
    pub obstacles: Vec<Obstacle>,
    /// Whether it has a still picture.
    pub snapshot: bool,
    /// Which of its pictures is streamed.
    pub picture: Picture,
    /// Pictures per second.
    pub fps: f64,
    /// Bits per second.
    pub bit_rate: u64,
    /// Seconds between keyframes; 0 while unknown.
    pub gop_seconds: f64,
    /// Its public link, once the cloud gave one.
    pub public: Option<String>,
}

/// What stands in the way of a picture, or makes it worse than it could be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Obstacle {
    /// A short stable name by which the page finds its own words: `not_activated`, `onvif_off`, `locked`, `h265_only`, `long_gop`,
    /// `other_subnet`, `changed_device`, or the code of a [`model::Trouble`].
    pub code: String,
    /// The sentence in plain English: what, and what to do next.
    pub sentence: String,
    /// Where in the maker's own menu it is put right, in the menu's own words.
    pub menu: Option<String>,
    /// When it ends by itself, milliseconds since 1970: a lock-out's end.
    pub until_ms: Option<u64>,
    /// A number for the words: seconds of a GOP.
    pub number: Option<f64>,
    /// What the page can do about it.
    pub fix: Option<Fix>,
}

/// What the page can do about an obstacle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fix {
    /// Ask for a user name and password.
    Login,
    /// [`Ask::Improve`].
    Improve,
    /// [`Ask::Reach`].
    Reach,
    /// Open the camera's own page.
    OpenDevice,
}

/// How a camera encodes its picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Encoder {
    /// As ONVIF writes it: `H264`, `H265`, `JPEG`.
    pub encoding: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Pictures per second.
    pub fps: f64,
    /// Pictures from one keyframe to the next.
    pub gop: u32,
    /// kbit/s.
    pub bit_rate_kbps: u32,
    /// Whether [`Ask::Improve`] would change anything.
    pub improvable: bool,
}

/// Something that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// A short stable name: `camera_live`, `camera_trouble`, `camera_added`, `camera_removed`, `camera_changed`, `joined`, `tunnel_up`,
    /// `tunnel_down`, `started`, `password_set`, `signed_in`, `update_chosen`.
    pub code: String,
    /// The camera that it is about.
    pub camera: Option<CameraId>,
    /// In plain English.
    pub sentence: String,
}
