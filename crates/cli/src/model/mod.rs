//! Models by name: what is published, and pulling it from a hub into a folder.
//!
//! | module | holds |
//! |---|---|
//! | [`catalogue`] | the models that a node can use, and where they are published |
//! | [`mod@file`] | a file of a model: where it belongs, how long it is and its digest |
//! | [`hub`] | the HTTP API of a Hugging Face compatible hub |
//! | [`download`] | one file, from where it was left |
//! | [`retries`] | asking a hub again |
//! | [`pull`] | a whole model, which appears complete or not at all |
//! | [`place`] | the folders of a model that is being pulled |
//! | [`manifest`] | what was installed, kept beside it |
//! | [`progress`] | how far it is |

pub(crate) mod catalogue;
mod download;
pub(crate) mod file;
pub(crate) mod hub;
pub(crate) mod manifest;
pub(crate) mod place;
pub(crate) mod progress;
pub(crate) mod pull;
mod retries;
