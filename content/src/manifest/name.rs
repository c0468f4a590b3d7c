//! Which names and link targets a manifest may hold, on whatever system it is laid out.
//!
//! Owns what is refused and what counts as the same name. Never looks at a disk. Refusals leave as
//! a [`NameError`] or a [`TargetError`], which leave it to the caller to say whose name it is.

use std::borrow::Cow;

use icu_casemap::CaseMapper;
use icu_normalizer::DecomposingNormalizer;

/// Bytes of the longest name: what file systems take for a component.
pub const MAX_NAME_LEN: usize = 255;

/// Bytes of the longest target of a symbolic link: what Linux takes.
pub const MAX_TARGET_LEN: usize = 4095;

/// What Windows takes for a device, whatever follows behind a dot.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// With one of the digits behind it, a device too.
const PORTS: [&str; 2] = ["com", "lpt"];

/// Digits of ports; Windows takes the superscript ones for the same.
const PORT_DIGITS: &str = "123456789\u{b9}\u{b2}\u{b3}";

/// Whether a folder may have an entry of this name: one component of a path that means the same
/// file on every system.
///
/// Characters that only Windows refuses (`<>:"|?*` and control characters) are taken, as elsewhere
/// they are usual; a client there refuses such an entry when it lays it out.
///
/// # Errors
///
/// See [`NameError`].
pub fn check_name(name: &str) -> Result<(), NameError> {
    match name {
        "" => return Err(NameError::Empty),
        "." | ".." => return Err(NameError::Dots),
        _ if name.len() > MAX_NAME_LEN => return Err(NameError::Length { found: name.len() }),
        _ => {}
    }
    if name.contains(['/', '\\']) {
        Err(NameError::Separator)
    } else if name.contains('\0') {
        Err(NameError::Nul)
    } else if name.ends_with(['.', ' ']) {
        Err(NameError::Ending)
    } else if is_device(name) {
        Err(NameError::Reserved)
    } else {
        Ok(())
    }
}

/// Checks the target of a symbolic link, and gives the number of folders that it climbs before it
/// descends: it stays inside the shared root if the link lies in at least so many.
///
/// It climbs at the beginning only: behind a name, `..` leads above wherever a link of that name
/// leads.
///
/// # Errors
///
/// See [`TargetError`].
pub fn check_target(target: &str) -> Result<usize, TargetError> {
    if target.is_empty() {
        return Err(TargetError::Empty);
    }
    if target.len() > MAX_TARGET_LEN {
        let found = target.len();
        return Err(TargetError::Length { found });
    }
    if target.starts_with('/') {
        return Err(TargetError::Absolute);
    }
    let (mut climbed, mut descends) = (0, false);
    for component in target.split('/') {
        match component {
            "" | "." => {}
            ".." if descends => return Err(TargetError::Winding),
            ".." => climbed += 1,
            name => {
                check_name(name).map_err(|source| TargetError::Name { source })?;
                descends = true;
            }
        }
    }
    Ok(climbed)
}

/// What two names have in common exactly if some file system takes them for the same: a canonical
/// caseless match (Unicode, D145).
pub(super) fn folded(name: &str) -> Cow<'_, str> {
    if name.is_ascii() {
        return if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            name.to_ascii_lowercase().into()
        } else {
            name.into()
        };
    }
    let (decompose, fold) = (DecomposingNormalizer::new_nfd(), CaseMapper::new());
    let decomposed = decompose.normalize(name);
    let folded = fold.fold_string(&decomposed);
    decompose.normalize(&folded).into_owned().into()
}

/// Whether Windows opens a device under this name.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    let stem = stem.trim_end_matches(' ').to_ascii_lowercase();
    let is_port = || {
        let digit = PORTS.iter().find_map(|port| stem.strip_prefix(port));
        digit.is_some_and(|digit| digit.chars().count() == 1 && PORT_DIGITS.contains(digit))
    };
    DEVICES.contains(&stem.as_str()) || is_port()
}

/// Why an entry may not have a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No character.
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
    /// A `/` or `\`.
    #[error("it holds a separator, `/` or `\\`")]
    Separator,
    /// A NUL character.
    #[error("it holds a NUL character")]
    Nul,
    /// A dot or a space at its end, which Windows leaves out.
    #[error("it ends with a dot or a space, which Windows leaves out")]
    Ending,
    /// The name of a device.
    #[error("Windows reserves it for a device")]
    Reserved,
}

