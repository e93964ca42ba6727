//! AMF 0, as far as commands need it: numbers, truths, texts and objects are read, all else is passed over. Depth and
//! number of values are bounded; the bytes are, by the message.

/// Deepest nesting of objects.
const DEPTH: usize = 8;
/// Most values in one command, inner ones too.
const VALUES: usize = 256;

const NUMBER: u8 = 0;
const BOOLEAN: u8 = 1;
const TEXT: u8 = 2;
const OBJECT: u8 = 3;
const NULL: u8 = 5;
const UNDEFINED: u8 = 6;
const REFERENCE: u8 = 7;
const ECMA_ARRAY: u8 = 8;
const OBJECT_END: u8 = 9;
const STRICT_ARRAY: u8 = 10;
const DATE: u8 = 11;
const LONG_TEXT: u8 = 12;
const UNSUPPORTED: u8 = 13;

/// A value of a command (AMF 0, 2). It may be a stream key: there is no `Debug`.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) enum Value {
    Number(f64),
    Boolean(bool),
    Text(String),
    Object(Vec<(String, Value)>),
    Null,
    /// Of a kind that no command that we know needs.
    Other,
}

impl Value {
    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(crate) fn number(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    /// A property of an object.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(properties) = self else { return None };
        properties.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

/// All values of a command; `None` where the bytes are no AMF 0 or too many values.
pub(crate) fn read(data: &[u8]) -> Option<Vec<Value>> {
    let mut reader = Reader { rest: data, left: VALUES };
    let mut values = Vec::new();
    while !reader.rest.is_empty() {
        values.push(reader.value(DEPTH)?);
    }
    Some(values)
}

struct Reader<'a> {
    rest: &'a [u8],
    /// Values that may still come.
    left: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self, bytes: usize) -> Option<usize> {
        Some(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    fn text(&mut self, length_bytes: usize) -> Option<String> {
        let length = self.number(length_bytes)?;
        Some(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        self.left = self.left.checked_sub(1)?;
        let depth = depth.checked_sub(1)?;
        Some(match self.byte()? {
            NUMBER => Value::Number(f64::from_be_bytes(self.take(8)?.try_into().ok()?)),
            BOOLEAN => Value::Boolean(self.byte()? != 0),
            TEXT => Value::Text(self.text(2)?),
            LONG_TEXT => Value::Text(self.text(4)?),
            OBJECT => self.object(depth)?,
            ECMA_ARRAY => {
                self.number(4)?; // only a hint (2.10)
                self.object(depth)?
            }
            STRICT_ARRAY => {
                for _ in 0..self.number(4)? {
                    self.value(depth)?;
                }
                Value::Other
            }
            NULL => Value::Null,
            UNDEFINED | UNSUPPORTED => Value::Other,
            REFERENCE => self.take(2).map(|_| Value::Other)?,
            DATE => self.take(10).map(|_| Value::Other)?,
            _ => return None,
        })
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        let mut properties = Vec::new();
        loop {
            let name = self.text(2)?;
            if name.is_empty() && self.rest.first() == Some(&OBJECT_END) {
                self.byte()?;
                return Some(Value::Object(properties));
            }
            properties.push((name, self.value(depth)?));
        }
    }
}

/// Appends a value. Texts are cut at 65,535 bytes.
pub(crate) fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Number(number) => {
            out.push(NUMBER);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Boolean(truth) => out.extend_from_slice(&[BOOLEAN, u8::from(*truth)]),
        Value::Text(text) => {
            out.push(TEXT);
            write_text(out, text);
        }
        Value::Object(properties) => {
            out.push(OBJECT);
            for (name, value) in properties {
                write_text(out, name);
                write(out, value);
            }
            out.extend_from_slice(&[0, 0, OBJECT_END]);
        }
        Value::Null => out.push(NULL),
        Value::Other => out.push(UNDEFINED),
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.as_bytes().get(..usize::from(length)).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            (-1e9..1e9).prop_map(Value::Number),
            any::<bool>().prop_map(Value::Boolean),
            "[a-z/ä]{0,20}".prop_map(Value::Text),
            Just(Value::Null),
            Just(Value::Other),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            proptest::collection::vec(("[a-zA-Z]{1,9}", inner), 0..5).prop_map(Value::Object)
        })
    }

    #[test]
    fn a_connect_of_ffmpegs_is_read() {
        let mut sent = Vec::new();
        for value in [Value::Text("connect".into()), Value::Number(1.0)] {
            write(&mut sent, &value);
        }
        sent.extend(b"\x03\x00\x03app\x02\x00\x04live\x00\x0afourCcList\x0a\0\0\0\x01\x02\0\x04hvc1\0\0\x09");
        let values = read(&sent).unwrap();
        assert_eq!(values[0].text(), Some("connect"));
        assert_eq!(values[1].number(), Some(1.0));
        assert_eq!(values[2].get("app").and_then(Value::text), Some("live"));
        assert_eq!(values[2].get("none").and_then(Value::text), None);
    }

    #[test]
    fn depth_and_number_are_bounded() {
        let nested = |depth: usize| {
            let mut sent = b"\x03\0\x01a".repeat(depth);
            sent.push(NULL);
            sent.extend(b"\0\0\x09".repeat(depth));
            sent
        };
        assert!(read(&nested(DEPTH - 1)).is_some() && read(&nested(DEPTH)).is_none());
        assert!(read(&[NULL; VALUES]).is_some() && read(&[NULL; VALUES + 1]).is_none());
        // An array that claims four thousand million values.
        assert!(read(&[STRICT_ARRAY, 255, 255, 255, 255, NULL]).is_none());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(values in proptest::collection::vec(value(), 0..6)) {
            let mut sent = Vec::new();
            for value in &values {
                write(&mut sent, value);
            }
            prop_assert!(read(&sent) == Some(values));
        }

        #[test]
        fn no_bytes_panic(data in proptest::collection::vec(prop_oneof![0_u8..14, any::<u8>()], 0..200)) {
            let _ = read(&data);
        }
    }
}
