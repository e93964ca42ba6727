//! The cloud's keys.

use settings::{Key, key};

/// Every key, section by section.
pub const KEYS: &[Key] = &[
    key(
        "http",
        "listen",
        "\"0.0.0.0:8443\"",
        "\"0.0.0.0:443\"",
        "address and port of pages, links and enrolment",
    ),
    key(
        "http",
        "url",
        "http(s)://127.0.0.1 with the port of listen",
        "\"https://video.example.org\"",
        "how the cloud is called from outside: all links begin with it",
    ),
    key(
        "http",
        "tls",
        "\"off\"",
        "\"acme\"",
        "off: plain, behind a proxy on this machine; files: cert and key; acme: certificates come by themselves",
    ),
    key(
        "http",
        "cert",
        "",
        "\"/etc/cloud/cert.pem\"",
        "the certificate chain, PEM; read again when it changes",
    ),
    key("http", "key", "", "\"/etc/cloud/key.pem\"", "its private key, PEM"),
    key(
        "http",
        "acme_directory",
        "\"https://acme-v02.api.letsencrypt.org/directory\"",
        "\"https://acme.example.org/directory\"",
        "the ACME server",
    ),
    key("http", "acme_contact", "", "\"mailto:admin@example.org\"", "whom the ACME server may write to"),
    key(
        "http",
        "acme_ca",
        "",
        "\"/etc/cloud/acme-ca.pem\"",
        "one more root for the ACME server's own certificate, PEM",
    ),
    key(
        "http",
        "redirect_listen",
        "\"0.0.0.0:80\" with acme, else none",
        "\"0.0.0.0:80\"",
        "where plain requests are sent to url, and the ACME server's are answered",
    ),
    key("http", "hosts", "[]", "[\"video.example.com\"]", "more names by which the cloud may be called"),
    key(
        "http",
        "proxies",
        "[]",
        "[\"192.0.2.7\"]",
        "addresses beside loopback whose X-Forwarded-For is believed",
    ),
    key("hub", "listen", "\"0.0.0.0:51820\"", "\"0.0.0.0:443\"", "address and port of WireGuard, UDP"),
    key(
        "hub",
        "endpoint",
        "the host of url with the port of listen",
        "\"hub.example.org:51820\"",
        "where boxes find it from outside",
    ),
    key(
        "hub",
        "network",
        "\"10.13.0.0/16\"",
        "\"10.77.0.0/16\"",
        "the boxes' addresses; never change it later",
    ),
    key(
        "hub",
        "more",
        "[]",
        "[\"hub2.example.org:51820\"]",
        "endpoints of other hubs that share the database",
    ),
    key(
        "store",
        "url",
        "\"sqlite:/var/lib/streambox-cloud/cloud.db\"",
        "\"postgres://cloud@localhost/cloud\"",
        "the database: sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME",
    ),
    key("cache", "mib", "256", "1024", "most memory for cached video, MiB (16 to 65536)"),
    key("log", "format", "\"text\"", "\"json\"", "how log lines look"),
    key("log", "level", "\"info\"", "\"debug\"", "error, warn, info, debug or trace"),
];
