//! JSON as signatures need it. A [`Value`] that was read here stands for exactly one sequence of signed bytes: no key comes
//! twice in an object, no number has a fraction, and every text already has the form that is signed.

use std::cell::Cell;
use std::fmt;

use serde::Serialize;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Most values (texts, numbers, lists, objects) in one document: a release a day for ten years has a fifth of them. It
/// bounds memory, because a list of empty lists takes sixteen times its text.
const MOST_VALUES: u32 = 1 << 18;

/// Reads a document.
///
/// # Errors
/// A sentence that says what is wrong with it, and where.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, String> {
    let left = Cell::new(MOST_VALUES);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict(&left).deserialize(&mut reader).map_err(|error| error.to_string())?;
    reader.end().map_err(|error| error.to_string())?;
    Ok(value)
}

/// The bytes that signatures are made over: OLPC's canonical JSON (TUF 1.0.34, section 4.2).
///
/// # Errors
/// For a number with a fraction, and for a text that is not in Unicode's form C. The form of signing brings all texts into
/// that form, others' do not; taking only those that are in it keeps one signature from fitting two documents.
pub fn canonical(value: &Value) -> Result<Vec<u8>, String> {
    composed(value)?;
    write(value)
}

fn write(value: &Value) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut writer = serde_json::Serializer::with_formatter(&mut out, olpc_cjson::CanonicalFormatter::new());
    value.serialize(&mut writer).map_err(|error| error.to_string())?;
    Ok(out)
}

/// Whether writing changes none of the texts in it.
fn composed(value: &Value) -> Result<(), String> {
    match value {
        Value::String(text) => same(text),
        Value::Array(items) => items.iter().try_for_each(composed),
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            same(name)?;
            composed(value)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn same(text: &str) -> Result<(), String> {
    if text.is_ascii() {
        return Ok(());
    }
    let plain = format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    if write(&Value::String(text.to_owned()))? == plain.as_bytes() {
        Ok(())
    } else {
        Err(format!("the text {text:?} is not in Unicode's form C"))
    }
}

/// Counts values and refuses a key that comes twice, which `serde_json` alone lets pass.
#[derive(Clone, Copy)]
struct Strict<'a>(&'a Cell<u32>);

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        let left = self.0.get().checked_sub(1);
        self.0.set(left.ok_or_else(|| D::Error::custom(format!("more than {MOST_VALUES} values")))?);
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("JSON without fractions")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = from.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = from.next_key::<String>()? {
            let value = from.next_value_seed(self)?;
            if fields.contains_key(&name) {
                return Err(A::Error::custom(format!("the key {name:?} comes twice")));
            }
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_document_has_one_signed_form() {
        let read = |text: &str| read(text.as_bytes()).and_then(|value| canonical(&value));
        assert_eq!(
            read("{\"b\": [1, -2], \"a\": \"q\\\"\\\\\\n\u{e9}\"}").unwrap(),
            "{\"a\":\"q\\\"\\\\\n\u{e9}\",\"b\":[1,-2]}".as_bytes()
        );
        for (text, why) in [
            ("{\"a\":1,\"a\":1}", "comes twice"),
            ("{\"a\":{\"b\":1,\"\\u0062\":2}}", "comes twice"),
            ("1.0", "floating point"),
            ("1e3", "floating point"),
            ("-0", "floating point"),
            ("18446744073709551616", "floating point"),
            ("{} {}", "trailing"),
            ("\"e\u{301}\"", "form C"),
            ("{\"e\\u0301\":1}", "form C"),
            ("\"\\ud800\"", "hex escape"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn depth_and_number_of_values_are_bounded() {
        assert!(read("[".repeat(5_000).as_bytes()).unwrap_err().contains("recursion"));
        let many = format!("[{}0]", "[],".repeat(300_000));
        assert!(read(many.as_bytes()).unwrap_err().contains("values"));
    }
}
