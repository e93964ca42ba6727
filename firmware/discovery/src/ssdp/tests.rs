use super::*;

const FROM: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

#[test]
fn a_camera_is_told_by_its_headers() {
    let heard = read(include_bytes!("../../../fuzz/corpus/discovery_answer/ssdp-axis.txt"), FROM).unwrap();
    assert_eq!(heard.answer.unwrap().maker.as_deref(), Some("Axis"));
    assert_eq!(heard.description.as_deref(), Some("http://192.0.2.7:49152/rootdesc1.xml"));
}

#[test]
fn a_location_on_a_foreign_host_is_never_given() {
    let notify = include_bytes!("../../../fuzz/corpus/discovery_answer/ssdp-notify-foreign.txt");
    let heard = read(notify, FROM).unwrap();
    assert!(heard.answer.is_some());
    assert_eq!(heard.description, None);
    for location in ["http://127.0.0.1/x", "https://192.0.2.7/x", "file:///x", "http://192.0.2.7.example/x"] {
        let text = format!("HTTP/1.1 200 OK\r\nSERVER: IpCam\r\nLOCATION: {location}\r\n\r\n");
        assert_eq!(read(text.as_bytes(), FROM).unwrap().description, None, "{location}");
    }
}

#[test]
fn other_devices_are_no_cameras() {
    for server in [
        "Linux UPnP/1.0 Samsung AllShare",
        "TP-Link/TP-LINK UPnP/1.1 MiniUPnPd/1.8",
        "FRITZ!Box 7590",
        "Linux, UPnP/1.0",
    ] {
        let text = format!("HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\nSERVER: {server}\r\n\r\n");
        assert_eq!(read(text.as_bytes(), FROM).unwrap().answer, None, "{server}");
    }
    assert_eq!(read(&search(), FROM), Ok(Heard::default()));
    assert_eq!(read(b"GET / HTTP/1.1\r\n\r\n", FROM), Err(Error::Not("SSDP")));
    assert_eq!(read(&[b'x'; MAX_MESSAGE + 1], FROM), Err(Error::TooLarge { limit: MAX_MESSAGE }));
}

#[test]
fn a_description_names_the_camera_and_none_else() {
    let camera = include_bytes!("../../../fuzz/corpus/discovery_answer/ssdp-description.xml");
    let answer = read_description(camera).unwrap();
    assert_eq!(answer.name.as_deref(), Some("Gate - IPC-B140H"));
    assert_eq!(answer.maker.as_deref(), Some("Hikvision"));
    assert_eq!(answer.model.as_deref(), Some("IPC-B140H"));
    assert!(answer.onvif.is_empty() && answer.rtsp.is_empty());
    let router =
        "<root><device><friendlyName>Home</friendlyName><manufacturer>TP-Link</manufacturer></device></root>";
    assert_eq!(read_description(router.as_bytes()), None);
    assert_eq!(read_description(b"<a><!DOCTYPE x>"), None);
}
