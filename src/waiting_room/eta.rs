//! How long it will take: a range with a stated confidence.
