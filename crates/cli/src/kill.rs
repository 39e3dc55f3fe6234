//! Ends the process at a named point, as `kill -9` would. Only builds for tests have such points.

/// The variable that names the point.
const VARIABLE: &str = "TRYON_KILL_AT";

/// Arms the point that the environment names.
pub(crate) fn arm() {
    if !fail::has_failpoints() {
        return;
    }
    if let Ok(point) = std::env::var(VARIABLE) {
        let armed = fail::cfg_callback(point, || {
            let own = rustix::process::getpid();
            let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
            // The signal may take a moment; nothing more happens here.
            loop {
                std::thread::park();
            }
        });
        armed.expect("BUG: a callback is a valid action");
    }
}
