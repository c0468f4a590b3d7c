//! Memory that was freed, given back to the system: one call of the C library, which no crate that we use offers.
//!
//! After many small pieces were held and freed, glibc keeps all but the last of each of its heaps: a node that
//! peers once brought to its limits would stay as large.

/// Gives back what is free.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "no crate that is well kept has this call")]
pub fn return_free_memory() {
    // SAFETY: it takes no pointer, may be called at any time and from any thread, and touches only free memory.
    unsafe { libc::malloc_trim(0) };
}

/// Gives back what is free: other allocators do so by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub const fn return_free_memory() {}
