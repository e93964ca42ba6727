//! Why a device of another subnet is not reached, in sentences for its owner.

use std::net::Ipv4Addr;

/// Why a device is not reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// Discovery knows nobody of this key, or is switched off.
    #[error("this device is no longer heard: check its cable and its power, then try again")]
    Gone,
    /// It told no IPv4 address.
    #[error("this device has not told its address: set one with the maker's own tool")]
    NoAddress,
    /// An address of the internet, or of nobody.
    #[error(
        "the device says that it is at {device}, which is no address of a local network: set another one with the maker's own tool"
    )]
    NotOfALan {
        /// Where it says that it is.
        device: Ipv4Addr,
    },
    /// The box has an address or a route there.
    #[error(
        "the device is at {device}, but the box already uses {network}/{prefix} for another network: give the device an address of the box's own network"
    )]
    Overlap {
        /// Where it is.
        device: Ipv4Addr,
        /// What the box has.
        network: Ipv4Addr,
        /// Its prefix length.
        prefix: u8,
    },
    /// Several devices answer for one address.
    #[error(
        "several devices share the address {device}: connect them one at a time and give each an address of its own"
    )]
    Shared {
        /// The address.
        device: Ipv4Addr,
    },
    /// Somebody else answers for the address.
    #[error(
        "another device answers at {device}: connect this one alone, or give it another address with the maker's own tool"
    )]
    Another {
        /// The address.
        device: Ipv4Addr,
    },
    /// Nobody answers.
    #[error(
        "nothing answers at {device}: check the device's cable and power, and whether a switch keeps it apart"
    )]
    Silent {
        /// The address.
        device: Ipv4Addr,
    },
    /// No address in the device's subnet is free.
    #[error("no free address was found beside {device}: too many devices are in its network")]
    Full {
        /// The device.
        device: Ipv4Addr,
    },
    /// The box may not.
    #[error(
        "the box may not change its own network here: it needs the rights CAP_NET_ADMIN and CAP_NET_RAW, or give the device an address of the box's own network"
    )]
    NotAllowed,
    /// The kernel says no.
    #[error("the box could not get an address beside {device}: {reason}")]
    Kernel {
        /// The device.
        device: Ipv4Addr,
        /// What the kernel said.
        reason: String,
    },
}

impl Refused {
    /// A short stable name for the page.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Gone => "no_such_device",
            Self::NoAddress => "reach_no_address",
            Self::NotOfALan { .. } => "reach_not_local",
            Self::Overlap { .. } => "reach_overlap",
            Self::Shared { .. } => "reach_shared_address",
            Self::Another { .. } => "reach_other_device",
            Self::Silent { .. } => "reach_silent",
            Self::Full { .. } => "reach_full",
            Self::NotAllowed => "reach_not_allowed",
            Self::Kernel { .. } => "reach_failed",
        }
    }
}
