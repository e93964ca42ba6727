//! The hubs that a box is told of: this cloud's first, then those of the others. All have the same key, and the same address
//! inside the tunnel, so a box that finds one of them dead goes on with the next.

use std::net::Ipv4Addr;
use std::sync::Arc;

use model::enrol::Hub;
use model::status::{Answer, Report};
use tokio::sync::watch;
use url::Url;

use crate::hub::Reports;
use crate::store::{Directory, Error};

/// Most hubs that a box or a peer is told of.
const MOST: usize = 8;

/// The hubs.
#[derive(Debug, Clone)]
pub struct Hubs {
    directory: watch::Receiver<Arc<Directory>>,
    public_key: String,
    inner: Ipv4Addr,
    endpoints: Vec<String>,
    carrier: Option<String>,
}

impl Hubs {
    /// This cloud's hub with this key, and whatever the configuration and the directory have beside it.
    pub fn new(
        config: &crate::config::Config,
        public_key: &str,
        directory: watch::Receiver<Arc<Directory>>,
    ) -> Self {
        let own = std::iter::once(&config.hub.endpoint);
        Self {
            directory,
            public_key: public_key.to_owned(),
            inner: config.hub.network.hub(),
            endpoints: own.chain(&config.hub.more).cloned().collect(),
            carrier: carrier(&config.http.url),
        }
    }

    /// All of them, this one first. Those of clouds that are dead stay in it while their lines do: they may come back, and a
    /// list that changes is written to a box's flash.
    pub fn list(&self) -> Vec<Hub> {
        let hub = |(place, endpoint): (usize, String)| Hub {
            public_key: self.public_key.clone(),
            endpoints: vec![endpoint],
            carrier: self.carrier.clone().filter(|_| place == 0),
            inner: self.inner,
        };
        endpoints(&self.endpoints, &self.directory.borrow()).into_iter().enumerate().map(hub).collect()
    }
}

/// Where the hubs are, `host:port`, each once: these first, then those of all clouds in the directory.
pub fn endpoints(first: &[String], directory: &Directory) -> Vec<String> {
    let mut others: Vec<&str> =
        directory.portal().nodes.iter().map(|(_, node)| node.endpoint.as_str()).collect();
    others.sort_unstable();
    let mut known = std::collections::HashSet::new();
    let all = first.iter().map(String::as_str).chain(others);
    all.filter(|endpoint| known.insert(*endpoint)).take(MOST).map(str::to_owned).collect()
}

/// Where a cloud of this address takes WebSockets. Whichever cloud of several answers there, it is one that lives.
fn carrier(url: &Url) -> Option<String> {
    let mut carrier = url.clone();
    let scheme = if carrier.scheme() == "https" { "wss" } else { "ws" };
    carrier.set_path("/tunnel/v1");
    carrier.set_scheme(scheme).ok().map(|()| carrier.to_string())
}

/// Tells boxes of the hubs with the answer to each report.
#[derive(Debug)]
pub struct Telling<R> {
    reports: R,
    hubs: Hubs,
}

impl<R: Reports> Telling<R> {
    /// Reports go to `reports`.
    pub const fn new(reports: R, hubs: Hubs) -> Self {
        Self { reports, hubs }
    }
}

impl<R: Reports> Reports for Telling<R> {
    async fn report(&self, from: Ipv4Addr, report: &Report) -> Result<Answer, Error> {
        let answer = self.reports.report(from, report).await?;
        Ok(Answer { hubs: self.hubs.list(), ..answer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::store::Node;

    #[test]
    fn a_box_is_told_of_this_hub_first_and_of_each_other_once() {
        let text = "[http]\nurl = \"https://video.example.org\"\n[hub]\nendpoint = \"b.example.org:51820\"\nmore = [\"c.example.org:51820\"]\n";
        let config = Config::parse("cloud.toml", text).unwrap();
        let mut directory = Directory::default();
        let mut portal = directory.portal().clone();
        for endpoint in ["a.example.org:51820", "b.example.org:51820", "c.example.org:51820"] {
            let url = "http://10.0.0.1:8444".to_owned();
            portal.nodes.put(endpoint, Some(Node { url, endpoint: endpoint.to_owned() }));
        }
        directory.set_portal(portal);
        let (_sender, directory) = watch::channel(Arc::new(directory));
        let hubs = Hubs::new(&config, "key", directory).list();
        let endpoints: Vec<&str> = hubs.iter().map(|hub| hub.endpoints[0].as_str()).collect();
        assert_eq!(endpoints, ["b.example.org:51820", "c.example.org:51820", "a.example.org:51820"]);
        assert_eq!(hubs[0].carrier.as_deref(), Some("wss://video.example.org/tunnel/v1"));
        assert!(hubs[1..].iter().all(|hub| hub.carrier.is_none() && hub.public_key == "key"));
    }
}
