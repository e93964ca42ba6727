//! The command line.

mod fleet;

use std::path::PathBuf;

use enrol::Code;
use model::{BoxId, CameraId};

use crate::config::KEYS;
use crate::store::Role;

pub use fleet::{Errand, HELP as FLEET_HELP, Order};

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Print the help.
    Help,
    /// Print the help of `cloud fleet`.
    FleetHelp,
    /// Print the version.
    Version,
    /// Read cameras in a process of its own; only the cloud starts it.
    Puller {
        /// Most memory of its own, bytes.
        data: u64,
    },
    /// Anything that needs the configuration.
    Do {
        /// The configuration file, if one was named.
        config: Option<PathBuf>,
        /// What to do.
        what: What,
    },
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum What {
    /// Be the cloud.
    Serve,
    /// Claim the box that shows this code.
    Claim {
        /// What the box's page shows.
        code: Code,
        /// By what name.
        owner: String,
    },
    /// List the boxes.
    Boxes,
    /// List the cameras with their links.
    Cameras,
    /// List the releases.
    Updates,
    /// Refuse a box for good.
    Revoke(BoxId),
    /// Let another owner claim a box.
    Release(BoxId),
    /// Invite a person.
    AddPerson {
        /// Their e-mail address.
        email: String,
        /// The tenant's name and what they are to be there; `None`: an operator.
        role: Option<(String, Role)>,
    },
    /// List the people.
    People,
    /// Forget a person.
    RemovePerson(String),
    /// Bring releases to boxes.
    Fleet(Order),
    /// Switch a camera's link.
    Camera {
        /// The camera.
        public_id: CameraId,
        /// On or off.
        on: bool,
    },
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// A sentence for the operator.
pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let mut config = None;
    let mut owner = None;
    let (mut operator, mut tenant, mut role) = (false, None, None);
    let mut words = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ => (argument.as_str(), None),
        };
        match name {
            "--help" | "-h" => return Ok(Command::Help),
            "--version" | "-V" => return Ok(Command::Version),
            "--config" | "-c" => {
                let path = value.or_else(|| arguments.next());
                config = Some(PathBuf::from(path.ok_or("--config needs a file: cloud --config cloud.toml")?));
            }
            "--owner" => {
                let name = value.or_else(|| arguments.next());
                owner = Some(name.ok_or("--owner needs a name: cloud claim ABCD-EFGH --owner \"ACME\"")?);
            }
            "--operator" => operator = true,
            "--tenant" => {
                let name = value.or_else(|| arguments.next());
                tenant = Some(name.ok_or(ADD_PERSON)?);
            }
            "--role" => {
                let word = value.or_else(|| arguments.next());
                let known = word.as_deref().and_then(Role::from_name);
                role = Some(known.ok_or("a role is viewer, installer or owner: see cloud --help")?);
            }
            _ if argument.starts_with('-') => {
                return Err(format!("unknown argument {argument:?}: see cloud --help"));
            }
            // Its `--version` is a release's. What only others take stands before no word of its.
            "fleet"
                if words.is_empty() && owner.is_none() && !operator && tenant.is_none() && role.is_none() =>
            {
                return fleet::parse(config, arguments);
            }
            _ => words.push(argument),
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let box_id =
        |word: &str| word.parse::<BoxId>().map_err(|error| format!("{word:?}: {error}: see cloud boxes"));
    let what = match words.as_slice() {
        [] => What::Serve,
        ["puller", mib] => {
            let mib: u64 = mib.parse().map_err(|_| "puller is started by the cloud only".to_owned())?;
            return Ok(Command::Puller { data: mib << 20 });
        }
        ["claim", code] => {
            let owner = owner.take().ok_or("claim needs an owner: cloud claim ABCD-EFGH --owner \"ACME\"")?;
            // The code is not repeated: a mistyped one is nearly a right one.
            What::Claim { code: code.parse().map_err(|error| format!("claim: {error}"))?, owner }
        }
        ["boxes"] => What::Boxes,
        ["cameras"] => What::Cameras,
        ["updates", "list"] => What::Updates,
        ["revoke", id] => What::Revoke(box_id(id)?),
        ["release", id] => What::Release(box_id(id)?),
        ["person", "add", email] => {
            let to = match (std::mem::take(&mut operator), tenant.take(), role.take()) {
                (true, None, None) => None,
                (false, Some(tenant), Some(role)) => Some((tenant, role)),
                _ => return Err(ADD_PERSON.to_owned()),
            };
            What::AddPerson { email: (*email).to_owned(), role: to }
        }
        ["person", "list"] => What::People,
        ["person", "remove", email] => What::RemovePerson((*email).to_owned()),
        ["camera", switch @ ("on" | "off"), id] => What::Camera {
            public_id: CameraId::new(id)
                .map_err(|_| format!("{id:?} is no camera's public id: see cloud cameras"))?,
            on: *switch == "on",
        },
        [first, ..] => {
            return Err(format!("cannot make sense of {first:?} and what follows: see cloud --help"));
        }
    };
    if owner.is_some() {
        return Err("--owner belongs to claim only: see cloud --help".to_owned());
    }
    if operator || tenant.is_some() || role.is_some() {
        return Err("--operator, --tenant and --role belong to person add only: see cloud --help".to_owned());
    }
    Ok(Command::Do { config, what })
}

/// How somebody is invited.
const ADD_PERSON: &str = "say what they are to be: cloud person add EMAIL --operator, or \
                          cloud person add EMAIL --tenant \"ACME\" --role owner";

