//! NVIDIA's libraries, found while the program runs.
//!
//! Machines without a toolkit have them elsewhere than where the system's loader looks, most often
//! in a Python environment, so they are looked for here and opened by their path. `cudarc`, which
//! opens a library by its name, is given the same one ([`alias`]).

#[cfg(test)]
mod tests;

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::{alias, error::OpenError, version::CudaVersion};

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

impl Library {
    /// All of them, in the order in which they are to be opened: the driver's version decides which
    /// of the others can be used.
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
    const fn files(self) -> &'static [&'static str] {
        match self {
            Self::Cuda => &["libcuda.so.1"],
            Self::Nvrtc => &["libnvrtc.so.13", "libnvrtc.so.12"],
            Self::CublasLt => &["libcublasLt.so.13", "libcublasLt.so.12"],
            Self::Cudnn => &["libcudnn.so.9"],
        }
    }

    /// What `cudarc` asks the loader for first.
    const fn alias(self) -> &'static str {
        match self {
            Self::Cuda => "libcuda.so",
            Self::Nvrtc => "libnvrtc.so",
            Self::CublasLt => "libcublasLt.so",
            Self::Cudnn => "libcudnn.so",
        }
    }

    /// A function that every version has.
    pub(super) const fn function(self) -> &'static str {
        match self {
            Self::Cuda => "cuDriverGetVersion",
            Self::Nvrtc => "nvrtcVersion",
            Self::CublasLt => "cublasLtGetCudartVersion",
            Self::Cudnn => "cudnnGetCudartVersion",
        }
    }

    /// What it opens by itself when it is first used for something. Where one is missing then, the
    /// library ends the process.
    const fn parts(self) -> &'static [&'static str] {
        match self {
            Self::Cuda | Self::Nvrtc | Self::CublasLt => &[],
            Self::Cudnn => &[
                "libcudnn_graph.so.9",
                "libcudnn_ops.so.9",
                "libcudnn_engines_precompiled.so.9",
                "libcudnn_engines_runtime_compiled.so.9",
                "libcudnn_heuristic.so.9",
            ],
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

    /// Opens it for good, unless it is open; where it is, or its name where the system's loader
    /// found it. `folders` are looked into first.
    ///
    /// # Errors
    ///
    /// A library that is nowhere, with every place that was looked at; one that is there and cannot
    /// be used, if there is no other: which cannot be opened, lacks a part, or is of a newer CUDA
    /// than the driver, where that is open.
    pub fn open(self, folders: &[PathBuf]) -> Result<PathBuf, OpenError> {
        static OPEN: Mutex<Vec<(Library, PathBuf)>> = Mutex::new(Vec::new());
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |open: &[(Self, PathBuf)], which| {
            let known = open.iter().find(|(library, _)| *library == which);
            known.map(|(_, at)| at.clone())
        };
        if let Some(at) = known(&open, self) {
            return Ok(at);
        }
        let driver = known(&open, Self::Cuda).and_then(|_| CudaVersion::of_driver());
        let at = Search::new(self, driver).carry_out(folders)?;
        open.push((self, at.clone()));
        Ok(at)
    }
}

/// A search for a library.
struct Search {
    library: Library,
    /// What the driver knows.
    driver: Option<CudaVersion>,
    /// Everywhere that was looked.
    places: Vec<String>,
    /// Why the first that was there cannot be used.
    refused: Option<OpenError>,
}

impl Search {
    fn new(library: Library, driver: Option<CudaVersion>) -> Self {
        Self {
            library,
            driver,
            places: Vec::new(),
            refused: None,
        }
    }

    fn carry_out(mut self, folders: &[PathBuf]) -> Result<PathBuf, OpenError> {
        let found = self.look(folders);
        let Self {
            library,
            places,
            refused,
            ..
        } = self;
        found.ok_or_else(|| {
            refused.unwrap_or_else(|| OpenError::Missing {
                library: library.name(),
                names: library.files().join(" or "),
                places,
            })
        })
    }

    fn look(&mut self, folders: &[PathBuf]) -> Option<PathBuf> {
        let given = folders.iter().find_map(|folder| self.look_in(folder));
        given.or_else(|| self.look_in_system()).or_else(|| {
            let mut usual = toolkits().chain(packages(self.library));
            usual.find_map(|folder| self.look_in(&folder))
        })
    }

    fn look_in(&mut self, folder: &Path) -> Option<PathBuf> {
        self.places.push(folder.display().to_string());
        let files = self.library.files().iter().map(|file| folder.join(file));
        let mut there = files.filter(|path| path.exists());
        there.find_map(|path| {
            let opened = load(&path);
            let opened = opened.map_err(|source| OpenError::Unopened {
                at: path.clone(),
                source,
            });
            self.take(&path, opened)
        })
    }

    /// Whatever the loader does not open is not there for it.
    fn look_in_system(&mut self) -> Option<PathBuf> {
        self.places.push("the loader's folders".to_owned());
        let mut files = self.library.files().iter().map(Path::new);
        files.find_map(|file| self.take(file, Ok(load(file).ok()?)))
    }

    /// Where it is, if it can be used; it stays open then.
    fn take(
        &mut self,
        at: &Path,
        opened: Result<libloading::Library, OpenError>,
    ) -> Option<PathBuf> {
        let usable = opened.and_then(|opened| {
            // Closed again if anything fails: of two under one name the first would be used.
            let parts = self.open_parts(at)?;
            // Of cuDNN the part is asked that the rest is loaded by: it loads nothing for the answer.
            let asked = match self.library {
                Library::Cudnn => &parts[0],
                _ => &opened,
            };
            self.compare_with_driver(at, asked)?;
            self.name(at, &opened)?;
            std::mem::forget((opened, parts));
            Ok(at.to_owned())
        });
        match usable {
            Ok(at) => Some(at),
            Err(error) => {
                self.refused.get_or_insert(error);
                None
            }
        }
    }

    /// They are beside it, or where the loader looks if it found that too, and have to be known by
    /// their names then: an earlier copy, which was refused, may not have been closed for all that.
    fn open_parts(&self, at: &Path) -> Result<Vec<libloading::Library>, OpenError> {
        let mut opened = Vec::new();
        for part in self.library.parts() {
            let open = |name: &Path| {
                load(name).map_err(|source| OpenError::Incomplete {
                    library: self.library.name(),
                    at: at.to_owned(),
                    part,
                    source,
                })
            };
            let path = at.with_file_name(part);
            let (by_path, path_handle) = handle(open(&path)?);
            let (by_name, name_handle) = handle(open(Path::new(part))?);
            if path_handle != name_handle {
                return Err(OpenError::Shadowed {
                    at: path,
                    alias: part,
                    source: None,
                });
            }
            opened.extend([by_path, by_name]);
        }
        if self.library == Library::Nvrtc {
            opened.extend(builtins(at).iter().filter_map(|file| load(file).ok()));
        }
        Ok(opened)
    }

    /// A driver knows the libraries of its own CUDA's major version, and of earlier ones.
    fn compare_with_driver(
        &self,
        at: &Path,
        opened: &libloading::Library,
    ) -> Result<(), OpenError> {
        match (CudaVersion::of_library(self.library, opened), self.driver) {
            (Some(cuda), Some(driver)) if cuda.major > driver.major => Err(OpenError::TooNew {
                at: at.to_owned(),
                cuda,
                driver,
            }),
            _ => Ok(()),
        }
    }

    /// Has `cudarc` find this one: by the name that it asks for first or, if there can be none, by
    /// those that it asks for after that.
    fn name(&self, at: &Path, opened: &libloading::Library) -> Result<(), OpenError> {
        let (alias, function) = (self.library.alias(), self.library.function());
        let named = alias::open(alias, at).err();
        let names = [alias].into_iter().chain(self.library.files().to_vec());
        let used = first_of(names).map_err(|source| OpenError::Unopened {
            at: at.to_owned(),
            source,
        })?;
        let used = address(&used, function);
        if used.is_some() && used == address(opened, function) {
            return Ok(());
        }
        Err(OpenError::Shadowed {
            at: at.to_owned(),
            alias,
            source: named,
        })
    }
}

/// What this NVRTC is built on, which it looks for by its name only.
fn builtins(nvrtc: &Path) -> Vec<PathBuf> {
    let major = nvrtc.extension().unwrap_or_default().to_string_lossy();
    let start = format!("libnvrtc-builtins.so.{major}");
    let folder = nvrtc.parent().map(fs::read_dir);
    let files = folder.into_iter().flatten().flatten().flatten();
    let files = files.map(|entry| entry.path());
    let is_it = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&start)
    };
    files.filter(is_it).collect()
}

