//! Everything that the page shows, put together from what the box's parts know at one moment.

use std::net::IpAddr;

use model::status::Picture;
use model::{CameraState, Device};
use serde_json::Value;
use setup::desk::{Found, Overview, Row};

use super::core::Kept;
use super::obstacles::{self, Looks};
use super::{Owner, adopt_address};
use crate::door;
use crate::logins::{Gate, millis};
use crate::names::interfaces::{self, Interface};
use crate::state::{Camera, lock};

impl Owner {
    /// What the page shows now.
    pub(super) fn overview(&self) -> Overview {
        let shared = &self.0.shared;
        let devices = shared.devices();
        let status = shared.cloud().status();
        let (name, kept) = self.0.store.with(|core| (core.name.clone(), core.cameras.clone()));
        let near: Vec<Interface> =
            interfaces::list().map(|all| all.into_iter().collect()).unwrap_or_default();
        Overview {
            now_ms: millis(self.0.time.now()),
            name,
            condition: crate::lights::condition(shared).word().to_owned(),
            pages: shared.whereabouts().pages(),
            secure: shared.whereabouts().secure(),
            label: shared.whereabouts().label().map(|label| label.to_string()),
            devices: devices.iter().map(|device| self.found(device, &kept, &near)).collect(),
            cameras: self.rows(&kept, &devices),
            join: serde_json::to_value(door::join_view(shared)).unwrap_or(Value::Null),
            clock_known: self.0.time.is_known(),
            uplink_cap_kbps: status.uplink.cap_bit_rate.map(|cap| (cap / 1000) as u32),
            uplink_bit_rate: status.uplink.sent_bit_rate,
            update: serde_json::to_value(door::update_view(shared)).unwrap_or(Value::Null),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            up_s: shared.uptime().as_secs(),
        }
    }

    /// Cameras in the owner's order, those that are switched off included.
    fn rows(&self, kept: &[Kept], devices: &[Device]) -> Vec<Row> {
        let shown = self.0.shared.cameras();
        let off = kept.iter().filter(|kept| !shown.iter().any(|camera| *camera.id() == kept.id));
        let mut rows: Vec<Row> = off.map(|kept| dark(kept, devices)).collect();
        for camera in &shown {
            let kept = kept.iter().find(|kept| kept.id == *camera.id());
            rows.push(self.row(camera, kept, devices));
        }
        self.0.store.with(|core| rows.sort_by_key(|row| (core.rank(&row.id), row.id.clone())));
        rows
    }

    fn row(&self, camera: &Camera, kept: Option<&Kept>, devices: &[Device]) -> Row {
        let feed = camera.feed();
        let id = camera.id();
        let state = feed.state();
        let trouble = feed
            .trouble()
            .map(|(trouble, _)| trouble)
            .filter(|_| !matches!(state, CameraState::Streaming(_)));
        let facts = feed.with(|stream| stream.facts());
        let said = feed.device();
        let device = devices.iter().find(|device| {
            kept.is_some_and(|kept| is(kept, device)) || obstacles::same(device, camera.device())
        });
        let found = |fact: fn(&Device) -> Option<&model::Fact<String>>| {
            device.and_then(fact).map(|fact| fact.value.clone())
        };
        let maker = said
            .as_ref()
            .and_then(|said| said.maker.clone())
            .or_else(|| found(|device| device.maker.as_ref()));
        let model = said
            .as_ref()
            .and_then(|said| said.model.clone())
            .or_else(|| found(|device| device.model.as_ref()));
        let source = lock(&self.0.sources).get(id).cloned();
        let refused = source.as_ref().and_then(|source| Gate::new(&self.0.logins, source).refusal());
        let codec = match &state {
            CameraState::Streaming(facts) => Some(facts.video),
            _ => None,
        };
        let small =
            matches!(&state, CameraState::Streaming(facts) if camera::choice::shows_sub(&facts.notes));
        let obstacles = obstacles::of_camera(&Looks {
            trouble: trouble.as_ref(),
            until_ms: refused.map(|refused| millis(self.0.time.now() + refused.wait)),
            codec,
            gop_seconds: facts.gop_seconds,
            maker: maker.as_deref(),
            ours: kept.is_some(),
        });
        let view = door::camera_view(&self.0.shared, id.as_str());
        Row {
            id: id.clone(),
            name: view.map_or_else(|| id.to_string(), |view| view.name),
            address: source.map(|source| source.address.to_string()).unwrap_or_default(),
            maker,
            model,
            on: true,
            ours: kept.is_some(),
            state,
            obstacles,
            snapshot: said.is_some_and(|said| said.snapshot.is_some()),
            picture: if small { Picture::Sub } else { camera.picture() },
            fps: facts.fps,
            bit_rate: facts.bit_rate,
            gop_seconds: facts.gop_seconds,
            public: self.0.shared.cloud().link(id),
        }
    }