/// The help: usage, then every key of the configuration.
pub fn help() -> String {
    let keys = settings::manual(KEYS, &["camera"]);
    format!("{USAGE}{keys}{CODES}")
}

const USAGE: &str = "\
cloud lets boxes enrol, keeps their tunnels, and shows their cameras by public links.

Usage: cloud [--config FILE] [COMMAND]

  (no command)              serve
  claim CODE --owner NAME   take the box that shows CODE, and print the check words that its page shows, too
  boxes                     list the boxes
  cameras                   list the cameras with their links
  camera on|off PUBLIC_ID   switch a camera's link
  person add EMAIL WHAT     invite somebody and print the link; WHAT is --operator, or --tenant NAME --role ROLE
                            with the role viewer, installer or owner
  person list               list the people and what they are
  person remove EMAIL       forget somebody and sign them out
  updates list              list the releases that boxes can get
  fleet COMMAND             bring a release to the boxes, a few first, and see how it goes: cloud fleet --help
  release BOX               let another owner claim a box
  revoke BOX                refuse a box for good

  -c, --config FILE  read this configuration (TOML); without it the defaults below hold
  -h, --help         print this
  -V, --version      print the version

Commands work on the database and act within a second in the cloud that runs.

Examples:
  cloud --config cloud.toml
  cloud --config cloud.toml claim ABCD-EFGH --owner \"ACME\"
  cloud --config cloud.toml person add aida@example.org --tenant \"ACME\" --role owner
  cloud --config cloud.toml fleet list

A small cloud.toml:
  [http]
  listen = \"0.0.0.0:443\"
  url = \"https://video.example.org\"
  tls = \"acme\"
  [hub]
  endpoint = \"video.example.org:51820\"

Every key of the configuration, with an example and its default:
";

const CODES: &str = "
A listening socket may be inherited (LISTEN_FDS=1, descriptor 3); it is then served beside http.listen, always plain.
Exit codes: 0 done or stopped by a signal, 1 something failed, 2 the command line or the configuration is wrong.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Command, String> {
        parse(arguments.iter().map(|&argument| argument.to_owned()))
    }

    fn what(arguments: &[&str]) -> What {
        match parsed(arguments).unwrap() {
            Command::Do { what, .. } => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn arguments_are_understood() {
        assert_eq!(parsed(&[]), Ok(Command::Do { config: None, what: What::Serve }));
        let config = Some(PathBuf::from("c.toml"));
        assert_eq!(
            parsed(&["--config=c.toml", "boxes"]),
            Ok(Command::Do { config: config.clone(), what: What::Boxes })
        );
        assert_eq!(parsed(&["cameras", "-c", "c.toml"]), Ok(Command::Do { config, what: What::Cameras }));
        let claim = What::Claim { code: "ABCDEFGH".parse().unwrap(), owner: "ACME & Co".to_owned() };
        assert_eq!(what(&["claim", "abcd-efgh", "--owner", "ACME & Co"]), claim);
        let id = "a".repeat(26);
        assert_eq!(what(&["updates", "list"]), What::Updates);
        assert!(parsed(&["updates"]).is_err());
        assert_eq!(what(&["revoke", &id]), What::Revoke(id.parse().unwrap()));
        let off = What::Camera { public_id: CameraId::new(&id).unwrap(), on: false };
        assert_eq!(what(&["camera", "off", &id]), off);
        let email = "a@example.org".to_owned();
        let add = What::AddPerson { email: email.clone(), role: None };
        assert_eq!(what(&["person", "add", &email, "--operator"]), add);
        let role = Some(("ACME".to_owned(), Role::Installer));
        let add = What::AddPerson { email: email.clone(), role };
        assert_eq!(what(&["person", "add", &email, "--tenant=ACME", "--role", "installer"]), add);
        assert_eq!(what(&["person", "remove", &email]), What::RemovePerson(email));
    }

    #[test]
    fn mistakes_are_named_and_codes_are_not() {
        assert!(parsed(&["--confg"]).unwrap_err().contains("--confg"));
        assert!(parsed(&["claim", "ABCD-EFGH"]).unwrap_err().contains("--owner"));
        let error = parsed(&["claim", "ABCD-EFG1", "--owner", "A"]).unwrap_err();
        assert!(error.contains("eight letters") && !error.contains("EFG1"), "{error}");
        assert!(parsed(&["boxes", "--owner", "A"]).unwrap_err().contains("--owner"));
        assert!(parsed(&["revoke", "x"]).unwrap_err().contains("cloud boxes"));
        for wrong in [
            &["person", "add", "a@example.org"] as &[&str],
            &["person", "add", "a@example.org", "--tenant", "ACME"],
            &["person", "add", "a@example.org", "--operator", "--role", "owner"],
        ] {
            assert!(parsed(wrong).unwrap_err().contains("--operator"), "{wrong:?}");
        }
        assert!(parsed(&["boxes", "--operator"]).unwrap_err().contains("person add"));
        let role = parsed(&["person", "add", "a@example.org", "--tenant", "A", "--role", "boss"]);
        assert!(role.unwrap_err().contains("viewer"));
        assert!(parsed(&["serve"]).unwrap_err().contains("serve"));
    }

    #[test]
    fn the_help_shows_each_key_with_an_example() {
        for key in KEYS {
            assert!(help().contains(&format!("  {} = {}\n", key.name, key.example)), "{key:?}");
        }
    }
}
