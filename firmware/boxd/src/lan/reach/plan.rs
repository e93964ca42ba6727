//! Which address the box may borrow to reach a device. Pure: what the box has and what was heard come in, addresses come out.
//!
//! An address is only ever borrowed in a subnet of private addresses that no route and no address of the box touches.

use std::net::Ipv4Addr;

use super::Refused;
use crate::lan::netlink::{Own, PREFIX};

/// Last bytes that are never borrowed: routers (1, 2, 253, 254), and where cameras come from the factory: Hikvision (64), Uniview
/// (13), Dahua (108), Hanwha and others (100), Axis (90), Reolink and TP-Link (60).
const NEVER: [u8; 10] = [1, 2, 13, 60, 64, 90, 100, 108, 253, 254];
/// Addresses are taken from this last byte on, where DHCP servers and people seldom are.
const FIRST: u8 = 201;
/// And up to this one.
const LAST: u8 = 250;

/// The subnet of a device: what cameras have when they leave the factory, a prefix of 24.
pub(super) fn subnet(device: Ipv4Addr) -> Ipv4Addr {
    Ipv4Addr::from_bits(device.to_bits() & (u32::MAX << (32 - PREFIX)))
}

/// Whether a device may be looked for at this address: one of a LAN, and of a station.
///
/// # Errors
/// [`Refused::NotOfALan`].
pub(super) fn check_target(device: Ipv4Addr) -> Result<(), Refused> {
    let [a, b, c, last] = device.octets();
    // Hikvision's older devices come with 192.0.0.64 (a range of RFC 6890 that nobody routes).
    let lan = device.is_private() || device.is_link_local() || (a, b, c) == (192, 0, 0);
    if lan && !matches!(last, 0 | 255) { Ok(()) } else { Err(Refused::NotOfALan { device }) }
}

/// Whether a borrowed subnet would touch what the box has. What it has borrowed there itself is no obstacle.
///
/// # Errors
/// [`Refused::Overlap`] with what is touched.
pub(super) fn check_room(device: Ipv4Addr, own: &[Own], routes: &[(Ipv4Addr, u8)]) -> Result<(), Refused> {
    let ours = |network: Ipv4Addr| own.iter().any(|it| it.borrowed && subnet(it.address) == subnet(network));
    let addresses = own.iter().filter(|it| !it.borrowed).map(|it| (it.address, it.prefix));
    let routes = routes.iter().copied().filter(|(network, prefix)| *prefix < PREFIX || !ours(*network));
    match addresses.chain(routes).find(|(network, prefix)| touches(subnet(device), *network, *prefix)) {
        Some((network, prefix)) => Err(Refused::Overlap { device, network, prefix }),
        None => Ok(()),
    }
}

/// Whether the subnet and another network have an address in common.
fn touches(subnet: Ipv4Addr, network: Ipv4Addr, prefix: u8) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(PREFIX))).unwrap_or(0);
    (subnet.to_bits() ^ network.to_bits()) & mask == 0
}

/// Addresses to try in the device's subnet, in an order that differs from box to box, so that two boxes seldom want the same.
pub(super) fn candidates(device: Ipv4Addr, random: u64) -> impl Iterator<Item = Ipv4Addr> {
    let count = u64::from(LAST - FIRST) + 1;
    let start = random % count;
    (0..count)
        .filter_map(move |step| u8::try_from((start + step) % count).ok())
        .map(|step| FIRST + step)
        .filter(|last| !NEVER.contains(last))
        .map(move |last| subnet(device) | Ipv4Addr::new(0, 0, 0, last))
        .filter(move |address| *address != device)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FACTORY: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 64);

    fn own(address: [u8; 4], prefix: u8, borrowed: bool) -> Own {
        Own { index: 2, address: address.into(), prefix, borrowed }
    }

    #[test]
    fn only_stations_of_a_lan_are_looked_for() {
        for lan in [[192, 168, 1, 64], [192, 0, 0, 64], [169, 254, 7, 7], [10, 1, 2, 3], [172, 16, 0, 9]] {
            assert_eq!(check_target(lan.into()), Ok(()), "{lan:?}");
        }
        for other in
            [[8, 8, 8, 8], [127, 0, 0, 1], [192, 168, 1, 0], [192, 168, 1, 255], [0, 0, 0, 1], [224, 0, 0, 1]]
        {
            assert_eq!(
                check_target(other.into()),
                Err(Refused::NotOfALan { device: other.into() }),
                "{other:?}"
            );
        }
    }

    #[test]
    fn what_the_box_has_is_left_alone() {
        let lan = [own([10, 0, 0, 5], 24, false)];
        assert_eq!(check_room(FACTORY, &lan, &[([10, 0, 0, 0].into(), 24)]), Ok(()));
        for (network, prefix) in
            [([192, 168, 1, 5], 24), ([192, 168, 1, 5], 32), ([192, 168, 0, 5], 16), ([192, 0, 0, 1], 8)]
        {
            let refused = Err(Refused::Overlap { device: FACTORY, network: network.into(), prefix });
            assert_eq!(check_room(FACTORY, &[own(network, prefix, false)], &[]), refused);
            assert_eq!(check_room(FACTORY, &lan, &[(network.into(), prefix)]), refused);
        }
        // What was borrowed for a neighbour of it serves both, with the routes that the kernel made for it.
        let borrowed = [lan[0], own([192, 168, 1, 230], 24, true)];
        assert_eq!(
            check_room(FACTORY, &borrowed, &[([192, 168, 1, 0].into(), 24), ([192, 168, 1, 230].into(), 32)]),
            Ok(())
        );
        assert!(check_room(FACTORY, &borrowed, &[([192, 168, 0, 0].into(), 16)]).is_err());
    }

    proptest! {
        #[test]
        fn a_candidate_is_a_free_kind_of_address_beside_the_device(device in any::<u32>(), random in any::<u64>()) {
            let device = Ipv4Addr::from_bits(device);
            let all: Vec<_> = candidates(device, random).collect();
            prop_assert!(all.len() >= 40);
            for address in &all {
                prop_assert_eq!(subnet(*address), subnet(device));
                prop_assert!(*address != device);
                prop_assert!(!matches!(address.octets()[3], 0 | 1 | 64 | 254 | 255));
            }
            let mut once = all.clone();
            once.sort();
            once.dedup();
            prop_assert_eq!(once.len(), all.len());
        }
    }
}
