//! NVIDIA's libraries, found while the program runs.
//!
//! `cudarc` opens a library by its name, where the system's loader finds it. Machines without a
//! toolkit have them elsewhere, most often in a Python environment, so they are looked for here
//! and opened by their path first: a library that is open already is found by its name from then
//! on.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::error::OpenError;

/// A library of NVIDIA's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Library {
    /// Comes with the driver.
    Cuda,
    /// Compiles kernels.
    Nvrtc,
    /// Multiplies matrices.
    CublasLt,
    /// Attends; there is a kernel for it where it is missing.
    Cudnn,
}

/// Where a library is, or is not.
#[derive(Debug, Clone)]
pub struct Found {
    /// Which.
    pub library: Library,
    /// The file, or its name where the system's loader found it.
    pub at: Option<PathBuf>,
    /// Everywhere that was looked.
    pub places: Vec<String>,
}

impl Library {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Cuda, Self::Nvrtc, Self::CublasLt, Self::Cudnn];

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cuda => "the CUDA driver",
            Self::Nvrtc => "NVRTC",
            Self::CublasLt => "cuBLASLt",
            Self::Cudnn => "cuDNN",
        }
    }

    /// Its file, of each version that can be used.
    pub const fn files(self) -> &'static [&'static str] {
        match self {
            Self::Cuda => &["libcuda.so.1"],
            Self::Nvrtc => &["libnvrtc.so.13", "libnvrtc.so.12"],
            Self::CublasLt => &["libcublasLt.so.13", "libcublasLt.so.12"],
            Self::Cudnn => &["libcudnn.so.9"],
        }
    }

    /// The folder of its Python package, of CUDA 13 and of CUDA 12.
    const fn wheels(self) -> &'static [&'static str] {
        match self {
            Self::Cuda => &[],
            Self::Nvrtc => &["nvidia/cu13/lib", "nvidia/cuda_nvrtc/lib"],
            Self::CublasLt => &["nvidia/cu13/lib", "nvidia/cublas/lib"],
            Self::Cudnn => &["nvidia/cudnn/lib"],
        }
    }

    /// Opens it for good, unless it is open. `folders` are looked into first.
    pub fn open(self, folders: &[PathBuf]) -> Result<PathBuf, OpenError> {
        let Found { at, places, .. } = self.find(folders);
        at.ok_or_else(|| OpenError::Missing {
            library: self.name(),
            names: self.files().join(" or "),
            places,
        })
    }

    /// The same, and where it was looked for.
    pub fn find(self, folders: &[PathBuf]) -> Found {
        static OPEN: Mutex<Vec<(Library, PathBuf)>> = Mutex::new(Vec::new());
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = Found {
            library: self,
            at: None,
            places: Vec::new(),
        };
        let known = open.iter().find(|(library, _)| *library == self);
        if let Some((_, at)) = known {
            found.at = Some(at.clone());
            return found;
        }
        found.look(folders);
        if let Some(at) = &found.at {
            open.push((self, at.clone()));
        }
        found
    }
}

impl Found {
    fn look(&mut self, folders: &[PathBuf]) {
        for folder in folders {
            if self.look_in(folder) {
                return;
            }
        }
        self.places.push("the loader's folders".to_owned());
        for file in self.library.files() {
            if load(Path::new(file)) {
                self.at = Some(file.into());
                return;
            }
        }
        for folder in toolkits().chain(packages(self.library)) {
            if self.look_in(&folder) {
                return;
            }
        }
    }

    fn look_in(&mut self, folder: &Path) -> bool {
        self.places.push(folder.display().to_string());
        for file in self.library.files() {
            let path = folder.join(file);
            if path.exists() && self.open_at(&path) {
                self.at = Some(path);
                return true;
            }
        }
        false
    }

