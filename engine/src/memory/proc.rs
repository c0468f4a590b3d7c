//! Reads what the system reports of memory in `/proc`.

use std::{fs, path::Path};

/// Bytes of memory that this process holds.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    read(Path::new("/proc/self/status")).and_then(|text| bytes_of(&text, "VmRSS:"))
}

/// Bytes of memory of this process that the system cannot take back: without its program file,
/// which a control group does not count either.
#[must_use]
pub fn anonymous_bytes() -> Option<u64> {
    read(Path::new("/proc/self/status")).and_then(|text| bytes_of(&text, "RssAnon:"))
}

pub(super) fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// The value in bytes of a line of `/proc` that gives it in kB.
pub(super) fn bytes_of(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_gives_kilobytes() {
        let total = |text| bytes_of(text, "MemTotal:");
        assert_eq!(total("MemFree: 1 kB\nMemTotal:   24 kB\n"), Some(24 * 1024));
        assert_eq!(total("MemTotal: much\n"), None);
    }
}
