//! One life of a box: from power-on to rest, through as many restarts as it wants. The boot loader's part is the real [`boot`], saving
//! through the real environment; the slots, the installer, the floors and the table are the real ones, too. Simulated are the
//! signature check (by the bytes that were signed), the system that runs, and what the network brings.

use std::cell::RefCell;
use std::sync::LazyLock;

use board::block::BlockDevice as _;
use board::boot::{Start, Table, boot};
use board::env;
use board::header;
use board::map::{PartitionMap, Region};
use board::mem_disk::{Medium, MemDisk, Moment};
use board::partition::Window;
use board::slot::{Record, Reset, SlotName, State, Vars};
use board::slots::{Image, SEQUENCE, SlotError, Slots, Step, Update};
use board::store::{Kept, Store, StoreError};
use update::install::{Action, Event, Installer, Lengths, Limits};
use update::{Floors, ImageKind};

use super::rig::{BYTES, Rig, Weak, map};
use super::systems::{CHUNKS, FIT, ROOT, SYSTEMS, System, Version};

/// Name of the floors in the small state.
const FLOORS: &str = "floors";
static TABLE: LazyLock<Table> = LazyLock::new(|| Table::ours().unwrap());
/// A box that restarts more often is not going to rest.
const RESTARTS: usize = 40;

/// What the brought system does when it runs on trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    /// Everything is well.
    Well,
    /// The guard's verdict is a roll-back: health never passes, or flaps.
    Unwell,
    /// Hangs, panics or dies: the watchdog ends it before any verdict.
    Crashes,
    /// No verdict; it is restarted.
    Undecided,
    /// No verdict in its first round, well in later ones.
    Late,
}

impl Nature {
    pub(crate) const ALL: [Self; 5] = [Self::Well, Self::Unwell, Self::Crashes, Self::Undecided, Self::Late];

    pub(crate) const fn stays(self) -> bool {
        matches!(self, Self::Well | Self::Late)
    }
}

/// A box and what it is made of: the real parts, unless a variant weakens one.
#[derive(Clone)]
pub(crate) struct Make {
    pub(crate) table: Table,
    pub(crate) sequence: &'static [Step],
    pub(crate) map: PartitionMap,
    pub(crate) weak: Weak,
    /// A new system is committed before anybody knows how it is.
    pub(crate) commits_first: bool,
    /// What is brought is withdrawn before the restart that would try it.
    pub(crate) withdrawn: bool,
    /// What is brought, and what that does.
    pub(crate) brought: Version,
    pub(crate) nature: Nature,
    /// The slot that runs when everything begins.
    pub(crate) running: SlotName,
}

impl Make {
    pub(crate) fn real(nature: Nature) -> Self {
        Self {
            table: *TABLE,
            sequence: SEQUENCE,
            map: map(false),
            weak: Weak::default(),
            commits_first: false,
            withdrawn: false,
            brought: Version::New,
            nature,
            running: SlotName::B,
        }
    }

    /// The disk of a box in the field: an old system runs and is good, an older one is in the other slot and is good, too.
    pub(crate) fn field(&self) -> Medium {
        let mut disk = MemDisk::new(BYTES);
        for (slot, version) in [(self.running, Version::Old), (self.running.other(), Version::Ancient)] {
            let system = version.system();
            for image in Image::BOTH {
                disk.write(image.region(&self.map, slot).at, system.image(image)).unwrap();
            }
            disk.write(self.map.fit(slot).at, &system.header.encode().unwrap()).unwrap();
        }
        let good = Record { state: State::Good, tries: self.table.tries.good, rounds: 0 };
        let vars = Vars { first: self.running, a: good, b: good };
        // Twice, so that both copies are there.
        env::save(&mut disk, &self.map, &Vars { first: self.running.other(), ..vars }).unwrap();
        env::save(&mut disk, &self.map, &vars).unwrap();
        raise(&mut disk, self.map.id(), Version::Old.system().header.security).unwrap();
        disk.flush().unwrap();
        disk.moment().medium.clone()
    }
}

