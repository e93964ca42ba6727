//! Why a device lets nobody in, beyond a wrong password: it has none yet, or it is locked. Pure.
//!
//! Only said on answers that refuse anyway, so a word in a picture's name or a profile's token can do no harm.

use model::Trouble;

/// How long a lock-out lasts where the device does not say, seconds: the longest usual one (Hikvision's).
const USUAL_S: u32 = 30 * 60;
/// Longest lock-out that is believed, seconds.
const LONGEST_S: u32 = 24 * 60 * 60;
/// How much of a refusal is looked at, bytes.
const LOOKED_AT: usize = 16 << 10;

/// What a refusing answer says beside its status: `retry_after` is the header of that name, seconds. `None` when it is an
/// ordinary refusal.
///
/// * Hikvision, not activated: `<subStatusCode>notActivated</subStatusCode>` (ISAPI, ResponseStatus).
/// * Hikvision, locked: `<lockStatus>lock</lockStatus>` with `<unlockTime>` in seconds (ISAPI, userCheck).
/// * Hanwha, locked: status 490 (SUNAPI, "Account Blocked").
/// * Others: 423 (RFC 4918), 429 (RFC 6585), or a fault that speaks of a locked account.
pub fn read(status: u16, retry_after: Option<u32>, body: &[u8]) -> Option<Trouble> {
    let text = String::from_utf8_lossy(body.get(..LOOKED_AT).unwrap_or(body)).to_ascii_lowercase();
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if compact.contains("notactivated") || compact.contains("<activated>false<") {
        return Some(Trouble::NotActivated);
    }
    let said = [
        "<lockstatus>lock<",
        "accountlocked",
        "accountblocked",
        "userlocked",
        "devicelocked",
        "islocked",
        "lockedout",
    ];
    let locked = matches!(status, 423 | 429 | 490) || said.iter().any(|word| compact.contains(word));
    locked.then(|| {
        let in_body =
            compact.split_once("<unlocktime>").and_then(|(_, rest)| rest.split_once('<')?.0.parse().ok());
        let seconds = in_body.or(retry_after).filter(|seconds| *seconds > 0).unwrap_or(USUAL_S);
        Trouble::Locked { seconds: seconds.min(LONGEST_S) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_locked_camera_says_for_how_long() {
        let hikvision = b"<userCheck><statusValue>401</statusValue><isActivated>true</isActivated><lockStatus>lock</lockStatus>\n<unlockTime>1740</unlockTime></userCheck>";
        assert_eq!(read(401, None, hikvision), Some(Trouble::Locked { seconds: 1740 }));
        assert_eq!(read(423, Some(90), b""), Some(Trouble::Locked { seconds: 90 }));
        assert_eq!(read(490, None, b""), Some(Trouble::Locked { seconds: USUAL_S }));
        assert_eq!(
            read(400, None, b"<Text>The account is locked</Text>"),
            Some(Trouble::Locked { seconds: USUAL_S })
        );
        assert_eq!(read(423, Some(u32::MAX), b""), Some(Trouble::Locked { seconds: LONGEST_S }));
    }

    #[test]
    fn an_ordinary_refusal_is_one() {
        assert_eq!(
            read(401, Some(3), b"<lockStatus>unlock</lockStatus><retryLoginTime>4</retryLoginTime>"),
            None
        );
        assert_eq!(read(401, None, b"Sender not authorized"), None);
    }

    #[test]
    fn a_camera_without_a_password_says_so() {
        let body = b"<ResponseStatus><statusString>Invalid Operation</statusString><subStatusCode>notActivated</subStatusCode></ResponseStatus>";
        assert_eq!(read(403, None, body), Some(Trouble::NotActivated));
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(status: u16, after: Option<u32>, bytes: Vec<u8>, text in "(<unlocktime>|<lockstatus>lock<|[0-9<]{0,12}){0,9}") {
            let _ = read(status, after, &bytes);
            let _ = read(status, after, text.as_bytes());
        }
    }
}
