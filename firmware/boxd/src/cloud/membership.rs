//! What the box knows of the cloud that it has joined: kept in the state directory, and taken up again at each start.

use model::enrol::Joined;
use serde::{Deserialize, Serialize};

use super::address::CloudAddress;
use super::files::Files;

/// JSON of a [`Kept`].
const FILE: &str = "cloud.json";

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// Scheme, host and port of the cloud.
    cloud: String,
    joined: Joined,
}

/// The membership in this cloud; `None` when there is none, or one in another cloud only.
pub(crate) fn load(files: &Files, cloud: &CloudAddress) -> Option<Joined> {
    let kept = match files.read(FILE) {
        Ok(Some(bytes)) => serde_json::from_slice::<Kept>(&bytes).map_err(|error| error.to_string()),
        Ok(None) => return None,
        Err(error) => Err(error.to_string()),
    };
    match kept {
        Ok(kept) if kept.cloud == cloud.origin() && !kept.joined.hubs.is_empty() => Some(kept.joined),
        Ok(kept) => {
            tracing::warn!(other = %kept.cloud, "the box has joined another cloud before; it asks to join this one");
            None
        }
        Err(error) => {
            tracing::warn!(file = %files.path(FILE).display(), %error, "what is known of the cloud cannot be read: the box asks to join again");
            None
        }
    }
}

/// Keeps the membership for the next start.
///
/// # Errors
/// When the state directory cannot be written.
pub(crate) fn keep(files: &Files, cloud: &CloudAddress, joined: &Joined) -> std::io::Result<()> {
    let kept = Kept { cloud: cloud.origin(), joined: joined.clone() };
    files.write(FILE, &serde_json::to_vec_pretty(&kept)?)
}

/// Forgets it: the box belongs to nobody in the cloud any more.
///
/// # Errors
/// When the state directory cannot be written.
pub(crate) fn forget(files: &Files) -> std::io::Result<()> {
    files.wipe(FILE)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cloud::files::tests::Scratch;

    pub(crate) fn joined() -> Joined {
        Joined {
            address: "10.13.1.7".parse().unwrap(),
            owner: "ACME".into(),
            url: "https://video.example.org".into(),
            hubs: vec![model::enrol::Hub {
                public_key: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".into(),
                endpoints: vec!["hub.example.org:51820".into()],
                carrier: None,
                inner: "10.13.0.1".parse().unwrap(),
            }],
            time_ms: 1,
        }
    }

    #[test]
    fn a_membership_counts_for_its_own_cloud_only() {
        let scratch = Scratch::new("membership");
        let files = scratch.files();
        let cloud = CloudAddress::parse("https://video.example.org").unwrap();
        assert_eq!(load(&files, &cloud), None);
        keep(&files, &cloud, &joined()).unwrap();
        assert_eq!(load(&files, &cloud), Some(joined()));
        assert_eq!(load(&files, &CloudAddress::parse("https://other.example.org").unwrap()), None);
        files.write(FILE, b"{\"cloud\":").unwrap();
        assert_eq!(load(&files, &cloud), None, "a damaged one means joining again");
    }
}
