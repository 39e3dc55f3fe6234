//! The supervisor against real worker processes.

mod supervisor;

tryon_testkit::fake_worker!();
