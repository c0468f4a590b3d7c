//! Returns freed memory to the system, by a call of the C library that no crate in use offers.
//!
//! After many small allocations are freed, glibc returns only the end of each of its heaps. Without
//! this call, a node that peers once drove to its limits would stay that large.

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
