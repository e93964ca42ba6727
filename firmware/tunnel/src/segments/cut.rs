//! Cuts a packet as it comes from the TUN device into packets of the MTU with finished checksums.
//!
//! Nothing is copied but headers: each segment's headers are written right before its payload, over what was given out
//! before.

use super::{
    CWR, FIN, GSO_ECN, GSO_NONE, GSO_TCP4, GSO_TCP6, NEEDS_CHECKSUM, PSH, TCP_CHECKSUM, TCP_FLAGS,
    TCP_HEADER, V4_HEADER, V6_HEADER, Virtio, checksum, put, word,
};

/// Bytes of IP and TCP headers with the most options they can have.
const MAX_HEADERS: usize = 60 + 60;

/// Why a packet was not cut: the kernel does not make such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the headers of a packet do not fit its virtio header")]
pub struct Malformed;

/// Gives each packet of the MTU to `each`. `packet` is overwritten.
///
/// # Errors
/// When headers contradict each other; nothing was given then.
pub fn cut(virtio: Virtio, packet: &mut [u8], mut each: impl FnMut(&[u8])) -> Result<(), Malformed> {
    match virtio.gso & !GSO_ECN {
        GSO_NONE => {
            if virtio.flags & NEEDS_CHECKSUM != 0 {
                complete(virtio, packet).ok_or(Malformed)?;
            }
            each(packet);
            Ok(())
        }
        GSO_TCP4 => segments(virtio, packet, true, each).ok_or(Malformed),
        GSO_TCP6 => segments(virtio, packet, false, each).ok_or(Malformed),
        _ => Err(Malformed),
    }
}

/// The field holds the sum of the pseudo header already.
fn complete(virtio: Virtio, packet: &mut [u8]) -> Option<()> {
    let (start, at) = (usize::from(virtio.start), usize::from(virtio.start) + usize::from(virtio.offset));
    let sum = checksum::add(0, packet.get(start..)?);
    packet.get_mut(at..at + 2)?.copy_from_slice(&checksum::finished(sum));
    Some(())
}

fn segments(virtio: Virtio, packet: &mut [u8], v4: bool, mut each: impl FnMut(&[u8])) -> Option<()> {
    let ip = usize::from(virtio.start);
    let version = packet.first()? >> 4;
    let fits = if v4 { version == 4 && ip >= V4_HEADER } else { version == 6 && ip >= V6_HEADER };
    let tcp = usize::from(packet.get(ip + TCP_FLAGS - 1)? >> 4) * 4;
    let (size, whole) = (usize::from(virtio.segment), ip + tcp);
    if !fits || tcp < TCP_HEADER || whole > MAX_HEADERS || whole >= packet.len() || size == 0 {
        return None;
    }
    let mut headers = [0; MAX_HEADERS];
    let headers = headers.get_mut(..whole)?;
    headers.copy_from_slice(packet.get(..whole)?);
    let id = word(headers, 4)?;
    let sequence = u32::from_be_bytes(headers.get(ip + 4..ip + 8)?.try_into().ok()?);
    let flags = *headers.get(ip + TCP_FLAGS)?;
    let addresses = if v4 { 12..20 } else { 8..40 };
    let pseudo = |headers: &[u8], length| {
        headers.get(addresses.clone()).map(|addresses| checksum::pseudo(addresses, super::TCP, length))
    };

    let (mut at, end) = (whole, packet.len());
    while at < end {
        let next = end.min(at + size);
        let (done, first) = (at - whole, at == whole);
        let kept = flags & !(if first { 0 } else { CWR }) & !(if next == end { 0 } else { FIN | PSH });
        *headers.get_mut(ip + TCP_FLAGS)? = kept;
        put(headers, ip + 4, &sequence.wrapping_add(done as u32).to_be_bytes());
        let length = next - at;
        if v4 {
            put(headers, 2, &((whole + length) as u16).to_be_bytes());
            put(headers, 4, &id.wrapping_add((done / size) as u16).to_be_bytes());
            put(headers, 10, &[0, 0]);
            let sum = checksum::finished(checksum::add(0, headers.get(..ip)?));
            put(headers, 10, &sum);
        } else {
            put(headers, 4, &((whole - V6_HEADER + length) as u16).to_be_bytes());
        }
        put(headers, ip + TCP_CHECKSUM, &[0, 0]);
        let sum = checksum::add(pseudo(headers, tcp + length)?, headers.get(ip..)?);
        let sum = checksum::add(sum, packet.get(at..next)?);
        put(headers, ip + TCP_CHECKSUM, &checksum::finished(sum));
        put(packet, at - whole, headers);
        each(packet.get(at - whole..next)?);
        at = next;
    }
    Some(())
}
