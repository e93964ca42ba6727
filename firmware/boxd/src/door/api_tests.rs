use std::collections::BTreeSet;

use model::{CodecKind, DeviceKey, Trouble};
use serde_json::Value;

use super::*;
use crate::cloud::Cloud;
use crate::door::join;

fn description() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

/// Holds a value to a schema: every field of the value is described, every described field is there, types and
/// fixed words agree. Gives the first difference.
fn check(value: &Value, schema: &Value, at: &str) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        let pointer = name.trim_start_matches('#');
        return check(value, description().pointer(pointer).ok_or(format!("{at}: no {name}"))?, at);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let errors: Vec<String> =
            choices.iter().filter_map(|choice| check(value, choice, at).err()).collect();
        return if choices.len() - errors.len() == 1 { Ok(()) } else { Err(format!("{at}: {errors:?}")) };
    }
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let may: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => return Err(format!("{at}: the schema names no type")),
    };
    if !may.iter().any(|may| *may == is || (*may == "number" && is == "integer")) {
        return Err(format!("{at}: is {is}, described as {may:?}"));
    }
    if schema.get("const").is_some_and(|only| only != value) {
        return Err(format!("{at}: {value} is not {}", schema["const"]));
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return Err(format!("{at}: {value} is not described"));
    }
    if let Value::Array(items) = value {
        for item in items {
            check(item, &schema["items"], at)?;
        }
    }
    if let Value::Object(fields) = value {
        let described = schema["properties"].as_object().ok_or(format!("{at}: no properties"))?;
        for (name, field) in fields {
            let schema = described.get(name).ok_or(format!("{at}.{name} is not described"))?;
            check(field, schema, &format!("{at}.{name}"))?;
        }
        if let Some(missing) = described.keys().find(|name| !fields.contains_key(*name)) {
            return Err(format!("{at}.{missing} is described and not sent"));
        }
    }
    Ok(())
}

fn conforms(value: &impl Serialize, name: &str) {
    let value = serde_json::to_value(value).unwrap();
    check(&value, &serde_json::json!({ "$ref": format!("#/components/schemas/{name}") }), name).unwrap();
}

fn sample(state: CameraState) -> CameraView {
    CameraView {
        id: "gate".into(),
        name: "Gate".into(),
        sentence: state.trouble().map(ToString::to_string),
        state,
        since_ms: 1,
        now_ms: 2,
        picture: Picture::Main,
        notice: None,
        links: Links {
            page: "/gate/".into(),
            hls: "/gate/index.m3u8".into(),
            ts: "/gate/ts/index.m3u8".into(),
            public: None,
        },
        device: Some(DeviceView {
            maker: Some("Maker".into()),
            model: None,
            firmware: None,
            profiles: vec!["main".into()],
            clock_offset_s: Some(-3),
        }),
        facts: FactsView {
            fps: 25.0,
            bit_rate: 4_000_000,
            gop_seconds: 1.0,
            window_bytes: 1,
            packaged_bytes: 1,
            window_units: 1,
            window_seconds: 1.0,
            segments: 1,
            units: 1,
            lost_units: 0,
            repaired_stamps: 0,
            dropped_units: 0,
            last_unit_age_ms: None,
            interruptions: 0,
            worker_restarts: 0,
        },
    }
}

#[test]
fn every_state_and_trouble_is_described() {
    let text = || "x".to_owned();
    let troubles = [
        Trouble::WrongPassword,
        Trouble::PasswordNeeded,
        Trouble::UnknownHost { host: text() },
        Trouble::Unreachable { address: text() },
        Trouble::NotRtsp { address: text() },
        Trouble::NoSuchStream,
        Trouble::NoVideo,
        Trouble::UnsupportedCodec { codec: text() },
        Trouble::Stalled { seconds: 10 },
        Trouble::Busy,
        Trouble::Closed,
        Trouble::TooLarge { what: text() },
        Trouble::Protocol { detail: text() },
        Trouble::WorkerDied,
        Trouble::ChangedDevice,
        Trouble::NotActivated,
        Trouble::OnvifOff,
        Trouble::Locked { seconds: 60 },
        Trouble::NoH264 { other: Some(text()) },
        Trouble::NoH264 { other: None },
        Trouble::Refused { detail: text() },
        Trouble::NoSnapshot,
        Trouble::Forbidden { detail: text() },
        Trouble::Command { detail: text() },
    ];
    for trouble in troubles {
        conforms(&sample(CameraState::Stopped { trouble: trouble.clone() }), "Camera");
        conforms(&sample(CameraState::Waiting { trouble, retry_in_ms: 5 }), "Camera");
    }
    conforms(&sample(CameraState::Connecting), "Camera");
    for (video, audio) in [(CodecKind::H264, None), (CodecKind::H265, Some(CodecKind::Aac))] {
        let stream = model::StreamFacts {
            url: "rtsp://10.0.0.7/".into(),
            video,
            size: (1920, 1080),
            audio,
            notes: vec!["note".into()],
        };
        conforms(&sample(CameraState::Streaming(stream)), "Camera");
    }
    conforms(&ErrorView { error: text() }, "Error");
}

