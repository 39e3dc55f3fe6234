//! The kernels' sources as machine code, by NVRTC, kept on disk.
#![expect(unsafe_code, reason = "NVRTC is a C library")]

use std::{ffi::CString, fmt::Write as _, fs, path::Path};

use cudarc::nvrtc::{result, sys};
use sha2::{Digest as _, Sha256};

use super::{
    super::kernel::Source,
    error::{Called as _, OpenError},
};

/// What is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Machine code of this capability.
    Machine(u32),
    /// An intermediate form of this capability, which the driver makes machine code of: for
    /// devices that are younger than the compiler.
    Virtual(u32),
}

impl Target {
    /// The best that the compiler has for a device of this capability, such as 90.
    pub(super) fn of(capability: u32) -> Result<Self, OpenError> {
        let mut count = 0;
        // SAFETY: it writes one number.
        unsafe { sys::nvrtcGetNumSupportedArchs(&raw mut count) }
            .result()
            .called("nvrtcGetNumSupportedArchs")?;
        let mut known = vec![0; usize::try_from(count).unwrap_or(0)];
        // SAFETY: it writes as many numbers as it has just said.
        unsafe { sys::nvrtcGetSupportedArchs(known.as_mut_ptr()) }
            .result()
            .called("nvrtcGetSupportedArchs")?;
        let known = known.iter().filter_map(|arch| u32::try_from(*arch).ok());
        let best = known.filter(|arch| *arch <= capability).max();
        Ok(match best {
            Some(best) if best < capability => Self::Virtual(best),
            _ => Self::Machine(capability),
        })
    }

    fn name(self) -> String {
        match self {
            Self::Machine(capability) => format!("sm_{capability}"),
            Self::Virtual(capability) => format!("compute_{capability}"),
        }
    }

    /// What the compiler is told.
    fn options(self) -> [String; 3] {
        [
            format!("--gpu-architecture={}", self.name()),
            "--std=c++17".to_owned(),
            // Functions that a source does not use are no mistake: they come with every source.
            "--diag-suppress=177".to_owned(),
        ]
    }
}

/// A compiled source, from the cache or into it. What is damaged there is compiled anew; a cache that
/// cannot be written to is done without.
pub(super) fn compiled(
    source: &Source,
    target: Target,
    cache: Option<&Path>,
) -> Result<Vec<u8>, OpenError> {
    let file = cache.map(|cache| cache.join(name(source, target)));
    let kept = file.as_ref().and_then(|file| fs::read(file).ok());
    if let Some(code) = kept.and_then(unsealed) {
        return Ok(code);
    }
    let code = compile(source, target)?;
    if let (Some(file), Some(cache)) = (file, cache) {
        // Under another name first: what is half written is not read.
        let part = file.with_extension(format!("part{}", std::process::id()));
        let written = fs::create_dir_all(cache).and_then(|()| fs::write(&part, sealed(&code)));
        let _ = written.and_then(|()| fs::rename(&part, &file));
    }
    Ok(code)
}

/// Bytes of a hash.
const HASH: usize = 32;

/// Code after its hash, which is of its length too: the driver believes what it is given.
fn sealed(code: &[u8]) -> Vec<u8> {
    [&Sha256::digest(code)[..], code].concat()
}

/// The code of a file that is as it was written.
fn unsealed(mut file: Vec<u8>) -> Option<Vec<u8>> {
    let (hash, code) = file.split_at_checked(HASH)?;
    (hash == &Sha256::digest(code)[..]).then_some(())?;
    file.drain(..HASH);
    Some(file)
}

/// Another text, other options or another compiler have another name.
fn name(source: &Source, target: Target) -> String {
    let mut hash = Sha256::new();
    for text in source.texts {
        hash.update(text);
    }
    for option in target.options() {
        hash.update([0]);
        hash.update(option);
    }
    let hash = hash.finalize();
    let hash = hash[..8].iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("BUG: a string can be written to");
        hex
    });
    let (mut major, mut minor) = (0, 0);
    // SAFETY: it writes two numbers.
    let _ = unsafe { sys::nvrtcVersion(&raw mut major, &raw mut minor) };
    let (source, target) = (source.name, target.name());
    format!("{source}-{target}-{major}.{minor}-{hash}")
}

/// Machine code, or an intermediate form that ends with a zero.
pub(super) fn compile(source: &Source, target: Target) -> Result<Vec<u8>, OpenError> {
    let text = CString::new(source.texts.concat()).expect("BUG: a source has no zeros");
    let name = CString::new(source.name).expect("BUG: a name has no zeros");
    let program = result::create_program(&text, Some(&name)).called("nvrtcCreateProgram")?;
    let program = Program(program);
    // SAFETY: the program lives until the end of this function.
    if unsafe { result::compile_program(program.0, &target.options()) }.is_err() {
        return Err(OpenError::Compile {
            source_name: source.name,
            target: target.name(),
            log: program.log(),
        });
    }
    let code = match target {
        Target::Machine(_) => program.cubin(),
        Target::Virtual(_) => program.ptx(),
    };
    Ok(code?)
}

struct Program(sys::nvrtcProgram);

impl Program {
    fn log(&self) -> String {
        // SAFETY: the program was compiled.
        let log = unsafe { result::get_program_log(self.0) }.unwrap_or_default();
        let bytes: Vec<u8> = log.iter().map(|byte| *byte as u8).collect();
        let text = String::from_utf8_lossy(&bytes);
        text.trim_end_matches('\0').trim().to_owned()
    }

