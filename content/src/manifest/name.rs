//! Which names and link targets a manifest may hold: those that some file system supports.
//!
//! Never decides what a receiver can store: two names that one system considers equal, or a target
//! outside of the folder, are valid here. Invalid values result in a [`NameError`] or a
//! [`TargetError`]; the caller knows which entry they belong to.

/// Bytes of the longest name: what file systems accept for a component.
pub const MAX_NAME_LEN: usize = 255;

/// Bytes of the longest target of a symbolic link: what Linux accepts.
pub const MAX_TARGET_LEN: usize = 4095;

/// Checks the name of an entry: one component of a path.
///
/// # Errors
///
/// See [`NameError`].
pub fn check_name(name: &str) -> Result<(), NameError> {
    match name {
        "" => Err(NameError::Empty),
        "." | ".." => Err(NameError::Dots),
        _ if name.len() > MAX_NAME_LEN => Err(NameError::Length { found: name.len() }),
        _ if name.contains('/') => Err(NameError::Separator),
        _ if name.contains('\0') => Err(NameError::Nul),
        _ => Ok(()),
    }
}

/// Checks the target of a symbolic link, which may lead anywhere.
///
/// # Errors
///
/// See [`TargetError`].
pub fn check_target(target: &str) -> Result<(), TargetError> {
    match target.len() {
        0 => Err(TargetError::Empty),
        found if found > MAX_TARGET_LEN => Err(TargetError::Length { found }),
        _ if target.contains('\0') => Err(TargetError::Nul),
        _ => Ok(()),
    }
}

/// Why a name is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// It has no characters.
    #[error("it is empty")]
    Empty,
    /// `.` or `..`.
    #[error("it stands for a folder itself or the one above")]
    Dots,
    /// Too long.
    #[error("it has {found} bytes, over the limit of {MAX_NAME_LEN}")]
    Length {
        /// How many bytes it has.
        found: usize,
    },
    /// A `/`.
    #[error("it holds the separator `/`")]
    Separator,
    /// A NUL character.
    #[error("it holds a NUL character")]
    Nul,
}

/// Why the target of a symbolic link is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// It has no characters.
    #[error("its target is empty")]
    Empty,
    /// Too long.
    #[error("its target has {found} bytes, over the limit of {MAX_TARGET_LEN}")]
    Length {
        /// How many bytes it has.
        found: usize,
    },
    /// A NUL character.
    #[error("its target holds a NUL character")]
    Nul,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_component_of_a_path_are_refused() {
        let long = "é".repeat(128);
        for (name, error) in [
            ("", NameError::Empty),
            (".", NameError::Dots),
            ("..", NameError::Dots),
            ("a/b", NameError::Separator),
            ("/", NameError::Separator),
            ("../a", NameError::Separator),
            ("a\0b", NameError::Nul),
            (&long, NameError::Length { found: 256 }),
        ] {
            assert_eq!(check_name(name), Err(error), "{name:?}");
        }
    }

    #[test]
    fn names_that_only_some_systems_hold_are_valid() {
        for name in [
            "a",
            ".hidden",
            "...",
            " ",
            "a.",
            "a ",
            "CON",
            "nul.txt",
            "aux.c",
            "com\u{b9}",
            "a:b",
            "who?.mp3",
            r"a\b",
            r"..\b",
            "\u{1}",
            "a\nb",
            "日本語",
            "e\u{301}",
            "\u{202e}",
            "-rf",
        ] {
            assert_eq!(check_name(name), Ok(()), "{name:?}");
        }
        assert_eq!(check_name(&"n".repeat(MAX_NAME_LEN)), Ok(()));
    }

    #[test]
    fn targets_may_lead_anywhere() {
        for target in [
            "a",
            "..",
            "../../a",
            "a/../b",
            "/etc/passwd",
            "//host",
            r"..\..\a",
            "a/nul",
            "pipe:[1]",
            ".",
        ] {
            assert_eq!(check_target(target), Ok(()), "{target:?}");
        }
        let long = "a/".repeat(2048);
        for (target, error) in [
            ("", TargetError::Empty),
            ("a\0", TargetError::Nul),
            (&long, TargetError::Length { found: 4096 }),
        ] {
            assert_eq!(check_target(target), Err(error), "{target:?}");
        }
        assert_eq!(check_target(&long[1..]), Ok(()));
    }
}
