//! XML from a device: a small tree of local names and texts. Pure; hostile bytes never panic.
//!
//! Refused: over 1 MiB, deeper than 32, more than 20,000 elements, a document type declaration (so no entity
//! can be declared, let alone fetched), and references to other entities than XML's own five.

use quick_xml::Reader;
use quick_xml::events::Event;

/// Most bytes of a document (THREATS.md, row 3).
pub const MAX_BYTES: usize = 1 << 20;
/// Deepest nesting (THREATS.md, row 3).
pub const MAX_DEPTH: usize = 32;
/// Most elements: an answer with 64 profiles has below 10,000.
pub const MAX_ELEMENTS: usize = 20_000;

/// An element, without namespaces: devices disagree on prefixes, and no two names used here collide.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Element {
    /// Local name.
    pub name: String,
    /// Attributes by local name.
    pub attributes: Vec<(String, String)>,
    /// Text directly in it, trimmed.
    pub text: String,
    /// Elements directly in it.
    pub children: Vec<Element>,
}

/// Why bytes are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Over a limit.
    #[error("the answer is too large")]
    TooLarge,
    /// A document type declaration or an unknown entity.
    #[error("the answer declares or uses XML entities, which is not accepted")]
    Entities,
    /// Not XML.
    #[error("the answer is not XML")]
    Malformed,
}

impl Element {
    /// Reads a document.
    ///
    /// # Errors
    /// [`XmlError`].
    pub fn read(bytes: &[u8]) -> Result<Self, XmlError> {
        if bytes.len() > MAX_BYTES {
            return Err(XmlError::TooLarge);
        }
        let text = String::from_utf8_lossy(bytes);
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
        // An open element each, the document below them.
        let mut open = vec![Self::default()];
        let mut elements = 0;
        loop {
            match reader.read_event().map_err(|_| XmlError::Malformed)? {
                Event::Start(start) => {
                    elements += 1;
                    if open.len() > MAX_DEPTH || elements > MAX_ELEMENTS {
                        return Err(XmlError::TooLarge);
                    }
                    open.push(Self::begin(&start)?);
                }
                Event::Empty(start) => {
                    elements += 1;
                    if open.len() > MAX_DEPTH || elements > MAX_ELEMENTS {
                        return Err(XmlError::TooLarge);
                    }
                    let element = Self::begin(&start)?;
                    open.last_mut().ok_or(XmlError::Malformed)?.children.push(element);
                }
                Event::End(_) => {
                    let mut element = open.pop().ok_or(XmlError::Malformed)?;
                    let trimmed = element.text.trim().len();
                    let leading = element.text.len() - element.text.trim_start().len();
                    element.text.drain(..leading);
                    element.text.truncate(trimmed);
                    open.last_mut().ok_or(XmlError::Malformed)?.children.push(element);
                }
                Event::Text(part) => {
                    open.last_mut().ok_or(XmlError::Malformed)?.text.push_str(&part);
                }
                Event::CData(part) => {
                    open.last_mut().ok_or(XmlError::Malformed)?.text.push_str(&part);
                }
                Event::GeneralRef(reference) => {
                    let character = match reference.resolve_char_ref() {
                        Ok(Some(character)) => character,
                        Ok(None) => match &*reference {
                            "amp" => '&',
                            "lt" => '<',
                            "gt" => '>',
                            "quot" => '"',
                            "apos" => '\'',
                            _ => return Err(XmlError::Entities),
                        },
                        Err(_) => return Err(XmlError::Malformed),
                    };
                    open.last_mut().ok_or(XmlError::Malformed)?.text.push(character);
                }
                Event::DocType(_) => return Err(XmlError::Entities),
                Event::Eof => break,
                Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
            }
        }
        let document = open.pop().ok_or(XmlError::Malformed)?;
        if !open.is_empty() {
            return Err(XmlError::Malformed);
        }
        document.children.into_iter().next().ok_or(XmlError::Malformed)
    }

    fn begin(start: &quick_xml::events::BytesStart<'_>) -> Result<Self, XmlError> {
        let mut element = Self { name: start.local_name().as_ref().to_owned(), ..Self::default() };
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.map_err(|_| XmlError::Malformed)?;
            let value = quick_xml::escape::unescape(&attribute.value).map_err(|_| XmlError::Entities)?;
            element.attributes.push((attribute.key.local_name().as_ref().to_owned(), value.into_owned()));
        }
        Ok(element)
    }

    /// The first element of a name directly in this one.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The first element of a name anywhere in this one, this one included.
    pub fn find(&self, name: &str) -> Option<&Self> {
        if self.name == name {
            return Some(self);
        }
        self.children.iter().find_map(|child| child.find(name))
    }

    /// The text of the first element of a name anywhere in this one, if it has any.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.find(name).map(|element| element.text.as_str()).filter(|text| !text.is_empty())
    }

    /// An attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_prefix_and_texts_their_blanks() {
        let document = Element::read(
            b"\xef\xbb\xbf<?xml version='1.0'?><a:b xmlns:a='x' c='&lt;1&gt;'> x &amp; &#65; <d/></a:b>",
        )
        .unwrap();
        assert_eq!((document.name.as_str(), document.text.as_str()), ("b", "x & A"));
        assert_eq!(document.attribute("c"), Some("<1>"));
        assert!(document.child("d").is_some());
    }

    #[test]
    fn entities_are_neither_declared_nor_resolved() {
        let bomb = b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>";
        assert_eq!(Element::read(bomb), Err(XmlError::Entities));
        assert_eq!(Element::read(b"<a>&x;</a>"), Err(XmlError::Entities));
        assert_eq!(Element::read(b"<a b='&x;'/>"), Err(XmlError::Entities));
    }

    #[test]
    fn depth_and_size_have_limits() {
        let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        assert!(Element::read(nested(32).as_bytes()).is_ok());
        assert_eq!(Element::read(nested(33).as_bytes()), Err(XmlError::TooLarge));
        assert_eq!(Element::read(nested(10_000).as_bytes()), Err(XmlError::TooLarge));
        assert_eq!(Element::read("<a>".repeat(10_000).as_bytes()), Err(XmlError::TooLarge));
        assert_eq!(Element::read(&vec![b' '; MAX_BYTES + 1]), Err(XmlError::TooLarge));
        assert_eq!(Element::read(b"<a><b></a>"), Err(XmlError::Malformed));
        assert_eq!(Element::read(b"<a>"), Err(XmlError::Malformed));
        assert_eq!(Element::read(b""), Err(XmlError::Malformed));
    }
}
