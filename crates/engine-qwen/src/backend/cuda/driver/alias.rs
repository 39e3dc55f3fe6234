//! Another name for a library that is open.
//!
//! `cudarc` asks the system's loader for `libcublasLt.so` before `libcublasLt.so.13`. On a machine
//! with a toolkit the first is the toolkit's, whatever was opened here before it. But the loader
//! looks at what is open before it looks into its folders, and knows it by the name that is written
//! in it. So a library of that name is opened in which there is nothing but that it needs the right
//! one: what is looked for in it is found there.

use std::{
    fs::File,
    io::{self, Write as _},
    os::fd::AsRawFd as _,
    path::Path,
};

use super::library::load;

/// Opens a library `name` for good, which stands for the open one `target`: the path by which that
/// was opened, or the name if the loader found it.
pub(super) fn open(name: &str, target: &Path) -> io::Result<()> {
    let mut file = file(name)?;
    file.write_all(&image(name, &target.to_string_lossy()))?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    std::mem::forget(load(Path::new(&path)).map_err(io::Error::other)?);
    // The loader knows it by this path too: no other file may have it.
    std::mem::forget(file);
    Ok(())
}

/// A file in memory, which cannot be run: where `vm.memfd_noexec` is 2 there are no others. Linux
/// before 6.3 does not know of that.
#[cfg(target_os = "linux")]
fn file(name: &str) -> io::Result<File> {
    use rustix::{
        fs::{MemfdFlags, memfd_create},
        io::Errno,
    };
    let file = match memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => memfd_create(name, MemfdFlags::CLOEXEC),
        made => made,
    };
    Ok(file?.into())
}

/// NVIDIA's libraries are on no other system.
#[cfg(not(target_os = "linux"))]
fn file(_: &str) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Bytes of the file's header, and of the header of each of its three segments.
const HEADERS: [u64; 2] = [64, 56];
/// Entries of the dynamic section, and bytes of one.
const ENTRIES: [u64; 2] = [8, 16];
/// The one symbol that there has to be, which is none.
const SYMBOL: u64 = 24;
/// A hash table of one bucket, without symbols: four numbers of 32 bits.
const HASH: [u32; 4] = [1, 1, 0, 0];

/// An ELF file of 64 bits, after the System V ABI, chapters 4 and 5: headers, the dynamic section,
/// symbols, their hash table, strings. All of it is one segment at address 0, so addresses are
/// offsets; it can be written to, as older loaders do to the dynamic section.
pub(super) fn image(name: &str, needed: &str) -> Vec<u8> {
    let [header, segment] = HEADERS;
    let dynamic = header + 3 * segment;
    let symbols = dynamic + ENTRIES[0] * ENTRIES[1];
    let hash = symbols + SYMBOL;
    let strings = hash + 16;
    let text = format!("\0{needed}\0{name}\0");
    let end = strings + text.len() as u64;

    // Little-endian, of 64 bits, a shared library for this machine.
    let mut image = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0".to_vec();
    let machine: u16 = if cfg!(target_arch = "aarch64") {
        183
    } else {
        62
    };
    image.extend(machine.to_le_bytes());
    image.extend(1_u32.to_le_bytes());
    // No entry; where segments' headers are; no sections; no flags.
    image.extend([0, header, 0].map(u64::to_le_bytes).concat());
    image.extend(0_u32.to_le_bytes());
    let sizes = [header as u16, segment as u16, 3, 64, 0, 0];
    image.extend(sizes.map(u16::to_le_bytes).concat());

    // Loaded; the dynamic section; the stack, which need not be executable. All to read and write.
    let segments = [
        (1_u32, 0, end, 1 << 16),
        (2, dynamic, symbols - dynamic, 8),
        (0x6474_e551, 0, 0, 16),
    ];
    for (kind, at, bytes, alignment) in segments {
        image.extend([kind, 6].map(u32::to_le_bytes).concat());
        let places = [at, at, at, bytes, bytes, alignment];
        image.extend(places.map(u64::to_le_bytes).concat());
    }

    let entries: [(u64, u64); ENTRIES[0] as usize] = [
        (1, 1),                        // DT_NEEDED
        (14, needed.len() as u64 + 2), // DT_SONAME
        (4, hash),                     // DT_HASH
        (5, strings),                  // DT_STRTAB
        (6, symbols),                  // DT_SYMTAB
        (10, text.len() as u64),       // DT_STRSZ
        (11, SYMBOL),                  // DT_SYMENT
        (0, 0),
    ];
    for (tag, value) in entries {
        image.extend([tag, value].map(u64::to_le_bytes).concat());
    }
    image.extend([0; SYMBOL as usize]);
    image.extend(HASH.map(u32::to_le_bytes).concat());
    image.extend(text.as_bytes());
    image
}

#[cfg(test)]
mod tests {
    #![expect(unsafe_code, reason = "functions are looked for in libraries")]

    use super::*;

    fn address(library: &libloading::Library, function: &[u8]) -> usize {
        // SAFETY: it is not called.
        let found = unsafe { library.get::<unsafe extern "C" fn()>(function) };
        *found.unwrap() as usize
    }

    /// The system's own library of mathematics, under a name that no folder has.
    #[test]
    fn a_library_is_found_by_another_name() {
        let name = "libtryon-alias-of-libm.so";
        assert!(load(Path::new(name)).is_err());
        let target = load(Path::new("libm.so.6")).unwrap();
        open(name, Path::new("libm.so.6")).unwrap();
        let found = load(Path::new(name)).unwrap();
        assert_eq!(address(&found, b"cos"), address(&target, b"cos"));
    }

    /// Each has a path of its own, by which the loader would know it again.
    #[test]
    fn several_names_are_several_libraries() {
        open("libtryon-one.so", Path::new("libm.so.6")).unwrap();
        open("libtryon-other.so", Path::new("libc.so.6")).unwrap();
        let [one, other] = ["libtryon-one.so", "libtryon-other.so"];
        let [one, other] = [one, other].map(|name| load(Path::new(name)).unwrap());
        assert_ne!(address(&one, b"cos"), address(&other, b"malloc"));
        let libc = load(Path::new("libc.so.6")).unwrap();
        assert_eq!(address(&other, b"malloc"), address(&libc, b"malloc"));
    }

    #[test]
    fn what_is_not_there_has_no_other_name() {
        let missing = Path::new("/nowhere/libtryon.so.1");
        assert!(open("libtryon-nothing.so", missing).is_err());
    }
}
