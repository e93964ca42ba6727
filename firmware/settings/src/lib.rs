//! Configuration files whose errors name file, line and key, and never repeat a value that may hold a password.
//!
//! A program has one list of [`Key`]s: the reader refuses what is not in it (naming the word that was probably meant),
//! and [`manual`] prints it for `--help`. Reading goes key by key:
//!
//! ```
//! const KEYS: &[settings::Key] = &[settings::key("http", "port", "80", "8080", "where the pages are")];
//! let text = "[http]\nport = 90\n";
//! let document = settings::document("box.toml", text)?;
//! let root = settings::Table::root("box.toml", text, &document, KEYS)?;
//! assert_eq!(root.section("http")?.integer("port", 1..=65_535)?, Some(90));
//! # Ok::<(), settings::Error>(())
//! ```

mod keys;
mod reader;

pub use keys::{Key, key, manual};
pub use reader::{Error, Section, Table, document, refuse};
