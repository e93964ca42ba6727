//! WireGuard for box and cloud.
