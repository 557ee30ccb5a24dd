//! Load generator, limit programs, peers
