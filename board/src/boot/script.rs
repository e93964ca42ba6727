//! The boot script: [`super::boot`] in the words of U-Boot's shell, made from the same [`Table`] and from the board's data.
//!
//! The text is read by a shell without functions: each is a variable that `run` runs. Nothing that the disk says is ever run, or
//! decides how much memory is written: of the environment only [`env::NAMES`] are imported, each is brought into its form before it
//! is used, and a FIT is no longer than its partition.
//!
//! U-Boot, from 2023.01 to 2026.04, has a few ways of its own. A `for` reads a variable of the environment in place of its own of the
//! same name. `exit` ends nothing when the text was run. Quotes in a variable's value are quotes again where it is expanded, and an
//! `if` with a syntax error is true: so a value from the disk is not expanded before `setexpr sub`, which takes it from the variable
//! itself, has made it harmless. Whether that found anything is not asked: nothing found is a failure in 2023 and a success in 2026.
//! A set in a regular expression knows no ranges, `?` never gives back what it took. A read of no sectors is a success. A command
//! takes few words: texts are quoted. `bootm` starts what is not a FIT without asking for a signature.

use std::fmt::Write as _;

use serde::Deserialize;

use super::Table;
use crate::block::SECTOR;
use crate::env;
use crate::header;
use crate::map::BoardMap;
use crate::slot::{Record, Reset, SlotName, State, Vars};

/// The word at [`Board::marker`] while this slot's system runs and nobody has asked it to restart: "SBXa" in the order of memory.
pub const fn marker(slot: SlotName) -> u32 {
    u32::from_le_bytes([b'S', b'B', b'X', slot.letter() as u8])
}

/// How a FIT begins, as a word of memory (devicetree specification 0.4, 5.2: 0xd00dfeed, big-endian).
const FIT: u32 = 0xd00d_feed_u32.swap_bytes();
/// The one configuration of a FIT. It is named, because U-Boot may be built to take whichever fits best.
pub const CONFIGURATION: &str = "conf";
/// Seconds that the words of a box without any system stay before it looks again.
const RECOVERY_S: u32 = 10;

/// A board's `[boot]` in `board.toml`. Addresses are physical.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// The command that makes the disk known.
    pub prepare: String,
    /// The command that reads: it takes an address, a sector and a number of sectors.
    pub read: String,
    /// The command that writes, alike.
    pub write: String,
    /// Where the kernel runs.
    pub kernel: u64,
    /// Where a FIT is read to.
    pub load: u64,
    /// Twice [`env::BYTES`] that nobody else uses.
    pub scratch: u64,
    /// A word that survives a reset and not a power cut, in a page that nobody else uses.
    pub marker: u64,
    /// The kernel's own words on its command line.
    pub arguments: String,
}

/// Why a board's `[boot]` is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// No TOML of this form; the message names the line and the key.
    #[error("the board's file: {0}")]
    Unreadable(String),
    /// A text that the shell would take apart.
    #[error("the board's file: boot.{0} must not have quotes, dollars or line ends")]
    Quotes(&'static str),
}

#[derive(Deserialize)]
struct Document {
    boot: Board,
}

impl Board {
    /// Reads the `[boot]` of a `board.toml`.
    ///
    /// # Errors
    /// Names the key that is wrong.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let Document { boot } =
            toml::from_str(text).map_err(|error| ScriptError::Unreadable(error.to_string()))?;
        for (name, value) in [
            ("prepare", &boot.prepare),
            ("read", &boot.read),
            ("write", &boot.write),
            ("arguments", &boot.arguments),
        ] {
            if value.contains(['\'', '"', '$', '\\', '\n']) {
                return Err(ScriptError::Quotes(name));
            }
        }
        Ok(boot)
    }
}

/// What is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The script of a box: it starts a system, or waits for somebody with a cable and looks again.
    Box,
    /// The same functions, and nothing run: `run main` decides, reads, checks and saves as a box does, but sets `started` to the
    /// slot's letter, or to `none`, where a box would start it or wait.
    Rehearsal,
}

