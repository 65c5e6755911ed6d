//! What must not wait for statistics: a service that fails, and one that is silent.
