//! A signed place.