/// The script's text.
pub fn script(table: &Table, map: &BoardMap, board: &Board, purpose: Purpose) -> String {
    let mut text = format!(
        "# {}: which slot is started. Made from board/boot-table.toml and the board's board.toml by\n\
         # board::boot::script; a test holds it equal to them. Each variable with lines in it is a function.\n",
        map.name
    );
    let mut function = |name: &str, body: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "setenv {name} '\n{body}'");
    };
    let [first, second] = map.partitions.env();
    function("copy_1", &copy(board, 1, first.at, board.scratch));
    function("copy_2", &copy(board, 2, second.at, board.scratch + env::BYTES as u64));
    function("import", &import());
    function("save", &save(board, [first.at, second.at]));
    for slot in SlotName::BOTH {
        function(&format!("start_{slot}"), &start(map, board, slot, purpose));
        function(&format!("try_{slot}"), &attempt(*table, slot));
        let (good, failed) = (State::Good.letter(), State::Failed.letter());
        for (name, is) in [
            ("good", format!("= {good}")),
            ("rest", format!("!= {failed}")),
            ("failed", format!("= {failed}")),
        ] {
            let body = format!(
                "if test -z \"${{started}}\" && test \"${{{slot}_state}}\" {is}; then run start_{slot}; fi\n"
            );
            function(&format!("{name}_{slot}"), &body);
        }
    }
    let recovery = match purpose {
        Purpose::Box => format!(
            "echo \"No slot holds a system that is signed for this box.\"\n\
             echo \"Write a disk image to it: start the board from a card, or connect it by its cable. Looking again in {RECOVERY_S} s.\"\n\
             sleep {RECOVERY_S}\n\
             reset\n"
        ),
        Purpose::Rehearsal => "setenv started none\n".to_owned(),
    };
    function("main", &main(table, board, &recovery));
    if purpose == Purpose::Box {
        // Behind the last word U-Boot would ask for more.
        text += "run main\nreset\n";
    }
    text
}

/// Digits, to a set in a regular expression.
const DIGITS: &str = "0123456789abcdefABCDEF";
/// What stands for anything that nobody writes. It is in no form.
const WRONG: char = 'z';

/// The lines that make a variable from the disk harmless: at most `length` of these `letters`, or something with a [`WRONG`] in it.
fn harmless(name: &str, letters: &str, length: usize) -> String {
    let more = ".".repeat(length);
    format!("setexpr {name} sub \"^{more}.+$\" {WRONG}\nsetexpr {name} gsub \"[^{letters}]\" {WRONG}\n")
}

fn sectors(bytes: u64) -> u64 {
    bytes / SECTOR
}

/// Reads one copy of the environment and takes it for the newest if it is right and newer.
fn copy(board: &Board, number: u8, at: u64, to: u64) -> String {
    let Board { read, .. } = board;
    let (at, count, bytes) = (sectors(at), sectors(env::BYTES as u64), env::BYTES);
    let form = harmless("seq", DIGITS, 8);
    format!(
        "setenv seq\n\
         if {read} {to:x} {at:x} {count:x} && env import -c {to:x} {bytes:x} seq; then\n\
         {form}\
         setexpr seq sub \"^.*{WRONG}.*$\" {WRONG}\n\
         if test -n \"${{seq}}\" && test \"${{seq}}\" != {WRONG}; then\n\
         setexpr seq 100000000 + ${{seq}}\n\
         setexpr seq sub ^. \"\" ${{seq}}\n\
         if test -z \"${{newest}}\" || itest ${{seq}} > ${{best}}; then\n\
         setenv newest {number}; setenv from {to:x}; setenv best ${{seq}}\n\
         fi; fi; fi\n"
    )
}

/// Takes over what the newest copy says, or what is said when there is none. A field that nobody writes so is as if lost.
fn import() -> String {
    let names: Vec<&str> = env::NAMES.into_iter().filter(|name| *name != "seq").collect();
    let mut text = names.iter().map(|name| ["setenv ", name, "\n"].concat()).collect::<String>();
    let bytes = env::BYTES;
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "if test -n \"${{newest}}\"; then env import -c ${{from}} {bytes:x} {}; fi\nsetenv seq ${{best}}",
        names.join(" ")
    );
    let Vars { first, .. } = Vars::LOST;
    let other = first.other();
    text += &harmless("order", "ab", 2);
    let _ = writeln!(
        text,
        "if test \"${{order}}\" = {other}{first}; then setenv list {other} {first}; \
         else setenv order {first}{other}; setenv list {first} {other}; fi"
    );
    let states: String = State::ALL.into_iter().map(State::letter).collect();
    for slot in SlotName::BOTH {
        let Record { state, tries, rounds } = Vars::LOST.of(slot);
        for (field, letters, lost) in [
            ("state", states.as_str(), state.letter().to_string()),
            ("tries", DIGITS, format!("{tries:x}")),
            ("rounds", DIGITS, format!("{rounds:x}")),
        ] {
            let name = format!("{slot}_{field}");
            if letters == DIGITS {
                // The one bracket stays. Backslashes are halved where the function is defined and where it runs.
                let _ = writeln!(text, "setexpr {name} sub \"^0*([{DIGITS}])$\" \\\\\\\\1");
            }
            text += &harmless(&name, letters, 1);
            let _ = writeln!(
                text,
                "if test -z \"${{{name}}}\" || test \"${{{name}}}\" = {WRONG}; then setenv {name} {lost}; fi"
            );
        }
    }
    text
}

