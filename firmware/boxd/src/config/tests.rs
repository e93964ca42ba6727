use std::path::PathBuf;

use super::{Config, Restart, WatchdogAt, default_state_dir};

fn parse(text: &str) -> Result<Config, String> {
    Config::parse("box.toml", text, PathBuf::from("state")).map_err(|error| error.to_string())
}

fn error(text: &str) -> String {
    parse(text).unwrap_err()
}

#[test]
fn nothing_written_means_the_defaults() {
    let config = parse("").unwrap();
    assert_eq!(config.http.listen.to_string(), "0.0.0.0:8080");
    assert!(config.discovery.enabled && config.discovery.sweep && !config.discovery.adopt);
    assert_eq!(config.hls, media::Options::default());
    assert_eq!(config.state_dir, PathBuf::from("state"));
    assert!(config.cameras.is_empty());
}

#[test]
fn a_camera_is_read_with_its_password_out_of_sight() {
    let config =
        parse("[[camera]]\nid = \"gate\"\nurl = \"rtsp://admin:p%40ss@10.0.0.2/a\"\ntransport = \"udp\"\n")
            .unwrap();
    let gate = &config.cameras[0];
    assert_eq!(gate.address.to_string(), "rtsp://10.0.0.2/a");
    assert_eq!(gate.user.as_deref(), Some("admin"));
    assert_eq!(gate.password.as_ref().unwrap().expose(), "p@ss");
    assert!(!format!("{config:?}").contains("p@ss"));
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_likely_one() {
    let text = "[http]\nlisten = \"127.0.0.1:1\"\n\n[[camera]]\nid = \"gate\"\nurl = \"cam\"\nusr = \"x\"\n";
    assert_eq!(error(text), "box.toml:7: [[camera]] gate: unknown key \"usr\" (did you mean \"user\"?)");
    assert_eq!(
        error("[disovery]\nsweep = true\n"),
        "box.toml:1: unknown section \"disovery\" (did you mean \"discovery\"?)"
    );
    assert_eq!(
        error("\n[http]\nzzzzzzzz = 1\n"),
        "box.toml:3: [http]: unknown key \"zzzzzzzz\" (known: listen, hosts, name, announce, tls_listen)"
    );
}

#[test]
fn a_cloud_by_its_address_means_a_tunnel_to_it() {
    assert!(parse("").unwrap().tunnel.is_none());
    assert!(parse("[tunnel]\nenabled = false\ncloud = \"https://v.example\"\n").unwrap().tunnel.is_none());
    let text =
        "[tunnel]\ncloud = \"https://v.example\"\nca = \"x.pem\"\njoin = \"yes\"\nuplink_kbps = 2000\n";
    let tunnel = parse(text).unwrap().tunnel.unwrap();
    assert_eq!(tunnel.cloud.origin(), "https://v.example");
    assert_eq!(tunnel.join, crate::cloud::Consent::Yes);
    assert_eq!(tunnel.uplink, Some(2_000_000));
    assert_eq!(
        parse("[tunnel]\ncloud = \"https://v.example\"\n").unwrap().tunnel.unwrap().join,
        crate::cloud::Consent::Ask,
        "nobody joins unasked"
    );
    assert_eq!(
        error("[tunnel]\nenabled = true\n"),
        "box.toml:2: [tunnel]: enabled: a tunnel needs the cloud's address: give cloud, too"
    );
    assert_eq!(
        error("[tunnel]\ncloud = \"http://v.example\"\n"),
        "box.toml:2: [tunnel]: cloud: may be http:// only for a loopback or private IP address: write https://"
    );
}

#[test]
fn a_small_picture_is_a_stream_of_its_own() {
    let camera = "[[camera]]\nid = \"gate\"\nurl = \"rtsp://10.0.0.2/1\"\nuser = \"u\"\npassword = \"p\"\n";
    assert_eq!(parse(camera).unwrap().cameras[0].small_picture(), None);
    let config = parse(&format!("{camera}sub_url = \"rtsp://10.0.0.2/2\"\n")).unwrap();
    let small = config.cameras[0].small_picture().unwrap();
    assert_eq!(small.address.to_string(), "rtsp://10.0.0.2/2");
    assert_eq!(small.password.unwrap().expose(), "p");
    assert!(
        error(&format!("{camera}sub_url = \"http://x/\"\n"))
            .starts_with("box.toml:6: [[camera]] gate: sub_url:")
    );
    assert_eq!(
        parse(&format!("{camera}sub_url = \"rtsp://10.0.0.2/2\"\nstream = \"sub\"\n")).unwrap().cameras[0]
            .small_picture(),
        None,
        "the owner's own choice is not changed"
    );
}

#[test]
fn wrong_values_name_file_line_and_key() {
    let golden = [
        ("[http]\nlisten = 8080\n", "box.toml:2: [http]: listen: is not a text in quotes but an integer"),
        (
            "[http]\nlisten = \"here\"\n",
            "box.toml:2: [http]: listen: is not an address and port such as \"0.0.0.0:8080\"",
        ),
        ("[hls]\n\npart_ms = 10\n", "box.toml:3: [hls]: part_ms: is not a whole number from 50 to 2000"),
        ("[hls]\npart_ms = -1\n", "box.toml:2: [hls]: part_ms: is not a whole number from 50 to 2000"),
        ("[log]\nformat = \"xml\"\n", "box.toml:2: [log]: format: is not one of \"text\", \"json\""),
        (
            "[discovery]\nadopt = \"yes\"\n",
            "box.toml:2: [discovery]: adopt: is not true or false but a string",
        ),
        ("[[camera]]\nurl = \"cam\"\n", "box.toml:1: [[camera]] (without id): id: is missing"),
        ("\n[[camera]]\nid = \"gate\"\n", "box.toml:2: [[camera]] gate: url: is missing"),
        ("[camera]\nid = \"gate\"\n", "box.toml:1: write [[camera]] once for each camera"),
        ("http = 1\n", "box.toml:1: http is a section: write [http]"),
        (
            "[[camera]]\nid = \"a\"\nurl = \"cam\"\n[[camera]]\nid = \"a\"\nurl = \"cam\"\n",
            "box.toml:5: [[camera]] a: id: another camera has this id already",
        ),
        (
            "[[camera]]\nid = \"A b\"\nurl = \"cam\"\n",
            "box.toml:2: [[camera]] A b: id: a camera id is 1 to 32 characters of a-z, 0-9, - and _, starts with a letter or digit, and is not one of api, healthz, metrics, assets, join, setup",
        ),
    ];
    for (text, expected) in golden {
        assert_eq!(error(text), expected);
    }
}

#[test]
fn an_error_never_repeats_a_password() {
    for text in [
        "[[camera]]\nid = \"a\"\nurl = \"ftp://u:canary@h/\"\n",
        "[[camera]]\nid = \"a\"\nurl = \"cam\"\npassword = \"canary\"\n",
        "[[camera]]\nid = \"a\"\npassword = \"canary\n",
        "[[camera]]\nid = \"a\"\nurl = \"cam\"\npassword = [\"canary\"]\n",
        "[[camera]]\nid = \"a\"\nurl = \"cam\"\npassword = \"canary\" x\n",
    ] {
        let error = error(text);
        assert!(!error.contains("canary"), "{error}");
        assert!(error.starts_with("box.toml:"), "{error}");
    }
}

#[test]
fn state_is_kept_where_the_user_may_write() {
    assert_eq!(default_state_dir(true, Some("/x".into())), PathBuf::from("/var/lib/streambox"));
    assert_eq!(
        default_state_dir(false, Some("/home/u/.local/state".into())),
        PathBuf::from("/home/u/.local/state/streambox")
    );
    assert_eq!(default_state_dir(false, None), PathBuf::from("streambox-state"));
}

#[test]
fn a_box_with_a_partition_map_takes_updates_from_wherever_it_is_told() {
    let config = parse("").unwrap();
    assert!(config.board.map.is_none() && config.update.mirrors.is_empty() && config.update.restart);
    let text = "[board]\nmap = \"b.toml\"\n[update]\nurl = [\"http://10.0.0.9:8000/r/\", \"https://u.example\"]\n\
                cloud = false\ninterval_minutes = 5\nrestart = \"ask\"\n";
    let config = parse(text).unwrap();
    assert_eq!(config.board.map, Some(PathBuf::from("b.toml")));
    assert_eq!(config.update.mirrors, ["http://10.0.0.9:8000/r", "https://u.example"]);
    assert_eq!(
        (config.update.cloud, config.update.every.as_secs(), config.update.restart),
        (Some(false), 300, false)
    );
    for wrong in ["ftp://h", "https://u:canary@h", "https://h/?canary", "h"] {
        let error = error(&format!("[update]\nurl = [\"{wrong}\"]\n"));
        assert!(error.starts_with("box.toml:2: [update]: url: is not a list of addresses"), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }
}

#[test]
fn the_guard_knows_its_watchdog_and_how_to_restart_the_machine() {
    let guard = parse("").unwrap().guard;
    assert_eq!(
        (guard.watchdog, guard.restart),
        (WatchdogAt::None, Restart::Exit),
        "nothing is restarted unasked"
    );
    let text = "[guard]\nwatchdog = \"/dev/watchdog0\"\nwatchdog_s = 20\nrestart = \"/sbin/reboot\"\n";
    let guard = parse(text).unwrap().guard;
    assert_eq!(guard.watchdog, WatchdogAt::Device("/dev/watchdog0".into()));
    assert_eq!((guard.bite.as_secs(), guard.restart), (20, Restart::Program("/sbin/reboot".into())));
    let file = parse("[guard]\nwatchdog = \"file:/tmp/dog\"\n").unwrap().guard.watchdog;
    assert_eq!(file, WatchdogAt::File("/tmp/dog".into()));
    for wrong in ["watchdog = \"file:\"", "watchdog = \"dog\"", "restart = \"reboot\"", "silent_s = 1"] {
        assert!(error(&format!("[guard]\n{wrong}\n")).starts_with("box.toml:2: [guard]: "), "{wrong}");
    }
}
