//! Which release a box is to have: the newest of its board that is not below the box's security version. Newest is what was
//! published last, whatever its name; so a release that is taken out of the list is followed by the one before.

/// A release in the signed list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The target's name, `BOARD/VERSION.json`.
    pub name: String,
    /// The board.
    pub board: String,
    /// The version that people read.
    pub version: String,
    /// The security version.
    pub security: u32,
    /// The version of the list that first had it.
    pub since: u64,
}

/// What a box says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// Its board.
    pub board: &'a str,
    /// The version that it runs.
    pub version: &'a str,
    /// The lowest security version that it takes.
    pub security: u32,
}

/// What it is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice<'a> {
    /// Nothing was ever published for its board.
    UnknownBoard,
    /// What it runs.
    Stay,
    /// This.
    Take(&'a Listed),
}

/// Chooses for one box.
pub fn choose<'a>(listed: &'a [Listed], asking: Asking<'_>) -> Choice<'a> {
    let mut of_board = listed.iter().filter(|listed| listed.board == asking.board).peekable();
    if of_board.peek().is_none() {
        return Choice::UnknownBoard;
    }
    let newest =
        of_board.filter(|listed| listed.security >= asking.security).max_by_key(|listed| listed.since);
    match newest {
        Some(listed) if listed.version != asking.version => Choice::Take(listed),
        _ => Choice::Stay,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(board: &str, version: &str, security: u32, since: u64) -> Listed {
        let name = format!("{board}/{version}.json");
        Listed { name, board: board.to_owned(), version: version.to_owned(), security, since }
    }

    #[test]
    fn the_last_published_of_the_board_that_is_safe_enough_is_taken_once() {
        let rows = [
            listed("a", "2.0", 1, 5),
            listed("a", "10.0", 2, 3),
            listed("b", "9.0", 9, 9),
            listed("a", "1.0", 1, 1),
        ];
        let ask = |board, version, security| match choose(&rows, Asking { board, version, security }) {
            Choice::Take(listed) => listed.name.clone(),
            Choice::Stay => "stay".to_owned(),
            Choice::UnknownBoard => "unknown".to_owned(),
        };
        assert_eq!(ask("a", "1.0", 1), "a/2.0.json");
        assert_eq!(ask("a", "", 0), "a/2.0.json");
        assert_eq!(ask("a", "2.0", 1), "stay");
        assert_eq!(ask("a", "2.0", 2), "a/10.0.json", "never below what the box has had");
        assert_eq!(ask("a", "10.0", 2), "stay");
        assert_eq!(ask("a", "10.0", 3), "stay", "nothing is safe enough");
        assert_eq!(ask("b", "1.0", 0), "b/9.0.json");
        assert_eq!(ask("c", "1.0", 0), "unknown");
    }
}
