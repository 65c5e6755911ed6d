//! What the waiting person reads.
