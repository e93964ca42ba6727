//! The desk of a box without cameras on any network: what the page's process asks, and what is kept.