/// How a life ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// This version runs and is good.
    Good(Version),
    /// This one runs and is not: no good one can be started.
    Makeshift(Version, State),
    /// No slot is signed.
    Nothing,
    /// It restarts for ever.
    Restless,
}

pub(crate) struct Life {
    pub(crate) end: End,
    /// Every start: the version, and whether its root was what was signed.
    pub(crate) starts: Vec<(Version, State, bool)>,
    pub(crate) env_writes: usize,
    pub(crate) moments: Vec<Moment>,
    pub(crate) rest: Medium,
    pub(crate) vars: Vars,
    pub(crate) floor: u32,
    /// Why installing did not work, the last time.
    pub(crate) refused: Option<String>,
}

/// The security version's floor; `None`: nothing is kept whole.
pub(crate) fn floor(disk: &impl board::block::BlockDevice, id: Region) -> Option<u32> {
    floors(disk, id).map(|floors| floors.security)
}

/// All floors.
pub(crate) fn floors(disk: &impl board::block::BlockDevice, id: Region) -> Option<Floors> {
    let store = Store::new(Window::new(ReadOnly(disk), id));
    if store.kept().ok()? == Kept::Lost {
        return None;
    }
    Floors::decode(&store.get(FLOORS).ok()??).ok()
}

struct ReadOnly<'a, D>(&'a D);

impl<D: board::block::BlockDevice> board::block::BlockDevice for ReadOnly<'_, D> {
    fn bytes(&self) -> u64 {
        self.0.bytes()
    }
    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), board::block::DiskError> {
        self.0.read(at, into)
    }
    fn write(&mut self, _: u64, _: &[u8]) -> Result<(), board::block::DiskError> {
        panic!("nobody writes here")
    }
    fn flush(&mut self) -> Result<(), board::block::DiskError> {
        panic!("nobody writes here")
    }
}

/// As whoever commits does: never lower.
fn raise(disk: &mut impl board::block::BlockDevice, id: Region, security: u32) -> Result<bool, StoreError> {
    let mut store = Store::new(Window::new(disk, id));
    let kept = store.get(FLOORS)?.and_then(|bytes| Floors::decode(&bytes).ok());
    let mut floors = kept.unwrap_or_default();
    floors.raise(&Floors { security, ..floors });
    store.set(FLOORS, &floors.encode())
}

/// Which signed system is in a slot: as the boot loader sees it, which looks at the header's first fields and at the FIT.
fn signed(disk: &Rig, map: &PartitionMap, slot: SlotName) -> Option<&'static System> {
    let mut head = [0; header::ENCODED];
    disk.read(map.fit(slot).at, &mut head).ok()?;
    let sectors = u32::from_le_bytes(head[8..12].try_into().unwrap());
    if head[..8] != header::MAGIC || sectors as usize != FIT / 512 {
        return None;
    }
    let fit = read(disk, map, slot, Image::Fit)?;
    SYSTEMS.iter().find(|system| system.fit == fit)
}

fn read(disk: &Rig, map: &PartitionMap, slot: SlotName, image: Image) -> Option<Vec<u8>> {
    let mut bytes = vec![0; if image == Image::Fit { FIT } else { ROOT }];
    disk.read(image.region(map, slot).at, &mut bytes).ok()?;
    Some(bytes)
}

/// Runs a box on a medium until it rests. `reset`: how it was started first.
pub(crate) fn live(make: &Make, medium: &Medium, reset: Reset) -> Life {
    let mut disk = Rig::on(medium.clone(), &make.weak);
    let (mut starts, mut refused) = (Vec::new(), None);
    let end = run(make, &mut disk, reset, &mut starts, &mut refused);
    Life {
        end,
        starts,
        env_writes: disk.env_writes(),
        moments: disk.moments().to_vec(),
        rest: disk.content(),
        vars: env::load(&disk, &make.map).unwrap().vars,
        floor: floor(&disk, make.map.id()).unwrap_or(0),
        refused,
    }
}

