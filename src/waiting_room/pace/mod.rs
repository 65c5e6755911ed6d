//! How many people to call now.