    fn found(&self, device: &Device, kept: &[Kept], near: &[Interface]) -> Found {
        let shown = self.0.shared.cameras();
        let key = device.key.to_string();
        let mut cameras: Vec<_> =
            kept.iter().filter(|kept| is(kept, device)).map(|kept| kept.id.clone()).collect();
        for camera in shown.iter().filter(|camera| door::streams(camera, device)) {
            if !cameras.contains(camera.id()) {
                cameras.push(camera.id().clone());
            }
        }
        let changed = {
            let changed = lock(&self.0.changed);
            let stranger = changed.values().any(|who| *who == key);
            // A camera's own name at another address than the owner picked.
            let moved = kept.iter().any(|kept| {
                kept.device.as_deref() == Some(&key)
                    && adopt_address(kept).is_some_and(|address| !device.addresses.contains(&address))
            });
            stranger || moved
        };
        let is_near = device.addresses.iter().any(|address| match address {
            IpAddr::V4(address) => near.iter().any(|interface| interface.holds(*address)),
            IpAddr::V6(_) => true,
        });
        // Who answered a connection is reached, wherever its address lies.
        let reached = !device.rtsp.is_empty();
        let texts = |fact: &Option<model::Fact<String>>| fact.as_ref().map(|fact| fact.value.clone());
        let word = |source: &model::Source| {
            serde_json::to_value(source).ok().and_then(|word| Some(word.as_str()?.to_owned()))
        };
        Found {
            name: texts(&device.name),
            maker: texts(&device.maker),
            model: texts(&device.model),
            addresses: device.addresses.clone(),
            interfaces: device.interfaces.clone(),
            sources: device.sources.iter().filter_map(word).collect(),
            cameras,
            obstacles: obstacles::of_device(device, is_near || reached || near.is_empty(), changed),
            channels: lock(&self.0.channels).get(&key).cloned().unwrap_or_default(),
            key,
        }
    }
}

/// Whether a kept camera is this device.
fn is(kept: &Kept, device: &Device) -> bool {
    kept.device.as_deref() == Some(device.key.to_string().as_str())
        && adopt_address(kept).is_none_or(|address| device.addresses.contains(&address))
}

/// A camera that is switched off.
fn dark(kept: &Kept, devices: &[Device]) -> Row {
    let device = devices.iter().find(|device| is(kept, device));
    let found = |fact: fn(&Device) -> Option<&model::Fact<String>>| {
        device.and_then(fact).map(|fact| fact.value.clone())
    };
    Row {
        id: kept.id.clone(),
        name: kept.name.clone().unwrap_or_else(|| kept.id.to_string()),
        address: super::roster::source(kept).map(|source| source.address.to_string()).unwrap_or_default(),
        maker: found(|device| device.maker.as_ref()),
        model: found(|device| device.model.as_ref()),
        on: false,
        ours: true,
        state: CameraState::Connecting,
        obstacles: Vec::new(),
        snapshot: false,
        picture: Picture::Main,
        fps: 0.0,
        bit_rate: 0,
        gop_seconds: 0.0,
        public: None,
    }
}
