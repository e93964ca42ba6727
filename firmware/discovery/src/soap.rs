//! SOAP 1.2 envelopes as WS-Discovery sends them: written from a template, read with hard limits.
//!
//! No DTD is accepted and no entity but XML's own five and character references is resolved, so nothing that is
//! read can grow or reach out.

use quick_xml::{
    NsReader,
    escape::resolve_xml_entity,
    events::{BytesRef, Event},
    name::ResolveResult,
};

use crate::{Error, MAX_DATAGRAM};

/// Deepest nesting that is read, in elements; WS-Discovery needs six.
pub const MAX_DEPTH: usize = 32;

/// Namespace of the envelope (SOAP 1.2 part 1 section 5).
pub const SOAP: &str = "http://www.w3.org/2003/05/soap-envelope";
/// Namespace of the message headers that ONVIF uses.
pub const ADDRESSING: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing";
/// Namespace of WS-Discovery, April 2005: the one ONVIF Core section 7 names.
pub const DISCOVERY: &str = "http://schemas.xmlsoap.org/ws/2005/04/discovery";

/// A random identifier as RFC 9562 section 5.4 writes it (version 4).
pub fn uuid(random: [u8; 16]) -> String {
    let mut number = u128::from_be_bytes(random);
    number &= !(0xf << 76 | 0x3 << 62);
    number |= 0x4 << 76 | 0x2 << 62;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        number >> 96,
        number >> 80 & 0xffff,
        number >> 64 & 0xffff,
        number >> 48 & 0xffff,
        number & 0xffff_ffff_ffff
    )
}

/// An envelope to the discovery group. `body` is XML of our own making.
pub(crate) fn envelope(action: &str, body: &str, random: [u8; 16]) -> Vec<u8> {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
         <s:Envelope xmlns:s=\"{SOAP}\" xmlns:a=\"{ADDRESSING}\" xmlns:d=\"{DISCOVERY}\">\
         <s:Header>\
         <a:Action s:mustUnderstand=\"1\">{DISCOVERY}/{action}</a:Action>\
         <a:MessageID>urn:uuid:{}</a:MessageID>\
         <a:ReplyTo><a:Address>{ADDRESSING}/role/anonymous</a:Address></a:ReplyTo>\
         <a:To s:mustUnderstand=\"1\">urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To>\
         </s:Header><s:Body>{body}</s:Body></s:Envelope>",
        uuid(random)
    )
    .into_bytes()
}

/// One step through a document. Prefixes are gone: cameras choose them freely, and some bind them wrongly.
pub(crate) enum Step<'a> {
    /// An element opens. The name is without its prefix.
    Open(&'a str),
    /// An element closes: its name, the text directly inside it, and a way to resolve a prefix in that text.
    Close(&'a str, &'a str, &'a dyn Fn(&str) -> Option<String>),
}

/// Walks a document.
///
/// # Errors
/// [`Error`] past the limits, at a DTD or an unknown entity, and where the XML is broken.
pub(crate) fn walk(bytes: &[u8], mut each: impl FnMut(Step<'_>)) -> Result<(), Error> {
    const NOT_XML: Error = Error::Not("XML");
    if bytes.len() > MAX_DATAGRAM {
        return Err(Error::TooLarge { limit: MAX_DATAGRAM });
    }
    // Names in other encodings than UTF-8 are lost, the addresses are not.
    let text = String::from_utf8_lossy(bytes);
    let mut reader =
        NsReader::from_str(text.trim_start_matches('\u{feff}').trim_matches(['\0', ' ', '\r', '\n']));
    reader.config_mut().expand_empty_elements = true;
    let mut open: Vec<(String, String)> = Vec::new();
    let mut seen_root = false;
    loop {
        match reader.read_event().map_err(|_| NOT_XML)? {
            Event::Start(start) => {
                if open.len() >= MAX_DEPTH {
                    return Err(Error::TooDeep);
                }
                seen_root = true;
                let name = start.local_name().as_ref().to_owned();
                each(Step::Open(&name));
                open.push((name, String::new()));
            }
            Event::End(_) => {
                let (name, text) = open.pop().ok_or(NOT_XML)?;
                let bound = |prefix: &str| namespace(&reader, prefix);
                each(Step::Close(&name, text.trim(), &bound));
            }
            Event::Text(text) => {
                if let Some((_, inside)) = open.last_mut() {
                    inside.push_str(&text);
                }
            }
            Event::CData(data) => {
                if let Some((_, inside)) = open.last_mut() {
                    inside.push_str(&data);
                }
            }
            Event::GeneralRef(reference) => {
                let value = resolve(&reference)?;
                if let Some((_, inside)) = open.last_mut() {
                    inside.push_str(&value);
                }
            }
            Event::DocType(_) => return Err(Error::Entity),
            Event::Eof if seen_root && open.is_empty() => return Ok(()),
            Event::Eof => return Err(NOT_XML),
            Event::Empty(_) | Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
        }
    }
}

fn namespace(reader: &NsReader<&[u8]>, prefix: &str) -> Option<String> {
    let name = format!("{prefix}:x");
    match reader.resolver().resolve_element(quick_xml::name::QName(&name)).0 {
        ResolveResult::Bound(bound) => Some(bound.0.to_owned()),
        ResolveResult::Unbound | ResolveResult::Unknown(_) => None,
    }
}

fn resolve(reference: &BytesRef<'_>) -> Result<String, Error> {
    if let Some(character) = reference.resolve_char_ref().map_err(|_| Error::Entity)? {
        return Ok(character.to_string());
    }
    resolve_xml_entity(reference).map(ToOwned::to_owned).ok_or(Error::Entity)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(xml: &str) -> Result<Vec<(String, String)>, Error> {
        let mut found = Vec::new();
        walk(xml.as_bytes(), |step| {
            if let Step::Close(name, text, _) = step {
                found.push((name.to_owned(), text.to_owned()));
            }
        })?;
        Ok(found)
    }

    #[test]
    fn text_is_what_xml_says_it_is() {
        let found = texts("<a:x xmlns:a='u'> 1 &lt;&#x416;<![CDATA[<&]]><b/></a:x>").unwrap();
        assert_eq!(found, [("b".into(), String::new()), ("x".into(), "1 <Ж<&".into())]);
    }

    #[test]
    fn hostile_documents_are_refused() {
        assert_eq!(
            texts("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>"),
            Err(Error::Entity)
        );
        assert_eq!(texts("<a>&x;</a>"), Err(Error::Entity));
        assert_eq!(texts(&format!("{}{}", "<a>".repeat(32), "</a>".repeat(32))).map(|f| f.len()), Ok(32));
        assert_eq!(texts(&format!("{}{}", "<a>".repeat(33), "</a>".repeat(33))), Err(Error::TooDeep));
        assert_eq!(texts(&"<a>".repeat(10_000)), Err(Error::TooDeep));
        assert_eq!(
            texts(&format!("<a>{}</a>", "x".repeat(MAX_DATAGRAM))),
            Err(Error::TooLarge { limit: MAX_DATAGRAM })
        );
        for broken in ["", "hello", "<a>", "<a></b>", "</a>", "\0\0"] {
            assert_eq!(texts(broken), Err(Error::Not("XML")), "{broken}");
        }
    }

    #[test]
    fn identifiers_are_version_4() {
        assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid([0; 16]), "00000000-0000-4000-8000-000000000000");
    }
}
