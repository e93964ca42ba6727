use std::net::SocketAddr;

use super::{Config, KEYS, Tls};

fn parse(text: &str) -> Result<Config, String> {
    Config::parse("cloud.toml", text).map_err(|error| error.to_string())
}

#[test]
fn nothing_written_means_the_defaults() {
    let config = parse("").unwrap();
    assert_eq!(config.http.listen.to_string(), "0.0.0.0:8443");
    assert_eq!(config.http.base(), "http://127.0.0.1:8443");
    assert_eq!(config.hub.endpoint, "127.0.0.1:51820");
    assert_eq!(config.hub.network.to_string(), "10.13.0.0/16");
    assert_eq!(config.store.expose(), "sqlite:/var/lib/streambox-cloud/cloud.db");
    assert_eq!((config.cache_bytes, config.http.redirect_listen), (256 << 20, None));
}

#[test]
fn acme_brings_its_own_defaults() {
    let config = parse("[http]\ntls = \"acme\"\nurl = \"https://video.example.org\"\n").unwrap();
    let Tls::Acme(acme) = &config.http.tls else { panic!("{config:?}") };
    assert_eq!(acme.directory, "https://acme-v02.api.letsencrypt.org/directory");
    assert_eq!(config.http.redirect_listen, Some(SocketAddr::from(([0, 0, 0, 0], 80))));
    assert_eq!(config.hub.endpoint, "video.example.org:51820");
    assert_eq!(config.http.base(), "https://video.example.org");
}

#[test]
fn wrong_values_name_file_line_and_key() {
    let golden = [
        (
            "[http]\n\nlisen = \"x\"\n",
            "cloud.toml:3: [http]: unknown key \"lisen\" (did you mean \"listen\"?)",
        ),
        ("[htp]\n", "cloud.toml:1: unknown section \"htp\" (did you mean \"http\"?)"),
        (
            "[http]\nurl = \"https://a.example/path\"\n",
            "cloud.toml:2: [http]: url: is not an address such as \"https://video.example.org\" without a path",
        ),
        ("[http]\ntls = \"files\"\nkey = \"k\"\n", "cloud.toml:1: [http]: cert: is missing"),
        (
            "[http]\ntls = \"acme\"\nurl = \"http://a.example\"\n",
            "cloud.toml:3: [http]: url: acme needs the name that the certificate is for: https://NAME",
        ),
        ("[http]\ncert = \"c\"\n", "cloud.toml:2: [http]: cert: has no effect with this tls"),
        ("[http]\nproxies = [\"a\"]\n", "cloud.toml:2: [http]: proxies: is not a list of IP addresses"),
        (
            "[hub]\nendpoint = \"hub.example.org\"\n",
            "cloud.toml:2: [hub]: endpoint: is not a host and port such as \"hub.example.org:51820\"",
        ),
        (
            "[hub]\nnetwork = \"10.13.0.1/16\"\n",
            "cloud.toml:2: [hub]: network: is not a network such as \"10.13.0.0/16\"",
        ),
        (
            "[access]\n\njwks = \"http://login.example.org/keys\"\n",
            "cloud.toml:3: [access]: jwks: is not an address such as \"https://login.example.org/keys\" (http for this machine only)",
        ),
        (
            "[access]\nhook_token = \"canary\"\n",
            "cloud.toml:2: [access]: hook_token: has no effect without jwks or hook",
        ),
        (
            "[mail]\nsmtp = \"mail.example.org\"\n",
            "cloud.toml:2: [mail]: smtp: is not smtps://HOST:465, smtp://HOST:587, or smtp://127.0.0.1:25 on this machine",
        ),
        (
            "[mail]\nsmtp = \"smtp://h\"\nfrom = \"a@b.c\"\nuser = \"u\"\n",
            "cloud.toml:1: [mail]: password: is missing",
        ),
        ("[cache]\nmib = 1\n", "cloud.toml:2: [cache]: mib: is not a whole number from 16 to 65536"),
        ("[[camera]]\nid = \"x\"\n", "cloud.toml:2: [[camera]] x: id: needs one of url, exec and rtmp_key"),
        (
            "[[camera]]\nid = \"x\"\nurls = \"y\"\n",
            "cloud.toml:3: [[camera]] x: unknown key \"urls\" (did you mean \"url\"?)",
        ),
        (
            "[[camera]]\nid = \"x\"\nexec = [\"a\"]\n[[camera]]\nid = \"x\"\nexec = [\"b\"]\n",
            "cloud.toml:5: [[camera]] x: id: is another camera's, too",
        ),
        (
            "[[camera]]\nid = \"x\"\nurl = \"rtsp://u:canary@10.0.0.1/1\"\n",
            "cloud.toml:3: [[camera]] x: url: 10.0.0.1 is not a public address; the operator of this cloud can allow it ([pull] allow_private)",
        ),
        (
            "[[camera]]\nid = \"x\"\nexec = [\"a\"]\npassword = \"p\"\n",
            "cloud.toml:4: [[camera]] x: password: belongs to url only",
        ),
        (
            "\n[rtmp]\nurl = \"http://h/live\"\n",
            "cloud.toml:3: [rtmp]: url: is not an address such as \"rtmp://push.example.org/live\"",
        ),
        (
            "[rtmp]\n[[camera]]\nid = \"x\"\nrtmp_key = \"4f7a0c21d9be6538\"\n",
            "cloud.toml:1: [rtmp]: listen: is missing: where do encoders send? Such as \"0.0.0.0:1935\"",
        ),
    ];
    for (text, expected) in golden {
        assert_eq!(parse(text).unwrap_err(), expected);
    }
}

