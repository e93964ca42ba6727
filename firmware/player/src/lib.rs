//! The player page and what pages are made of.
