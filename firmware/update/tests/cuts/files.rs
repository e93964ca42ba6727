//! A file system in memory that loses its power: harsher than those that boxes have. Every name and every file's bytes may reach the
//! medium or not, in any order, until they are flushed; flushing a file does not save its name.

use std::collections::BTreeMap;
use std::io;

use update::migrate::Folders;

/// What is on a medium.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Tree {
    Folder(BTreeMap<String, Tree>),
    File(Vec<u8>),
    Link(String),
}

impl Tree {
    pub(crate) fn empty() -> Self {
        Self::Folder(BTreeMap::new())
    }

    pub(crate) fn at(&self, path: &str) -> Option<&Self> {
        path.split('/').filter(|name| !name.is_empty()).try_fold(self, |tree, name| match tree {
            Self::Folder(names) => names.get(name),
            _ => None,
        })
    }

    /// The same with a file more, in a folder that is there.
    pub(crate) fn with(mut self, path: &str, bytes: &str) -> Self {
        let mut tree = &mut self;
        for name in path.split('/') {
            let Self::Folder(names) = tree else { panic!("no folder: {path}") };
            tree = names.entry(name.to_owned()).or_insert_with(Self::empty);
        }
        *tree = Self::File(bytes.as_bytes().to_vec());
        self
    }

    /// A file's text.
    pub(crate) fn text(&self, path: &str) -> Option<String> {
        match self.at(path)? {
            Self::File(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        }
    }
}

type Id = usize;

#[derive(Debug, Clone)]
enum Node {
    Folder(BTreeMap<String, Id>),
    File(Vec<u8>),
    Link(String),
}

/// Something that has not been flushed.
#[derive(Debug, Clone)]
enum Change {
    Names(Id, Vec<(String, Option<Id>)>),
    Bytes(Id, Vec<u8>),
}

type Nodes = BTreeMap<Id, Node>;

/// The file system while it runs.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    safe: Nodes,
    seen: Nodes,
    unflushed: Vec<Change>,
    next: Id,
    /// The moments of all operations: what was safe, and what was on its way.
    moments: Vec<(Nodes, Vec<Change>)>,
    /// Nothing more can be written to files.
    pub(crate) full: bool,
    /// A flush promises and does nothing.
    pub(crate) lies: bool,
}

const ROOT: Id = 0;

impl Change {
    fn apply(&self, nodes: &mut Nodes, torn: bool) {
        match self {
            Self::Names(folder, names) => {
                let Some(Node::Folder(entries)) = nodes.get_mut(folder) else { return };
                for (name, id) in names {
                    match id {
                        Some(id) => entries.insert(name.clone(), *id),
                        None => entries.remove(name),
                    };
                }
            }
            Self::Bytes(file, bytes) => {
                let kept = if torn { bytes.len() / 2 } else { bytes.len() };
                nodes.insert(*file, Node::File(bytes[..kept].to_vec()));
            }
        }
    }
}

impl Disk {
    pub(crate) fn on(tree: &Tree) -> Self {
        let mut disk = Self {
            safe: Nodes::new(),
            seen: Nodes::new(),
            unflushed: Vec::new(),
            next: ROOT,
            moments: Vec::new(),
            full: false,
            lies: false,
        };
        let mut nodes = Nodes::new();
        disk.plant(tree, &mut nodes);
        disk.seen.clone_from(&nodes);
        disk.safe = nodes;
        disk
    }

    fn plant(&mut self, tree: &Tree, nodes: &mut Nodes) -> Id {
        let id = self.next;
        self.next += 1;
        let node = match tree {
            Tree::File(bytes) => Node::File(bytes.clone()),
            Tree::Link(to) => Node::Link(to.clone()),
            Tree::Folder(names) => Node::Folder(
                names.iter().map(|(name, tree)| (name.clone(), self.plant(tree, nodes))).collect(),
            ),
        };
        nodes.insert(id, node);
        id
    }

    /// What is there for whoever runs.
    pub(crate) fn tree(&self) -> Tree {
        harvest(&self.seen, ROOT)
    }

    /// How many moments there were, and every tree that a cut in one of them can leave.
    pub(crate) fn survivors(&self) -> (usize, Vec<Tree>) {
        let mut found = Vec::new();
        for (safe, unflushed) in &self.moments {
            // 0: lost, 1: there, 2: torn, which is a file's bytes only.
            let choices = |change: &Change| if matches!(change, Change::Bytes(..)) { 3 } else { 2 };
            let all: usize = unflushed.iter().map(choices).product();
            for mut choice in 0..all {
                let mut nodes = safe.clone();
                for change in unflushed {
                    let kept = choice % choices(change);
                    choice /= choices(change);
                    if kept != 0 {
                        change.apply(&mut nodes, kept == 2);
                    }
                }
                found.push(harvest(&nodes, ROOT));
            }
        }
        (self.moments.len(), found)
    }

