//! `cloud fleet …`: what operators ask of releases on their way to boxes. The words are those of the API.

use std::path::PathBuf;

use model::BoxId;

use super::{Command, What};
use crate::fleet::{Care, Page, Standing, Steer, Words};

/// What is asked, and how the answer is to look.
#[derive(Debug, PartialEq, Eq)]
pub struct Order {
    /// What.
    pub errand: Errand,
    /// Whether the answer is for a program, as the API gives it.
    pub json: bool,
}

/// What is asked.
#[derive(Debug, PartialEq, Eq)]
pub enum Errand {
    /// List what is published.
    Releases,
    /// List the campaigns.
    List,
    /// Show a campaign.
    Show(String),
    /// List the boxes that a campaign has told.
    Boxes {
        /// The campaign.
        campaign: String,
        /// Which of them.
        page: Page,
    },
    /// Write down a campaign.
    Draft(Words),
    /// Do something with a campaign.
    Steer {
        /// The campaign.
        campaign: String,
        /// What.
        how: Steer,
        /// Why.
        reason: String,
    },
    /// Show a box.
    Box(BoxId),
    /// Pin, hold or let go a box.
    Care(BoxId, Care),
    /// Leave a box alone for so many hours.
    Postpone(BoxId, u64),
}

/// Reads what stands behind `fleet`.
pub(super) fn parse(
    config: Option<PathBuf>,
    arguments: impl Iterator<Item = String>,
) -> Result<Command, String> {
    let Some(mut given) = Given::read(arguments)? else { return Ok(Command::FleetHelp) };
    let named = given.one("config")?.map(PathBuf::from);
    let words = std::mem::take(&mut given.words);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let errand = match *words.as_slice() {
        ["releases"] => Errand::Releases,
        ["list"] => Errand::List,
        ["show", campaign] => Errand::Show(campaign.to_owned()),
        ["boxes", campaign] => Errand::Boxes { campaign: campaign.to_owned(), page: given.page()? },
        ["draft"] => Errand::Draft(given.draft()?),
        ["start", campaign] => given.steer(campaign, Steer::Start)?,
        ["pause", campaign] => given.steer(campaign, Steer::Pause)?,
        ["resume", campaign] => given.steer(campaign, Steer::Resume)?,
        ["advance", campaign] => given.steer(campaign, Steer::Advance)?,
        ["withdraw", campaign] => given.steer(campaign, Steer::Withdraw)?,
        ["halt", ..] => return Err(HALT.to_owned()),
        ["box", id] => Errand::Box(box_id(id)?),
        ["pin", id, version] => Errand::Care(box_id(id)?, Care::Pin(Some(version.to_owned()))),
        ["unpin", id] => Errand::Care(box_id(id)?, Care::Pin(None)),
        ["hold", id] => {
            let reason = given.one("reason")?.ok_or_else(|| why("hold", "BOX"))?;
            Errand::Care(box_id(id)?, Care::Hold(Some(reason)))
        }
        ["unhold", id] => Errand::Care(box_id(id)?, Care::Hold(None)),
        ["postpone", id, hours] => {
            let hours = hours.parse().map_err(|_| {
                format!("{hours:?} is no number of hours: cloud fleet postpone BOX 24, with 0 for no longer")
            })?;
            Errand::Postpone(box_id(id)?, hours)
        }
        [] => return Err("say what to do with the fleet: see cloud fleet --help".to_owned()),
        _ => {
            return Err(format!("cannot make sense of `fleet {}`: see cloud fleet --help", words.join(" ")));
        }
    };
    if let Some((name, _)) = given.options.first() {
        return Err(format!(
            "--{name} does not belong to `fleet {}`: see cloud fleet --help",
            words.first().unwrap_or(&"")
        ));
    }
    let what = What::Fleet(Order { errand, json: given.json });
    Ok(Command::Do { config: named.or(config), what })
}