/// Opens a library, until what is returned is dropped.
#[expect(unsafe_code, reason = "a library's constructors run when it is opened")]
pub(super) fn load(path: &Path) -> Result<libloading::Library, libloading::Error> {
    // SAFETY: these are NVIDIA's libraries, under their own names, from folders that are theirs, and
    // what stands for them; they may be opened and closed by any thread.
    unsafe { libloading::Library::new(path) }
}

/// Opens the first of these that the loader knows.
fn first_of(
    mut names: impl Iterator<Item = &'static str>,
) -> Result<libloading::Library, libloading::Error> {
    let first = names.next().expect("BUG: a library has a name");
    names.fold(load(Path::new(first)), |opened, name| {
        opened.or_else(|_| load(Path::new(name)))
    })
}

/// A library with what the loader knows it by, which is the same however often it is opened.
#[expect(
    unsafe_code,
    reason = "a library is taken apart and put together again"
)]
fn handle(library: libloading::Library) -> (libloading::Library, usize) {
    use libloading::os::unix::Library;
    let handle = Library::from(library).into_raw();
    // SAFETY: it was just taken out of the one that had it.
    (unsafe { Library::from_raw(handle) }.into(), handle as usize)
}

/// Where a function is.
#[expect(unsafe_code, reason = "it is looked for by its name")]
fn address(library: &libloading::Library, function: &str) -> Option<usize> {
    // SAFETY: it is not called.
    let found = unsafe { library.get::<unsafe extern "C" fn()>(function) };
    found.ok().map(|found| *found as usize)
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
