//! engine-preview

pub mod raster;

mod geometry;
