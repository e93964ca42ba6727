//! A system on its way into a slot.
//!
//! Before [`Update::begin`] nothing is written. After it the slot is one that nobody starts, until [`Finished::activate`]. Dropped in
//! between, or cut off, it can be begun again: what was written is still there to be read, and is hashed with the rest.

use embedded_svc::io::{self, ErrorType};
use embedded_svc::ota::{OtaUpdate, OtaUpdateFinished};

use super::{Image, PIECE, SlotError, Slots, Step, place};
use crate::block::{BlockDevice, Claim};
use crate::boot::Table;
use crate::env;
use crate::header::{Header, LENGTH};
use crate::map::Region;
use crate::slot::{SlotName, Vars};

/// Most bytes of a system that a power cut makes be written, and perhaps fetched, again. Each flush makes an eMMC write out its cache,
/// so not after every piece.
const AT_RISK: u64 = 1 << 18;

/// What the environment says of the slot at the end.
type Ending = fn(&Table, &Vars, SlotName) -> Option<Vars>;

/// A system on its way into a slot: written by offset with [`Update::write_at`], or from first byte to last as a stream, the
/// root behind the FIT.
#[derive(Debug)]
pub struct Update<'a, D> {
    slots: &'a mut Slots<D>,
    header: Header,
    ending: Ending,
    /// From the first step on the slot is ours alone.
    claim: Option<Claim>,
    /// The next step.
    step: usize,
    /// Bytes of the stream that were taken.
    taken: u64,
    /// Bytes written since the last flush.
    unflushed: u64,
    /// The last bytes of the stream, not yet written.
    waiting: Vec<u8>,
}

impl<'a, D: BlockDevice> Update<'a, D> {
    pub(super) const fn new(slots: &'a mut Slots<D>, header: Header, ending: Ending) -> Self {
        Self { slots, header, ending, claim: None, step: 0, taken: 0, unflushed: 0, waiting: Vec::new() }
    }

    /// The slot will be as good as the running one, and second.
    pub(super) fn keeping_the_order(mut self) -> Self {
        self.ending = Table::mirrored;
        self
    }

    /// What is installed.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Reads of the slot that is written to, what is there now: perhaps a part of the same system, from before a power cut.
    ///
    /// # Errors
    /// Outside the image's partition, not whole sectors, or when the disk cannot be read.
    pub fn read_target(&self, image: Image, at: u64, into: &mut [u8]) -> Result<(), SlotError> {
        self.slots.read(self.slots.target(), image, at, into)
    }

    /// Reads of the running slot.
    ///
    /// # Errors
    /// As [`Update::read_target`].
    pub fn read_running(&self, image: Image, at: u64, into: &mut [u8]) -> Result<(), SlotError> {
        self.slots.read(self.slots.running, image, at, into)
    }

    /// Makes the slot one that nobody starts; the first part of the system must be in hand by then. Done before the first write by
    /// itself; again it does nothing.
    ///
    /// # Errors
    /// When somebody else writes to the slot, or the disk fails.
    pub fn begin(&mut self) -> Result<(), SlotError> {
        if self.claim.is_none() {
            let target = self.slots.target();
            // The part that has the header stands for the whole slot.
            let Region { at, bytes } = self.slots.map.fit(target);
            self.claim = Some(self.slots.disk.claim(at, bytes)?.ok_or(SlotError::Busy(target))?);
        }
        self.run_to(Some(Step::Data))
    }

    /// Writes whole sectors of an image.
    ///
    /// # Errors
    /// Outside the image, or when the disk fails.
    pub fn write_at(&mut self, image: Image, at: u64, bytes: &[u8]) -> Result<(), SlotError> {
        let end = at.saturating_add(bytes.len() as u64);
        if end > image.bytes(&self.header) {
            return Err(SlotError::Outside { image, at, end });
        }
        self.begin()?;
        let place = place(image.region(&self.slots.map, self.slots.target()), at, bytes.len())?;
        self.slots.disk.write(place, bytes)?;
        self.unflushed += bytes.len() as u64;
        if self.unflushed >= AT_RISK {
            self.slots.disk.flush()?;
            self.unflushed = 0;
        }
        Ok(())
    }