fn run(
    make: &Make,
    disk: &mut Rig,
    mut reset: Reset,
    starts: &mut Vec<(Version, State, bool)>,
    refused: &mut Option<String>,
) -> End {
    for _ in 0..RESTARTS {
        let before = env::load(disk, &make.map).unwrap().vars;
        let shared = RefCell::new(&mut *disk);
        let start = boot(
            &make.table,
            before,
            reset,
            |slot| signed(&shared.borrow(), &make.map, slot).is_some(),
            // U-Boot goes on when it cannot save.
            |vars| drop(env::save(&mut **shared.borrow_mut(), &make.map, vars)),
        );
        let (Start::Slot(slot) | Start::LastResort(slot)) = start else { return End::Nothing };
        let system = signed(disk, &make.map, slot).expect("it was started");
        let whole = read(disk, &make.map, slot, Image::Root).as_ref() == Some(&system.root);
        starts.push((system.version, before.of(slot).state, whole));
        if !whole {
            // dm-verity.
            reset = Reset::Crash(slot);
            continue;
        }
        let nature = if system.version == make.brought { make.nature } else { Nature::Well };
        match running(make, disk, slot, system, nature, refused) {
            Then::Rest(end) => return end,
            Then::Restart if make.withdrawn && withdraw(make, disk, slot) => {
                return End::Good(system.version);
            }
            Then::Restart => reset = Reset::Normal,
            Then::Bitten => reset = Reset::Crash(slot),
        }
    }
    End::Restless
}

/// The cloud says that the box stays as it is; gives whether a system waited that nobody has tried.
fn withdraw(make: &Make, disk: &mut Rig, running: SlotName) -> bool {
    let mut slots = Slots::new(disk, make.map.clone(), running).unwrap().with_table(make.table);
    let before = slots.vars().unwrap().vars;
    slots.withdraw().is_ok_and(|after| after != before)
}

enum Then {
    Rest(End),
    Restart,
    Bitten,
}

/// What the guard and the updater of a running system do.
fn running(
    make: &Make,
    disk: &mut Rig,
    slot: SlotName,
    system: &System,
    nature: Nature,
    refused: &mut Option<String>,
) -> Then {
    let mut slots = Slots::new(&mut *disk, make.map.clone(), slot)
        .unwrap()
        .with_table(make.table)
        .with_sequence(make.sequence);
    let record = slots.vars().unwrap().vars.of(slot);
    let trial = record.state == State::Trial;
    let mut well_later = false;
    match record.state {
        State::Trial | State::Unknown => {
            if make.commits_first {
                let _ = slots.commit();
            }
            let nature = match nature {
                Nature::Late if trial && record.rounds == 0 => Nature::Undecided,
                Nature::Late => Nature::Well,
                nature => nature,
            };
            match nature {
                Nature::Well | Nature::Late => {
                    if slots.commit().is_err() {
                        return Then::Restart;
                    }
                }
                Nature::Crashes => return Then::Bitten,
                Nature::Unwell if trial => {
                    let _ = slots.fail();
                    return Then::Restart;
                }
                Nature::Undecided if trial => return Then::Restart,
                // Nobody knows of a better one.
                Nature::Unwell | Nature::Undecided => {
                    return Then::Rest(End::Makeshift(system.version, record.state));
                }
            }
        }
        State::Good => {
            if nature == Nature::Crashes {
                return Then::Bitten;
            }
            // Healthy again after crashes: before another round, and after what is installed meanwhile.
            let other = slots.vars().unwrap().vars.of(slot.other());
            well_later = other.state != State::Trial || other.tries > 0;
            if !well_later {
                let _ = slots.commit();
                if slots.settle().is_ok_and(|vars| waits(vars, slot)) {
                    return Then::Restart;
                }
            }
        }
        // The last resort.
        State::Empty | State::Failed if nature != Nature::Well => {
            return Then::Rest(End::Makeshift(system.version, record.state));
        }
        State::Empty | State::Failed => {
            if slots.commit().is_err() {
                return Then::Restart;
            }
        }
    }
    if raise(slots.into_disk(), make.map.id(), system.header.security).is_err() {
        return Then::Restart;
    }
    let mut slots = Slots::new(&mut *disk, make.map.clone(), slot)
        .unwrap()
        .with_table(make.table)
        .with_sequence(make.sequence);
    let then = bring(make, &mut slots, system, refused);
    if well_later {
        let _ = slots.commit();
    }
    then
}

