//! A second copy of the shares that only a person could list again, used when the database is
//! damaged.
//!
//! Owns `shares.log` in the data folder: one line for each share that a person made or downloaded,
//! and for each withdrawal. Shares found in watched folders are left out, because a scan finds
//! them. The database is authoritative: a share is logged after it was committed, and its
//! withdrawal is logged before the commit, so that the log never names anything that is not shared.
//! Additions cost no sync; withdrawals cost one, because nothing withdrawn may return. If the log
//! cannot be written, it is removed, and no error is returned.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::File,
    io::{self, BufRead, BufReader, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2::{Digest, Sha256};

use super::{Origin, Share, database};
use crate::durable;

/// The name of the file in the data folder.
const LOG_FILE: &str = "shares.log";

/// The length of the digest at the beginning of each line, in bytes. A torn or damaged line is
/// skipped.
const DIGEST_LEN: usize = 8;

/// How many superseded lines may remain before the log is rewritten, beyond the number of current
/// lines.
const MAX_SUPERSEDED: usize = 100;

/// The log of one store.
pub(super) struct ShareLog {
    /// `None` for a store in memory.
    path: Option<PathBuf>,
}

/// One line.
#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(rename = "p")]
    path: String,
    /// The row in the database; `None` if the share was withdrawn.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    row: Option<ByteBuf>,
}

/// The content of a log.
#[derive(Debug, Default)]
pub(super) struct Logged {
    /// The shares by path.
    pub(super) shares: BTreeMap<PathBuf, Share>,
    lines: usize,
}

impl ShareLog {
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self {
            path: Some(folder.join(LOG_FILE)),
        }
    }

    pub(super) const fn in_memory() -> Self {
        Self { path: None }
    }

    /// Whether the log exists.
    pub(super) fn exists(&self) -> bool {
        self.path.as_ref().is_some_and(|path| path.exists())
    }

    /// Reads the log; `None` if there is none.
    pub(super) fn read(&self) -> io::Result<Option<Logged>> {
        let Some(path) = &self.path else {
            return Ok(None);
        };
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut logged = Logged::default();
        for line in BufReader::new(file).split(b'\n') {
            let Some(line) = decode(&line?) else {
                continue;
            };
            logged.lines += 1;
            match share(&line) {
                Some(share) => logged.shares.insert(share.path.clone(), share),
                None => logged.shares.remove(Path::new(&line.path)),
            };
        }
        Ok(Some(logged))
    }

    /// Logs the committed shares that belong into the log.
    pub(super) fn add<'s>(&mut self, shares: impl IntoIterator<Item = &'s Share>) {
        let logged = shares.into_iter().filter(|share| is_logged(share));
        let (mut lines, mut sync) = (String::new(), false);
        for share in logged {
            // An earlier line may list a share for everyone that is unlisted now.
            sync |= !share.scopes.is_listed();
            lines.extend(encode_share(share));
        }
        self.append(&lines, sync);
    }

    /// Logs shares that fewer peers may know about from now on. This is durable when the function
    /// returns.
    pub(super) fn narrow(&mut self, shares: &[Share]) {
        let lines: String = shares.iter().filter_map(encode_share).collect();
        if self.exists() {
            self.append(&lines, true);
        }
    }

    /// Logs that nothing is shared at these paths any more. This is durable when the function
    /// returns.
    pub(super) fn remove<'p>(&mut self, paths: impl IntoIterator<Item = &'p str>) {
        let line = |path: &str| {
            encode(&Line {
                path: path.to_owned(),
                row: None,
            })
        };
        let lines: String = paths.into_iter().filter_map(line).collect();
        if self.exists() {
            self.append(&lines, true);
        }
    }

    /// Rewrites the log if its content differs from `shares`, or if it has grown too long. `shares`
    /// are all shares in the database.
    pub(super) fn set(&mut self, shares: &BTreeMap<PathBuf, Share>) -> io::Result<()> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let logged = self.read()?;
        let fits = |logged: &Logged| {
            logged.shares == *shares && logged.lines <= 2 * shares.len() + MAX_SUPERSEDED
        };
        if logged.as_ref().map_or(shares.is_empty(), fits) {
            return Ok(());
        }
        let lines: String = shares.values().filter_map(encode_share).collect();
        durable::replace(path, lines.as_bytes())
    }

    fn append(&mut self, lines: &str, sync: bool) {
        let Some(path) = self.path.as_ref().filter(|_| !lines.is_empty()) else {
            return;
        };
        // The last line may be torn, and must not damage the new ones.
        let lines = format!("\n{lines}");
        let write = || {
            let mut options = durable::private();
            let mut file = options.append(true).create(true).open(path)?;
            file.write_all(lines.as_bytes())?;
            if sync { file.sync_data() } else { Ok(()) }
        };
        let written = durable::with_spare(path, write);
        if let Err(error) = written {
            tracing::warn!(
                path = %path.display(), %error,
                "shares.log cannot be written and is removed: until the next start, shares \
                 cannot be found again if the database is damaged"
            );
            if let Err(error) = durable::remove(path) {
                tracing::warn!(path = %path.display(), %error, "shares.log cannot be removed");
            }
        }
    }
}

