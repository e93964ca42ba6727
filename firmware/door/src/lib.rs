//! Where strangers' HTTP comes in, with limits.
