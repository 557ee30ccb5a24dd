//! The admin port: health, readiness, metrics.
