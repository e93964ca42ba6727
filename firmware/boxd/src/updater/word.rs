//! What the main process says to the updater: one JSON value a line on its standard input, whose end is the end of the box.

use std::io::{BufRead as _, BufReader, Read};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// Most bytes of a line.
const LINE: u64 = 4096;
/// Words that wait while an update is under way; what is more is said again.
pub(crate) const WAITING: usize = 16;

/// A word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Word {
    /// Look for an update now, and ask afresh whether the box may restart.
    Look,
    /// The box is about to restart into the new version: tell the cloud, and say whether it goes.
    Leave,
    /// The guard has said how an update ended.
    Verdict,
    /// A stick with releases in this folder was plugged in.
    Stick(PathBuf),
    /// It was pulled out.
    NoStick,
}

/// Reads words until their end, which it returns at. What is no word is passed over.
pub(crate) fn hear(from: impl Read, words: &mpsc::Sender<Word>) {
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if let Ok(word) = serde_json::from_slice(&line) {
            let _ = words.try_send(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_through_and_rubbish_and_floods_do_not() {
        let (sender, mut receiver) = mpsc::channel(WAITING);
        let said = b"\"look\"\n{}\n\xff\n\"verdict\"\n";
        hear(&said[..], &sender);
        assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(Word::Look), Ok(Word::Verdict)));
        assert!(receiver.try_recv().is_err());
        let flood = "\"look\"\n".repeat(100);
        hear(flood.as_bytes(), &sender);
        let heard = std::iter::from_fn(|| receiver.try_recv().ok()).count();
        assert_eq!(heard, WAITING);
    }
}
