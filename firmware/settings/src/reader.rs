//! TOML tables read key by key, so that every error knows its line.

use std::borrow::Cow;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::keys::{self, Key};

/// What is wrong with a configuration: `FILE:LINE: [section] key: reason`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {reason}")]
pub struct Error {
    file: String,
    line: usize,
    reason: String,
}

impl Error {
    fn at(file: &str, text: &str, offset: usize, reason: String) -> Self {
        let line = 1 + text.get(..offset).unwrap_or(text).matches('\n').count();
        Self { file: file.to_owned(), line, reason }
    }
}

/// Parses TOML; the error shows the line's number, never the line (it may hold a password).
pub fn document<'t>(file: &str, text: &'t str) -> Result<Spanned<DeTable<'t>>, Error> {
    DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        let reason = error.message().lines().collect::<Vec<_>>().join(", ");
        Error::at(file, text, offset, format!("not valid TOML: {reason}"))
    })
}

/// Refuses a section, with a reason for whoever expected it.
///
/// # Errors
/// When the document has it.
pub fn refuse(
    file: &str,
    text: &str,
    document: &Spanned<DeTable<'_>>,
    section: &str,
    reason: &str,
) -> Result<(), Error> {
    let found = document.get_ref().keys().find(|name| name.get_ref() == section);
    found.map_or(Ok(()), |name| Err(Error::at(file, text, name.span().start, reason.to_owned())))
}

/// The whole file.
#[derive(Debug)]
pub struct Table<'a> {
    file: &'a str,
    text: &'a str,
    root: &'a DeTable<'a>,
    keys: &'static [Key],
}

impl<'a> Table<'a> {
    /// Checks that every section is one of `keys`.
    ///
    /// # Errors
    /// The first section that is unknown.
    pub fn root(
        file: &'a str,
        text: &'a str,
        document: &'a Spanned<DeTable<'a>>,
        keys: &'static [Key],
    ) -> Result<Self, Error> {
        let root = document.get_ref();
        let known = keys::sections(keys);
        for name in root.keys() {
            let word: &str = name.get_ref();
            if !known.contains(&word) {
                let reason = unknown("section", word, &known);
                return Err(Error::at(file, text, name.span().start, reason));
            }
        }
        Ok(Self { file, text, root, keys })
    }

    /// One section; a missing one is empty.
    pub fn section(&self, name: &'static str) -> Result<Section<'a>, Error> {
        match self.root.get(name) {
            None => Section::new(self, name, String::new(), None, 0..0),
            Some(value) => match value.get_ref() {
                DeValue::Table(table) => {
                    Section::new(self, name, format!("[{name}]"), Some(table), value.span())
                }
                _ => Err(self.error(value.span(), format!("{name} is a section: write [{name}]"))),
            },
        }
    }

    /// Every `[[name]]`.
    pub fn sections(&self, name: &'static str) -> Result<Vec<Section<'a>>, Error> {
        let Some(value) = self.root.get(name) else { return Ok(Vec::new()) };
        let wrong = |span| self.error(span, format!("write [[{name}]] once for each {name}"));
        let DeValue::Array(array) = value.get_ref() else { return Err(wrong(value.span())) };
        let mut sections = Vec::new();
        for item in array {
            let DeValue::Table(table) = item.get_ref() else { return Err(wrong(item.span())) };
            let id = table.get("id").and_then(|id| id.get_ref().as_str()).unwrap_or("(without id)");
            let label = format!("[[{name}]] {}", id.escape_debug());
            sections.push(Section::new(self, name, label, Some(table), item.span())?);
        }
        Ok(sections)
    }

    fn error(&self, span: Range<usize>, reason: String) -> Error {
        Error::at(self.file, self.text, span.start, reason)
    }
}

/// One section of the file, all of whose keys are known.
#[derive(Debug)]
pub struct Section<'a> {
    file: &'a str,
    text: &'a str,
    label: String,
    table: Option<&'a DeTable<'a>>,
    span: Range<usize>,
}

impl<'a> Section<'a> {
    fn new(
        root: &Table<'a>,
        name: &'static str,
        label: String,
        table: Option<&'a DeTable<'a>>,
        span: Range<usize>,
    ) -> Result<Self, Error> {
        let section = Self { file: root.file, text: root.text, label, table, span };
        let known = keys::names(root.keys, name);
        for key in table.into_iter().flat_map(DeTable::keys) {
            let word: &str = key.get_ref();
            if !known.contains(&word) {
                let reason = format!("{}: {}", section.label, unknown("key", word, &known));
                return Err(Error::at(root.file, root.text, key.span().start, reason));
            }
        }
        Ok(section)
    }

    /// An error at a key of this section.
    pub fn error(&self, key: &str, reason: &str) -> Error {
        let span = self.get(key).map_or_else(|| self.span.clone(), Spanned::span);
        Error::at(self.file, self.text, span.start, format!("{}: {key}: {reason}", self.label))
    }

    /// What must not be missing.
    pub fn required<T>(&self, key: &str, value: Option<T>) -> Result<T, Error> {
        value.ok_or_else(|| self.error(key, "is missing"))
    }

    /// A text.
    pub fn string(&self, key: &str) -> Result<Option<&'a str>, Error> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let text = value.get_ref().as_str().ok_or_else(|| self.expected(key, "a text in quotes", value))?;
        Ok(Some(text))
    }

    /// A list of texts.
    pub fn strings(&self, key: &str) -> Result<Vec<String>, Error> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let wrong = || self.expected(key, "a list of texts such as [\"a\", \"b\"]", value);
        let array = value.get_ref().as_array().ok_or_else(wrong)?;
        array.iter().map(|item| item.get_ref().as_str().map(str::to_owned).ok_or_else(wrong)).collect()
    }

    /// A text that `parse` understands.
    pub fn parsed<T>(
        &self,
        key: &str,
        form: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(text) = self.string(key)? else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| self.error(key, &format!("is not {form}")))
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Result<Option<T>, Error> {
        let Some(text) = self.string(key)? else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        let known: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        found.map(Some).ok_or_else(|| self.error(key, &format!("is not one of {}", known.join(", "))))
    }

    /// `true` or `false`.
    pub fn boolean(&self, key: &str) -> Result<Option<bool>, Error> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.get_ref().as_bool().map(Some).ok_or_else(|| self.expected(key, "true or false", value))
    }

    /// A whole number in a range.
    pub fn integer(&self, key: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, Error> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let form = format!("a whole number from {} to {}", range.start(), range.end());
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok())
            .filter(|number| range.contains(number));
        number.map(Some).ok_or_else(|| self.error(key, &format!("is not {form}")))
    }

    fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table?.get(key)
    }

    fn expected(&self, key: &str, form: &str, value: &Spanned<DeValue<'_>>) -> Error {
        self.error(key, &format!("is not {form} but {}", article(value.get_ref().type_str())))
    }
}

fn article(kind: &str) -> Cow<'_, str> {
    match kind {
        "array" | "integer" => Cow::Owned(format!("an {kind}")),
        _ => Cow::Owned(format!("a {kind}")),
    }
}

fn unknown(what: &str, word: &str, known: &[&str]) -> String {
    match keys::nearest(word, known) {
        Some(near) => format!("unknown {what} {word:?} (did you mean {near:?}?)"),
        None => format!("unknown {what} {word:?} (known: {})", known.join(", ")),
    }
}
