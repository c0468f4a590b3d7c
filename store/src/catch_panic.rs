//! Turns the expected panics of a library into errors.
//!
//! Wraps the panic hook of the process once. A panic inside [`catch_panic`] is only logged at debug
//! level. All other panics are printed as before.

use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

static WRAPPED: Once = Once::new();

/// Runs `operation`, and returns `None` if it panicked. The caller must make sure that nothing uses
/// state that the panic left half-changed.
pub(super) fn catch_panic<T>(operation: impl FnOnce() -> T) -> Option<T> {
    WRAPPED.call_once(wrap_hook);
    let was_quiet = IS_QUIET.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(operation));
    IS_QUIET.set(was_quiet);
    result.ok()
}

fn wrap_hook() {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if IS_QUIET.get() {
            tracing::debug!("contained: {info}");
        } else {
            hook(info);
        }
    }));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[test]
    fn only_what_is_contained_is_quiet() {
        let printed = Arc::new(Mutex::new(Vec::new()));
        let printing = Arc::clone(&printed);
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if let Some(text) = info
                .payload_as_str()
                .filter(|text| text.starts_with("quiet test"))
            {
                printing.lock().push(text.to_owned());
            } else {
                before(info);
            }
        }));
        // Another test may have set the hook before.
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_QUIET.get() {
                hook(info);
            }
        }));
        assert_eq!(catch_panic(|| 1), Some(1));
        let nested = catch_panic(|| {
            assert_eq!(catch_panic(|| panic!("quiet test: inner")), None::<()>);
            panic!("quiet test: outer");
        });
        assert_eq!(nested, None::<()>);
        let loud = panic::catch_unwind(|| panic!("quiet test: loud"));
        assert!(loud.is_err());
        assert_eq!(*printed.lock(), ["quiet test: loud"]);
    }
}
