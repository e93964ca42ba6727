//! What a request wants of something that may be there or not.

use serde::{Deserialize, Deserializer};

/// A field of a request that changes something. Needs `#[serde(default)]` where it is a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// It was not said: it stays.
    #[default]
    Keep,
    /// `null`: it goes.
    Clear,
    /// This is in its place.
    Set(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(from)?.map_or(Self::Clear, Self::Set))
    }
}
