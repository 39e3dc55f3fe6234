//! Which versions are used.
#![expect(unsafe_code, reason = "they are C libraries")]

use cudarc::{cublaslt, cudnn, driver, nvrtc};

/// The newest CUDA that the driver knows, and the libraries, which were opened; cuDNN if it was.
pub(super) fn all(cudnn: bool) -> Vec<(&'static str, String)> {
    let mut cuda = 0;
    // SAFETY: it writes a number.
    let _ = unsafe { driver::sys::cuDriverGetVersion(&raw mut cuda) };
    let (mut major, mut minor) = (0, 0);
    // SAFETY: it writes two numbers.
    let _ = unsafe { nvrtc::sys::nvrtcVersion(&raw mut major, &raw mut minor) };
    // SAFETY: it reads a number of the library, which is open.
    let blas = unsafe { cublaslt::sys::cublasLtGetVersion() };
    let mut all = vec![
        ("CUDA", format!("{}.{}", cuda / 1000, cuda % 1000 / 10)),
        ("NVRTC", format!("{major}.{minor}")),
        ("cuBLASLt", of_three(blas)),
    ];
    if cudnn {
        // SAFETY: likewise.
        all.push(("cuDNN", of_three(unsafe { cudnn::sys::cudnnGetVersion() })));
    }
    all
}

/// As the libraries write it: two digits for each part but the first.
fn of_three(version: usize) -> String {
    format!(
        "{}.{}.{}",
        version / 10_000,
        version % 10_000 / 100,
        version % 100
    )
}

#[cfg(test)]
mod tests {
    use super::of_three;

    #[test]
    fn a_version_has_three_parts() {
        assert_eq!(of_three(92_800), "9.28.0");
        assert_eq!(of_three(130_002), "13.0.2");
    }
}
