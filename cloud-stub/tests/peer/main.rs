//! Cameras behind WireGuard peers that are no boxes: their addresses among the boxes', and what their owners get.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test fails by panicking, and runs WireGuard's own tools"
)]

use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use cloud_stub::peer::Offer;
use cloud_stub::store::{By, Error, HelloWords, NewSource, Options, Refused, Store, System};
use enrol::{Identity, Unsigned, sign_hello, sign_join, verify_hello};
use model::{CameraId, Private};
use tunnel::keys::{PrivateKey, PublicKey};

const BY: By<'static> = By::COMMAND_LINE;

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static TURN: AtomicU32 = AtomicU32::new(0);
        let turn = TURN.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("cloud-peer-{}-{turn}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    async fn store(&self, network: &str) -> Store {
        let options =
            Options { network: network.parse().unwrap(), url: "https://video.example.org".to_owned() };
        let url = format!("sqlite:{}", self.0.join("cloud.db").display());
        Store::open(&url, options, System).await.unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A box joins with this tunnel key; gives its address.
async fn join(store: &Store, number: u8, tunnel_key: [u8; 32]) -> Result<Ipv4Addr, Error> {
    let identity = Identity::from_seed(&[number; 32]).unwrap();
    let words = Unsigned {
        tunnel_key,
        version: "1.0".to_owned(),
        cloud: "https://video.example.org".to_owned(),
        nonce: [number; 16],
        findable: None,
    };
    let hello = sign_hello(&identity, words);
    let words = HelloWords {
        box_id: identity.box_id(),
        identity: verify_hello(&hello).unwrap(),
        version: "1.0",
        nonce: &hello.nonce,
    };
    let session = store.hello(words).await?;
    store.claim(&session.code.parse().unwrap(), "ACME").await?;
    Ok(store.join(&sign_join(&identity, &session.session, "ACME", tunnel_key)).await?.address)
}

async fn wire(store: &Store, tenant: &str, number: u8) -> Result<(CameraId, Ipv4Addr), Error> {
    let new = NewSource {
        title: "Gate",
        site: "",
        kind: "peer",
        settings: Private::new("{}".to_owned()),
        tunnel_key: Some([number; 32]),
    };
    let (id, address) = store.add_source(tenant, &new, BY).await?;
    Ok((id, address.unwrap()))
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, Error>) -> Refused {
    match outcome {
        Err(Error::Refused(refused)) => refused,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn boxes_and_peers_never_share_an_address_or_a_key() {
    let folder = Folder::new();
    // Five addresses: .10 to .14.
    let store = folder.store("192.0.2.8/29").await;
    let tenant = store.add_tenant("ACME", BY).await.unwrap();
    let address = |last: u8| Ipv4Addr::new(192, 0, 2, last);
    let (first, at) = wire(&store, &tenant, 101).await.unwrap();
    assert_eq!(at, address(10));
    assert_eq!(join(&store, 1, [1; 32]).await.unwrap(), address(11));
    let (_, at) = wire(&store, &tenant, 102).await.unwrap();
    assert_eq!(at, address(12));
    assert_eq!(join(&store, 2, [2; 32]).await.unwrap(), address(13));

    // Keys, both ways round.
    assert_eq!(refused(join(&store, 3, [102; 32]).await), Refused::KeyTaken);
    assert_eq!(refused(wire(&store, &tenant, 2).await), Refused::KeyTaken);
    assert_eq!(refused(wire(&store, &tenant, 102).await), Refused::KeyTaken);

    // A camera that goes leaves a gap, which the next one gets, whatever it is.
    assert_eq!(refused(store.remove_source(&first, "another", BY).await), Refused::NotThere);
    store.remove_source(&first, &tenant, BY).await.unwrap();
    assert_eq!(join(&store, 4, [4; 32]).await.unwrap(), address(10));
    wire(&store, &tenant, 103).await.unwrap();
    let full = refused(wire(&store, &tenant, 104).await);
    assert!(matches!(full, Refused::PoolExhausted { size: 5, .. }), "{full:?}");
    assert!(matches!(refused(join(&store, 5, [5; 32]).await), Refused::PoolExhausted { .. }));

    // What was refused has left nothing, and everybody knows of what is there.
    let directory = store.directory().borrow().clone();
    assert_eq!(directory.portal().sources.iter().count(), 2);
    let mut peers: Vec<_> = directory.portal().peers.iter().map(|(_, row)| row.address).collect();
    peers.sort();
    assert_eq!(peers, [address(12), address(14)]);
    store.close().await.unwrap();
}

#[tokio::test]
async fn many_at_once_share_no_address() {
    let folder = Folder::new();
    let store = folder.store("10.13.0.0/16").await;
    let tenant = store.add_tenant("ACME", BY).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 1..=20_u8 {
        let (store, tenant) = (store.clone(), tenant.clone());
        tasks.spawn(async move {
            if number.is_multiple_of(2) {
                join(&store, number, [number; 32]).await.unwrap()
            } else {
                wire(&store, &tenant, number).await.unwrap().1
            }
        });
    }
    let mut given = tasks.join_all().await;
    given.sort();
    let expected: Vec<Ipv4Addr> = (1..=20).map(|last| Ipv4Addr::new(10, 13, 1, last)).collect();
    assert_eq!(given, expected);
    store.close().await.unwrap();
}

/// The file with two hubs for the interface `gate`, its folder `/run` in this one.
fn file_in(folder: &Folder) -> String {
    let (private, hub) = (PrivateKey::from_bytes([7; 32]), PrivateKey::from_bytes([9; 32]).public());
    let offer = Offer {
        private: &private,
        address: Ipv4Addr::new(10, 13, 1, 7),
        hub: &hub,
        hub_address: Ipv4Addr::new(10, 13, 0, 1),
        endpoints: &["192.0.2.1:51820".to_owned(), "192.0.2.2:51820".to_owned()],
        target: "192.168.1.64:8554".parse().unwrap(),
    };
    let text = offer.file().expose().replace("/run/", &format!("{}/", folder.0.display()));
    text.replace("%i", "gate")
}

/// Runs the last command of a kind as wg-quick does, with the programs of the folder before all others; returns when nobody
/// holds its output any more.
fn hook(folder: &Folder, file: &str, key: &str) {
    let hook =
        file.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix(" = ")).next_back().unwrap();
    let mut bash = Command::new("bash");
    bash.args(["-c", "set -e -o pipefail; (eval \"$1\")", "bash", hook]).current_dir(&folder.0);
    bash.env("PATH", format!("{}:{}", folder.0.display(), std::env::var("PATH").unwrap()));
    let done = bash.output().unwrap();
    assert!(done.status.success() && done.stderr.is_empty(), "{key}: {done:?}");
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}: never");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A WireGuard that hears the hub while there is a file `alive`, and notes what is set; and seconds that are short.
const WG: &str = r#"#!/bin/sh
if [ "$1" = set ]; then echo "$*" >>set; exit; fi
if [ -e gone ]; then exit 1; fi
rx=$(cat rx)
if [ -e alive ]; then rx=$((rx + 32)); echo $rx >rx; fi
echo x >>looks
printf 'key\t%s\t%s\n' "$rx" "$(wc -l <looks)"
"#;

#[test]
fn the_watch_goes_on_to_the_next_hub_when_nothing_comes_and_ends_with_the_interface() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let path = |name: &str| folder.0.join(name);
    for (name, text) in [("wg", WG), ("sleep", "#!/bin/sh\nexec /bin/sleep 0.01\n")] {
        std::fs::write(path(name), text).unwrap();
        std::fs::set_permissions(path(name), PermissionsExt::from_mode(0o755)).unwrap();
    }
    for (name, text) in [("rx", "0"), ("alive", ""), ("looks", "")] {
        std::fs::write(path(name), text).unwrap();
    }
    let file = file_in(&folder);
    let lines = |name: &str| std::fs::read_to_string(path(name)).unwrap_or_default().lines().count();
    hook(&folder, &file, "PostUp");
    until("looks", || lines("looks") > 30);
    assert_eq!(lines("set"), 0, "the hub answers");
    std::fs::remove_file(path("alive")).unwrap();
    let before = lines("looks");
    until("the next hub", || lines("set") > 0);
    assert!(lines("looks") - before >= 4, "20 s are four looks");
    until("round all", || lines("set") > 2);
    let set = std::fs::read_to_string(path("set")).unwrap();
    let key = PrivateKey::from_bytes([9; 32]).public();
    let words = |at: &str| {
        format!(
            "set gate peer {key} remove peer {key} endpoint {at}:51820 persistent-keepalive 5 allowed-ips 10.13.0.1/32"
        )
    };
    let round: Vec<String> = ["192.0.2.2", "192.0.2.1", "192.0.2.2"].map(words).into();
    assert_eq!(set.lines().take(3).collect::<Vec<_>>(), round);

    let pid = std::fs::read_to_string(path("streambox_gate.pid")).unwrap();
    let words = PathBuf::from("/proc").join(pid.trim()).join("cmdline");
    // Of one that has ended and that nobody has waited for, there are none.
    let runs = || std::fs::read(&words).is_ok_and(|words| !words.is_empty());
    assert!(runs());
    hook(&folder, &file, "PostDown");
    until("its end", || !runs());
    assert!(!path("streambox_gate.pid").exists());
    hook(&folder, &file, "PostUp");
    until("the next one", || path("streambox_gate.pid").exists());
    std::fs::write(path("gone"), "").unwrap();
    until("the end of whose interface is gone", || !path("streambox_gate.pid").exists());
    // The number of somebody else's process.
    let mut other = Command::new("/bin/sleep").arg("60").process_group(0).spawn().unwrap();
    std::fs::write(path("streambox_gate.pid"), other.id().to_string()).unwrap();
    hook(&folder, &file, "PostDown");
    assert!(other.try_wait().unwrap().is_none() && !path("streambox_gate.pid").exists());
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn wireguards_own_tools_read_the_file() {
    let folder = Folder::new();
    let (private, hub) = (PrivateKey::from_bytes([7; 32]), PrivateKey::from_bytes([9; 32]).public());
    let file = folder.0.join("gate.conf");
    std::fs::write(&file, file_in(&folder)).unwrap();
    let Ok(stripped) = Command::new("wg-quick").arg("strip").arg(&file).output() else {
        eprintln!("SKIPPED: wireguard-tools are not installed");
        return;
    };
    assert!(stripped.status.success(), "{stripped:?}");
    let text = String::from_utf8(stripped.stdout).unwrap();
    let line = |key: &str| {
        let found: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix(" = ")).collect();
        found.join(", ")
    };
    assert_eq!(PrivateKey::from_base64(&line("PrivateKey")).unwrap().public(), private.public());
    assert_eq!(line("PublicKey").parse::<PublicKey>().unwrap(), hub);
    assert_eq!(
        (line("AllowedIPs"), line("PersistentKeepalive")),
        ("10.13.0.1/32".to_owned(), "5".to_owned())
    );
    assert_eq!(line("Endpoint"), "192.0.2.1:51820");
    assert!(!text.contains("Post") && !text.contains("Address"), "{text}");
}
