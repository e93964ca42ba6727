//! What the owner of a camera behind a peer gets, once: the peer's configuration as a file for `wg-quick` and as a QR code.
//!
//! The file lets the cloud reach one port of one address of the owner's network and nothing else: not the peer itself, not its
//! neighbours. It works on a plain Linux with nftables or iptables. What reads the code (a telephone, a router) gets the same
//! without the commands, and must forward by itself.
//!
//! WireGuard takes one endpoint, resolves its name once, and talks to a hub that is gone for ever. So the file also starts a
//! watch, a loop of plain sh: when nothing has come from the hub for [`PATIENCE_S`], which answers each keepalive, it goes on
//! to the next endpoint. The camera is then taken in where its peer comes out.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use model::Private;
use tunnel::keys::{PrivateKey, PublicKey};
use zeroize::Zeroizing;

use super::Target;
use crate::hub::RTSP;

/// Bytes of the largest packet: fits every path that IPv6 fits (RFC 8200 section 5).
const MTU: u16 = 1280;
/// Between two signs of life, seconds. The hub answers each, so it is how soon a hub that is gone shows; NATs forget later
/// (WireGuard's own advice is 25). While a picture flows, none is sent.
const KEEPALIVE_S: u16 = 5;
/// The watch looks so often, seconds.
const LOOK_S: u16 = 5;
/// The hub is given up when nothing has come from it for so long, seconds: three keepalives or their answers may be lost.
const PATIENCE_S: u16 = 20;

/// Where the watch leaves the number of its process, which leads its group.
const PID: &str = "/run/streambox_%i.pid";

/// A peer's configuration. Its private key is nowhere else.
#[derive(Debug)]
pub struct Offer<'a> {
    /// The peer's key.
    pub private: &'a PrivateKey,
    /// Its address inside the tunnel.
    pub address: Ipv4Addr,
    /// The hub's key.
    pub hub: &'a PublicKey,
    /// The hub's address inside the tunnel.
    pub hub_address: Ipv4Addr,
    /// Where the hub is, `host:port`; WireGuard takes the first one, the watch goes round all.
    pub endpoints: &'a [String],
    /// Where the camera is beside the peer.
    pub target: Target,
}