/// What people may expect to do, and the machine does.
const HALT: &str = "only the cloud itself halts a campaign, when boxes fail: stop one with `cloud fleet pause`, or end it \
                    with `cloud fleet withdraw`";

fn box_id(word: &str) -> Result<BoxId, String> {
    word.parse().map_err(|error| format!("{word:?}: {error}: see cloud boxes"))
}

fn why(word: &str, what: &str) -> String {
    format!("{word} needs a reason: cloud fleet {word} {what} --reason \"two boxes lost their tunnel\"")
}

/// What was given, before it is known what for.
struct Given {
    words: Vec<String>,
    options: Vec<(String, String)>,
    json: bool,
}

impl Given {
    /// `None`: the help is wanted.
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut given = Self { words: Vec::new(), options: Vec::new(), json: false };
        while let Some(argument) = arguments.next() {
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (argument.as_str(), None),
            };
            match name {
                "--help" | "-h" => return Ok(None),
                "--json" if value.is_none() => given.json = true,
                _ if name == "-c" || name.starts_with("--") => {
                    let name = if name == "-c" { "config" } else { name.trim_start_matches('-') };
                    if !OPTIONS.contains(&name) {
                        return Err(format!("unknown argument {argument:?}: see cloud fleet --help"));
                    }
                    let value = value.or_else(|| arguments.next());
                    let value = value.ok_or_else(|| {
                        format!("--{name} needs something after it: see cloud fleet --help")
                    })?;
                    given.options.push((name.to_owned(), value));
                }
                _ if argument.starts_with('-') => {
                    return Err(format!("unknown argument {argument:?}: see cloud fleet --help"));
                }
                _ => given.words.push(argument),
            }
        }
        Ok(Some(given))
    }

    /// All values of an option.
    fn all(&mut self, name: &str) -> Vec<String> {
        self.options.extract_if(.., |(given, _)| given == name).map(|(_, value)| value).collect()
    }

    /// The value of an option that makes sense once.
    fn one(&mut self, name: &str) -> Result<Option<String>, String> {
        let mut values = self.all(name);
        if values.len() > 1 {
            return Err(format!("--{name} is given more than once: see cloud fleet --help"));
        }
        Ok(values.pop())
    }

    fn steer(&mut self, campaign: &str, how: Steer) -> Result<Errand, String> {
        let reason = match self.one("reason")? {
            Some(reason) => reason,
            // Its note says why.
            None if how == Steer::Start => String::new(),
            None => return Err(why(how.name(), "CAMPAIGN")),
        };
        Ok(Errand::Steer { campaign: campaign.to_owned(), how, reason })
    }

    fn draft(&mut self) -> Result<Words, String> {
        let missing = "draft needs a name and a version: cloud fleet draft --name \"Spring\" --version 1.4";
        Ok(Words {
            name: self.one("name")?.ok_or(missing)?,
            version: self.one("version")?.ok_or(missing)?,
            boards: self.all("board"),
            canaries: self.all("canary").iter().map(|id| box_id(id)).collect::<Result<_, _>>()?,
            bake_s: self.one("bake")?.map(|text| seconds(&text)).transpose()?,
            note: self.one("note")?.unwrap_or_default(),
        })
    }

    fn page(&mut self) -> Result<Page, String> {
        let number = |name: &str, text: String| {
            text.parse::<usize>().map_err(|_| format!("--{name} is a number, and {text:?} is none"))
        };
        let standing = self.one("standing")?.unwrap_or_default();
        let names = Standing::ALL.map(Standing::name);
        if !standing.is_empty() && !names.contains(&standing.as_str()) {
            return Err(format!("no box stands at {standing:?}: it is one of {}", names.join(", ")));
        }
        Ok(Page {
            standing,
            query: self.one("query")?.unwrap_or_default(),
            offset: self.one("offset")?.map_or(Ok(0), |text| number("offset", text))?,
            limit: self.one("limit")?.map(|text| number("limit", text)).transpose()?,
        })
    }
}

