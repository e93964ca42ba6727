//! One file of a page as the answer to a request. What is compared are strong tags of the content, so an answer never mixes
//! versions.

/// A file of a page, as the build's table holds it.
#[derive(Debug)]
pub struct Asset {
    /// The name under which it is asked for.
    pub name: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// A strong entity tag, with its quotes.
    pub etag: &'static str,
    /// The file.
    pub plain: &'static [u8],
    /// The same, gzipped.
    pub gzip: &'static [u8],
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The HTTP status: 200 or 304.
    pub status: u16,
    /// Header names, in lower case, and values.
    pub headers: Vec<(&'static str, &'static str)>,
    /// The body; empty with a 304.
    pub body: &'static [u8],
}

/// The answer to a request for the file `name` with these two headers, several lines of one joined by commas. `None` when there
/// is no such file.
pub fn serve(
    table: &'static [Asset],
    name: &str,
    accept_encoding: Option<&str>,
    if_none_match: Option<&str>,
) -> Option<Served> {
    let asset = table.iter().find(|asset| asset.name == name)?;
    let mut headers = vec![
        ("cache-control", "public, max-age=31536000, immutable"),
        ("etag", asset.etag),
        ("vary", "accept-encoding"),
        ("x-content-type-options", "nosniff"),
    ];
    let fresh = if_none_match
        .is_some_and(|tags| tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == asset.etag));
    if fresh {
        return Some(Served { status: 304, headers, body: &[] });
    }
    headers.push(("content-type", asset.content_type));
    let gzip = accept_encoding.is_some_and(accepts_gzip);
    if gzip {
        headers.push(("content-encoding", "gzip"));
    }
    Some(Served { status: 200, headers, body: if gzip { asset.gzip } else { asset.plain } })
}

/// Whether gzip is welcome (RFC 9110, 12.5.3); `q=0` forbids it.
fn accepts_gzip(list: &str) -> bool {
    list.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip") || name == "*");
        let refused = parts.any(|part| {
            part.strip_prefix("q=")
                .is_some_and(|quality| quality.parse::<f32>().is_ok_and(|quality| quality <= 0.0))
        });
        named && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Asset] = &[Asset {
        name: "style-1.css",
        content_type: "text/css",
        etag: "\"1\"",
        plain: b"plain",
        gzip: b"gzip",
    }];

    fn header(served: &Served, name: &str) -> Option<&'static str> {
        served.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    #[test]
    fn a_file_is_kept_for_ever_gzipped_when_welcome_and_not_sent_twice() {
        let ask = |accept, tags| serve(TABLE, "style-1.css", accept, tags).unwrap();
        let plain = ask(None, None);
        assert!(header(&plain, "cache-control").unwrap().contains("immutable"));
        assert_eq!(
            (plain.status, plain.body, header(&plain, "content-encoding")),
            (200, &b"plain"[..], None)
        );
        for welcome in ["gzip", "br, gzip;q=0.8", "*", "GZIP"] {
            let served = ask(Some(welcome), None);
            assert_eq!(
                (header(&served, "content-encoding"), served.body),
                (Some("gzip"), &b"gzip"[..]),
                "{welcome}"
            );
        }
        for not in ["br", "gzip;q=0", "identity, gzip; q=0.0"] {
            assert_eq!(ask(Some(not), None).body, b"plain", "{not}");
        }
        for known in ["\"1\"", "\"0\", W/\"1\""] {
            let again = ask(Some("gzip"), Some(known));
            assert_eq!(
                (again.status, again.body, header(&again, "content-type")),
                (304, &b""[..], None),
                "{known}"
            );
        }
        assert_eq!(ask(None, Some("\"2\"")).status, 200);
        assert_eq!(serve(TABLE, "nothing.js", None, None), None);
    }
}
