//! Memory that was needed for a moment goes back to the system.

/// The smallest piece that is had from the system by itself, and given back as soon as it is freed:
/// what a picture's file or its pixels take is larger, what a request takes is smaller.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const PIECE: libc::c_int = 256 << 10;

/// Has the allocator give back what a picture took once the picture is done.
///
/// glibc begins that way, and stops when the first large piece is freed: pieces of that size, up to
/// 32 MiB, then come from its heaps, of which each thread has its own. A service would hold a picture
/// for every thread that ever worked on one. To say the size is to keep it. An engine, which has one
/// picture after the other in the same pieces, is faster as it is.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn give_back() {
    #[expect(unsafe_code, reason = "nothing else sets it from within the process")]
    // SAFETY: it takes two numbers, and no other thread runs yet.
    let set = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, PIECE) };
    debug_assert_eq!(set, 1, "glibc takes any size up to half a heap's");
}

/// Other allocators do so by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn give_back() {}
