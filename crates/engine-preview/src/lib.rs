//! engine-preview
