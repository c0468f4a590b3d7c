//! What the errors of calls on a node have in common. Each error type is beside the call that
//! returns it.

/// An error that programs recognise and that people can act on.
pub trait CodedError: std::error::Error {
    /// A word for programs. It stays the same between versions.
    fn code(&self) -> &'static str;

    /// What a person can do about it, where something can be done.
    fn hint(&self) -> Option<String>;
}
