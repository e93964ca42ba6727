//! The disk in the words of genimage, Buildroot's tool for it: the same partitions and the same contents as [`crate::disk`] writes.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result, ensure};
use board::{header, map::BoardMap, slot::SlotName};

use crate::disk;

/// The file with the boot environment, beside the configuration.
const ENV: &str = "env.bin";
/// The file with header and FIT, likewise.
const SLOT: &str = "fit_a.bin";

/// Writes `genimage.cfg` for a disk `disk.img`, and what it names, to `folder`: a system in slot A that is known to be good, nothing in B.
/// `system` names files in `folder`, where also the contents of the board's own partitions are.
///
/// # Errors
/// When something has no room, or a file is missing.
pub fn write(map: &BoardMap, system: disk::Slot<'_>, folder: &Path) -> Result<()> {
    let partitions = &map.partitions;
    let mut slot = system.header.to_vec();
    slot.resize(usize::try_from(header::LENGTH)?, 0);
    slot.extend(fs::read(system.fit)?);
    fs::write(folder.join(SLOT), &slot)?;
    fs::write(folder.join(ENV), disk::env()?)?;
    let root = system.root.file_name().context("the root has no name")?.to_string_lossy().into_owned();
    let mut images = map.contents.clone();
    for (name, file) in [("env1", ENV), ("fit_a", SLOT), ("root_a", &root)] {
        images.insert(name.into(), file.into());
    }
    for (name, file) in &images {
        let region =
            partitions.partition(name).with_context(|| format!("the board has no partition {name}"))?;
        let bytes = fs::metadata(folder.join(file)).with_context(|| format!("{name}: {file}"))?.len();
        ensure!(bytes <= region.bytes, "{file}: {bytes} bytes do not fit into {name}, {}", region.bytes);
    }
    ensure!(partitions.fit(SlotName::A).bytes >= slot.len() as u64, "the FIT does not fit");
    fs::write(folder.join("genimage.cfg"), configuration(map, &images)?).context("writing genimage.cfg")
}

/// The configuration; `images` says which file is in which partition.
fn configuration(map: &BoardMap, images: &BTreeMap<String, String>) -> Result<String> {
    let mut text = format!(
        "# Made of board.toml by box-image.\n\
         image disk.img {{\n\
         \tsize = {}\n\
         \thdimage {{\n\
         \t\tpartition-table-type = \"{}\"\n\
         \t\tdisk-uuid = \"{}\"\n\
         \t}}\n",
        map.disk_bytes,
        // Hybrid: the old table names one of them, too.
        if map.mbr.is_some() { "hybrid" } else { "gpt" },
        disk::guid(0)
    );
    for (number, (name, region)) in (1..).zip(map.partitions.partitions()) {
        write!(
            text,
            "\tpartition {name} {{\n\
             \t\toffset = {}\n\
             \t\tsize = {}\n\
             \t\tpartition-type-uuid = \"L\"\n\
             \t\tpartition-uuid = \"{}\"\n",
            region.at,
            region.bytes,
            disk::guid(number)
        )?;
        if map.mbr.as_deref() == Some(name) {
            // FAT32 (LBA).
            text += "\t\tpartition-type = 0xc\n";
        }
        if let Some(file) = images.get(name) {
            writeln!(text, "\t\timage = \"{file}\"")?;
        }
        text += "\t}\n";
    }
    Ok(text + "}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_of_each_board_has_its_place_and_its_file() {
        let boards = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../board/boards");
        let mut seen = 0;
        for entry in fs::read_dir(boards).unwrap() {
            let Ok(text) = fs::read_to_string(entry.unwrap().path().join("board.toml")) else { continue };
            seen += 1;
            let map = BoardMap::parse(&text).unwrap();
            let made = configuration(&map, &map.contents).unwrap();
            let blocks: Vec<&str> = made.split("\tpartition ").skip(1).collect();
            assert_eq!(blocks.len(), map.partitions.partitions().count(), "{}", map.name);
            for ((name, region), block) in map.partitions.partitions().zip(blocks) {
                let (named, rest) = block.split_once(" {").unwrap();
                assert_eq!(named, name);
                assert!(rest.contains(&format!("offset = {}\n", region.at)), "{name}");
                assert!(rest.contains(&format!("size = {}\n", region.bytes)), "{name}");
                let file = map.contents.get(name).map(|file| format!("image = \"{file}\"\n"));
                assert_eq!(file.is_some(), rest.contains("image = "), "{name}");
                assert!(file.is_none_or(|file| rest.contains(&file)), "{name}");
                assert_eq!(rest.contains("partition-type = "), map.mbr.as_deref() == Some(name), "{name}");
            }
            assert_eq!(made.contains("\"hybrid\""), map.mbr.is_some(), "{}", map.name);
        }
        assert!(seen >= 3);
    }
}
