//! What programs load at run time.

use std::{path::Path, path::PathBuf, process::Command};

use anyhow::Result;

use crate::tool::finish;

/// The shared libraries that programs need, those of the libraries included; sorted. `library` knows where one lies.
///
/// # Errors
/// When one cannot be read, or `library` knows of none.
pub fn libraries(programs: &[&Path], library: impl Fn(&str) -> Result<PathBuf>) -> Result<Vec<String>> {
    let mut known: Vec<String> = Vec::new();
    let mut open: Vec<PathBuf> = programs.iter().map(|program| program.to_path_buf()).collect();
    while let Some(program) = open.pop() {
        for soname in needed(&program)? {
            if !known.contains(&soname) {
                open.push(library(&soname)?);
                known.push(soname);
            }
        }
    }
    known.sort();
    Ok(known)
}

/// The sonames in a program's dynamic section, for whichever processor it is.
fn needed(program: &Path) -> Result<Vec<String>> {
    let text = finish(Command::new("readelf").args(["--dynamic", "--wide"]).arg(program))?;
    let between = |line: &str| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned());
    Ok(text.lines().filter(|line| line.contains("(NEEDED)")).filter_map(between).collect())
}