    /// Reads everything back from the medium, compares hashes, and writes the header.
    ///
    /// # Errors
    /// When the disk fails or gives back something else; then the slot stays one that nobody starts.
    pub fn finish(mut self) -> Result<Finished<'a, D>, SlotError> {
        let total = Image::BOTH.iter().map(|image| image.bytes(&self.header)).sum();
        if self.taken > 0 && self.taken < total {
            return Err(SlotError::Incomplete(self.taken, total));
        }
        self.begin()?;
        self.run_to(Some(Step::Activate))?;
        Ok(Finished(self))
    }

    /// Copies what differs from the running slot.
    pub(super) fn copy_running(&mut self) -> Result<(), SlotError> {
        let (mut from, mut to) = (vec![0; PIECE], vec![0; PIECE]);
        for image in Image::BOTH {
            let (length, mut at) = (image.bytes(&self.header), 0);
            while at < length {
                let part = usize::try_from(length - at).unwrap_or(PIECE).min(PIECE);
                let (from, to) =
                    (from.get_mut(..part).unwrap_or_default(), to.get_mut(..part).unwrap_or_default());
                self.read_running(image, at, from)?;
                // What cannot be read may still be written: a medium replaces a bad sector then.
                if self.read_target(image, at, to).is_err() || from != to {
                    self.write_at(image, at, from)?;
                }
                at += part as u64;
            }
        }
        Ok(())
    }

    /// Does what comes before the next `stop`, or all the rest if there is none.
    fn run_to(&mut self, stop: Option<Step>) -> Result<(), SlotError> {
        while let Some(step) = self.slots.sequence.get(self.step).copied().filter(|step| Some(*step) != stop)
        {
            self.perform(step)?;
            self.step += 1;
        }
        Ok(())
    }

    fn perform(&mut self, step: Step) -> Result<(), SlotError> {
        let target = self.slots.target();
        let header = self.slots.map.fit(target).at;
        let table = self.slots.table;
        match step {
            Step::Begin => self.slots.change(|vars| table.begin(vars, target)).map(drop)?,
            // All that is kept for it: the kernel reads a page before it writes a part of one, and this one may be unreadable.
            Step::ZeroHeader => self.slots.disk.write(header, &[0; LENGTH as usize])?,
            Step::Flush => self.slots.disk.flush()?,
            // Written by whoever has it.
            Step::Data => {}
            Step::ReadBack => {
                for image in Image::BOTH {
                    if self.slots.hash(target, image, &self.header)? != image.sha256(&self.header) {
                        return Err(SlotError::Corrupt(target, image));
                    }
                }
            }
            Step::Header => self.slots.disk.write(header, &self.header.encode()?)?,
            Step::Activate => {
                let ending = self.ending;
                env::change(&mut self.slots.disk, &self.slots.map, |vars| ending(&table, vars, target))?;
            }
        }
        Ok(())
    }

    /// The image that a byte of the stream belongs to, and where in it.
    fn image_at(&self, position: u64) -> Option<(Image, u64)> {
        let fit = Image::Fit.bytes(&self.header);
        let in_root = position.checked_sub(fit);
        match in_root {
            None => Some((Image::Fit, position)),
            Some(at) => (at < Image::Root.bytes(&self.header)).then_some((Image::Root, at)),
        }
    }
}

impl<D: BlockDevice> ErrorType for Update<'_, D> {
    type Error = SlotError;
}

impl<D: BlockDevice> io::Write for Update<'_, D> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, SlotError> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let begun = self.taken - self.waiting.len() as u64;
        let Some((image, at)) = self.image_at(begun) else {
            let end = self.taken.saturating_add(bytes.len() as u64);
            return Err(SlotError::Outside { image: Image::Root, at: self.taken, end });
        };
        // A piece, or what is left of the image.
        let whole = usize::try_from(image.bytes(&self.header) - at).unwrap_or(PIECE).min(PIECE);
        let before = self.waiting.len();
        let part = bytes.len().min(whole.saturating_sub(before));
        self.waiting.extend_from_slice(bytes.get(..part).unwrap_or_default());
        if self.waiting.len() == whole {
            let mut waiting = std::mem::take(&mut self.waiting);
            if let Err(error) = self.write_at(image, at, &waiting) {
                // The caller still has these bytes and may try again.
                waiting.truncate(before);
                self.waiting = waiting;
                return Err(error);
            }
        }
        self.taken += part as u64;
        Ok(part)
    }

    /// Nothing is on the medium before [`Update::finish`]; a flush in between would be of no use.
    fn flush(&mut self) -> Result<(), SlotError> {
        Ok(())
    }
}

impl<'a, D: BlockDevice> OtaUpdate for Update<'a, D> {
    type OtaUpdateFinished = Finished<'a, D>;

    fn finish(self) -> Result<Finished<'a, D>, SlotError> {
        Update::finish(self)
    }

    fn complete(self) -> Result<(), SlotError> {
        Update::finish(self)?.activate()
    }

    /// The slot stays as it is, one that nobody starts if anything was written.
    fn abort(self) -> Result<(), SlotError> {
        Ok(())
    }
}

/// A system that is whole in its slot and is not to be started yet.
#[derive(Debug)]
pub struct Finished<'a, D>(Update<'a, D>);

impl<D: BlockDevice> Finished<'_, D> {
    /// The next start tries it.
    ///
    /// # Errors
    /// When the environment cannot be written.
    pub fn activate(mut self) -> Result<(), SlotError> {
        self.0.run_to(None)
    }
}

impl<D: BlockDevice> ErrorType for Finished<'_, D> {
    type Error = SlotError;
}

impl<D: BlockDevice> OtaUpdateFinished for Finished<'_, D> {
    fn activate(self) -> Result<(), SlotError> {
        Finished::activate(self)
    }
}