#[test]
fn a_discovered_device_is_described() {
    let fact = |source| Fact { value: "x".to_owned(), source };
    let full = Device {
        addresses: vec!["10.0.0.7".parse().unwrap()],
        interfaces: vec!["eth0".into()],
        name: Some(fact(Source::WsDiscovery)),
        maker: Some(fact(Source::Mdns)),
        model: Some(fact(Source::Ssdp)),
        onvif: vec![fact(Source::WsDiscovery)],
        rtsp: vec![fact(Source::RtspSweep)],
        sources: vec![
            Source::WsDiscovery,
            Source::Mdns,
            Source::Ssdp,
            Source::RtspSweep,
            Source::Sadp,
            Source::Dhip,
            Source::Neighbour,
        ],
        ..Device::new(DeviceKey::Endpoint("uuid".into()))
    };
    let bare = Device {
        key: DeviceKey::Address("10.0.0.8".parse().unwrap()),
        name: None,
        maker: None,
        model: None,
        onvif: vec![],
        rtsp: vec![],
        ..full.clone()
    };
    let shared = Shared::new(Cloud::new(None, None));
    shared.set_devices(vec![full, bare]);
    for device in devices(&shared) {
        conforms(&device, "Device");
    }
}

#[test]
fn every_step_of_joining_is_described() {
    use std::time::Instant;

    use crate::cloud::{Claim, CloudAddress, Phase, TunnelStatus};
    let text = || "x".to_owned();
    let claim = Claim { session: text(), owner: text(), words: text() };
    let phases = [
        Phase::Off,
        Phase::Asking,
        Phase::Code { session: text(), code: text(), until: Instant::now() },
        Phase::Claimed(claim),
        Phase::Joining { owner: text() },
        Phase::Joined { owner: text() },
        Phase::Stopped,
    ];
    for phase in phases {
        let cloud = Cloud::new(CloudAddress::parse("https://video.example.org").ok(), Some(5));
        let shared = Shared::new(cloud.clone());
        cloud.set_phase(phase);
        conforms(&join::view(&shared), "Join");
        let tunnel = TunnelStatus { via: "udp".into(), ..TunnelStatus::default() };
        cloud.update(|status| status.tunnel = Some(tunnel));
        cloud.set_obstacle(text());
        conforms(&join::view(&shared), "Join");
    }
    conforms(&join::view(&Shared::new(Cloud::new(None, None))), "Join");
}

#[test]
fn every_way_of_an_update_is_described() {
    use update::health::Why;

    use crate::guard::word::{Ending, Held, Last, Status};
    use crate::updater;

    let text = || "x".to_owned();
    conforms(&update_view(&Shared::new(Cloud::new(None, None))), "Update");
    let ends = [
        Ending::Committed,
        Ending::CommittedBlind,
        Ending::RolledBack,
        Ending::Doubtful,
        Ending::Again,
        Ending::NoVerdict,
        Ending::GivenUp,
    ];
    let phases =
        [updater::Phase::Idle, updater::Phase::Looking, updater::Phase::Installing, updater::Phase::Complete];
    let whys = Why::ALL.into_iter().map(Some).chain([None]);
    for (number, why) in whys.enumerate() {
        let shared = Shared::new(Cloud::new(None, None));
        let end = ends[number % ends.len()];
        let held = |state: &str| {
            Some(Held { slot: "a".to_owned(), version: why.map(|_| text()), state: state.to_owned() })
        };
        shared.systems().set_guard(Status {
            running: held("good"),
            other: held(["empty", "trial", "good", "failed", "unknown"][number % 5]),
            trial: number % 2 == 0,
            last: Some(Last { end, why, version: text(), system: text(), at_s: 1 }),
        });
        shared.systems().set_updater(updater::Status {
            phase: phases[number % phases.len()],
            version: why.map(|_| text()),
            last: Some(updater::Outcome { version: None, good: true, why: text(), at_ms: 1 }),
            ..updater::Status::default()
        });
        conforms(&update_view(&shared), "Update");
    }
}

