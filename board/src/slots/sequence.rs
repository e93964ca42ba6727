//! The order of installing. It is data so that tests can install in other orders and show what each step is for.

/// A step of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The environment says that the slot is empty: the boot script does not try it. Flushes itself.
    Begin,
    /// The slot's header is made zeros: it holds nothing.
    ZeroHeader,
    /// Everything written so far is on the medium.
    Flush,
    /// The images are written, in any order and as slowly as the network is.
    Data,
    /// The images are read back and hashed.
    ReadBack,
    /// The header is written: the slot holds a system.
    Header,
    /// The environment says that the slot is to be tried first. Flushes itself.
    Activate,
}

/// The right order.
pub const SEQUENCE: &[Step] = &[
    Step::Begin,
    Step::ZeroHeader,
    Step::Flush,
    Step::Data,
    Step::Flush,
    Step::ReadBack,
    Step::Header,
    Step::Flush,
    Step::Activate,
];
