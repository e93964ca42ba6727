//! Which file system a device holds, by its first bytes: the kernel's readers of other kinds never see it.

/// A file system that sticks have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// FAT12, FAT16 or FAT32.
    Fat,
    /// exFAT.
    ExFat,
    /// ext2, ext3 or ext4.
    Ext4,
}

/// Bytes that tell.
pub(super) const HEAD: usize = 2048;

impl Kind {
    /// By the first [`HEAD`] bytes; `None`: none of these.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let at = |from: usize, what: &[u8]| head.get(from..from + what.len()) == Some(what);
        let boot = at(510, &[0x55, 0xaa]);
        // The names stand in the boot sector (Microsoft's FAT and exFAT specifications), ext4's number in its superblock at 1024.
        if boot && at(3, b"EXFAT   ") {
            Some(Self::ExFat)
        } else if boot && (at(54, b"FAT") || at(82, b"FAT32")) {
            Some(Self::Fat)
        } else {
            at(1024 + 0x38, &[0x53, 0xef]).then_some(Self::Ext4)
        }
    }

    /// The kernel's name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Fat => "vfat",
            Self::ExFat => "exfat",
            Self::Ext4 => "ext4",
        }
    }

    /// What it is told so that not a byte is written: ext4 would replay its journal even where it is only read.
    pub(super) const fn options(self) -> Option<&'static str> {
        match self {
            Self::Ext4 => Some("noload"),
            Self::Fat | Self::ExFat => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut head = vec![0; HEAD];
        for (at, bytes) in parts {
            head[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        head
    }

    #[test]
    fn each_file_system_is_known_by_its_own_mark() {
        let boot: (usize, &[u8]) = (510, &[0x55, 0xaa]);
        assert_eq!(Kind::of(&head(&[boot, (3, b"EXFAT   ")])), Some(Kind::ExFat));
        assert_eq!(Kind::of(&head(&[boot, (82, b"FAT32   ")])), Some(Kind::Fat));
        assert_eq!(Kind::of(&head(&[boot, (54, b"FAT16   ")])), Some(Kind::Fat));
        assert_eq!(Kind::of(&head(&[(1080, &[0x53, 0xef])])), Some(Kind::Ext4));
        // A partition table, NTFS, a torn boot sector, nothing.
        assert_eq!(Kind::of(&head(&[boot])), None);
        assert_eq!(Kind::of(&head(&[boot, (3, b"NTFS    ")])), None);
        assert_eq!(Kind::of(&head(&[(82, b"FAT32   ")])), None);
        assert_eq!(Kind::of(&head(&[(3, b"EXFAT   ")])), None);
        assert_eq!(Kind::of(&[]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_kind_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..HEAD)) {
            let _ = Kind::of(&bytes);
        }
    }
}
