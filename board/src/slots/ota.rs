//! [`Slots`] in embedded_svc's words.

use embedded_svc::io::ErrorType;
use embedded_svc::ota::{FirmwareInfo, Ota, Slot, SlotState};

use super::{SlotError, Slots, Update};
use crate::block::BlockDevice;
use crate::boot::{Start, boot};
use crate::header::Header;
use crate::slot::{Reset, SlotName, State};

impl<D: BlockDevice> Slots<D> {
    fn slot(&self, name: SlotName) -> Result<Slot, SlotError> {
        let state = match self.vars()?.vars.of(name).state {
            State::Good => SlotState::Valid,
            State::Trial => SlotState::Unverified,
            State::Failed | State::Empty => SlotState::Invalid,
            State::Unknown => SlotState::Unknown,
        };
        let mut label = heapless::String::new();
        // One letter fits.
        let _ = label.push(name.letter());
        Ok(Slot { label, state, firmware: self.header(name)?.as_ref().map(info) })
    }
}

/// What a header says: the root's SHA-256 as the signature, since the FIT, which is signed, holds it.
fn info(header: &Header) -> FirmwareInfo {
    let about = format!("{}, security {}, data schema {}", header.board, header.security, header.schema);
    FirmwareInfo {
        version: header.version.as_str().try_into().unwrap_or_default(),
        released: heapless::String::new(),
        description: about.as_str().try_into().ok(),
        signature: heapless::Vec::from_slice(&header.root.1).ok(),
        download_id: None,
    }
}

impl<D: BlockDevice> ErrorType for Slots<D> {
    type Error = SlotError;
}

impl<D: BlockDevice> Ota for Slots<D> {
    type Update<'a>
        = Update<'a, D>
    where
        Self: 'a;

    /// The slot that the next start takes, if a header is enough for the boot loader's signature check.
    fn get_boot_slot(&self) -> Result<Slot, SlotError> {
        let whole = |slot| matches!(self.header(slot), Ok(Some(_)));
        match boot(&self.table, self.vars()?.vars, Reset::Normal, whole, |_| {}) {
            Start::Slot(slot) | Start::LastResort(slot) => self.slot(slot),
            Start::Recovery => Err(SlotError::NoSystem(self.running)),
        }
    }

    fn get_running_slot(&self) -> Result<Slot, SlotError> {
        self.slot(self.running)
    }

    fn get_update_slot(&self) -> Result<Slot, SlotError> {
        self.slot(self.target())
    }

    fn is_factory_reset_supported(&self) -> Result<bool, SlotError> {
        Ok(false)
    }

    fn factory_reset(&mut self) -> Result<(), SlotError> {
        Err(SlotError::NoFactory)
    }

    /// Installs what [`Slots::announce`] has said.
    fn initiate_update(&mut self) -> Result<Update<'_, D>, SlotError> {
        let header = self.announced.take().ok_or(SlotError::Unannounced)?;
        self.install(header)
    }

    fn mark_running_slot_valid(&mut self) -> Result<(), SlotError> {
        self.commit().map(drop)
    }

    /// Marks it. A library does not restart a box: [`SlotError::Restart`] asks the caller to.
    fn mark_running_slot_invalid_and_reboot(&mut self) -> SlotError {
        let running = self.running;
        self.fail().map_or_else(|error| error, |_| SlotError::Restart(running))
    }
}
