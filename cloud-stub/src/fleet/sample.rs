//! Boxes for tests.

use model::BoxId;

/// The box of a number.
pub(crate) fn box_id(number: u32) -> BoxId {
    let letters = b"abcdefghijklmnopqrstuvwxyz234567";
    let letter = |place: u32| letters[(number.checked_shr(5 * place).unwrap_or(0) & 31) as usize] as char;
    BoxId::new(&(0..26).map(letter).collect::<String>()).unwrap()
}
