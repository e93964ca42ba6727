//! A box, its cloud, and somebody between them: what the scenarios of the threat table begin with, and what none of them may
//! change.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use board::slot::{SlotName, Vars};
use model::update::Phase;
use serde_json::Value;
use update::Floors;

use crate::cloud::{Answers, Cloud};
use crate::front::Front;
use crate::guarded::log;
use crate::sticks::shown;
use crate::world::{Ended, Machine, Publisher, Server, System, first, next, until};

/// A busy machine takes so long for anything, seconds.
pub(crate) const PATIENCE: u64 = 90;

/// All of them. The box runs 1.0, which is all that was published.
pub(crate) struct Siege {
    pub(crate) machine: Machine,
    pub(crate) front: Front,
    pub(crate) cloud: Cloud,
    /// Where the cloud serves the releases.
    pub(crate) server: Server,
    pub(crate) publisher: Publisher,
    pub(crate) old: System,
    pub(crate) new: System,
}

/// What an attack may not change.
pub(crate) struct Before {
    other: Vec<u8>,
    vars: Vars,
}

impl Siege {
    /// The box asks through the front, and is told to stay.
    pub(crate) fn new(name: &str) -> Self {
        let (old, mut publisher) = (first(), Publisher::new());
        let new = next(&old, "1.1", 3);
        let machine = Machine::new(name, &old, &publisher);
        publisher.publish(&machine.releases(), &old);
        let server = Server::new(&machine.releases());
        let cloud = Cloud::new(&publisher, Answers::stay());
        let front = Front::new(&cloud.url, &server.url);
        let siege = Self { machine, front, cloud, server, publisher, old, new };
        siege.configure("");
        siege
    }

    /// Writes the box's configuration, with these lines more about updates.
    pub(crate) fn configure(&self, more: &str) {
        self.configure_like(&self.machine, more);
    }

    /// The same for another machine of this owner's.
    pub(crate) fn configure_like(&self, machine: &Machine, more: &str) {
        let cloud = &self.front.url;
        machine.configure(&format!(
            "interval_minutes = 1\nrestart = \"ask\"\n{more}[tunnel]\ncloud = \"{cloud}\"\n"
        ));
    }

    /// Publishes 1.1.
    pub(crate) fn publish(&mut self) {
        self.publisher.publish(&self.machine.releases(), &self.new);
    }

    /// Publishes what is already listed again, signed anew.
    pub(crate) fn announce(&mut self) {
        self.publisher.announce(&self.machine.releases());
    }

    /// From now on the cloud says that boxes are to have 1.1.
    pub(crate) fn offer(&self) {
        self.cloud.answers().target = Some("test/1.1.json");
    }

    /// What is there now.
    pub(crate) fn before(&self) -> Before {
        Before { other: self.machine.other_slot(), vars: self.machine.slots().vars().unwrap().vars }
    }

    /// The box is as it was: what runs, the other slot, and what the next start reads.
    pub(crate) fn is_untouched(&self, before: &Before) {
        let log = || log(&self.machine);
        assert!(self.machine.holds(SlotName::A, &self.old), "the running system was changed: {}", log());
        assert!(self.machine.other_slot() == before.other, "the other slot was written: {}", log());
        assert_eq!(self.machine.slots().vars().unwrap().vars, before.vars, "{}", log());
    }

    /// The page says that a look came to nothing, and why.
    pub(crate) fn page_says(&self, why: &str) {
        let mut last = None;
        for _ in 0..PATIENCE * 10 {
            last = shown(&self.machine).map(|shown| shown["look"].clone());
            if last.as_ref().is_some_and(|look| is(look, "sentence", false, why)) {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("the page does not say {why:?} but {last:?}: {}", log(&self.machine));
    }

    /// The updater, with this test for its main process.
    pub(crate) fn updater(&self) -> Updater {
        Updater::new(self.machine.command(&["updater"]))
    }

    /// The good release is in place, and the cloud knows.
    pub(crate) fn took_it(&self) {
        assert!(self.machine.holds(SlotName::B, &self.new));
        assert_eq!(self.machine.view()["phase"], "complete");
        assert!(self.machine.slots().vars().unwrap().vars.first == SlotName::B);
        until("the cloud knows", PATIENCE, || self.cloud.phases().last() == Some(&Phase::Ready));
    }

    /// What the box never goes below.
    pub(crate) fn floors(&self) -> Floors {
        let kept = self.machine.store().get("floors").unwrap();
        kept.map(|bytes| Floors::decode(&bytes).unwrap()).unwrap_or_default()
    }
}

fn is(outcome: &Value, words: &str, good: bool, why: &str) -> bool {
    outcome["good"] == good && outcome[words].as_str().is_some_and(|said| said.contains(why))
}

/// `boxd updater`, which looks when it is told to.
pub(crate) struct Updater {
    pub(crate) process: Ended,
    words: ChildStdin,
    said: Receiver<Value>,
}

impl Updater {
    pub(crate) fn new(mut command: Command) -> Self {
        // What it logs is for whoever reads a failure.
        let mut process = Ended(command.stdin(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap());
        let (words, out) = (process.0.stdin.take().unwrap(), process.0.stdout.take().unwrap());
        let (sender, said) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(out).lines().map_while(Result::ok);
            for status in lines.filter_map(|line| serde_json::from_str(&line).ok()) {
                if sender.send(status).is_err() {
                    return;
                }
            }
        });
        Self { process, words, said }
    }

    /// Tells it to look, and does not wait for it.
    pub(crate) fn look(&mut self) {
        self.words.write_all(b"\"look\"\n").unwrap();
    }

    /// The outcome of the look that ends next.
    pub(crate) fn ends(&mut self) -> Value {
        loop {
            let status = self.said.recv_timeout(Duration::from_secs(PATIENCE)).expect("no look ends");
            if status["phase"] != "looking" && status["phase"] != "installing" && !status["last"].is_null() {
                return status["last"].clone();
            }
        }
    }

    /// Tells it to look: it comes to this, and says so in these words. A look that it had begun by itself does not count.
    pub(crate) fn finds(&mut self, good: bool, words: &str) {
        let mut last = Value::Null;
        for _ in 0..2 {
            while self.said.try_recv().is_ok() {}
            self.look();
            last = self.ends();
            if is(&last, "why", good, words) {
                return;
            }
        }
        panic!("it should say {words:?} ({good}), and says {last}");
    }
}
