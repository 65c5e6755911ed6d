//! One identity, one place.
