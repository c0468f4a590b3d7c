//! Returns freed memory to the system, by calls of the C library that no crate in use offers.
//!
//! After many small allocations are freed, glibc returns only the end of each of its heaps, and of
//! that only what exceeds a threshold, which it raises by itself up to 64 MiB. `malloc_trim` leaves
//! these ends alone, and threads have up to eight heaps for each processor. Without these calls, a
//! node that peers once drove to its limits would stay that large.

/// Heaps of the process, at most. Threads that share one seldom meet: they keep small free blocks
/// of their own.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAX_HEAPS: libc::c_int = 4;

/// Free bytes at the end of a heap that are not returned; also the size from which an allocation is
/// a mapping of its own, which is returned as soon as it is freed. In bytes. The buffers of
/// transfers have 1 MiB: with less here, every one of them would be new memory, and cost the source
/// half as much CPU time again.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAX_FREE_IN_HEAP: libc::c_int = 3 << 20;

/// Bounds the free memory that this process keeps. To be called once, before threads start.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "no well-maintained crate has this call")]
pub fn bound_free_memory() {
    for (parameter, value) in [
        (libc::M_ARENA_MAX, MAX_HEAPS),
        (libc::M_MMAP_THRESHOLD, MAX_FREE_IN_HEAP),
        (libc::M_TRIM_THRESHOLD, MAX_FREE_IN_HEAP),
    ] {
        // SAFETY: it takes no pointer, and changes parameters of the allocator under its lock.
        unsafe { libc::mallopt(parameter, value) };
    }
}

/// Does nothing: other allocators return free memory by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub const fn bound_free_memory() {}

/// Returns free memory to the system.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "no well-maintained crate has this call")]
pub fn return_free_memory() {
    // SAFETY: it takes no pointer, is safe to call at any time from any thread, and touches only
    // free memory.
    unsafe { libc::malloc_trim(0) };
}

/// Does nothing: other allocators return free memory by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub const fn return_free_memory() {}
