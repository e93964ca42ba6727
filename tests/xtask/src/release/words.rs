//! What stands behind `cargo xtask release COMMAND`: words with values, each used or refused.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use image::publish::keys::ONLINE;
use image::publish::{Expiry, Key};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

/// The words of one command that nobody has asked for yet.
pub(super) struct Words<'a> {
    values: Vec<(&'a str, &'a str)>,
    plain: Vec<&'a str>,
}

impl<'a> Words<'a> {
    pub(super) fn read(words: &[&'a str]) -> Result<Self> {
        let (mut values, mut plain) = (Vec::new(), Vec::new());
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.split_once('=') {
                _ if !word.starts_with("--") => plain.push(*word),
                Some((name, value)) => values.push((name, value)),
                None => values.push((word, words.next().with_context(|| format!("{word} needs a value"))?)),
            }
        }
        Ok(Self { values, plain })
    }

    /// All values of a word that may come more than once.
    pub(super) fn all(&mut self, name: &str) -> Vec<&'a str> {
        let (found, rest) = self.values.iter().partition(|(known, _)| *known == name);
        self.values = rest;
        let found: Vec<(&str, &str)> = found;
        found.into_iter().map(|(_, value)| value).collect()
    }

    pub(super) fn maybe(&mut self, name: &str) -> Result<Option<&'a str>> {
        match self.all(name).as_slice() {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => bail!("{name} was given twice"),
        }
    }

    pub(super) fn needed(&mut self, name: &str) -> Result<&'a str> {
        self.maybe(name)?.with_context(|| format!("{name} is missing; see cargo xtask release --help"))
    }

    pub(super) fn number(&mut self, name: &str) -> Result<Option<u32>> {
        let Some(value) = self.maybe(name)? else { return Ok(None) };
        value.parse().map(Some).map_err(|_| anyhow::anyhow!("{name} {value}: no number"))
    }

    /// A word without a name, such as a folder.
    pub(super) fn plain(&mut self, what: &str) -> Result<&'a str> {
        if self.plain.is_empty() {
            bail!("{what} is missing; see cargo xtask release --help");
        }
        Ok(self.plain.remove(0))
    }

    /// When it is: as told, else now.
    pub(super) fn now(&mut self) -> Result<OffsetDateTime> {
        let Some(text) = self.maybe("--now")? else { return Ok(OffsetDateTime::now_utc()) };
        OffsetDateTime::parse(text, &Rfc3339)
            .with_context(|| format!("--now {text}: not of the form 2026-11-21T12:00:00Z"))
    }

    /// For how long metadata is good.
    pub(super) fn expiry(&mut self) -> Result<Expiry> {
        let mut expiry = Expiry::default();
        let named = [
            ("--offline-days", &mut expiry.offline),
            ("--snapshot-days", &mut expiry.snapshot),
            ("--timestamp-days", &mut expiry.timestamp),
        ];
        for (name, span) in named {
            if let Some(days) = self.number(name)? {
                if !(1..=36_500).contains(&days) {
                    bail!("{name} {days}: not 1 to 36500 days");
                }
                *span = Duration::days(i64::from(days));
            }
        }
        Ok(expiry)
    }

    /// The online key: as told, else the one in the folder of keys.
    pub(super) fn online(&mut self, folder: &Path) -> Result<Key> {
        Key::open(&key_file(folder, self.maybe("--online")?.unwrap_or(ONLINE)))
    }

    /// The offline keys that were named.
    pub(super) fn offline(&mut self, folder: &Path) -> Result<Vec<Key>> {
        self.all("--key").into_iter().map(|name| Key::open(&key_file(folder, name))).collect()
    }

    /// Refuses what nobody asked for.
    pub(super) fn end(self) -> Result<()> {
        let left = self.values.first().map(|(name, _)| *name).or_else(|| self.plain.first().copied());
        left.map_or(Ok(()), |word| bail!("{word}: unknown; see cargo xtask release --help"))
    }
}

/// A key by its name in the folder, or by a path.
pub(super) fn key_file(folder: &Path, name: &str) -> PathBuf {
    if name.contains('/') || Path::new(name).extension().is_some_and(|extension| extension == "pem") {
        PathBuf::from(name)
    } else {
        folder.join(format!("{name}.pem"))
    }
}