/// Writes the copy that does not count, with the next number. The number after the last is not written: it would not count.
fn save(board: &Board, [first, second]: [u64; 2]) -> String {
    let Board { write, scratch, .. } = board;
    let bytes = env::BYTES;
    format!(
        "if test ${{seq}} != ffffffff; then\n\
         setexpr seq 1${{seq}} + 1\n\
         setexpr seq sub ^. \"\" ${{seq}}\n\
         if test \"${{newest}}\" = 1; then setenv copy 2; setenv at {:x}; else setenv copy 1; setenv at {:x}; fi\n\
         env export -c -s {bytes:x} {scratch:x} {} && {write} {scratch:x} ${{at}} {:x} && setenv newest ${{copy}}\n\
         fi\n",
        sectors(second),
        sectors(first),
        env::NAMES.join(" "),
        sectors(bytes as u64)
    )
}

/// Loads a slot and starts it if it is whole and signed; comes back if it is not.
fn start(map: &BoardMap, board: &Board, slot: SlotName, purpose: Purpose) -> String {
    let Board { read, load, marker, arguments, .. } = board;
    let region = map.partitions.fit(slot);
    let (at, most) = (sectors(region.at), sectors(region.bytes.saturating_sub(header::LENGTH)));
    let behind = sectors(region.at + header::LENGTH);
    let [m0, m1, m2, m3, m4, m5, m6, m7] = header::MAGIC;
    let magic = [u32::from_le_bytes([m0, m1, m2, m3]), u32::from_le_bytes([m4, m5, m6, m7])];
    let boot = format!("{load:x}#{CONFIGURATION} {load:x}#{CONFIGURATION} ${{fdtcontroladdr}}");
    // A system that runs does not come back, so the first of them ends the script or was not signed.
    let bootm = match purpose {
        Purpose::Box => "bootm",
        Purpose::Rehearsal => "bootm start",
    };
    format!(
        "if {read} {load:x} {at:x} 1 && itest.l *{load:x} == {:x} && itest.l *{:x} == {:x}; then\n\
         setexpr.l count *{:x}\n\
         if itest ${{count}} > 0 && itest ${{count}} <= {most:x} && {read} {load:x} {behind:x} ${{count}} && \
         itest.l *{load:x} == {FIT:x}; then\n\
         setenv bootargs \"{arguments} slot={slot} reset=${{reset}} marker=0x{marker:x}\"\n\
         mw.l {marker:x} {:x}\n\
         if {bootm} {boot}; then setenv started {slot}; else mw.l {marker:x} 0; fi\n\
         fi; fi\n",
        magic[0],
        load + 4,
        magic[1],
        load + 8,
        self::marker(slot)
    )
}

/// A slot with tries left is started, which is counted first where the table says so. One that comes back is not signed.
fn attempt(table: Table, slot: SlotName) -> String {
    let mut counted = String::new();
    for state in State::ALL {
        for (reset, word) in [(Reset::Normal, NORMAL), (Reset::Crash(slot), CRASH)] {
            if table.counts(state, reset) {
                let _ = write!(counted, " {}-{word}", state.letter());
            }
        }
    }
    format!(
        "if test -z \"${{started}}\" && test ${{{slot}_tries}} != 0; then\n\
         for word in{counted}; do if test ${{{slot}_state}}-${{reset}} = ${{word}}; then\n\
         setexpr {slot}_tries ${{{slot}_tries}} - 1\n\
         run save\n\
         fi; done\n\
         run start_{slot}\n\
         if test -z \"${{started}}\" && test ${{{slot}_tries}} != 0; then setenv {slot}_tries 0; run save; fi\n\
         fi\n"
    )
}

/// How each end of the last run is written on the kernel's command line.
const NORMAL: &str = "normal";
const CRASH: &str = "crash";

