//! Which release a box takes that has no cloud to tell it: the newest one of its board.

use update::tuf::Targets;

/// The newest release of a board in what was signed, if it is another one than runs. Newest is what was published last, which
/// the publisher signs as `since`; what lies below the floor of the security version is no choice.
pub(crate) fn newest<'a>(
    targets: &'a Targets,
    board: &str,
    running: Option<&str>,
    floor: u32,
) -> Option<&'a str> {
    let of_board = |name: &&str| name.split_once('/').is_some_and(|(folder, _)| folder == board);
    let number = |name: &str, key: &str| targets.target(name)?.custom.get(key)?.as_u64();
    let newest = targets
        .names()
        .filter(of_board)
        .filter(|name| number(name, "security").is_none_or(|security| security >= u64::from(floor)))
        .max_by_key(|name| (number(name, "since").unwrap_or(0), *name))?;
    let name = format!("{board}/{}.json", running.unwrap_or_default());
    (newest != name).then_some(newest)
}

/// Whether one version is newer than another: by when the publisher has signed them, where both are listed, else by their numbers.
/// What cannot be compared is not newer.
pub(crate) fn is_newer(targets: &Targets, board: &str, version: &str, than: &str) -> bool {
    let since =
        |version: &str| targets.target(&format!("{board}/{version}.json"))?.custom.get("since")?.as_u64();
    match (since(version), since(than)) {
        (Some(version), Some(than)) => version > than,
        _ => numbers(version).zip(numbers(than)).is_some_and(|(version, than)| version > than),
    }
}

/// The numbers of a version such as `1.2.10`; `None` for anything else.
fn numbers(version: &str) -> Option<Vec<u64>> {
    version.split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(numbers("1.10") > numbers("1.9") && numbers("2.0") > numbers("1.99.99"));
        assert_eq!((numbers("1.x"), numbers(""), numbers("1..2")), (None, None, None));
    }
}