impl Offer<'_> {
    /// The file, for `/etc/wireguard/NAME.conf`.
    pub fn file(&self) -> Private<String> {
        Private::new(self.text(&self.commands()))
    }

    /// The QR code of the same without commands, SVG. `None`: it does not fit one.
    pub fn code(&self) -> Option<Private<String>> {
        let text = Zeroizing::new(self.text(""));
        let code = qrcode::QrCode::with_error_correction_level(text.as_bytes(), qrcode::EcLevel::L).ok()?;
        let image = code.render::<qrcode::render::svg::Color<'_>>().min_dimensions(256, 256).build();
        Some(Private::new(image))
    }

    fn text(&self, commands: &str) -> String {
        let Self { private, address, hub, hub_address, endpoints, .. } = self;
        let mut text = format!(
            "[Interface]\nAddress = {address}/32\nPrivateKey = {}\nMTU = {MTU}\n{commands}\n[Peer]\nPublicKey = {hub}\n\
             AllowedIPs = {hub_address}/32\nPersistentKeepalive = {KEEPALIVE_S}\n",
            *private.to_base64()
        );
        for (place, endpoint) in endpoints.iter().enumerate() {
            let mark = if place == 0 { "" } else { "# or: " };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{mark}Endpoint = {endpoint}");
        }
        text
    }

    /// What comes from the tunnel for its port goes to the camera and looks there as if from the peer, whose answers it knows
    /// the way to; everything else from the tunnel ends.
    fn commands(&self) -> String {
        let Self { hub_address, target, .. } = self;
        let (camera, port) = (target.address(), target.port());
        let nft = format!(
            "table ip streambox_%i {{ \
             chain arriving {{ type nat hook prerouting priority dstnat; \
             iifname \"%i\" ip saddr {hub_address} tcp dport {RTSP} dnat to {camera}:{port}; }}; \
             chain leaving {{ type nat hook postrouting priority srcnat; \
             ip saddr {hub_address} ip daddr {camera} tcp dport {port} masquerade; }}; \
             chain passing {{ type filter hook forward priority filter; iifname \"%i\" ct status dnat accept; iifname \"%i\" drop; }}; \
             chain staying {{ type filter hook input priority filter; \
             iifname \"%i\" ct state established accept; iifname \"%i\" drop; }}; }}"
        );
        let rules = [
            format!(
                "-t nat {{}} PREROUTING -i %i -s {hub_address} -p tcp --dport {RTSP} -j DNAT --to-destination {camera}:{port}"
            ),
            format!(
                "-t nat {{}} POSTROUTING -s {hub_address} -d {camera} -p tcp --dport {port} -j MASQUERADE"
            ),
            "{} FORWARD -i %i -j DROP".to_owned(),
            "{} FORWARD -i %i -m conntrack --ctstate DNAT -j ACCEPT".to_owned(),
            "{} FORWARD -o %i -m conntrack --ctstate DNAT -j ACCEPT".to_owned(),
            "{} INPUT -i %i -j DROP".to_owned(),
            "{} INPUT -i %i -m conntrack --ctstate ESTABLISHED -j ACCEPT".to_owned(),
        ];
        let all = |how: &str| {
            let rules: Vec<String> =
                rules.iter().map(|rule| format!("iptables {}", rule.replacen("{}", how, 1))).collect();
            rules.join("; ")
        };
        let with = |nft: &str, iptables: &str| {
            format!("if command -v nft >/dev/null; then nft '{nft}'; else {iptables}; fi")
        };
        format!(
            "PostUp = sysctl -q -w net.ipv4.ip_forward=1\nPostUp = {}\nPostDown = {}\n{}",
            with(&nft, &all("-I")),
            with("delete table ip streambox_%i", &all("-D")),
            self.watch()
        )
    }

    /// The lines that start the watch and end it. It ends by itself, too, when the interface is gone.
    ///
    /// A peer that only gets another endpoint keeps its session, which the next hub does not know, for up to two minutes: so
    /// it is removed and added in one go, and begins with a handshake. A name that cannot be resolved changes nothing.
    fn watch(&self) -> String {
        let Self { hub, hub_address, endpoints, .. } = self;
        // Whatever a name may hold, to a shell it is a name.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        let endpoints = endpoints.iter().filter(|endpoint| endpoint.bytes().all(plain));
        let endpoints: Vec<String> = endpoints.map(|endpoint| format!("\"{endpoint}\"")).collect();
        if endpoints.is_empty() {
            return String::new();
        }
        let watch = format!(
            "echo $$ >{PID}; export WG_ENDPOINT_RESOLUTION_RETRIES=0; set -- {endpoints}; quiet=0; \
             while sleep {LOOK_S} && now=$(wg show %i transfer); do now=${{now%[!0-9]*}}; \
             if [ \"$now\" != \"$was\" ]; then was=$now; quiet=0; else quiet=$((quiet + {LOOK_S})); fi; \
             if [ $quiet -ge {PATIENCE_S} ]; then quiet=0; set -- \"$@\" \"$1\"; shift; \
             wg set %i peer {hub} remove peer {hub} endpoint \"$1\" persistent-keepalive {KEEPALIVE_S} allowed-ips {hub_address}/32; \
             fi; done; rm -f {PID}",
            endpoints = endpoints.join(" ")
        );
        format!(
            "PostUp = setsid sh -c '{watch}' </dev/null >/dev/null 2>&1 &\n\
             PostDown = p=$(cat {PID} 2>/dev/null || :); \
             if [ -n \"$p\" ] && grep -qs {PID} \"/proc/$p/cmdline\"; then kill -- \"-$p\" || :; fi; rm -f {PID}\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(check: impl FnOnce(&Offer<'_>) -> T) -> T {
        let (private, hub) = (PrivateKey::from_bytes([7; 32]), PrivateKey::from_bytes([9; 32]).public());
        check(&Offer {
            private: &private,
            address: Ipv4Addr::new(10, 13, 1, 7),
            hub: &hub,
            hub_address: Ipv4Addr::new(10, 13, 0, 1),
            endpoints: &["hub.example.org:51820".to_owned(), "other.example.org:51820".to_owned()],
            target: "192.168.1.64:8554".parse().unwrap(),
        })
    }

    fn lines<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
        text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix(" = ")).collect()
    }

    #[test]
    fn the_file_says_everything_once_and_routes_nothing_but_the_hub() {
        let text = with(|offer| offer.file().expose().clone());
        for (key, value) in [
            ("Address", "10.13.1.7/32"),
            ("PrivateKey", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="),
            ("MTU", "1280"),
            ("AllowedIPs", "10.13.0.1/32"),
            ("PersistentKeepalive", "5"),
            ("Endpoint", "hub.example.org:51820"),
        ] {
            assert_eq!(lines(&text, key), [value], "{text}");
        }
        assert!(text.contains("\n# or: Endpoint = other.example.org:51820\n"), "{text}");
        assert_eq!(lines(&text, "DNS"), [""; 0]);
        let up = lines(&text, "PostUp").join("\n");
        assert!(up.contains("tcp dport 554 dnat to 192.168.1.64:8554;"), "{up}");
        let down = lines(&text, "PostDown").join("\n");
        assert!(
            down.contains("delete table ip streambox_%i") && down.contains("rm -f /run/streambox_%i.pid")
        );
        // wg-quick takes away everything behind this sign.
        assert!(!up.contains('#') && !down.contains('#'));
    }

    #[test]
    fn the_watch_goes_round_all_endpoints_and_runs_none_of_them() {
        let text = with(|offer| offer.file().expose().clone());
        assert!(text.contains("set -- \"hub.example.org:51820\" \"other.example.org:51820\";"), "{text}");
        let odd = ["$(reboot).org:1", "a';reboot;'b:1", "`x`:1"].map(str::to_owned);
        let text = with(|offer| Offer { endpoints: &odd, ..*offer }.watch());
        assert_eq!(text, "");
        let odd = ["[2001:db8::1]:51820".to_owned(), "a'b:1".to_owned()];
        let text = with(|offer| Offer { endpoints: &odd, ..*offer }.watch());
        assert!(text.contains("set -- \"[2001:db8::1]:51820\";"), "{text}");
    }

    #[test]
    fn the_code_has_no_commands() {
        let (plain, code) = with(|offer| (offer.text(""), offer.code().unwrap().expose().clone()));
        assert!(plain.contains("PrivateKey = ") && !plain.contains("Post"), "{plain}");
        let expected = qrcode::QrCode::with_error_correction_level(&plain, qrcode::EcLevel::L).unwrap();
        let expected = expected.render::<qrcode::render::svg::Color<'_>>().min_dimensions(256, 256).build();
        assert_eq!(code, expected);
    }

    #[test]
    fn an_offer_does_not_show_its_key_by_accident() {
        let shown = with(|offer| format!("{offer:?} {:?}", offer.file()));
        assert!(!shown.contains("BwcHBw"), "{shown}");
    }
}
