//! Which cloud has what: pure questions to the directory, which knows by whom it is read and who lives.

use std::net::SocketAddr;

use sha2::{Digest as _, Sha256};

use crate::store::Directory;

/// The id of the cloud that has a camera without a box; all clouds agree on it without asking each other. None where clouds
/// do not share a database.
///
/// * What comes by itself is where it came to last, while that cloud lives: an encoder sends to whichever cloud it reaches,
///   a WireGuard peer talks to one of them.
/// * What the cloud asks for pictures, and what came to none that lives, is with the one of those that live which its public
///   id chooses (rendezvous hashing): only the cameras of a cloud that comes or goes move.
pub fn holder<'d>(directory: &'d Directory, public_id: &str) -> Option<&'d str> {
    let here = Some(directory.here()).filter(|here| !here.is_empty())?;
    let source = directory.portal().sources.get(public_id).filter(|source| source.comes_by_itself());
    let came_to = source.map(|source| source.node.as_str()).filter(|node| lives(directory, node));
    let others = directory.alive().iter().map(String::as_str).filter(|id| *id != here);
    let known = others.filter(|id| lives(directory, id));
    came_to.or_else(|| known.chain([here]).max_by_key(|id| (weight(id, public_id), *id)))
}

/// Whether a cloud lives and can be asked. The one that reads this does, even before it has seen itself alive.
pub fn lives(directory: &Directory, node: &str) -> bool {
    let known = || directory.alive().contains(node) && directory.portal().nodes.get(node).is_some();
    !node.is_empty() && (node == directory.here() || known())
}

/// Whether another cloud has this camera's encoder: the camera is there, and streams by its last report.
///
/// An encoder that comes over is refused until that has changed, for 12 s at worst. A cloud that died is known to be dead after
/// 8 to 12 s (stamps are left and read every 2 s). One that lives and whose encoder broke off without a word closes that
/// connection after 10 s without a picture, and of one that was closed it tells within a second. While the database is
/// away nothing of this is heard: the encoder waits for it, too.
pub fn streams_elsewhere(directory: &Directory, public_id: &str) -> bool {
    let source = directory.portal().sources.get(public_id);
    let there = holder(directory, public_id).filter(|holder| *holder != directory.here());
    source.is_some_and(|source| there == Some(source.node.as_str()) && source.streams())
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

    use model::{CameraState, CodecKind, Private, StreamFacts};

    use super::*;
    use crate::store::{Access, Node, Source};

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

    fn with_source(mut directory: Directory, kind: &str, node: &str, report: &str) -> Directory {
        let source = Source {
            tenant: "t".into(),
            site: String::new(),
            title: "Yard".into(),
            kind: kind.into(),
            settings: Private::default(),
            on: true,
            access: Access::Public,
            node: node.into(),
            report: report.into(),
            since_ms: 0,
        };
        let mut portal = directory.portal().clone();
        portal.sources.put("yard", Some(source));
        directory.set_portal(portal);
        directory
    }

    #[test]
    fn what_comes_by_itself_is_where_it_came_to_while_that_cloud_lives() {
        let all = ["a", "b", "c"];
        let chosen = holder(&directory("a", &all, &all), "yard").unwrap().to_owned();
        let other = *all.iter().find(|node| **node != chosen).unwrap();
        let held = |here, alive: &[&str], kind, node| {
            let directory = with_source(directory(here, &all, alive), kind, node, "");
            holder(&directory, "yard").map(str::to_owned)
        };
        for kind in ["push", "peer"] {
            for here in all {
                assert_eq!(held(here, &all, kind, other).as_deref(), Some(other), "{kind}, asked at {here}");
                assert_eq!(held(here, &all, kind, ""), Some(chosen.clone()), "nowhere yet");
                assert_eq!(held(here, &all, kind, "stranger"), Some(chosen.clone()), "of no cloud");
            }
            let alive: Vec<&str> = all.into_iter().filter(|node| *node != other).collect();
            assert_eq!(held(&chosen, &alive, kind, other), Some(chosen.clone()), "its cloud died");
            assert_eq!(
                held(other, &[], kind, other).as_deref(),
                Some(other),
                "this one lives, whatever it has seen"
            );
        }
        assert_eq!(
            held(&chosen, &all, "pull", other),
            Some(chosen.clone()),
            "the cloud asks it wherever it is"
        );
        let alone = with_source(Directory::default(), "push", "a", "");
        assert_eq!((holder(&alone, "yard"), is_here(&alone, "yard")), (None, true));
    }

    #[test]
    fn an_encoder_is_elsewhere_while_that_cloud_lives_and_says_so() {
        let report = |state: CameraState| {
            let words = serde_json::json!({ "id": "yard", "name": "", "state": state, "stream": "main", "fps": 25.0, "bit_rate": 1 });
            words.to_string()
        };
        let url = "rtmp://video.example.org/live".to_owned();
        let facts =
            StreamFacts { url, video: CodecKind::H264, size: (640, 360), audio: None, notes: Vec::new() };
        let (streaming, connecting) =
            (report(CameraState::Streaming(facts)), report(CameraState::Connecting));
        let elsewhere = |alive: &[&str], node, report: &str| {
            streams_elsewhere(&with_source(directory("a", &["a", "b"], alive), "push", node, report), "yard")
        };
        assert!(elsewhere(&["a", "b"], "b", &streaming));
        assert!(!elsewhere(&["a", "b"], "b", &connecting), "its encoder has gone");
        assert!(!elsewhere(&["a"], "b", &streaming), "its cloud died");
        assert!(!elsewhere(&["a", "b"], "a", &streaming), "it is here");
        assert!(!elsewhere(&["a", "b"], "", &streaming), "nobody has said where it is");
        assert!(!streams_elsewhere(&directory("a", &["a", "b"], &["a", "b"]), "yard"), "no such camera");
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
