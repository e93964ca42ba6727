use super::*;
use model::{CameraState, Trouble};
use proptest::prelude::*;

fn unit() -> AccessUnit {
    AccessUnit {
        track: Track::Audio,
        stamp: -2,
        clock_rate: NonZeroU32::new(90_000).unwrap(),
        arrival_us: 1_700_000_000_000_000,
        random_access: true,
        loss: true,
        data: Bytes::from_static(&[0, 0, 0, 1, 0x65]),
    }
}

fn source() -> Source {
    let id = CameraId::new("gate").unwrap();
    let mut source = Source::new(
        id,
        "rtsp://10.0.0.9:8554/live?a=1",
        Some("admin".into()),
        Some("п@:/#%".to_owned().into()),
    )
    .unwrap();
    source.transport = Transport::Udp;
    source.stream = StreamChoice::Sub;
    source
}

fn hex<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> String {
    bytes
        .into_iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

fn whole(frame: &Frame) -> String {
    hex(frame.header.iter().chain(&frame.body))
}

/// Both processes come from one build, but an update may replace the file of a running one: these bytes
/// change only together with `VERSION`.
#[test]
fn version_1_is_frozen() {
    assert_eq!(
        whole(&encode_event(&Event::Unit(unit())).unwrap()),
        "0104070000000005000\
         15f9000000000fffffffffffffffe00060a24181e4000\
         0000000165"
    );
    let format = Format {
        video: VideoFormat::H264 { sps: Bytes::from_static(&[0x67, 1]), pps: Bytes::from_static(&[0x68]) },
        audio: Some(AudioFormat::Aac {
            config: Bytes::from_static(&[0x12, 0x10]),
            sample_rate: NonZeroU32::new(44_100).unwrap(),
            channels: 2,
        }),
    };
    let frame = encode_event(&Event::Format(format)).unwrap();
    let body = hex(&frame.body);
    assert_eq!(body, "0100026701000168010000ac44000200021210");
    let frame = encode_event(&Event::Interrupted).unwrap();
    assert_eq!(whole(&frame), format!("0105{}", "00".repeat(30)));
    let state = Event::State(CameraState::Stopped { trouble: Trouble::WrongPassword });
    let body = encode_event(&state).unwrap().body;
    assert_eq!(body, r#"{"state":"stopped","trouble":{"trouble":"wrong_password"}}"#);
    let body = encode_source(&source()).unwrap().body;
    assert_eq!(
        core::str::from_utf8(&body).unwrap(),
        r#"{"id":"gate","address":"rtsp://10.0.0.9:8554/live?a=1","user":"admin","password":"п@:/#%","transport":"udp","stream":"sub"}"#
    );
}

fn back(event: &Event) -> Event {
    let frame = encode_event(event).unwrap();
    decode_event(&Header::decode(&frame.header).unwrap(), frame.body).unwrap()
}

#[test]
fn what_goes_in_comes_out() {
    let h265 = Format {
        video: VideoFormat::H265 {
            vps: Bytes::from_static(&[0x40]),
            sps: Bytes::from_static(&[0x42]),
            pps: Bytes::from_static(&[0x44]),
        },
        audio: None,
    };
    for event in [
        Event::Unit(unit()),
        Event::Format(h265),
        Event::Interrupted,
        Event::State(CameraState::Waiting { trouble: Trouble::Busy, retry_in_ms: 7 }),
        Event::Login(crate::Login::Wanted),
        Event::Login(crate::Login::Refused { locked_s: 1_800 }),
        Event::Facts(crate::DeviceFacts { maker: Some("Axis".into()), ..Default::default() }),
    ] {
        assert_eq!(back(&event), event);
    }
    let frame = encode_source(&source()).unwrap();
    assert_eq!(decode_source(&Header::decode(&frame.header).unwrap(), &frame.body).unwrap(), source());
}

#[test]
fn an_errand_goes_out_with_its_source_and_what_it_brings_comes_back() {
    let frame = encode_errand(&source(), &"look").unwrap();
    let header = Header::decode(&frame.header).unwrap();
    assert!(header.is_errand());
    assert_eq!(decode_errand(&header, &frame.body).unwrap(), (source(), "look".to_owned()));
    assert!(decode_source(&header, &frame.body).is_err(), "an errand starts no stream");
    let brought: Result<String, Trouble> = Ok("x".repeat(900 << 10));
    let frame = encode_outcome(&brought).unwrap();
    let header = Header::decode(&frame.header).unwrap();
    assert!(!header.is_errand());
    assert_eq!(decode_outcome::<Result<String, Trouble>>(&header, &frame.body).unwrap(), brought);
    assert!(encode_outcome(&"x".repeat(1 << 20)).is_err());
}

#[test]
fn a_units_bytes_are_not_copied() {
    let unit = unit();
    let frame = encode_event(&Event::Unit(unit.clone())).unwrap();
    assert_eq!(frame.body.as_ptr(), unit.data.as_ptr());
    let Event::Unit(decoded) = decode_event(&Header::decode(&frame.header).unwrap(), frame.body).unwrap()
    else {
        panic!("a unit");
    };
    assert_eq!(decoded.data.as_ptr(), unit.data.as_ptr());
}

#[test]
fn too_much_is_refused_before_it_is_read() {
    let mut header = encode_event(&Event::Unit(unit())).unwrap().header;
    header[4..8].copy_from_slice(&(8_u32 << 20).to_be_bytes());
    assert_eq!(Header::decode(&header).unwrap().body_len(), 8 << 20);
    header[4..8].copy_from_slice(&((8_u32 << 20) + 1).to_be_bytes());
    assert!(matches!(Header::decode(&header), Err(WireError::TooLarge { .. })));
    header[0] = 2;
    assert_eq!(Header::decode(&header), Err(WireError::Version(2)));
    let long = Event::Unit(AccessUnit { data: Bytes::from(vec![0; MAX_UNIT_BYTES + 1]), ..unit() });
    assert!(encode_event(&long).is_err());
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(mut header: [u8; 32], body: Vec<u8>, known: bool, kind in 0_u8..11) {
        if known {
            let flags = header[2] & 7;
            header[..4].copy_from_slice(&[VERSION, kind, flags, 0]);
            header[4..8].copy_from_slice(&(body.len() as u32).to_be_bytes());
            header[12..16].fill(0);
            if kind != UNIT {
                header[2] = 0;
                header[8..].fill(0);
            }
        }
        if let Ok(header) = Header::decode(&header) {
            let _ = decode_source(&header, &body);
            let _ = decode_errand::<String>(&header, &body);
            let _ = decode_outcome::<Result<String, Trouble>>(&header, &body);
            if let Ok(event) = decode_event(&header, Bytes::from(body)) {
                prop_assert_eq!(back(&event), event);
            }
        }
    }

    #[test]
    fn every_unit_survives(stamp: i64, arrival_us: i64, rate in 1_u32.., audio: bool, random_access: bool, loss: bool, data: Vec<u8>) {
        let unit = AccessUnit {
            track: if audio { Track::Audio } else { Track::Video },
            stamp,
            clock_rate: NonZeroU32::new(rate).unwrap(),
            arrival_us,
            random_access,
            loss,
            data: data.into(),
        };
        prop_assert_eq!(back(&Event::Unit(unit.clone())), Event::Unit(unit));
    }
}