#[test]
fn everything_that_the_set_up_page_says_is_described() {
    use setup::desk::{Channel, Encoder, Event, Fix, Found, Obstacle, Overview, Refusal, Row, Secure};

    let text = || "x".to_owned();
    let id = || model::CameraId::new("gate").unwrap();
    let obstacle = |fix: Option<Fix>| Obstacle {
        code: text(),
        sentence: text(),
        menu: fix.map(|_| text()),
        until_ms: fix.map(|_| 1),
        number: fix.map(|_| 1.5),
        fix,
    };
    let fixes = [Fix::Login, Fix::Improve, Fix::Reach, Fix::OpenDevice];
    let obstacles: Vec<_> = fixes.into_iter().map(Some).chain([None]).map(obstacle).collect();
    let found = |name: Option<String>| Found {
        key: text(),
        maker: name.clone(),
        model: name.clone(),
        name,
        addresses: vec!["10.0.0.7".parse().unwrap()],
        interfaces: vec![text()],
        sources: vec![text()],
        cameras: vec![id()],
        obstacles: obstacles.clone(),
        channels: vec![Channel { token: text(), name: text() }],
    };
    let row = |public: Option<String>| Row {
        id: id(),
        name: text(),
        address: text(),
        maker: public.clone(),
        model: public.clone(),
        on: true,
        ours: true,
        state: CameraState::Connecting,
        obstacles: obstacles.clone(),
        snapshot: true,
        picture: Picture::Sub,
        fps: 1.0,
        bit_rate: 1,
        gop_seconds: 1.0,
        public,
    };
    for (name, condition) in [(None, "plugged"), (Some(text()), "trouble")] {
        let overview = Overview {
            now_ms: 1,
            condition: condition.to_owned(),
            pages: vec![text()],
            secure: name.as_ref().map(|_| Secure { pages: vec![text()], fingerprint: text() }),
            label: name.clone(),
            devices: vec![found(name.clone())],
            cameras: vec![row(name.clone())],
            join: serde_json::to_value(join::view(&Shared::new(Cloud::new(None, None)))).unwrap(),
            clock_known: true,
            uplink_cap_kbps: name.as_ref().map(|_| 1),
            uplink_bit_rate: 1,
            update: serde_json::to_value(update_view(&Shared::new(Cloud::new(None, None)))).unwrap(),
            version: text(),
            up_s: 1,
            name,
        };
        conforms(&overview, "Overview");
    }
    let encoder = Encoder {
        encoding: text(),
        width: 1,
        height: 1,
        fps: 1.0,
        gop: 1,
        bit_rate_kbps: 1,
        improvable: true,
    };
    conforms(&encoder, "Encoder");
    for camera in [None, Some(id())] {
        conforms(&Event { at_ms: 1, code: text(), camera, sentence: text() }, "Event");
    }
    conforms(&Refusal { code: text(), sentence: text() }, "Refusal");
}

#[test]
fn every_described_route_answers_and_no_other() {
    let document = description();
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(|method| (method.clone(), path.clone()))
        })
        .collect();
    let own = ["cameras", "cameras/{id}", "devices", "openapi.json", "update"];
    let own = own.map(|rest| ("get".to_owned(), format!("/api/v1/{rest}")));
    // The router's; the rest is the set-up page's.
    let join = ("get".to_owned(), "/api/v1/join".to_owned());
    let page = setup::routes::ROUTES.iter().filter(|route| route.path.starts_with("/api/"));
    let page = page.map(|route| (format!("{:?}", route.method).to_lowercase(), route.path.to_owned()));
    let known: BTreeSet<_> = own.iter().cloned().chain([join]).chain(page).collect();
    assert_eq!(described, known);
    for route in setup::routes::ROUTES.iter().filter(|route| route.path.starts_with("/api/")) {
        let operation = &document["paths"][route.path][format!("{:?}", route.method).to_lowercase()];
        let owners = route.who == setup::routes::Who::Owner;
        assert_eq!(operation["security"].is_array(), owners, "{}", route.path);
    }

    let shared = Shared::new(Cloud::new(None, None));
    for (_, path) in own {
        let rest = path.strip_prefix("/api/v1/").unwrap().replace("{id}", "gate");
        let status = answer(&shared, &rest).status();
        let expected = if path.contains("{id}") { StatusCode::NOT_FOUND } else { StatusCode::OK };
        assert_eq!(status, expected, "{path}");
    }
    for rest in ["", "cameras/", "camera", "cameras/gate/x", "devices/", "../metrics"] {
        let response = answer(&shared, rest);
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{rest}");
        assert_eq!(response.headers()["content-type"], JSON, "{rest}: an error is JSON too");
    }
}