fn main(table: &Table, board: &Board, recovery: &str) -> String {
    let Board { prepare, marker, .. } = board;
    let (mut crashes, mut turns) = (String::new(), String::new());
    for slot in SlotName::BOTH {
        let word = self::marker(slot);
        let _ = writeln!(
            crashes,
            "if itest.l *{marker:x} == {word:x}; then setenv reset {CRASH}; setenv back {slot}; fi"
        );
        if table.stands_back(Reset::Crash(slot)).is_some() {
            let _ = writeln!(
                turns,
                "if test \"${{back}}\" = {slot}; then setenv list {} {slot}; fi",
                slot.other()
            );
        }
    }
    // Whoever stands back does so even if good.
    let good = if turns.is_empty() { "" } else { "if test -z \"${back}\"; then " };
    format!(
        "{prepare}\n\
         setenv started; setenv newest; setenv best 00000000; setenv word; setenv slot\n\
         setenv reset {NORMAL}; setenv back\n\
         {crashes}\
         mw.l {marker:x} 0\n\
         run copy_1\n\
         run copy_2\n\
         run import\n\
         echo \"Boot: order ${{order}}, a ${{a_state}}${{a_tries}}${{a_rounds}}, b ${{b_state}}${{b_tries}}${{b_rounds}}, reset ${{reset}}\"\n\
         for slot in ${{list}}; do run try_${{slot}}; done\n\
         {turns}\
         {good}for slot in ${{list}}; do run good_${{slot}}; done{}\n\
         for slot in ${{list}}; do run rest_${{slot}}; done\n\
         for slot in ${{list}}; do run failed_${{slot}}; done\n\
         if test -z \"${{started}}\"; then\n\
         {recovery}\
         fi\n",
        if turns.is_empty() { "" } else { "; fi" }
    )
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    const BOARD: &str = include_str!("../../boards/qemu-aarch64/board.toml");

    fn made(board: &str, purpose: Purpose) -> String {
        let (map, board) = (BoardMap::parse(board).unwrap(), Board::parse(board).unwrap());
        script(&Table::ours().unwrap(), &map, &board, purpose)
    }

    fn text(purpose: Purpose) -> String {
        made(BOARD, purpose)
    }

    #[test]
    fn each_committed_script_is_what_table_and_board_make() {
        let mut seen = 0;
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("boards")).unwrap() {
            let folder = entry.unwrap().path();
            if !folder.is_dir() {
                continue;
            }
            seen += 1;
            let path = folder.join("boot.cmd");
            let made = made(&fs::read_to_string(folder.join("board.toml")).unwrap(), Purpose::Box);
            if std::env::var_os("STREAMBOX_BLESS").is_some() {
                fs::write(&path, &made).unwrap();
            }
            assert!(
                fs::read_to_string(&path).unwrap_or_default() == made,
                "{} is of another table or board: run this test with STREAMBOX_BLESS=1 and look at the change",
                path.display()
            );
        }
        assert!(seen >= 3);
    }

    #[test]
    fn a_rehearsal_differs_in_what_starts_a_system_and_in_what_waits() {
        let (real, rehearsed) = (text(Purpose::Box), text(Purpose::Rehearsal));
        let real: Vec<&str> = real.lines().collect();
        let differ: Vec<&str> = rehearsed.lines().filter(|line| !real.contains(line)).collect();
        assert_eq!(differ.len(), 3, "{differ:?}");
        let started: Vec<_> = differ.iter().filter(|line| line.starts_with("if bootm start ")).collect();
        assert_eq!(started.len(), 2, "{differ:?}");
    }

    #[test]
    fn a_function_of_the_script_has_no_quote_that_would_end_it() {
        let text = text(Purpose::Box);
        let inside = text.lines().filter(|line| !line.starts_with("setenv ") && !line.starts_with('#'));
        assert!(inside.clone().count() > 50);
        for line in inside.filter(|line| *line != "'") {
            assert!(!line.contains('\''), "{line}");
        }
    }

    #[test]
    fn a_board_whose_words_the_shell_would_take_apart_is_refused() {
        for word in ["quiet'; reset; '", "$x", "a\\\\b", "\\\"", "a\\nb"] {
            let board = BOARD.replace("panic=5 quiet", word);
            assert_eq!(Board::parse(&board), Err(ScriptError::Quotes("arguments")), "{word}");
        }
        let unknown = format!("{BOARD}\nmagic = 1\n");
        assert!(
            matches!(Board::parse(&unknown), Err(ScriptError::Unreadable(text)) if text.contains("magic"))
        );
    }
}