    fn cubin(&self) -> Result<Vec<u8>, super::DeviceError> {
        let mut size = 0;
        // SAFETY: it writes one number.
        unsafe { sys::nvrtcGetCUBINSize(self.0, &raw mut size) }
            .result()
            .called("nvrtcGetCUBINSize")?;
        let mut code = vec![0_u8; size];
        // SAFETY: it writes as many bytes as it has just said.
        unsafe { sys::nvrtcGetCUBIN(self.0, code.as_mut_ptr().cast()) }
            .result()
            .called("nvrtcGetCUBIN")?;
        Ok(code)
    }

    fn ptx(&self) -> Result<Vec<u8>, super::DeviceError> {
        // SAFETY: the program was compiled.
        let ptx = unsafe { result::get_ptx(self.0) }.called("nvrtcGetPTX")?;
        Ok(ptx.iter().map(|byte| *byte as u8).collect())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: nothing else uses it.
        let _ = unsafe { result::destroy_program(self.0) };
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::PathBuf;

    use rayon::prelude::*;

    use super::{
        super::{super::kernel::SOURCES, library::Library},
        *,
    };

    /// Where `test.sh` installs NVRTC.
    pub(in super::super) fn package() -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/clients");
        let clients = std::env::var_os("TRYON_TEST_CLIENTS").map_or(root, PathBuf::from);
        clients.join("nvrtc-13.0.88/nvidia/cu13/lib")
    }

    /// NVRTC from there, or as it is installed otherwise.
    fn open() {
        if let Err(error) = Library::Nvrtc.open(&[package()]) {
            panic!("{error}; `test.sh` installs it, as does `pip install nvidia-cuda-nvrtc`");
        }
    }

    #[test]
    fn every_kernel_compiles_for_every_generation() {
        open();
        let generations = [80, 89, 90].into_par_iter();
        generations
            .flat_map(|capability| SOURCES.par_iter().map(move |source| (capability, source)))
            .for_each(|(capability, source)| {
                let target = Target::of(capability).unwrap();
                assert_eq!(target, Target::Machine(capability));
                let code = compile(source, target).unwrap();
                for kernel in source.kernels {
                    let mut names = code.windows(kernel.len());
                    let has = names.any(|window| window == kernel.as_bytes());
                    assert!(has, "`{}` has no `{kernel}`", source.name);
                }
            });
    }

    /// The driver makes machine code of the youngest form that the compiler has.
    #[test]
    fn a_device_that_is_younger_than_the_compiler_is_served() {
        open();
        let Target::Virtual(best) = Target::of(999).unwrap() else {
            panic!("no compiler knows 99.9");
        };
        let code = compile(&SOURCES[1], Target::Virtual(best)).unwrap();
        assert!(code.starts_with(b"//") && code.ends_with(&[0]));
    }

    #[test]
    fn what_is_compiled_is_kept() {
        open();
        let folder = tempfile::tempdir().unwrap();
        let (source, target) = (&SOURCES[1], Target::Machine(90));
        let first = compiled(source, target, Some(folder.path())).unwrap();
        let kept: Vec<_> = fs::read_dir(folder.path()).unwrap().flatten().collect();
        assert_eq!(kept.len(), 1);
        let file = kept[0].path();
        fs::write(&file, sealed(b"from the cache")).unwrap();
        let second = compiled(source, target, Some(folder.path())).unwrap();
        assert!(first.len() > 1000 && second == b"from the cache");
    }

    #[test]
    fn what_is_damaged_is_compiled_anew() {
        open();
        let folder = tempfile::tempdir().unwrap();
        let (source, target) = (&SOURCES[1], Target::Machine(90));
        let first = compiled(source, target, Some(folder.path())).unwrap();
        let file = folder.path().join(name(source, target));
        let whole = fs::read(&file).unwrap();
        let mut other = whole.clone();
        other[whole.len() / 2] ^= 1;
        for damaged in [&whole[..whole.len() - 1], &whole[..HASH / 2], &other, &[]] {
            fs::write(&file, damaged).unwrap();
            assert_eq!(unsealed(fs::read(&file).unwrap()), None);
            let again = compiled(source, target, Some(folder.path())).unwrap();
            assert_eq!(again, first);
            assert_eq!(fs::read(&file).unwrap(), whole);
        }
    }

    /// The texts of another split are the same text.
    #[test]
    fn what_a_file_is_called_depends_on_all_that_made_it() {
        open();
        let named = |text: &'static [&'static str], target| {
            let source = Source {
                name: "a.cu",
                texts: text,
                kernels: &[],
            };
            name(&source, target)
        };
        let machine = Target::Machine(90);
        assert_eq!(named(&["ab", "c"], machine), named(&["a", "bc"], machine));
        assert_ne!(named(&["ab"], machine), named(&["ac"], machine));
        assert_ne!(named(&["ab"], machine), named(&["ab"], Target::Virtual(90)));
    }

    #[test]
    fn a_mistake_is_told_in_the_compilers_words() {
        open();
        let source = Source {
            name: "wrong.cu",
            texts: &["extern \"C\" __global__ void f() { undefined(); }"],
            kernels: &[],
        };
        let error = compile(&source, Target::Machine(90))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("wrong.cu") && error.contains("undefined"),
            "{error}"
        );
    }
}
