//! The keys that releases are signed with: Ed25519 (RFC 8032), each in a file of its own in PKCS#8's PEM form (RFC 8410), which
//! other tools read, too.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::Expiry;
use super::document::{canonical, date, hex, named, root, sha256, sign};

/// The offline keys' names. Two of the three sign roots and targets; each belongs in another drawer.
pub const OFFLINE: [&str; 3] = ["offline-1", "offline-2", "offline-3"];
/// The online key's name. It signs snapshots, timestamps and assignments.
pub const ONLINE: &str = "online";
/// The first root's file name.
pub const FIRST_ROOT: &str = "1.root.json";

/// What stands before the 32 bytes of the seed in PKCS#8 (RFC 8410, section 7).
const BEFORE: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// A key that can sign.
pub struct Key {
    pair: Ed25519KeyPair,
    id: String,
}

impl Key {
    /// The key of a PEM file's text.
    ///
    /// # Errors
    /// When it is no Ed25519 key in PKCS#8.
    pub fn from_pem(text: &str) -> Result<Self> {
        let body = text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END));
        let (body, _) = body.context("it has no PRIVATE KEY of PEM in it")?;
        let body: String = body.split_whitespace().collect();
        let bytes = STANDARD.decode(body).context("it is no PEM")?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&bytes);
        let pair = pair.map_err(|error| anyhow::anyhow!("it is no Ed25519 key in PKCS#8: {error}"))?;
        let mut key = Self { pair, id: String::new() };
        key.id = sha256(&canonical(&key.description())?);
        Ok(key)
    }

    /// The key in a file.
    ///
    /// # Errors
    /// When it cannot be read or is none.
    pub fn open(path: &Path) -> Result<Self> {
        let named = || format!("the key {}", path.display());
        Self::from_pem(&fs::read_to_string(path).with_context(named)?).with_context(named)
    }

    /// TUF's name of the key: the SHA-256 of what a root says of it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What a root says of it.
    pub(super) fn description(&self) -> Value {
        let public = hex(self.pair.public_key().as_ref());
        json!({ "keytype": "ed25519", "scheme": "ed25519", "keyval": { "public": public } })
    }

    /// 64 bytes over `message`.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The PEM text of a key that nobody has had before.
///
/// # Errors
/// When the system has no random numbers.
pub fn generate() -> Result<String> {
    let mut seed = [0; 32];
    SystemRandom::new().fill(&mut seed).map_err(|_| anyhow::anyhow!("the system has no random numbers"))?;
    let body = STANDARD.encode([&BEFORE[..], &seed].concat());
    Ok(format!("{BEGIN}\n{body}\n{END}\n"))
}

/// Makes the keys and the first root in a folder that has none of them.
///
/// # Errors
/// When something of it is there already, or cannot be written.
pub fn make(folder: &Path, now: OffsetDateTime, expiry: Expiry) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let files = OFFLINE.into_iter().chain([ONLINE]).map(|name| format!("{name}.pem"));
    for name in files.chain([FIRST_ROOT.to_owned()]) {
        let path = folder.join(name);
        ensure!(
            !path.exists(),
            "{} is there already: keys are made once, in a folder of their own",
            path.display()
        );
    }
    let mut keys = Vec::new();
    for name in OFFLINE.into_iter().chain([ONLINE]) {
        let text = generate()?;
        let path = folder.join(format!("{name}.pem"));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let mut file = file.with_context(|| format!("making {}", path.display()))?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .with_context(|| format!("writing {}", path.display()))?;
        keys.push(Key::from_pem(&text)?);
    }
    let online = keys.pop().context("the online key")?;
    let document = sign(&root(1, &keys, &online, &date(now + expiry.offline)?)?, &named(&keys))?;
    fs::write(folder.join(FIRST_ROOT), document).context("writing the first root")
}
