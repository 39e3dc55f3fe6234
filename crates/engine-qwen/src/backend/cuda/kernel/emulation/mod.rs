//! The kernels on this machine's CPU: the sources as they are, compiled as C++ with what stands
//! for CUDA.
#![expect(
    unsafe_code,
    reason = "a library that was just compiled is loaded and called"
)]

use std::{
    alloc::{self, Layout},
    ffi::CString,
    fmt::Write as _,
    fs,
    path::Path,
    process::Command,
    sync::Mutex,
};

use libloading::Library;

use super::{Launch, SOURCES};

type Run = unsafe extern "C" fn(*const i8, *const u32, u32, u32, *const u64) -> i32;

/// Runs launches one at a time: threads, blocks and shared memory are the library's globals.
static LIBRARY: Mutex<Option<Library>> = Mutex::new(None);

/// Carries out a launch. Addresses are this process's.
pub(super) fn run(launch: &Launch) {
    let mut library = LIBRARY.lock().unwrap();
    let library = library.get_or_insert_with(compile);
    let name = CString::new(launch.kernel).unwrap();
    let arguments: Vec<u64> = launch.arguments.iter().map(|arg| arg.bits()).collect();
    // SAFETY: the function is of this type in `program`, and its arguments live for the call. What
    // the kernel does to addresses among its own arguments is what is tested.
    let status = unsafe {
        let run: libloading::Symbol<'_, Run> = library.get(b"emulate").unwrap();
        run(
            name.as_ptr().cast(),
            launch.grid.as_ptr(),
            launch.block,
            u32::try_from(arguments.len()).unwrap(),
            arguments.as_ptr(),
        )
    };
    assert_eq!(status, 0, "`{}` takes other arguments", launch.kernel);
}

/// Memory at a multiple of 256.
pub(super) fn allocate(bytes: usize) -> u64 {
    // SAFETY: the layout is not empty.
    unsafe { alloc::alloc(layout(bytes)) as u64 }
}

/// Gives back what was allocated in this size.
pub(super) fn free(at: u64, bytes: usize) {
    // SAFETY: the tests give back what they allocated, once.
    unsafe { alloc::dealloc(at as *mut u8, layout(bytes)) }
}

pub(super) fn write(at: u64, bytes: &[u8]) {
    // SAFETY: the tests write within what they allocated.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at as *mut u8, bytes.len()) }
}

pub(super) fn read(at: u64, bytes: &mut [u8]) {
    // SAFETY: the tests read within what they allocated and wrote.
    unsafe { std::ptr::copy_nonoverlapping(at as *const u8, bytes.as_mut_ptr(), bytes.len()) }
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes.max(1), 256).unwrap()
}

fn compile() -> Library {
    let folder = tempfile::tempdir().unwrap();
    let (source, library) = (folder.path().join("k.cpp"), folder.path().join("k.so"));
    fs::write(&source, program()).unwrap();
    let compiled = Command::new("g++")
        .args(["-std=c++17", "-O1", "-w", "-shared", "-fPIC"])
        .args(["-fno-strict-aliasing", "-o"])
        .args([&library, &source])
        .output()
        .expect("`g++` runs; install it, on Debian by `apt-get install g++`");
    let said = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{said}");
    // SAFETY: nothing runs when it is loaded but constructors of empty vectors.
    unsafe { Library::new(&library) }.unwrap()
}

/// Every source in a namespace of its own, and a table of all kernels.
fn program() -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/backend/cuda/kernel");
    let include = |file: &str| format!("#include \"{}\"\n", here.join(file).display());
    let mut program = include("emulation/emulate.h");
    program += &include("source/number.cuh");
    program += &include("emulation/matrix.h");
    program += &include("source/matrix.cuh");
    for source in &SOURCES {
        let name = source.name.strip_suffix(".cu").unwrap();
        let file = include(&format!("source/{}", source.name));
        write!(program, "namespace source_{name} {{\n{file}}}\n").unwrap();
    }
    program += "extern \"C\" int emulate(const char *name, const u32 *grid, u32 block, u32 count, \
        const uint64_t *given) {\n  using namespace emulation;\n  body = nullptr;\n";
    for source in &SOURCES {
        let space = source.name.strip_suffix(".cu").unwrap();
        for kernel in source.kernels {
            writeln!(
                program,
                "  if (!strcmp(name, \"{kernel}\") && \
                 emulation::count(source_{space}::{kernel}) == count) \
                 body = [](const uint64_t *given) {{ call(source_{space}::{kernel}, given); }};"
            )
            .unwrap();
        }
    }
    program += "  if (!body) return 1;\n  arguments = given;\n  threads = block;\n  \
        gridDim = {grid[0], grid[1], grid[2]};\n  blockDim = {block, 1, 1};\n  \
        for (u32 z = 0; z < grid[2]; z++)\n  for (u32 y = 0; y < grid[1]; y++)\n  \
        for (u32 x = 0; x < grid[0]; x++) {\n    blockIdx = {x, y, z};\n    run_block();\n  }\n  \
        return 0;\n}\n";
    program
}
