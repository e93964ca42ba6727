//! A directory for the tests of this room.

use model::Private;

use crate::store::{Access, Directory, Node, Source};

/// What the cloud `a` of two, `a` and `b`, reads of one camera without a box, `yard`, that is at `node`.
pub(super) fn directory(kind: &str, node: &str, on: bool, alive: &[&str]) -> Directory {
    let source = Source {
        tenant: "t".into(),
        site: String::new(),
        title: "Yard".into(),
        kind: kind.into(),
        settings: Private::new("{}".into()),
        on,
        access: Access::Public,
        node: node.into(),
        report: String::new(),
        since_ms: 0,
    };
    let mut directory = Directory::default();
    let mut portal = directory.portal().clone();
    portal.sources.put("yard", Some(source));
    for node in ["a", "b"] {
        let url = "http://10.0.0.1:8444".to_owned();
        portal.nodes.put(node, Some(Node { url, endpoint: "hub:51820".into() }));
    }
    directory.set_portal(portal);
    directory.set_here("a");
    directory.set_alive(alive.iter().map(|id| (*id).to_owned()).collect());
    directory
}
