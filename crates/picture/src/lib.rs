//! Pictures within limits.
