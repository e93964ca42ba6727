//! The program on its command line, as far as it needs no tunnel.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use crate::stage::Folder;

fn cloud(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cloud")).args(arguments).output().unwrap()
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn wrong_use_is_named_and_ends_with_2() {
    let folder = Folder::new();
    let file = folder.0.join("cloud.toml");
    let name = file.to_str().unwrap();
    std::fs::write(&file, "[http]\nurl = \"http://127.0.0.1\"\nlisen = \"x\"\n").unwrap();
    let (code, _, error) = said(&cloud(&["--config", name]));
    assert_eq!(code, Some(2));
    assert_eq!(error, format!("cloud: {name}:3: [http]: unknown key \"lisen\" (did you mean \"listen\"?)\n"));
    let (code, _, error) = said(&cloud(&["--confg"]));
    assert_eq!((code, error.contains("--confg")), (Some(2), true), "{error}");
    let (code, help, _) = said(&cloud(&["--help"]));
    assert!(code == Some(0) && help.contains("cloud --config cloud.toml claim ABCD-EFGH --owner \"ACME\""));
}

#[test]
fn the_owners_commands_work_on_a_database_of_their_own() {
    let folder = Folder::new();
    let file = folder.0.join("cloud.toml");
    let name = file.to_str().unwrap();
    let database = folder.0.join("state/cloud.db");
    std::fs::write(&file, format!("[store]\nurl = \"sqlite:{}\"\n", database.display())).unwrap();
    let (code, out, error) = said(&cloud(&["--config", name, "boxes"]));
    assert_eq!((code, out.as_str()), (Some(0), "no box has joined yet\n"), "{error}");
    let (code, _, error) = said(&cloud(&["--config", name, "claim", "ABCD-EFGH", "--owner", "ACME"]));
    assert_eq!(code, Some(1));
    assert!(error.contains("no box shows this code") && !error.contains("ABCD"), "{error}");
    let nobody = "a".repeat(26);
    let (code, _, error) = said(&cloud(&["--config", name, "revoke", &nobody]));
    assert_eq!(code, Some(1));
    assert!(error.contains("cloud boxes"), "{error}");
    // The database holds keys.
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&database), mode(database.parent().unwrap())), (0o600, 0o700));

    std::fs::write(&file, "[store]\nurl = \"sqlite:/proc/none/cloud.db\"\n").unwrap();
    let (code, _, error) = said(&cloud(&["--config", name, "boxes"]));
    assert_eq!(code, Some(1));
    assert!(error.contains("[store] url") && error.contains("files can be written"), "{error}");
}