/// A span as people write it, seconds.
fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no time: write 90s, 30m, 24h or 7d, as in --bake 24h");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).ok_or_else(wrong)
}

/// All options that have a value.
const OPTIONS: [&str; 12] = [
    "config", "name", "version", "board", "canary", "bake", "note", "reason", "standing", "query", "offset",
    "limit",
];

/// The help of `cloud fleet`.
pub const HELP: &str = "\
cloud fleet brings releases to boxes: a campaign sends a version to a few boxes first, then to 1, 5, 25 and 100 % of them.

Usage: cloud [--config FILE] fleet COMMAND [--json]

Campaigns:
  releases                  list what is published
  list                      list the campaigns, the last one first
  show CAMPAIGN             show how a campaign goes, and what has happened to it
  boxes CAMPAIGN [WHICH]    list the boxes that it has told; WHICH is --standing failed, --query TEXT, --offset N, --limit N
  draft WHAT                write a campaign down; nothing happens before it is started. WHAT is
                            --name NAME and --version VERSION, and, where they are wanted,
                            --canary BOX   a box that goes first (again for more)
                            --board BOARD  a board that it is for (again for more; without it all boards)
                            --bake 24h     how long a ring is watched before the next one is opened (90s, 30m, 24h, 7d)
                            --note TEXT    more about it
  start CAMPAIGN            begin it
  pause CAMPAIGN WHY        stop it for a while; WHY is --reason TEXT
  resume CAMPAIGN WHY       let it go on, after a pause or when the cloud has halted it
  advance CAMPAIGN WHY      open the next ring before its time
  withdraw CAMPAIGN WHY     end it for good

Boxes:
  box BOX                   show what a box runs, what it is to run, and what has happened to it
  pin BOX VERSION           keep it at a version, whatever the campaigns
  unpin BOX                 let it follow the campaigns again
  hold BOX WHY              keep it as it is; WHY is --reason TEXT
  unhold BOX                let it have updates again
  postpone BOX HOURS        leave it alone for up to 168 hours; 0: no longer

  --json                    print what the API answers, for programs

A cloud that runs on the same database follows within a second. The audit has all of it, as done at the command line.

Examples:
  cloud --config cloud.toml fleet draft --name \"Spring\" --version 1.4 --canary BOX --bake 24h
  cloud --config cloud.toml fleet start CAMPAIGN
  cloud --config cloud.toml fleet boxes CAMPAIGN --standing failed
  cloud --config cloud.toml fleet pause CAMPAIGN --reason \"two boxes lost their tunnel\"
