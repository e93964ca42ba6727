//! What the tests of several files share.

/// The bytes that a hex text stands for.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// NAL units in sample format.
pub(crate) fn sample(units: &[&[u8]]) -> Vec<u8> {
    let mut data = Vec::new();
    for unit in units {
        crate::nal::write_unit(unit, &mut data);
    }
    data
}

/// An unsigned Exp-Golomb code (H.264 9.1), as digits.
pub(crate) fn ue(value: u32) -> String {
    let code = format!("{:b}", value + 1);
    "0".repeat(code.len() - 1) + &code
}

/// The bytes that binary digits stand for, filled up with zeros.
pub(crate) fn bytes(digits: &str) -> Vec<u8> {
    let padded = format!("{digits}{}", "0".repeat((8 - digits.len() % 8) % 8));
    padded
        .as_bytes()
        .chunks(8)
        .map(|eight| eight.iter().fold(0, |byte, bit| byte << 1 | (bit - b'0')))
        .collect()
}
