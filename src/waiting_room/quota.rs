//! Exactly so many successes a wave.
