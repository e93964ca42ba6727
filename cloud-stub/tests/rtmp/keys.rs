//! Whose key it is, who has it, and how fast that counts.

use std::time::{Duration, Instant};

use crate::clip::Clip;
use crate::publisher::{Publisher, play_h265, samples};
use crate::stage::{Cloud, KEY, until};

const OLD: &str = "yard-key-old-0123456789";
const NEW: &str = "yard-key-new-0123456789";

pub(crate) fn settings(key: &str) -> String {
    cloud_stub::push::settings_of(&model::Private::new(key.to_owned()))
}

#[test]
fn a_key_that_is_replaced_ends_its_publishing_within_a_second() {
    let cloud = Cloud::start();
    assert!(!Publisher::connect(cloud.rtmp, OLD).hears("NetStream.Publish.Start"), "nobody's key yet");
    let source = format!(
        "INSERT INTO source VALUES ('yard', 't', '', 'Yard', 'push', '{}', 1, 'public', 0, '', '', 0)",
        settings(OLD)
    );
    let tenant = "INSERT INTO tenant VALUES ('t', 'T', 0, '')".to_owned();
    cloud.change("yard", &[tenant, source]);
    let mut publisher = until("the source", Duration::from_secs(3), || {
        let mut publisher = Publisher::connect(cloud.rtmp, OLD);
        publisher.hears("NetStream.Publish.Start").then_some(publisher)
    });
    cloud.publishers(1, Duration::from_secs(2));
    let replace = format!("UPDATE source SET settings = '{}' WHERE public_id = 'yard'", settings(NEW));
    cloud.change("yard", &[replace]);
    publisher.is_closed_within(Duration::from_secs(1));
    assert_eq!(cloud.refused("taken_back"), 1);
    assert!(!Publisher::connect(cloud.rtmp, OLD).hears("NetStream.Publish.Start"), "the old one is nobody's");
    let mut publisher = Publisher::connect(cloud.rtmp, NEW);
    assert!(publisher.hears("NetStream.Publish.Start"));
    cloud.change("yard", &["UPDATE source SET is_on = 0 WHERE public_id = 'yard'".to_owned()]);
    publisher.is_closed_within(Duration::from_secs(1));
    let log = cloud.log();
    assert!(log.contains("an encoder sends") && !log.contains(OLD) && !log.contains(NEW));
}

#[test]
fn wrong_keys_are_refused_and_their_number_is_bounded() {
    let cloud = Cloud::start();
    let tries = Instant::now();
    for number in 0..60 {
        let mut publisher = Publisher::connect(cloud.rtmp, &format!("{KEY}{number}"));
        assert!(publisher.hears("NetStream.Publish.BadName") && !publisher.hears("NetStream.Publish.Start"));
    }
    assert_eq!(cloud.refused("key"), 60);
    // One more each second; however long the sixty took, soon there are none left.
    for number in 0..=tries.elapsed().as_secs() + 2 {
        Publisher::connect(cloud.rtmp, &format!("{KEY}{number}")).hears("NetStream.Publish.BadName");
    }
    assert!(cloud.refused("tries") > 0);
    assert!(!Publisher::connect(cloud.rtmp, KEY).hears("NetStream.Publish.Start"), "whatever the key");
    until("patience", Duration::from_secs(10), || {
        Publisher::connect(cloud.rtmp, KEY).hears("NetStream.Publish.Start").then_some(())
    });
}

#[test]
fn who_sends_keeps_its_place_and_who_is_silent_loses_it_and_is_closed() {
    let (cloud, clip) = (Cloud::start(), Clip::new("libx265", 2));
    let (record, samples) = samples(&clip.file, *b"hvcC");
    let mut first = Publisher::connect(cloud.rtmp, KEY);
    assert!(first.hears("NetStream.Publish.Start"));
    play_h265(&mut first, &record, &samples, 0);
    assert!(!Publisher::connect(cloud.rtmp, KEY).hears("NetStream.Publish.Start"), "while the first sends");
    assert_eq!(cloud.refused("busy"), 1);
    std::thread::sleep(Duration::from_millis(3500));
    let mut second = Publisher::connect(cloud.rtmp, KEY);
    assert!(second.hears("NetStream.Publish.Start"), "the first is silent");
    first.is_closed_within(Duration::from_secs(1));
    assert_eq!((cloud.refused("replaced"), cloud.figure("publishers")), (1, 1));
    play_h265(&mut second, &record, &samples, 5000);
    let status = cloud.text("/gate/status");
    assert!(status.contains("streaming"), "{status}");
    let silent = second.is_closed_within(Duration::from_secs(12));
    assert!(silent > Duration::from_secs(9), "{silent:?}");
    assert_eq!(cloud.refused("silent"), 1);
    let after = cloud.text("/gate/status");
    assert_ne!(status, after, "a viewer is told");
}
