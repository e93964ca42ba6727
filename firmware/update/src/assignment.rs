//! Which release one box is to have. An [`Assignment`] that exists was signed by the timestamp role of a trusted root, for
//! this box, over the nonce that this box has just made up; so it is fresh whatever the clock says. It can only choose among
//! what the offline keys have signed, at or above the floor of the security version.

use serde::Deserialize;

use crate::restart::Window;
use crate::tuf::{Envelope, Role, Root, TargetInfo, Targets, TufError, seconds};
use crate::{Floors, Release, ReleaseError};

/// Hexadecimal digits of a nonce: 32 bytes.
const NONCE: usize = 64;
/// Most windows: a cloud names the next three.
const WINDOWS: usize = 16;

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The release's description by its name as a target, `BOARD/VERSION.json`; `None`: stay as you are.
    pub target: Option<String>,
    /// Until when to begin, in seconds since 1970.
    pub deadline: u64,
    /// When it was signed, in seconds since 1970.
    pub issued: u64,
    /// Which roll-out it belongs to, for reports; at most 64 bytes.
    pub campaign: String,
    /// When the box may restart into it, the next ones of its site, at most 16; none: at any time.
    pub windows: Vec<Window>,
    /// Whether the box may restart now: no other of its site is at it. A box asks again right before it does.
    pub may_restart: bool,
}

/// What an assignment must state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The box's id.
    pub box_id: String,
    /// The nonce of this very question: 64 lower-case hexadecimal digits, never used before.
    pub nonce: String,
}

/// Why an assignment, or what it assigns, is refused. The slots are not touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssignmentError {
    /// Too long, no JSON, not of this form, or signed twice by one key.
    #[error("{0}")]
    Unreadable(String),
    /// Too few of the timestamp role's keys have signed.
    #[error("the assignment carries {have} of the {need} signatures that root {root} asks for")]
    Unsigned {
        /// Valid signatures by different keys.
        have: usize,
        /// How many are needed.
        need: u32,
        /// The version of the root that names the keys.
        root: u64,
    },
    /// Somebody else's.
    #[error("the assignment is for another box, {0:?}")]
    OtherBox(String),
    /// An answer to another question: an old one served again.
    #[error("the assignment is stale: it does not answer this box's question")]
    Stale,
    /// Its deadline lies before its own time.
    #[error("the assignment's deadline has passed")]
    Late,
    /// Not among what the offline keys have signed.
    #[error("{0:?} is not among the releases that the offline keys have signed")]
    NotListed(String),
    /// A release with a known hole.
    #[error("{name:?} has security version {found}, and this box takes none below {floor}")]
    Security {
        /// The release.
        name: String,
        /// Its security version.
        found: u32,
        /// This box's floor.
        floor: u32,
    },
    /// The description is not the one that was signed.
    #[error(transparent)]
    Content(#[from] Box<TufError>),
    /// The description is signed, and wrong.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// The description is that of another release than its name says.
    #[error("{name:?} describes {found}")]
    OtherRelease {
        /// The target's name.
        name: String,
        /// What the description says that it is.
        found: String,
    },
}

#[derive(Deserialize)]
struct Fields {
    #[serde(rename = "_type")]
    kind: String,
    spec_version: String,
    #[serde(rename = "box")]
    box_id: String,
    nonce: String,
    target: Option<String>,
    deadline: String,
    campaign: String,
    issued: String,
    // Clouds without campaigns leave both out: then nobody minds when the box restarts.
    #[serde(default)]
    windows: Vec<(String, String)>,
    #[serde(default = "yes")]
    may_restart: bool,
}

const fn yes() -> bool {
    true
}

impl Assignment {
    /// Verifies an assignment: first the signatures, then whether it is for this box and this moment.
    ///
    /// # Errors
    /// See [`AssignmentError`]; nothing of a refused assignment may be used, its time neither.
    pub fn verify(bytes: &[u8], root: &Root, expected: &Expected) -> Result<Self, AssignmentError> {
        let unreadable =
            |why: &str| AssignmentError::Unreadable(format!("the assignment is unreadable: {why}"));
        let envelope = Envelope::read(Role::Assignment, bytes)
            .map_err(|error| AssignmentError::Unreadable(error.to_string()))?;
        root.verify(Role::Assignment, &envelope).map_err(|error| match error {
            TufError::Threshold { have, need, root, .. } => AssignmentError::Unsigned { have, need, root },
            other => AssignmentError::Unreadable(other.to_string()),
        })?;
        let fields = Fields::deserialize(&envelope.signed).map_err(|error| unreadable(&error.to_string()))?;
        if fields.kind != Role::Assignment.name() || !fields.spec_version.starts_with("1.") {
            return Err(unreadable("it is something else"));
        }
        if fields.box_id != expected.box_id {
            return Err(AssignmentError::OtherBox(fields.box_id));
        }
        if fields.nonce.len() != NONCE || fields.nonce != expected.nonce {
            return Err(AssignmentError::Stale);
        }
        let date = |text: &str| seconds(text).ok_or_else(|| unreadable(&format!("{text:?} is no date")));
        let (deadline, issued) = (date(&fields.deadline)?, date(&fields.issued)?);
        if deadline < issued {
            return Err(AssignmentError::Late);
        }
        if fields.campaign.len() > 64 {
            return Err(unreadable("its campaign has a name of more than 64 bytes"));
        }
        if fields.windows.len() > WINDOWS {
            return Err(unreadable("it has more than 16 windows"));
        }
        let mut windows = Vec::with_capacity(fields.windows.len());
        for (from, to) in &fields.windows {
            let window = Window { from: date(from)?, to: date(to)? };
            if window.to <= window.from {
                return Err(unreadable("a window ends before it begins"));
            }
            windows.push(window);
        }
        let (campaign, may_restart) = (fields.campaign, fields.may_restart);
        Ok(Self { target: fields.target, deadline, issued, campaign, windows, may_restart })
    }

    /// What is assigned, if anything, out of what may be installed.
    ///
    /// # Errors
    /// [`AssignmentError::NotListed`] when the offline keys have not signed it.
    pub fn choose<'a>(
        &'a self,
        targets: &'a Targets,
    ) -> Result<Option<(&'a str, &'a TargetInfo)>, AssignmentError> {
        let Some(name) = self.target.as_deref() else { return Ok(None) };
        let file = targets.target(name).ok_or_else(|| AssignmentError::NotListed(name.to_owned()))?;
        Ok(Some((name, file)))
    }
}

/// Takes the description of a release that is to be installed: it is the one that was signed under this name, it describes
/// what the name says, and its security version is not below the floor.
///
/// # Errors
/// See [`AssignmentError`].
pub fn admit(
    name: &str,
    file: &TargetInfo,
    description: &[u8],
    floors: &Floors,
) -> Result<Release, AssignmentError> {
    file.check(name, description).map_err(Box::new)?;
    let release = Release::parse(description)?;
    let found = format!("{}/{}.json", release.board, release.version);
    if found != name {
        return Err(AssignmentError::OtherRelease { name: name.to_owned(), found });
    }
    if release.security < floors.security {
        let (found, floor) = (release.security, floors.security);
        return Err(AssignmentError::Security { name: name.to_owned(), found, floor });
    }
    Ok(release)
}
