//! Numbers, places, and who has been called.
