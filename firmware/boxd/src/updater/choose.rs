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
