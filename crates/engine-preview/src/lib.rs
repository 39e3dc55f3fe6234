//! engine-preview

pub mod raster;

mod garment;
mod geometry;
