//! When a room opens and closes.
