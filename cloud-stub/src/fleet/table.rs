//! Text in columns, for terminals. What people or boxes have written is shown so that it can move no cursor and fake no line.

/// Between two columns.
const GAP: &str = "  ";

/// Rows under their heads, each column as wide as what is in it; nothing for no rows.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    aligned(std::iter::once(&heads).chain(rows))
}

/// Names and what they stand for; a line without a value is left out.
pub(super) fn list(lines: &[(&str, String)]) -> String {
    let rows: Vec<Vec<String>> = lines
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| vec![(*name).to_owned(), value.clone()])
        .collect();
    aligned(&rows)
}

fn aligned<'a>(rows: impl IntoIterator<Item = &'a Vec<String>> + Clone) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows.clone() {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join(GAP).trim_end());
        text.push('\n');
    }
    text
}

/// What somebody has written, in quotes and with everything escaped that is no letter or sign; nothing for nothing.
pub(super) fn quoted(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{text:?}") }
}

/// A word such as a version: as it is, unless it is none.
pub(super) fn bare(text: &str) -> String {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) { text.to_owned() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_whatever_the_script() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [row(["a", "\"Завод\"", "x"]), row(["bbbb", "\"M\"", ""])];
        let expected = "BOX   NAME     WHY\na     \"Завод\"  x\nbbbb  \"M\"\n";
        assert_eq!(table(&["BOX", "NAME", "WHY"], &rows), expected);
        assert_eq!(table(&["BOX"], &[]), "");
        let lines = [("name", "x".to_owned()), ("reason", String::new()), ("ring", "5 %".to_owned())];
        assert_eq!(list(&lines), "name  x\nring  5 %\n");
    }

    #[test]
    fn nothing_that_was_written_reaches_the_terminal_as_a_command() {
        assert_eq!(quoted("a\x1b[2J\n\u{202e}b"), "\"a\\u{1b}[2J\\n\\u{202e}b\"");
        assert_eq!(bare("1.0+b"), "1.0+b");
        assert_eq!(bare("1.0\x07"), "\"1.0\\u{7}\"");
        assert_eq!((bare(""), quoted("")), (String::new(), String::new()));
    }
}
