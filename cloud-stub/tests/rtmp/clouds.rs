//! Two clouds on one database: an encoder is let in by whichever it reaches, and its camera is watched through both.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cloud_stub::nodes::holder;
use cloud_stub::store::{Directory, Node};

use crate::clip::Clip;
use crate::keys::settings;
use crate::publisher::Publisher;
use crate::stage::{Cloud, Folder, until};

const KEY: &str = "yard-key-0123456789";
/// How long a picture may take that is on its way from an encoder that was let in.
const SOON: Duration = Duration::from_secs(6);
/// After the death of a cloud the other lets its encoders in, at the latest.
const DEAD: Duration = Duration::from_secs(14);

/// Two clouds, and a camera that would be the second one's if nothing came by itself.
struct Pair {
    clouds: [Cloud; 2],
    camera: String,
    clip: Clip,
    _folder: Folder,
}

/// An encoder that sends until it is dropped, or its connection ends.
struct Encoder(Child);

impl Encoder {
    fn ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Pair {
    fn start() -> Self {
        let folder = Folder::new();
        let database = folder.0.join("cloud.db");
        let clouds = [(); 2].map(|()| {
            let cloud = Cloud::one_of_several(&database);
            // One after the other: the first one makes the tables.
            until("the start", Duration::from_secs(20), || cloud.log().contains("started").then_some(()));
            cloud
        });
        for cloud in &clouds {
            until("both know of each other", Duration::from_secs(15), || {
                cloud.log().contains("2 clouds share the database").then_some(())
            });
        }
        let [first, second] = &clouds;
        let mut directory = Directory::default();
        let mut portal = directory.portal().clone();
        for cloud in &clouds {
            let node = Node { url: "http://127.0.0.1:1".to_owned(), endpoint: String::new() };
            portal.nodes.put(&cloud.node, Some(node));
        }
        directory.set_portal(portal);
        directory.set_here(&first.node);
        directory.set_alive(BTreeSet::from([first.node.clone(), second.node.clone()]));
        let its = |camera: &String| holder(&directory, camera) == Some(second.node.as_str());
        let camera = (0..100).map(|number| format!("yard{number}")).find(its).unwrap();
        let tenant = "INSERT INTO tenant VALUES ('t', 'T', 0, '')".to_owned();
        let source = format!(
            "INSERT INTO source VALUES ('{camera}', 't', '', 'Yard', 'push', '{}', 1, 'public', 0, '', '', 0)",
            settings(KEY)
        );
        first.change(&camera, &[tenant, source]);
        for cloud in &clouds {
            let page = format!("/{camera}/");
            until("the camera's page", Duration::from_secs(5), || cloud.get(&page));
        }
        Self { clouds, camera, clip: Clip::new("libx264", 6), _folder: folder }
    }

    fn encoder(&self, cloud: usize) -> Encoder {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-i"]).arg(&self.clip.file);
        ffmpeg.args(["-c", "copy", "-f", "flv"]).arg(self.clouds[cloud].url(KEY));
        Encoder(ffmpeg.stderr(Stdio::null()).spawn().expect("ffmpeg is installed"))
    }

    /// What the camera's playlist at this cloud ends with; none without a picture.
    fn newest(&self, cloud: usize) -> Option<String> {
        let list = self.clouds[cloud].get(&format!("/{}/live.m3u8", self.camera))?;
        let list = String::from_utf8(list).unwrap();
        list.lines().rfind(|line| line.starts_with("#EXT-X-PART:")).map(str::to_owned)
    }

    /// Waits until the picture moves at this cloud.
    fn plays(&self, cloud: usize, limit: Duration) {
        until(&format!("a picture at cloud {cloud}"), limit, || {
            let before = self.newest(cloud)?;
            std::thread::sleep(Duration::from_millis(400));
            (self.newest(cloud)? != before).then_some(())
        });
    }

    /// An encoder that sends again and again, until it is let in.
    fn insists(&self, cloud: usize, limit: Duration) -> Encoder {
        until(&format!("an encoder at cloud {cloud}"), limit, || {
            let mut encoder = self.encoder(cloud);
            std::thread::sleep(Duration::from_millis(800));
            (!encoder.ended()).then_some(encoder)
        })
    }
}

#[test]
fn an_encoder_is_watched_through_both_clouds_whichever_it_reaches() {
    let mut pair = Pair::start();
    let mut encoder = pair.encoder(0);
    pair.plays(0, SOON);
    pair.plays(1, SOON);
    std::thread::sleep(Duration::from_secs(2));
    let ended = |pair: &Pair| ["replaced", "taken_back"].map(|why| pair.clouds[0].refused(why));
    assert_eq!(ended(&pair), [0, 0], "nobody is thrown out by what it has brought about");
    assert!(!encoder.ended());

    let mut second = Publisher::connect(pair.clouds[1].rtmp, KEY);
    assert!(!second.hears("NetStream.Publish.Start"), "one encoder a camera, whatever the cloud");
    assert_eq!(pair.clouds[1].refused("busy"), 1);
    drop(encoder);
    let left = Instant::now();
    let _encoder = pair.insists(1, Duration::from_secs(5));
    println!(
        "from an encoder's end to the next one at the other cloud: {:.1} s",
        left.elapsed().as_secs_f64()
    );
    pair.plays(0, SOON);
    pair.plays(1, SOON);

    pair.clouds[1].kill();
    let died = Instant::now();
    let _encoder = pair.insists(0, DEAD);
    println!(
        "from the death of its cloud to the encoder at the other: {:.1} s",
        died.elapsed().as_secs_f64()
    );
    pair.plays(0, SOON);
    println!("and to a picture: {:.1} s", died.elapsed().as_secs_f64());
    for cloud in &pair.clouds {
        assert!(!cloud.log().contains(" ERROR "), "{}", cloud.log());
    }
}

#[test]
fn a_camera_that_is_anothers_from_now_on_takes_no_encoder_along_and_leaves_nothing() {
    let pair = Pair::start();
    let mut encoder = pair.encoder(0);
    pair.plays(1, SOON);
    let [first, second] = &pair.clouds;
    first.change(&pair.camera, &[format!("UPDATE source SET node = '{}'", second.node)]);
    until("its end", Duration::from_secs(2), || encoder.ended().then_some(()));
    assert_eq!((first.refused("replaced"), first.refused("taken_back")), (1, 0));

    // The other cloud has no encoder: it may come back.
    let mut encoder = pair.insists(0, Duration::from_secs(4));
    pair.plays(1, SOON);
    first.change(&pair.camera, &["UPDATE source SET is_on = 0".to_owned()]);
    until("its end", Duration::from_secs(2), || encoder.ended().then_some(()));
    assert_eq!((first.refused("replaced"), first.refused("taken_back")), (1, 1));
    first.change(&pair.camera, &["UPDATE source SET is_on = 1".to_owned()]);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!([0, 1].map(|cloud| pair.newest(cloud)), [None, None], "nothing of before");
}

#[test]
fn an_encoder_need_not_wait_for_the_database() {
    let pair = Pair::start();
    let [first, _] = &pair.clouds;
    std::thread::scope(|scope| {
        scope.spawn(|| first.sql(&[], Duration::from_secs(4)));
        std::thread::sleep(Duration::from_millis(300));
        let began = Instant::now();
        let mut publisher = Publisher::connect(first.rtmp, KEY);
        assert!(publisher.hears("NetStream.Publish.Start"));
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        drop(publisher);
        let mut encoder = pair.encoder(0);
        std::thread::sleep(Duration::from_secs(2));
        assert!(!encoder.ended() && pair.newest(1).is_none(), "nobody else can know");
        pair.plays(1, Duration::from_secs(10));
        assert!(!encoder.ended());
    });
}
