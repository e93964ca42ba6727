//! How a box becomes part of a cloud.
