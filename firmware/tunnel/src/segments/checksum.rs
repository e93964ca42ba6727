//! The Internet checksum (RFC 1071). Sums are kept in the machine's byte order, which the algorithm allows.

/// Adds bytes to a sum; only the last piece of a message may have an odd length. 64 KiB cannot overflow it.
#[inline]
pub fn add(sum: u64, bytes: &[u8]) -> u64 {
    let mut lanes = [sum, 0, 0, 0, 0, 0, 0, 0];
    let mut blocks = bytes.chunks_exact(32);
    for block in &mut blocks {
        let mut words = block.chunks_exact(4);
        for lane in &mut lanes {
            if let Some(&[a, b, c, d]) = words.next() {
                *lane += u64::from(u32::from_ne_bytes([a, b, c, d]));
            }
        }
    }
    let mut pairs = blocks.remainder().chunks_exact(2);
    let [first, ..] = &mut lanes;
    for pair in &mut pairs {
        if let &[a, b] = pair {
            *first += u64::from(u16::from_ne_bytes([a, b]));
        }
    }
    if let &[last] = pairs.remainder() {
        *first += u64::from(u16::from_ne_bytes([last, 0]));
    }
    lanes.iter().sum()
}

/// The sum in 16 bits, not yet complemented, as it is stored.
#[inline]
pub fn folded(sum: u64) -> [u8; 2] {
    let mut sum = sum;
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    (sum as u16).to_ne_bytes()
}

/// The checksum as it is stored: the complement of the sum.
#[inline]
pub fn finished(sum: u64) -> [u8; 2] {
    folded(sum).map(|byte| !byte)
}

/// The sum of what TCP covers of the IP header (RFC 9293 section 3.1, RFC 8200 section 8.1): `addresses` as they lie in
/// the header, source then destination.
#[inline]
pub fn pseudo(addresses: &[u8], protocol: u8, length: usize) -> u64 {
    let length = (length as u32).to_be_bytes();
    add(add(add(0, addresses), &length), &[0, protocol])
}
