//! Finds out what a file system supports, by creating files in a temporary directory. Owns that
//! directory. Probes only what the folder needs: plain names cost a few system calls. Failures that
//! are not about a name (a full disk, no permission) leave as they are.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, ErrorKind},
};

use pelago_content::{EntryKind, Listing, MAX_NAME_LEN, Manifest};

use super::file_system::{FileSystem, Normalization, is_device};
use crate::dir::{Dir, OpenMode};

/// The name of the directory. A number is appended if the folder has an entry of that name.
const PROBE: &str = ".pelago-probe";

/// A name that every file system can hold.
const PLAIN: &str = "pelago";

/// Characters that every file system allows, besides letters and digits.
const PLAIN_CHARACTERS: &str = " !#$%&'()+,-.;=@[]^_`{}~";

/// Bytes of a name that every file system can hold. Longer names are probed.
const SHORT_NAME: usize = 100;

/// How many characters are tried in one name: together they have at most 200 bytes.
const CHARACTERS_AT_ONCE: usize = 50;

/// How many refused characters are kept one by one: the record of a download has to hold them.
const MAX_REFUSED: usize = 256;

/// One character, composed and decomposed.
const FORMS: (&str, &str) = ("pelago-\u{e9}", "pelago-e\u{301}");

/// What a folder needs of a file system.
#[derive(Debug, Default)]
struct Needs {
    characters: BTreeSet<char>,
    endings: bool,
    devices: bool,
    longest: usize,
    links: bool,
    /// A file system may lose executable bits, or show them on every file.
    files: bool,
}

impl Needs {
    fn of(manifests: &[Manifest]) -> Self {
        let mut needs = Self::default();
        for entry in manifests.iter().flat_map(Manifest::entries) {
            let name = &entry.name[..];
            let is_plain = |c: char| c.is_ascii_alphanumeric() || PLAIN_CHARACTERS.contains(c);
            let others = name.chars().filter(|character| !is_plain(*character));
            // Separators are refused without a probe.
            let others = others.filter(|character| !std::path::is_separator(*character));
            needs.characters.extend(others);
            needs.endings |= name.ends_with(['.', ' ']);
            needs.devices |= is_device(name);
            needs.longest = needs.longest.max(name.len());
            match entry.kind {
                EntryKind::Symlink { .. } => needs.links = true,
                EntryKind::File { .. } => needs.files = true,
                EntryKind::Folder { .. } => {}
            }
        }
        needs
    }
}

/// What the file system of `dir` supports, as far as the folder needs it.
pub(super) fn file_system(dir: &Dir, listing: &Listing) -> io::Result<FileSystem> {
    if listing.is_empty() {
        return Ok(FileSystem::unrestricted());
    }
    let needs = Needs::of(listing.manifests());
    let probe = Probe::new(dir, &listing.manifests()[0])?;
    let file_system = probe.ask(&needs);
    let removed = dir.remove_folder(&probe.name);
    let file_system = file_system?;
    removed?;
    Ok(file_system)
}

/// The temporary directory.
struct Probe {
    dir: Dir,
    name: String,
}

impl Probe {
    fn new(dir: &Dir, top: &Manifest) -> io::Result<Self> {
        let mut name = PROBE.to_owned();
        for number in 2.. {
            let is_taken = top.entries().iter().any(|entry| entry.name == name);
            if !is_taken {
                break;
            }
            name = format!("{PROBE}-{number}");
        }
        match dir.make_new(&name) {
            // A killed run left it.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => made?,
        }
        let dir = dir.sub(&name)?;
        Ok(Self { dir, name })
    }

    fn ask(&self, needs: &Needs) -> io::Result<FileSystem> {
        let plain = self.make(PLAIN)?;
        let found = self.dir.find(&PLAIN.to_uppercase());
        let keeps_executable = !needs.files || keeps_executable(&plain)?;
        drop(plain);
        self.dir.remove_file(PLAIN)?;
        let mut file_system = self.first()?;
        file_system.is_case_sensitive &= found?.is_none();
        file_system.keeps_executable &= keeps_executable;
        if needs.links {
            file_system.supports_links = self.holds_link()?;
        }
        if needs.endings {
            let keeps = self.keeps("pelago.")? && self.keeps("pelago ")?;
            file_system.keeps_trailing_dots &= keeps;
        }
        if needs.devices {
            file_system.allows_device_names &= self.keeps("aux.c")? && self.keeps("con")?;
        }
        if needs.longest > SHORT_NAME {
            file_system.max_name_len = self.longest(needs.longest)?;
        }
        let mut characters: Vec<char> = needs.characters.iter().copied().collect();
        characters.retain(|character| !file_system.refused.contains(character));
        if characters.iter().any(|character| !character.is_ascii()) {
            file_system.normalization = self.normalization()?;
        }
        for characters in characters.chunks(CHARACTERS_AT_ONCE) {
            self.refused(characters, &mut file_system.refused)?;
            if file_system.refused.len() > MAX_REFUSED {
                file_system.is_ascii_only = true;
                file_system.refused.retain(char::is_ascii);
                break;
            }
        }
        Ok(file_system)
    }