/// Whether a share belongs into the log.
pub(super) const fn is_logged(share: &Share) -> bool {
    match share.origin {
        Origin::Explicit | Origin::Downloaded => true,
        Origin::Folder(_) => false,
    }
}

fn encode_share(share: &Share) -> Option<String> {
    encode(&Line {
        path: share.path.to_str()?.to_owned(),
        row: Some(ByteBuf::from(share.to_row().ok()?)),
    })
}

fn share(line: &Line) -> Option<Share> {
    Share::from_row_alone(&line.path, line.row.as_deref()?).ok()
}

/// A line in hexadecimal digits, with its digest before it.
fn encode(line: &Line) -> Option<String> {
    let bytes = database::encode(line).ok()?;
    let mut text = String::new();
    for byte in digest(&bytes).iter().chain(&bytes) {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    Some(text)
}

/// Decodes a line; `None` if it is empty, torn or damaged.
fn decode(line: &[u8]) -> Option<Line> {
    let byte = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = line.chunks(2).map(byte).collect();
    let bytes = bytes?;
    let (begin, rest) = bytes.split_at_checked(DIGEST_LEN)?;
    (begin == digest(rest)).then(|| database::decode("shares.log", rest).ok())?
}

fn digest(bytes: &[u8]) -> [u8; DIGEST_LEN] {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    std::array::from_fn(|at| digest[at])
}

/// Decodes any bytes as a line of the log, and as the part after the digest.
pub(super) fn fuzz(data: &[u8]) {
    decode(data).as_ref().map(share);
    if let Ok(line) = database::decode::<Line>("shares.log", data)
        && let Some(text) = encode(&line)
    {
        let again = decode(text.trim_end().as_bytes()).expect("it was written");
        assert_eq!((again.path, again.row), (line.path, line.row));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::testing::Home;

    fn logged(home: &Home) -> BTreeMap<PathBuf, Share> {
        let log = ShareLog::in_folder(home.store.folder().unwrap());
        log.read().unwrap().unwrap_or_default().shares
    }

    /// The shares of the database that belong into the log.
    fn expected(home: &Home) -> BTreeMap<PathBuf, Share> {
        let page = home.store.shares_page(None, usize::MAX, is_logged).unwrap();
        let shares = page.shares.into_iter();
        shares.map(|share| (share.path.clone(), share)).collect()
    }

    #[test]
    fn the_log_equals_the_database() {
        let home = Home::on_disk();
        let a = home.share("a", b"1");
        let mut b = home.share("b", b"2");
        b.origin = Origin::Folder(home.folder.path().to_owned());
        home.store
            .remove_shares(&[(b.descriptor.hash(), b.path.clone())])
            .unwrap();
        home.store.add_shares(&[b.clone()]).unwrap();
        assert_eq!(expected(&home).len(), 1);
        assert_eq!(logged(&home), expected(&home));
        // A scan finds the file, and it is still the share that a person made.
        let mut found = a.clone();
        found.origin = b.origin.clone();
        home.store.add_shares(&[found]).unwrap();
        assert_eq!(logged(&home), expected(&home));
        let hash = a.descriptor.hash();
        home.store.remove_shares(&[(hash, a.path)]).unwrap();
        assert_eq!(logged(&home), BTreeMap::new());
        assert_eq!(expected(&home), BTreeMap::new());
    }

    #[test]
    fn only_torn_and_damaged_lines_are_lost() {
        let home = Home::on_disk();
        for name in ["a", "b", "c"] {
            home.share(name, name.as_bytes());
        }
        let path = home.store.folder().unwrap().join(LOG_FILE);
        let mut bytes = fs::read(&path).unwrap();
        let second = bytes.len() / 2;
        bytes[second] ^= 1;
        bytes.truncate(bytes.len() - 5);
        fs::write(&path, bytes).unwrap();
        home.share("d", b"d");
        let names: Vec<_> = logged(&home)
            .into_values()
            .map(|share| share.name)
            .collect();
        assert_eq!(names, ["a", "d"]);
        let mut log = ShareLog::in_folder(home.store.folder().unwrap());
        log.set(&expected(&home)).unwrap();
        assert_eq!(logged(&home), expected(&home));
        assert_eq!(logged(&home).len(), 4);
    }

    #[test]
    fn a_long_log_is_rewritten() {
        let home = Home::on_disk();
        home.share("a", b"1");
        let mut log = ShareLog::in_folder(home.store.folder().unwrap());
        let shares = expected(&home);
        for _ in 0..2 * MAX_SUPERSEDED {
            log.add(shares.values());
        }
        assert!(log.read().unwrap().unwrap().lines > 2 * MAX_SUPERSEDED);
        log.set(&expected(&home)).unwrap();
        assert_eq!(log.read().unwrap().unwrap().lines, 1);
        assert_eq!(logged(&home), expected(&home));
    }

    #[test]
    fn a_log_that_cannot_be_written_is_removed() {
        let home = Home::on_disk();
        let a = home.share("a", b"1");
        let path = home.store.folder().unwrap().join(LOG_FILE);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        home.store
            .remove_shares(&[(a.descriptor.hash(), a.path)])
            .unwrap();
        home.share("b", b"2");
        let shares = home.store.shares_page(None, 10, |_| true).unwrap().shares;
        assert_eq!(shares.len(), 1);
    }
}