";

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn parsed(arguments: &str) -> Result<Command, String> {
        let words = ["fleet"].into_iter().chain(arguments.split(' ').filter(|word| !word.is_empty()));
        super::super::parse(words.map(str::to_owned))
    }

    fn order(arguments: &str) -> Errand {
        match parsed(arguments) {
            Ok(Command::Do { what: What::Fleet(Order { errand, .. }), .. }) => errand,
            other => panic!("{arguments}: {other:?}"),
        }
    }

    #[test]
    fn orders_are_understood() {
        let list = Order { errand: Errand::List, json: true };
        let config = Some(PathBuf::from("c.toml"));
        let expected = Ok(Command::Do { config, what: What::Fleet(list) });
        assert_eq!(parsed("list --json --config c.toml"), expected);
        assert_eq!(parsed("-c c.toml --json list"), expected);
        let words = ["--config=c.toml", "fleet", "list", "--json"].map(str::to_owned);
        assert_eq!(super::super::parse(words), expected);
        let words = Words {
            name: "Spring".to_owned(),
            version: "1.4".to_owned(),
            boards: vec!["b".to_owned(), "c".to_owned()],
            canaries: vec![BOX.parse().unwrap(); 2],
            bake_s: Some(5400),
            note: String::new(),
        };
        let draft = "draft --name Spring --version=1.4 --bake 90m --board b --board c";
        assert_eq!(order(&format!("{draft} --canary {BOX} --canary {BOX}")), Errand::Draft(words));
        for (word, how) in [
            ("start", Steer::Start),
            ("pause", Steer::Pause),
            ("resume", Steer::Resume),
            ("advance", Steer::Advance),
            ("withdraw", Steer::Withdraw),
        ] {
            let expected = Errand::Steer { campaign: "c".to_owned(), how, reason: "x".to_owned() };
            assert_eq!(order(&format!("{word} c --reason x")), expected);
        }
        let page = Page { standing: "failed".to_owned(), query: "a".to_owned(), offset: 1, limit: Some(2) };
        let boxes = Errand::Boxes { campaign: "c".to_owned(), page };
        assert_eq!(order("boxes c --standing failed --query a --offset 1 --limit 2"), boxes);
        let id: BoxId = BOX.parse().unwrap();
        let care = |care| Errand::Care(id.clone(), care);
        assert_eq!(order(&format!("pin {BOX} 1.0")), care(Care::Pin(Some("1.0".to_owned()))));
        assert_eq!(order(&format!("unpin {BOX}")), care(Care::Pin(None)));
        assert_eq!(order(&format!("hold {BOX} --reason x")), care(Care::Hold(Some("x".to_owned()))));
        assert_eq!(order(&format!("unhold {BOX}")), care(Care::Hold(None)));
        assert_eq!(order(&format!("postpone {BOX} 24")), Errand::Postpone(id.clone(), 24));
    }

    #[test]
    fn mistakes_are_named_with_what_to_do() {
        for (wrong, said) in [
            ("", "cloud fleet --help"),
            ("lst", "`fleet lst`"),
            ("show", "cloud fleet --help"),
            ("halt c --reason x", "cloud fleet pause"),
            ("pause c", "--reason"),
            ("pause c --reason", "--reason needs"),
            ("pause c --reason x --reason y", "more than once"),
            ("pause c --reason x --bake 1h", "--bake does not belong to `fleet pause`"),
            ("draft --name x", "--version 1.4"),
            ("draft --name x --version 1 --bake 1", "--bake 24h"),
            ("draft --name x --version 1 --bake é", "--bake 24h"),
            ("draft --name x --version 1 --bake 99999999999999999d", "--bake 24h"),
            ("draft --name x --version 1 --canary x", "cloud boxes"),
            ("boxes c --standing lost", "offered, fetching"),
            ("boxes c --limit x", "--limit is a number"),
            ("box x", "cloud boxes"),
            ("hold aaaaaaaaaaaaaaaaaaaaaaaaaa", "--reason"),
            ("postpone aaaaaaaaaaaaaaaaaaaaaaaaaa soon", "BOX 24"),
            ("list --jsn", "--jsn"),
            ("list -j", "-j"),
        ] {
            let error = parsed(wrong).unwrap_err();
            assert!(error.contains(said), "{wrong}: {error}");
        }
    }

    #[test]
    fn the_help_names_every_order_and_every_option() {
        assert_eq!(parsed("--help"), Ok(Command::FleetHelp));
        assert_eq!(parsed("pause --help"), Ok(Command::FleetHelp));
        for option in OPTIONS {
            assert!(HELP.contains(&format!("--{option}")), "{option}");
        }
        let orders = HELP.lines().filter_map(|line| line.strip_prefix("  "));
        let orders = orders.filter_map(|line| line.split(' ').next());
        let orders = orders.filter(|word| word.chars().all(char::is_lowercase) && *word != "cloud");
        for order in orders.filter(|word| !word.is_empty()) {
            // A word that is none is not made sense of; these lack something else, or nothing.
            let all = [format!("{order} {BOX}"), format!("{order} {BOX} 1"), order.to_owned()];
            let known = all.iter().any(|words| {
                parsed(words).map_or_else(|error| !error.contains("cannot make sense"), |_| true)
            });
            assert!(known, "{order}");
        }
    }
}