    /// The properties that are known before the first probe.
    #[allow(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "the same on all systems"
    )]
    fn first(&self) -> io::Result<FileSystem> {
        #[cfg(windows)]
        return Ok(FileSystem::windows());
        #[cfg(not(windows))]
        Ok(FileSystem::unrestricted())
    }

    /// Creates a file. If a killed run left one, it is replaced.
    fn make(&self, name: &str) -> io::Result<File> {
        match self.dir.file(name, OpenMode::New) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                self.dir.remove_file(name)?;
                self.dir.file(name, OpenMode::New)
            }
            made => made,
        }
    }

    /// Whether a file of this name can be created.
    ///
    /// # Errors
    ///
    /// Failures that are not about the name.
    fn holds(&self, name: &str) -> io::Result<bool> {
        match self.make(name) {
            Ok(file) => {
                drop(file);
                self.dir.remove_file(name)?;
                Ok(true)
            }
            Err(error) if is_about_the_name(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether a file of this name can be created, and keeps this name.
    fn keeps(&self, name: &str) -> io::Result<bool> {
        Ok(self.given(name)?.as_deref() == Some(name))
    }

    /// The name that a file gets when it is created with this one. None if the name is refused.
    fn given(&self, name: &str) -> io::Result<Option<String>> {
        match self.make(name) {
            Ok(file) => {
                drop(file);
                let names = self.dir.names()?;
                self.dir.remove_file(name)?;
                Ok(names.into_iter().next())
            }
            Err(error) if is_about_the_name(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn holds_link(&self) -> io::Result<bool> {
        match self.dir.make_link(PLAIN, "a") {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) if says_nothing(&error) => return Err(error),
            Err(_) => return Ok(false),
            Ok(()) => {}
        }
        self.dir.remove_file(PLAIN)?;
        Ok(true)
    }

    /// Bytes of the longest name, up to `wanted`.
    fn longest(&self, wanted: usize) -> io::Result<usize> {
        if self.holds(&"n".repeat(wanted))? {
            return Ok(MAX_NAME_LEN);
        }
        let (mut held, mut refused) = (SHORT_NAME, wanted);
        while refused - held > 1 {
            let middle = held.midpoint(refused);
            if self.holds(&"n".repeat(middle))? {
                held = middle;
            } else {
                refused = middle;
            }
        }
        Ok(held)
    }

    fn normalization(&self) -> io::Result<Normalization> {
        let (composed, decomposed) = FORMS;
        if self.given(composed)?.as_deref() == Some(decomposed) {
            return Ok(Normalization::Decomposed);
        }
        if self.given(decomposed)?.as_deref() == Some(composed) {
            return Ok(Normalization::Composed);
        }
        match self.make(composed) {
            Ok(file) => drop(file),
            // A later probe finds that the characters are refused.
            Err(error) if is_about_the_name(&error) => return Ok(Normalization::Apart),
            Err(error) => return Err(error),
        }
        let found = self.dir.find(decomposed);
        self.dir.remove_file(composed)?;
        match found {
            Ok(Some(_)) => Ok(Normalization::Same),
            Ok(None) => Ok(Normalization::Apart),
            Err(error) if is_about_the_name(&error) => Ok(Normalization::Apart),
            Err(error) => Err(error),
        }
    }

    /// Adds the characters that are refused in names.
    fn refused(&self, characters: &[char], refused: &mut BTreeSet<char>) -> io::Result<()> {
        let name: String = characters.iter().collect();
        if self.holds(&format!("c{name}c"))? {
            return Ok(());
        }
        match characters {
            [one] => {
                refused.insert(*one);
                Ok(())
            }
            many => {
                let (left, right) = many.split_at(many.len() / 2);
                self.refused(left, refused)?;
                self.refused(right, refused)
            }
        }
    }
}

/// Whether a file keeps the executable bit of its owner. Some file systems set it for all files,
/// others for none.
fn keeps_executable(file: &File) -> io::Result<bool> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mut keeps = true;
        for mode in [0o700, 0o600] {
            let mut permissions = file.metadata()?.permissions();
            permissions.set_mode(mode);
            // Permissions that cannot be set are not kept.
            keeps &= file.set_permissions(permissions).is_ok()
                && file.metadata()?.permissions().mode() & 0o100 == mode & 0o100;
        }
        Ok(keeps)
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        Ok(false)
    }
}

/// Whether a failure to create a file may be due to its name.
fn is_about_the_name(error: &io::Error) -> bool {
    !says_nothing(error)
}

/// Whether a failure has nothing to do with names or links.
fn says_nothing(error: &io::Error) -> bool {
    use ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull, TimedOut};
    #[cfg(unix)]
    let is_broken = error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
    #[cfg(not(unix))]
    let is_broken = false;
    is_broken
        || matches!(
            error.kind(),
            QuotaExceeded | ReadOnlyFilesystem | StorageFull | TimedOut
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{link, manifest, unfold_these};

    fn listing(names: &[&str]) -> Listing {
        unfold_these(&[manifest(names.iter().map(|name| link(name, "a")))])
    }

    #[test]
    fn a_probe_leaves_nothing_and_takes_no_name_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open(folder.path()).unwrap();
        let names = [
            PROBE,
            ".pelago-probe-2",
            "a:b\n\u{e9}",
            "aux.c",
            "x.",
            &"n".repeat(255),
        ];
        // A killed run has left this.
        std::fs::create_dir(folder.path().join(".pelago-probe-3")).unwrap();
        std::fs::write(folder.path().join(".pelago-probe-3/pelago"), "").unwrap();
        std::fs::write(folder.path().join(PROBE), "").unwrap();
        let found = file_system(&dir, &listing(&names)).unwrap();
        assert_eq!(dir.names().unwrap(), [PROBE]);
        // Common file systems of Linux.
        #[cfg(target_os = "linux")]
        assert_eq!(found, FileSystem::unrestricted());
        #[cfg(not(target_os = "linux"))]
        let _ = found;
    }

    #[test]
    fn plain_names_need_few_probes() {
        let needs = Needs::of(listing(&["a", "b-1.txt", "c (2)"]).manifests());
        assert!(needs.characters.is_empty() && !needs.endings && !needs.devices);
        assert!(needs.links && !needs.files && needs.longest == 7);
    }
}
