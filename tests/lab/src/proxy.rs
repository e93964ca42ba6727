//! nginx before two clouds on the cloud's host: the configuration that operators get, with this world's addresses in it.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Result, ensure};

use crate::{
    cloud::Cloud,
    factory::Host,
    internet::{HUB, VIDEO},
    paths,
    process::Process,
    tls::{Authority, SecureSite},
    world::SCRATCH,
};

/// The configuration that operators get.
const CONFIGURATION: &str = "cloud-stub/deploy/nginx.conf";
/// Where both clouds listen behind it: pages, other clouds.
const PORTS: [(u16, u16); 2] = [(8443, 8444), (9443, 9444)];
/// Where WireGuard reaches both clouds' hubs, by the hub's name.
pub const HUB_PORTS: [u16; 2] = [51_820, 51_821];
/// Where encoders reach both clouds, by the hub's name, too.
pub const RTMP_PORTS: [u16; 2] = [1935, 1936];

/// The configuration with other texts in place of these; each must be there.
///
/// # Errors
/// When one is not, or the file cannot be read.
pub fn configuration(replaced: &[(&str, &str)]) -> Result<String> {
    let mut text = fs::read_to_string(paths::workspace().join(CONFIGURATION))?;
    for (old, new) in replaced {
        ensure!(text.contains(old), "{CONFIGURATION} has no {old:?}");
        text = text.replace(old, new);
    }
    Ok(text)
}

/// Starts nginx on a host, before clouds at the two ports that [`cloud`] uses.
///
/// # Errors
/// When it does not come up.
pub fn start(host: &Host, authority: &Authority) -> Result<Process> {
    let folder = PathBuf::from(SCRATCH).join("nginx");
    fs::create_dir_all(&folder)?;
    let [(first, ..), (second, ..)] = PORTS;
    let text = configuration(&[
        ("cloud-a:8443", &format!("127.0.0.1:{first}")),
        ("cloud-b:8443", &format!("127.0.0.1:{second}")),
        ("/etc/nginx/tls/fullchain.pem", &authority.certificate_file().display().to_string()),
        ("/etc/nginx/tls/privkey.pem", &authority.key_file().display().to_string()),
        ("/run/nginx.pid", &folder.join("pid").display().to_string()),
        ("/var/cache/nginx/streambox", &folder.join("cache").display().to_string()),
    ])?;
    let file = folder.join("nginx.conf");
    fs::write(&file, text)?;
    let mut command = host.command("nginx");
    command.arg("-p").arg(&folder).arg("-c").arg(&file).args(["-g", "daemon off; user root;"]);
    let mut process = host.spawn("nginx", command)?;
    std::thread::sleep(Duration::from_millis(500));
    ensure!(process.runs(), "nginx ended:\n{}", process.said());
    Ok(process)
}

/// Starts the first (0) or the second (1) of the clouds, on this database.
///
/// # Errors
/// When it does not come up.
pub fn cloud(number: usize, host: &Host, site: SecureSite, store: &str) -> Result<Cloud> {
    let (web, inner) = PORTS[number.min(1)];
    let (hub, rtmp) = (HUB_PORTS[number.min(1)], RTMP_PORTS[number.min(1)]);
    let text = format!(
        "[http]\nlisten = \"127.0.0.1:{web}\"\nurl = \"https://{VIDEO}\"\n\n\
         [hub]\nlisten = \"0.0.0.0:{hub}\"\nendpoint = \"{HUB}:{hub}\"\n\n\
         [rtmp]\nlisten = \"0.0.0.0:{rtmp}\"\n\n\
         [cluster]\nlisten = \"127.0.0.1:{inner}\"\n\n[store]\nurl = {store:?}\n"
    );
    Cloud::behind(["cloud-a", "cloud-b"][number.min(1)], host, site, &text)
}

/// Where a cloud itself is asked on its host, past nginx.
pub fn direct(number: usize, path: &str) -> String {
    format!("http://127.0.0.1:{}{path}", PORTS[number.min(1)].0)
}

/// Where a cloud is asked by the other.
pub fn inner(number: usize) -> String {
    format!("http://127.0.0.1:{}", PORTS[number.min(1)].1)
}