/// What the updater does, and the restart that follows.
fn bring(make: &Make, slots: &mut Slots<&mut Rig>, system: &System, refused: &mut Option<String>) -> Then {
    let slot = slots.running();
    let end = Then::Rest(End::Good(system.version));
    let wanted = make.brought.system();
    if system.version == wanted.version {
        return end;
    }
    let other = slots.header(slot.other()).ok().flatten();
    let vars = slots.vars().unwrap().vars;
    if other.as_ref() == Some(&wanted.header) {
        match vars.of(slot.other()).state {
            // It was tried.
            State::Failed => return end,
            State::Trial => return if waits(vars, slot) { Then::Restart } else { end },
            // It is not ordered again.
            State::Empty if make.withdrawn => return end,
            _ => {}
        }
    }
    match install(slots, wanted) {
        Ok(()) => Then::Restart,
        Err(why) => {
            *refused = Some(why);
            end
        }
    }
}

/// Whether the other slot is tried at the next start.
fn waits(vars: Vars, running: SlotName) -> bool {
    let other = vars.of(running.other());
    other.state == State::Trial && other.tries > 0 && vars.first != running
}

/// The real installer over the real slots.
fn install(slots: &mut Slots<&mut Rig>, system: &System) -> Result<(), String> {
    let lengths = Lengths { fit: FIT as u64, root: ROOT as u64 };
    let mut installer = Installer::new(system.release.clone(), 1, lengths, lengths, Limits::default());
    let words = |error: SlotError| error.to_string();
    let mut update = Some(slots.install(system.header.clone()).map_err(words)?);
    loop {
        let action = installer.next(0);
        let event = match action {
            Action::Done => return Ok(()),
            Action::Failed { why } => return Err(why.to_string()),
            Action::Wait { .. } => return Err("it waits for a mirror".into()),
            Action::Fetch { path, .. } => Event::Fetched(CHUNKS[&path].clone()),
            Action::Complete => {
                let update = update.take().unwrap();
                done(update.finish().and_then(board::slots::Finished::activate), Event::Completed)
            }
            other => step(update.as_mut().unwrap(), other),
        };
        installer.event(event, 0, 0);
    }
}

fn step(update: &mut Update<'_, &mut Rig>, action: Action) -> Event {
    let image = |kind| if kind == ImageKind::Fit { Image::Fit } else { Image::Root };
    let bytes = |range: &std::ops::Range<u64>| vec![0; (range.end - range.start) as usize];
    match action {
        Action::ReadRunning { image: kind, range } => {
            let mut into = bytes(&range);
            match update.read_running(image(kind), range.start, &mut into) {
                Ok(()) => Event::Read(into),
                Err(_) => Event::Unreadable,
            }
        }
        Action::ReadTarget { image: kind, range } => {
            let mut into = bytes(&range);
            match update.read_target(image(kind), range.start, &mut into) {
                Ok(()) => Event::Read(into),
                Err(_) => Event::Unreadable,
            }
        }
        Action::Begin => done(update.begin(), Event::Begun),
        Action::Write { image: kind, at, bytes } => {
            done(update.write_at(image(kind), at, &bytes), Event::Written)
        }
        other => panic!("{other:?}"),
    }
}

fn done(outcome: Result<(), SlotError>, event: Event) -> Event {
    match outcome {
        Ok(()) => event,
        Err(error) => Event::Refused(error.to_string()),
    }
}
