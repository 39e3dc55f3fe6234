//! Every backend keeps the same promises, alone, together and when it is killed.

mod concurrency;
mod conformance;
mod corruption;
mod crash;
mod file;
mod fixture;
mod model;