    /// What NVRTC is built on is opened before it: it looks for that by its name only.
    fn open_at(&self, path: &Path) -> bool {
        if self.library == Library::Nvrtc {
            let folder = path.parent().unwrap_or(Path::new("/"));
            let files = fs::read_dir(folder).into_iter().flatten().flatten();
            for file in files.map(|entry| entry.path()) {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                let major = path.extension().unwrap_or_default().to_string_lossy();
                if name.starts_with(&format!("libnvrtc-builtins.so.{major}")) {
                    load(&file);
                }
            }
        }
        load(path)
    }
}

/// Opens a library for good.
#[expect(unsafe_code, reason = "a library's constructors run when it is opened")]
fn load(path: &Path) -> bool {
    // SAFETY: these are NVIDIA's libraries, under their own names, from folders that are theirs;
    // they may be opened by any thread.
    match unsafe { libloading::Library::new(path) } {
        Ok(library) => {
            std::mem::forget(library);
            true
        }
        Err(_) => false,
    }
}

/// Where toolkits are.
fn toolkits() -> impl Iterator<Item = PathBuf> {
    let named = ["CUDA_HOME", "CUDA_PATH"].into_iter();
    let named = named.filter_map(|name| env::var_os(name).map(PathBuf::from));
    let usual = ["/usr/local/cuda", "/opt/cuda"].map(PathBuf::from);
    named.chain(usual).map(|toolkit| toolkit.join("lib64"))
}

/// Where Python's packages are, of those environments that are known without asking Python.
fn packages(library: Library) -> impl Iterator<Item = PathBuf> {
    let environments = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter();
    let environments = environments.filter_map(|name| env::var_os(name).map(PathBuf::from));
    let own = env::var_os("HOME").map(|home| Path::new(&home).join(".local"));
    let usual = ["/usr/local", "/usr", "/opt/venv"].map(PathBuf::from);
    environments
        .chain(own)
        .chain(usual)
        .flat_map(|root| sites(&root.join("lib")))
        .flat_map(move |site| library.wheels().iter().map(move |wheel| site.join(wheel)))
}

/// `python3*/site-packages` and Debian's own of it.
fn sites(folder: &Path) -> Vec<PathBuf> {
    let pythons = fs::read_dir(folder).into_iter().flatten().flatten();
    let pythons = pythons.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("python3")
    });
    let mut sites: Vec<PathBuf> = pythons
        .flat_map(|python| ["site-packages", "dist-packages"].map(|site| python.join(site)))
        .filter(|site| site.is_dir())
        .collect();
    sites.sort();
    sites
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_every_place() {
        let folder = tempfile::tempdir().unwrap();
        let mut found = Found {
            library: Library::Cudnn,
            at: None,
            places: Vec::new(),
        };
        assert!(!found.look_in(folder.path()));
        assert_eq!(found.places, [folder.path().display().to_string()]);
        let error = OpenError::Missing {
            library: Library::Cudnn.name(),
            names: Library::Cudnn.files().join(" or "),
            places: found.places,
        };
        let expected = format!(
            "cuDNN was not found: looked for libcudnn.so.9 in {}",
            folder.path().display()
        );
        assert_eq!(error.to_string(), expected);
    }

    /// Such a file is no library.
    #[test]
    fn a_file_that_is_no_library_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("libcudnn.so.9"), "not one").unwrap();
        let mut found = Found {
            library: Library::Cudnn,
            at: None,
            places: Vec::new(),
        };
        assert!(!found.look_in(folder.path()) && found.at.is_none());
    }

    #[test]
    fn packages_of_every_python_are_looked_into() {
        let root = tempfile::tempdir().unwrap();
        for python in ["python3.12/site-packages", "python3/dist-packages", "other"] {
            fs::create_dir_all(root.path().join(python)).unwrap();
        }
        let names: Vec<_> = sites(root.path())
            .iter()
            .map(|site| site.strip_prefix(root.path()).unwrap().to_owned())
            .collect();
        let expected = ["python3/dist-packages", "python3.12/site-packages"];
        assert_eq!(names, expected.map(PathBuf::from));
    }
}