    fn find(&self, path: &str) -> Option<Id> {
        path.split('/').filter(|name| !name.is_empty()).try_fold(ROOT, |id, name| {
            match self.seen.get(&id)? {
                Node::Folder(names) => names.get(name).copied(),
                _ => None,
            }
        })
    }

    fn place(&self, path: &str) -> io::Result<(Id, String)> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = self.find(folder).ok_or(io::ErrorKind::NotFound)?;
        Ok((folder, name.to_owned()))
    }

    fn pass(&mut self) {
        self.moments.push((self.safe.clone(), self.unflushed.clone()));
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen, false);
        self.unflushed.push(change);
        self.pass();
    }

    fn save(&mut self, which: impl Fn(&Change) -> bool) {
        self.pass();
        if !self.lies {
            let (saved, left) =
                std::mem::take(&mut self.unflushed).into_iter().partition(|change| which(change));
            self.unflushed = left;
            let saved: Vec<Change> = saved;
            for change in saved {
                change.apply(&mut self.safe, false);
            }
        }
    }

    /// A new thing: it exists at once, its name when that is saved.
    fn add(&mut self, path: &str, node: Node) -> io::Result<Id> {
        let (folder, name) = self.place(path)?;
        if self.find(path).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let id = self.next;
        self.next += 1;
        self.safe.insert(id, node.clone());
        self.seen.insert(id, node);
        self.change(Change::Names(folder, vec![(name, Some(id))]));
        Ok(id)
    }
}

fn harvest(nodes: &Nodes, id: Id) -> Tree {
    match &nodes[&id] {
        Node::File(bytes) => Tree::File(bytes.clone()),
        Node::Link(to) => Tree::Link(to.clone()),
        Node::Folder(names) => {
            Tree::Folder(names.iter().map(|(name, id)| (name.clone(), harvest(nodes, *id))).collect())
        }
    }
}

impl Folders for Disk {
    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        Ok(match self.find(folder).map(|id| &self.seen[&id]) {
            Some(Node::Folder(names)) => names.keys().cloned().collect(),
            _ => Vec::new(),
        })
    }

    fn read(&self, file: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(match self.find(file).map(|id| &self.seen[&id]) {
            Some(Node::File(bytes)) => Some(bytes.clone()),
            _ => None,
        })
    }

    fn linked(&self, link: &str) -> io::Result<Option<String>> {
        Ok(match self.find(link).map(|id| &self.seen[&id]) {
            Some(Node::Link(to)) => Some(to.clone()),
            _ => None,
        })
    }

    fn write(&mut self, file: &str, bytes: &[u8]) -> io::Result<()> {
        let id = self.add(file, Node::File(Vec::new()))?;
        if self.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.change(Change::Bytes(id, bytes.to_vec()));
        Ok(())
    }

    fn flush_file(&mut self, file: &str) -> io::Result<()> {
        let id = self.find(file).ok_or(io::ErrorKind::NotFound)?;
        self.save(|change| matches!(change, Change::Bytes(file, _) if *file == id));
        Ok(())
    }

    fn flush(&mut self, folder: &str) -> io::Result<()> {
        let id = self.find(folder).ok_or(io::ErrorKind::NotFound)?;
        self.save(|change| matches!(change, Change::Names(folder, _) if *folder == id));
        Ok(())
    }

    fn make(&mut self, folder: &str) -> io::Result<()> {
        if self.find(folder).is_none() {
            self.add(folder, Node::Folder(BTreeMap::new()))?;
        }
        Ok(())
    }

    fn link(&mut self, link: &str, to: &str) -> io::Result<()> {
        self.add(link, Node::Link(to.to_owned())).map(drop)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let id = self.find(from).ok_or(io::ErrorKind::NotFound)?;
        let replaced = self.find(to).map(|id| &self.seen[&id]);
        if matches!(replaced, Some(Node::Folder(names)) if !names.is_empty()) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let ((folder, from), (target, to)) = (self.place(from)?, self.place(to)?);
        assert_eq!(folder, target, "only within a folder");
        self.change(Change::Names(folder, vec![(from, None), (to, Some(id))]));
        Ok(())
    }

    fn remove(&mut self, path: &str) -> io::Result<()> {
        let Some(id) = self.find(path) else { return Ok(()) };
        if let Node::Folder(names) = &self.seen[&id] {
            for name in names.keys().cloned().collect::<Vec<_>>() {
                self.remove(&format!("{path}/{name}"))?;
            }
        }
        let (folder, name) = self.place(path)?;
        self.change(Change::Names(folder, vec![(name, None)]));
        Ok(())
    }
}
