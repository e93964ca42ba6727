//! One range of a body (RFC 9110, 14).

use std::ops::Range;

use bytes::Bytes;

/// What a `Range` header asks for, of a body of `len` bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// The whole body: no range, several, or one in a unit or form that is not understood.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes that the body does not have.
    Beyond,
}

/// Reads a `Range` header.
pub fn asked(header: Option<&str>, len: u64) -> Asked {
    let Some(("bytes", range)) = header.and_then(|header| header.split_once('=')) else {
        return Asked::Whole;
    };
    let Some((first, last)) = range.trim().split_once('-') else { return Asked::Whole };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // A number that no u64 holds is far beyond every body.
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if last < first => Asked::Whole,
        (Some(first), _) if first >= len => match (last.is_empty(), number(last)) {
            (false, None) => Asked::Whole,
            _ => Asked::Beyond,
        },
        (Some(first), Some(last)) => Asked::Part(first..last.saturating_add(1).min(len)),
        (Some(first), None) if last.is_empty() => Asked::Part(first..len),
        (None, Some(0)) if first.is_empty() => Asked::Beyond,
        (None, Some(_)) if first.is_empty() && len == 0 => Asked::Beyond,
        (None, Some(last)) if first.is_empty() => Asked::Part(len.saturating_sub(last)..len),
        _ => Asked::Whole,
    }
}

/// These bytes of a body, sharing its memory.
pub fn slice(chunks: Vec<Bytes>, range: &Range<u64>) -> Vec<Bytes> {
    let mut at = 0;
    let mut slices = Vec::new();
    for chunk in chunks {
        let end = at + chunk.len() as u64;
        let from = range.start.clamp(at, end) - at;
        let to = range.end.clamp(at, end) - at;
        if from < to {
            slices.push(chunk.slice(from as usize..to as usize));
        }
        at = end;
    }
    slices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_understood() {
        for (header, expected) in [
            ("bytes=0-0", Asked::Part(0..1)),
            ("bytes=2-4", Asked::Part(2..5)),
            ("bytes=2-", Asked::Part(2..10)),
            ("bytes=2-99", Asked::Part(2..10)),
            ("bytes=-3", Asked::Part(7..10)),
            ("bytes=-99", Asked::Part(0..10)),
            ("bytes=10-", Asked::Beyond),
            ("bytes=10-12", Asked::Beyond),
            ("bytes=99999999999999999999-", Asked::Beyond),
            ("bytes=-0", Asked::Beyond),
            ("bytes=4-2", Asked::Whole),
            ("bytes=0-1,3-4", Asked::Whole),
            ("bytes=", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("items=0-1", Asked::Whole),
        ] {
            assert_eq!(asked(Some(header), 10), expected, "{header}");
        }
        assert_eq!(asked(None, 10), Asked::Whole);
    }

    #[test]
    fn a_slice_is_what_the_range_names_wherever_the_chunks_end() {
        let whole = b"0123456789";
        let chunks = || {
            vec![
                Bytes::from_static(b"0123"),
                Bytes::new(),
                Bytes::from_static(b"456"),
                Bytes::from_static(b"789"),
            ]
        };
        for from in 0..10u64 {
            for to in from + 1..=10 {
                let joined = slice(chunks(), &(from..to)).concat();
                assert_eq!(joined, whole[from as usize..to as usize]);
            }
        }
    }
}
