//! Which versions are used.
#![expect(unsafe_code, reason = "they are C libraries")]

use std::fmt;

use cudarc::{cublaslt, cudnn, driver, nvrtc};

use super::library::Library;

/// A version of CUDA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CudaVersion {
    /// What libraries and drivers have to agree on.
    pub major: usize,
    /// Grows with what is added.
    pub minor: usize,
}

impl CudaVersion {
    /// The newest that the driver knows, whose library has to be open.
    pub(super) fn of_driver() -> Option<Self> {
        let mut version = 0;
        // SAFETY: it writes a number.
        let asked = unsafe { driver::sys::cuDriverGetVersion(&raw mut version) };
        asked.result().ok()?;
        usize::try_from(version).ok().map(Self::from)
    }

    /// The one that a library was made for. The driver's own is made for any.
    pub(super) fn of_library(library: Library, opened: &libloading::Library) -> Option<Self> {
        // SAFETY: the functions are of these types, and ask for nothing to be done before them.
        unsafe {
            match library {
                Library::Cuda => None,
                Library::Nvrtc => {
                    type Version = unsafe extern "C" fn(*mut i32, *mut i32) -> i32;
                    let version = opened.get::<Version>("nvrtcVersion").ok()?;
                    let (mut major, mut minor) = (0, 0);
                    (version(&raw mut major, &raw mut minor) == 0).then_some(())?;
                    Some(Self {
                        major: usize::try_from(major).ok()?,
                        minor: usize::try_from(minor).ok()?,
                    })
                }
                Library::CublasLt | Library::Cudnn => {
                    let version = opened.get::<unsafe extern "C" fn() -> usize>(library.function());
                    Some(Self::from(version.ok()?()))
                }
            }
        }
    }
}

/// As CUDA writes it: 12040 is 12.4.
impl From<usize> for CudaVersion {
    fn from(version: usize) -> Self {
        Self {
            major: version / 1000,
            minor: version % 1000 / 10,
        }
    }
}

impl fmt::Display for CudaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The newest CUDA that the driver knows; `None` where there is no driver.
pub fn driver_version() -> Option<CudaVersion> {
    Library::Cuda.open(&[]).ok()?;
    CudaVersion::of_driver()
}

/// The newest CUDA that the driver knows, and the libraries, which were opened; cuDNN if it was.
pub(super) fn all(cudnn: bool) -> Vec<(&'static str, String)> {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: it writes two numbers.
    let _ = unsafe { nvrtc::sys::nvrtcVersion(&raw mut major, &raw mut minor) };
    // SAFETY: it reads a number of the library, which is open.
    let blas = unsafe { cublaslt::sys::cublasLtGetVersion() };
    let cuda =
        CudaVersion::of_driver().map_or_else(|| "unknown".to_owned(), |cuda| cuda.to_string());
    let mut all = vec![
        ("CUDA", cuda),
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
    use super::*;

    #[test]
    fn a_version_has_three_parts() {
        assert_eq!(of_three(92_800), "9.28.0");
        assert_eq!(of_three(130_002), "13.0.2");
    }

    #[test]
    fn cuda_counts_in_thousands() {
        assert_eq!(CudaVersion::from(12_040).to_string(), "12.4");
        assert_eq!(
            CudaVersion::from(13_000),
            CudaVersion {
                major: 13,
                minor: 0
            }
        );
    }
}
