//! Which cloud has what: pure questions to the directory, which knows by whom it is read and who lives.

use std::net::SocketAddr;

use sha2::{Digest as _, Sha256};

use crate::store::Directory;

/// The id of the cloud that is to take in a camera without a box: of those that live the one that this public id chooses
/// (rendezvous hashing), so that all agree without asking, and only the cameras of a cloud that comes or goes move. None
/// where clouds do not share a database.
pub fn holder<'d>(directory: &'d Directory, public_id: &str) -> Option<&'d str> {
    let here = Some(directory.here()).filter(|here| !here.is_empty())?;
    let others = directory.alive().iter().map(String::as_str).filter(|id| *id != here);
    let known = others.filter(|id| directory.portal().nodes.get(id).is_some());
    known.chain([here]).max_by_key(|id| (weight(id, public_id), *id))
}

/// Whether this cloud is to take in a camera without a box.
pub fn is_here(directory: &Directory, public_id: &str) -> bool {
    holder(directory, public_id).is_none_or(|id| id == directory.here())
}

/// Where another cloud that lives is asked; none for this one, for none, and for one that is dead: then this cloud does
/// what it can.
pub fn elsewhere(directory: &Directory, node: &str) -> Option<SocketAddr> {
    if node.is_empty() || node == directory.here() || !directory.alive().contains(node) {
        return None;
    }
    directory.portal().nodes.get(node)?.url.strip_prefix("http://")?.parse().ok()
}

fn weight(node: &str, public_id: &str) -> [u8; 32] {
    let mut digest = Sha256::new();
    for word in [node, public_id] {
        digest.update((word.len() as u64).to_be_bytes());
        digest.update(word);
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::store::Node;

    fn directory(here: &str, nodes: &[&str], alive: &[&str]) -> Directory {
        let mut directory = Directory::default();
        let mut portal = directory.portal().clone();
        for (node, last) in nodes.iter().zip(1..) {
            let url = format!("http://10.0.0.{last}:8444");
            portal.nodes.put(node, Some(Node { url, endpoint: "hub:51820".into() }));
        }
        directory.set_portal(portal);
        directory.set_here(here);
        directory.set_alive(alive.iter().map(|id| (*id).to_owned()).collect());
        directory
    }

    fn shares(directory: &Directory) -> HashMap<String, String> {
        let cameras = (0..3000).map(|n| format!("camera{n}"));
        cameras.map(|id| (id.clone(), holder(directory, &id).unwrap().to_owned())).collect()
    }

    #[test]
    fn all_agree_each_gets_its_share_and_only_a_dead_ones_cameras_move() {
        let all = ["a", "b", "c"];
        let before = shares(&directory("a", &all, &all));
        assert_eq!(before, shares(&directory("c", &all, &all)), "whoever asks");
        for node in all {
            let share = before.values().filter(|holder| *holder == node).count();
            assert!((850..1150).contains(&share), "{node}: {share} of 3000");
        }
        let after = shares(&directory("a", &all, &["a", "c"]));
        for (camera, holder) in &before {
            assert!(after[camera] == *holder || holder == "b", "{camera} moved from {holder}");
        }
        assert!(after.values().all(|holder| holder != "b"));
        assert!(before.keys().any(|id| !is_here(&directory("a", &all, &all), id)));
    }

    #[test]
    fn a_cloud_alone_takes_in_everything_even_before_it_has_seen_itself_alive() {
        let alone = Directory::default();
        assert_eq!((holder(&alone, "x"), is_here(&alone, "x")), (None, true));
        let starting = directory("a", &["a", "b"], &[]);
        assert_eq!((holder(&starting, "x"), is_here(&starting, "x")), (Some("a"), true));
    }

    #[test]
    fn only_others_that_live_are_asked() {
        let directory = directory("a", &["a", "b", "c"], &["a", "b", "ghost"]);
        assert_eq!(elsewhere(&directory, "b"), Some("10.0.0.2:8444".parse().unwrap()));
        for node in ["", "a", "c", "ghost", "never"] {
            assert_eq!(elsewhere(&directory, node), None, "{node:?}");
        }
    }
}