/// Why a symbolic link may not lead somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// No character.
    #[error("it leads nowhere")]
    Empty,
    /// Too long.
    #[error("its target has {found} bytes, over the limit of {MAX_TARGET_LEN}")]
    Length {
        /// How many bytes it has.
        found: usize,
    },
    /// It begins at the root of the file system.
    #[error("its target is an absolute path")]
    Absolute,
    /// It climbs behind a name.
    #[error("its target has `..` behind a name, so that where it leads depends on other links")]
    Winding,
    /// It leads to something that no entry can be called.
    #[error("its target has a name in it that no entry may have: {source}")]
    Name {
        /// Why not.
        source: NameError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_something_else_somewhere_are_refused() {
        let long = "é".repeat(128);
        let refused = [
            ("", NameError::Empty),
            (".", NameError::Dots),
            ("..", NameError::Dots),
            ("a/b", NameError::Separator),
            ("/", NameError::Separator),
            (r"a\b", NameError::Separator),
            ("a\0b", NameError::Nul),
            ("a.", NameError::Ending),
            ("a ", NameError::Ending),
            ("...", NameError::Ending),
            (" ", NameError::Ending),
            ("CON", NameError::Reserved),
            ("nul.txt", NameError::Reserved),
            ("Aux.tar.gz", NameError::Reserved),
            ("prn .txt", NameError::Reserved),
            ("com1", NameError::Reserved),
            ("LPT9.x", NameError::Reserved),
            ("com¹", NameError::Reserved),
            ("Lpt².txt", NameError::Reserved),
            ("COM³", NameError::Reserved),
            ("CONIN$", NameError::Reserved),
            (&long, NameError::Length { found: 256 }),
        ];
        for (name, error) in refused {
            assert_eq!(check_name(name), Err(error), "{name:?}");
        }
    }

    #[test]
    fn other_names_are_taken() {
        let taken = [
            "a",
            ".hidden",
            "a.b",
            "a b",
            " a",
            "...a",
            "console",
            "com0",
            "com10",
            "com",
            "com⁴",
            "nul-",
            "lpt",
            "aux2",
            "a:b",
            "who?.mp3",
            "\u{1}",
            "日本語",
            "e\u{301}",
        ];
        for name in taken {
            assert_eq!(check_name(name), Ok(()), "{name:?}");
        }
        assert_eq!(check_name(&"n".repeat(MAX_NAME_LEN)), Ok(()));
    }

    #[test]
    fn names_that_some_system_takes_for_the_same_fold_alike() {
        let same = [
            ("README", "readme"),
            ("\u{e9}", "e\u{301}"),
            ("\u{c9}", "e\u{301}"),
            ("straße", "STRASSE"),
            ("ﬃ", "FFI"),
            ("Σίσυφος", "σίσυφοσ"),
            ("\u{212b}", "å"),
            ("\u{345}\u{301}", "\u{301}ι"),
        ];
        for (one, other) in same {
            assert_eq!(folded(one), folded(other), "{one:?} {other:?}");
        }
        for (one, other) in [("a", "b"), ("e", "é"), ("ı", "i"), ("a", "a\u{200d}")] {
            assert_ne!(folded(one), folded(other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn targets_climb_first_and_descend_then() {
        let taken = [
            ("a", 0),
            ("./a//b/", 0),
            ("..", 1),
            (".././../a/b", 2),
            ("a/./b", 0),
        ];
        for (target, climbed) in taken {
            assert_eq!(check_target(target), Ok(climbed), "{target:?}");
        }
        let name = |source| TargetError::Name { source };
        let refused = [
            ("", TargetError::Empty),
            ("/etc/passwd", TargetError::Absolute),
            ("//host", TargetError::Absolute),
            ("a/..", TargetError::Winding),
            ("../a/../b", TargetError::Winding),
            ("a\0", name(NameError::Nul)),
            (r"..\..\a", name(NameError::Separator)),
            ("a/nul", name(NameError::Reserved)),
        ];
        for (target, error) in refused {
            assert_eq!(check_target(target), Err(error), "{target:?}");
        }
        let long = "a/".repeat(2048);
        let error = Err(TargetError::Length { found: 4096 });
        assert_eq!(check_target(&long), error);
    }
}
