//! The draw of a lobby that anyone can recompute.