#[test]
fn encoders_are_told_an_address_that_leads_here() {
    let http = "[http]\nurl = \"https://video.example.org\"\n";
    let url = |rtmp: &str| parse(&format!("{http}[rtmp]\n{rtmp}\n")).unwrap().rtmp.map(|rtmp| rtmp.url);
    assert_eq!(url(""), None);
    assert_eq!(url("listen = \"0.0.0.0:1935\"").unwrap(), "rtmp://video.example.org/live");
    assert_eq!(url("listen = \"0.0.0.0:1936\"").unwrap(), "rtmp://video.example.org:1936/live");
    let chosen = "listen = \"0.0.0.0:1935\"\nurl = \"rtmp://push.example.org/live\"";
    assert_eq!(url(chosen).unwrap(), "rtmp://push.example.org/live");
}

#[test]
fn the_databases_password_is_never_shown() {
    let access = "[access]\nhook = \"https://h.example/canary\"\nhook_token = \"canary\"\n";
    let config = parse(&format!("[store]\nurl = \"postgres://u:canary@h/d\"\n{access}")).unwrap();
    assert!(!format!("{config:?}").contains("canary"));
    let error = parse("[store]\nurl = \"mysql://u:canary@h/d\"\n").unwrap_err();
    assert!(!error.contains("canary") && error.contains("sqlite:PATH"), "{error}");
}

#[test]
fn other_clouds_are_told_an_address_that_leads_here() {
    let url = |text: &str| parse(text).map(|config| config.cluster.map(|cluster| cluster.url));
    assert_eq!(url(""), Ok(None));
    assert_eq!(url("[cluster]\nlisten = \"10.0.0.1:8444\"\n"), Ok(Some("http://10.0.0.1:8444".into())));
    let both = "[cluster]\nlisten = \"0.0.0.0:8444\"\nurl = \"http://10.0.0.1:8444/\"\n";
    assert_eq!(url(both), Ok(Some("http://10.0.0.1:8444".into())));
    for wrong in ["listen = \"0.0.0.0:8444\"", "url = \"http://10.0.0.1:8444\"", "listen = \"10.0.0.1:0\""] {
        assert!(url(&format!("[cluster]\n{wrong}\n")).is_err(), "{wrong}");
    }
    for name in [
        "https://10.0.0.1:8444",
        "http://cloud-a:8444",
        "http://10.0.0.1:8444/x",
        "http://u:canary@10.0.0.1:1",
    ] {
        let error = url(&format!("[cluster]\nlisten = \"0.0.0.0:8444\"\nurl = \"{name}\"\n")).unwrap_err();
        assert!(error.contains("cloud.toml:3") && !error.contains("canary"), "{error}");
    }
}

#[test]
fn every_example_of_the_help_is_valid() {
    for key in KEYS {
        let rest = match key.name {
            "dir" if key.section == "updates" => "key = \"k\"\n",
            "key" if key.section == "updates" => "dir = \"d\"\n",
            "audience" => "jwks = \"https://login.example.org/keys\"\n",
            "hook_token" | "ca" if key.section == "access" => "hook = \"https://door.example.org/\"\n",
            "url" if key.section == "rtmp" => "listen = \"0.0.0.0:1935\"\n",
            "url" if key.section == "cluster" => "listen = \"0.0.0.0:8444\"\n",
            "smtp" => "from = \"a@example.org\"\n",
            "from" => "smtp = \"smtp://mail.example.org\"\n",
            "ca" if key.section == "mail" => "smtp = \"smtp://mail.example.org\"\nfrom = \"a@example.org\"\n",
            "user" if key.section == "mail" => {
                "smtp = \"smtp://mail.example.org\"\nfrom = \"a@example.org\"\npassword = \"p\"\n"
            }
            "password" if key.section == "mail" => {
                "smtp = \"smtp://mail.example.org\"\nfrom = \"a@example.org\"\nuser = \"u\"\n"
            }
            "everyone" => "dir = \"d\"\nkey = \"k\"\n",
            "cert" => "tls = \"files\"\nkey = \"k\"\n",
            "key" => "tls = \"files\"\ncert = \"c\"\n",
            "acme_directory" | "acme_contact" | "acme_ca" | "tls" => {
                "url = \"https://video.example.org\"\nredirect_listen = \"127.0.0.1:80\"\n"
            }
            _ => "",
        };
        let acme = if key.name.starts_with("acme_") { "tls = \"acme\"\n" } else { "" };
        if key.section == "camera" {
            let id = if key.name == "id" { "" } else { "id = \"x\"\n" };
            let more = match key.name {
                "id" => "exec = [\"a\"]\n",
                "user" | "password" => "url = \"rtsp://cam.example.org/1\"\n",
                _ => "",
            };
            let after = if key.name == "rtmp_key" { "[rtmp]\nlisten = \"0.0.0.0:1935\"\n" } else { "" };
            parse(&format!("[[camera]]\n{id}{more}{} = {}\n{after}", key.name, key.example)).unwrap();
            continue;
        }
        parse(&format!("[{}]\n{rest}{acme}{} = {}\n", key.section, key.name, key.example)).unwrap();
    }
}

#[test]
fn the_clouds_own_names_are_no_cameras() {
    for own in
        ["api", "assets", "find", "healthz", "metrics", "tunnel", "updates", "portal", "setup", "A", ""]
    {
        let error = parse(&format!("[[camera]]\nid = \"{own}\"\nexec = [\"a\"]\n")).unwrap_err();
        assert!(error.starts_with("cloud.toml:2: ") && error.contains("own names"), "{own}: {error}");
    }
    let allowed = "[pull]\nallow_private = true\n[[camera]]\nid = \"gate\"\nurl = \"rtsp://u:canary@127.0.0.1:8554/1\"\n";
    let config = parse(allowed).unwrap();
    assert_eq!(config.cameras.len(), 1);
    assert!(!format!("{config:?}").contains("canary"));
}
