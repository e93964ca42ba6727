//! The box's keys.

use settings::{Key, key};

/// Every key, section by section.
pub(crate) const KEYS: &[Key] = &[
    key("http", "listen", "\"0.0.0.0:8080\"", "\"127.0.0.1:9000\"", "address and port of the pages"),
    key("http", "hosts", "[]", "[\"box.example.org\"]", "more host names by which the pages may be called"),
    key(
        "state",
        "dir",
        "/var/lib/streambox for root, else ~/.local/state/streambox",
        "\"/srv/streambox\"",
        "where the little that must survive a restart is kept",
    ),
    key(
        "tunnel",
        "enabled",
        "false",
        "false",
        "reach the box from the cloud; this version has no tunnel yet",
    ),
    key("log", "format", "\"text\"", "\"json\"", "how log lines look"),
    key("log", "level", "\"info\"", "\"debug\"", "error, warn, info, debug or trace"),
    key("hls", "part_ms", "200", "330", "longest part, milliseconds (50 to 2000): shorter is less delay"),
    key("hls", "window_seconds", "10", "30", "how much the playlists list, seconds (4 to 600)"),
    key("hls", "window_mib", "12", "32", "most memory for one camera's window, MiB (1 to 1024)"),
    key("discovery", "enabled", "true", "false", "look for cameras on the LAN"),
    key("discovery", "sweep", "true", "false", "also try RTSP ports on the box's own subnets"),
    key("discovery", "interfaces", "[]", "[\"eth0\"]", "only on these network interfaces; empty: on all"),
    key("discovery", "adopt", "false", "true", "stream every camera that is found"),
    key("discovery", "user", "", "\"admin\"", "user name for the cameras that are found"),
    key("discovery", "password", "", "\"secret\"", "password for the cameras that are found"),
    key("camera", "id", "", "\"gate\"", "its name in links: a-z, 0-9, - and _"),
    key(
        "camera",
        "url",
        "",
        "\"rtsp://192.168.1.20/stream1\"",
        "rtsp://, rtsps://, http://HOST/onvif/device_service, or a bare host",
    ),
    key("camera", "user", "", "\"admin\"", "user name"),
    key("camera", "password", "", "\"secret\"", "password"),
    key("camera", "transport", "\"tcp\"", "\"udp\"", "tcp or udp"),
    key("camera", "stream", "\"auto\"", "\"sub\"", "auto, main or sub"),
];
