//! Configuration files whose errors name file, line and key.
