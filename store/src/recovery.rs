//! The recovery from a damaged or missing database, and the list of what is still lost.
//!
//! Owns `recovery` in the data folder. The file exists from the moment when a damaged database is
//! replaced until all shares are found again, or a person removes it. Only `shares.log` and scans
//! of watched folders decide what is shared. Rows that `salvage` reads from the damaged file only
//! save hashing, and only if the file is unchanged. Shares that are not found immediately (folders,
//! changed files, unmounted disks) are searched for at each start. While the list exists, trees and
//! manifests without a row are kept. Of groups, the new database has the statements that can be read;
//! what they lack comes again from members. What is known from groups stays in them. Errors are those
//! of the database or of the operating system.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use pelago_content::{Hash, Kind};
use redb::WriteTransaction;
use serde::{Deserialize, Serialize};

use super::{
    Comparison, Fingerprint, KnownPeer, Member, MemberState, Share,
    data_layout::{MANIFESTS_FOLDER, TREES_FOLDER},
    database::{self, GROUPS},
    peers,
    salvage::{self, GroupValue, SalvagedGroupRow, SalvagedRow},
    share_log::{Logged, ShareLog, is_logged},
    share_tables::Tables,
};
use crate::{Known, durable};

/// The name of the file in the data folder.
pub(super) const RECOVERY_FILE: &str = "recovery";

/// How many peers are taken over at most; as many as are kept.
const MAX_PEERS: usize = 1000;

/// How many rows of groups are taken over at most: more than the groups of a node fill.
const MAX_GROUP_ROWS: usize = 1 << 20;

/// How many lost shares a message names.
const NAMED: usize = 20;

/// The content of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// The name that the damaged database has now; `None` if it was missing.
    #[serde(rename = "d")]
    pub damaged: Option<String>,
    /// The paths of shares that are not found yet.
    #[serde(rename = "l")]
    pub lost: Vec<String>,
}

/// The result of filling a new database.
#[derive(Debug, Default)]
pub(super) struct RecoveryReport {
    /// Files that are shared again.
    shares: usize,
    /// Files in watched and shared folders that need not be hashed again.
    known: usize,
    peers: usize,
    /// Rows of groups.
    group_rows: usize,
    /// Trees and manifests without a row.
    side_files: usize,
    lost: BTreeSet<String>,
}

impl Recovery {
    /// Reads the list of what was lost with the database of the data folder at `folder`; `None` if
    /// there is none.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn read(folder: &Path) -> io::Result<Option<Self>> {
        match fs::read(folder.join(RECOVERY_FILE)) {
            Ok(bytes) => {
                let recovery = database::decode(RECOVERY_FILE, &bytes);
                // Even a damaged list means that shares have to be searched for.
                Ok(Some(recovery.unwrap_or_default()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The path of the list in the data folder.
    #[must_use]
    pub fn file(folder: &Path) -> PathBuf {
        folder.join(RECOVERY_FILE)
    }

    /// Writes the list into the data folder.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let bytes = database::encode(self).map_err(io::Error::other)?;
        durable::replace(&Self::file(folder), &bytes)
    }
}

/// Whether the missing database of `folder` has to be rebuilt from the log of shares.
pub(super) fn is_due(folder: &Path) -> io::Result<bool> {
    let logged = ShareLog::in_folder(folder).read()?;
    Ok(logged.is_some_and(|logged| !logged.shares.is_empty()))
}

/// Fills a new database in `folder` with everything that can be recovered, mainly from the damaged
/// file.
pub(super) fn fill(
    folder: &Path,
    damaged: Option<&File>,
    transaction: &WriteTransaction,
) -> Result<RecoveryReport, redb::Error> {
    let log = ShareLog::in_folder(folder).read()?;
    let mut filler = DatabaseFiller {
        tables: Tables::open(transaction)?,
        log: log.as_ref(),
        peers: BTreeMap::new(),
        groups: BTreeMap::new(),
        found: RecoveryReport::default(),
    };
    for share in log.iter().flat_map(|log| log.shares.values()) {
        filler.take_logged(share)?;
    }
    if let Some(damaged) = damaged {
        salvage::each_row(damaged, |row| filler.take(row))?;
    }
    filler.confine_known()?;
    let without_rows = filler.tables.without_rows(side_files(folder)?)?;
    let DatabaseFiller {
        peers,
        groups,
        mut found,
        ..
    } = filler;
    let mut table = transaction.open_table(GROUPS)?;
    for ((kind, of, key), value) in &groups {
        table.insert((*kind, of, &key[..]), value.as_bytes())?;
    }
    found.group_rows = groups.len();
    found.side_files = without_rows.len();
    found.peers = peers.len().min(MAX_PEERS);
    let peers: Vec<_> = peers.into_values().take(MAX_PEERS).collect();
    peers::insert(transaction, &peers)?;
    Ok(found)
}

/// A new database while it is being filled.
struct DatabaseFiller<'t, 'l> {
    tables: Tables<'t>,
    /// `None` if there is no log: then nothing tells what may be shared.
    log: Option<&'l Logged>,
    peers: BTreeMap<Vec<u8>, KnownPeer>,
    /// Rows of groups, by kind, group or user, and key.
    groups: BTreeMap<(u8, [u8; 32], Vec<u8>), GroupValue>,
    found: RecoveryReport,
}

impl DatabaseFiller<'_, '_> {
    /// Restores a share that the log names. A folder has to be walked, and is searched for later.
    fn take_logged(&mut self, share: &Share) -> Result<(), redb::Error> {
        if share.descriptor.kind() == Kind::File
            && is_unchanged(&share.path, &share.fingerprint)
            && self.tables.restore(share)?
        {
            self.found.shares += 1;
        } else {
            self.found.lost.extend(text(&share.path));
        }
        Ok(())
    }

    /// Restores a row of the damaged file if it can still be correct.
    fn take(&mut self, row: SalvagedRow) -> Result<(), redb::Error> {
        match row {
            SalvagedRow::Share(share) if is_logged(&share) => self.take_share(share),
            SalvagedRow::Share(share) => {
                let is_file = share.descriptor.kind() == Kind::File;
                if is_file && is_unchanged(&share.path, &share.fingerprint) {
                    let is_restored = self.tables.restore(&share)?;
                    self.found.known += usize::from(is_restored);
                    if !is_restored {
                        self.tables.narrow(&share)?;
                    }
                }
                Ok(())
            }
            SalvagedRow::Group(row) => {
                self.take_group_row(row);
                Ok(())
            }
            SalvagedRow::Member(folder, member) => self.take_member(&folder, &member),
            SalvagedRow::Peer(peer) => {
                let known = self
                    .peers
                    .entry(peer.id.to_bytes())
                    .or_insert_with(|| peer.clone());
                if known.seen < peer.seen {
                    *known = peer;
                }
                Ok(())
            }
        }
    }

    /// Restores what the database knew about a share. Its name, scopes and origin are those in the
    /// log. Without a log it may have been withdrawn long ago, so it is only listed as lost.
    fn take_share(&mut self, share: Share) -> Result<(), redb::Error> {
        let Some(log) = self.log else {
            self.found.lost.extend(text(&share.path));
            return Ok(());
        };
        let Some(logged) = log.shares.get(&share.path) else {
            return Ok(());
        };
        let is_file = share.descriptor.kind() == Kind::File;
        if is_file && is_unchanged(&share.path, &share.fingerprint) {
            let share = Share {
                name: logged.name.clone(),
                scopes: logged.scopes.clone(),
                origin: logged.origin.clone(),
                ..share
            };
            if self.tables.restore(&share)? {
                self.found.shares += 1;
                self.found
                    .lost
                    .remove(share.path.to_str().unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Takes the latest of the statements that fill the same row.
    fn take_group_row(&mut self, row: SalvagedGroupRow) {
        let SalvagedGroupRow { of, key, value } = row;
        let at = (value.kind() as u8, of, key);
        let is_full = self.groups.len() >= MAX_GROUP_ROWS;
        match self.groups.get_mut(&at) {
            Some(before) if value.supersedes(before) => *before = value,
            None if !is_full => _ = self.groups.insert(at, value),
            _ => {}
        }
    }

    /// Notes what is known from groups as theirs: which of it was downloaded there is lost, and a
    /// watched folder would share it.
    fn confine_known(&mut self) -> Result<(), redb::Error> {
        let known = self.groups.values().filter_map(|value| match value {
            GroupValue::Known(Known::Content(hash), ..) => Some(*hash),
            _ => None,
        });
        let known: Vec<_> = known.collect();
        self.tables.confine(&known)
    }

    fn take_member(&mut self, folder: &str, member: &Member) -> Result<(), redb::Error> {
        let is_shared = |log: &Logged| log.shares.contains_key(Path::new(folder));
        if let MemberState::File(fingerprint) = &member.state
            && self.log.is_none_or(is_shared)
            && is_unchanged(&Path::new(folder).join(&member.path), fingerprint)
        {
            self.tables.restore_member(folder, member)?;
            self.found.known += 1;
        }
        Ok(())
    }
}

/// Whether a file still has this fingerprint.
fn is_unchanged(path: &Path, fingerprint: &Fingerprint) -> bool {
    let metadata = path.symlink_metadata().ok().filter(fs::Metadata::is_file);
    metadata.is_some_and(|metadata| fingerprint.compare_metadata(&metadata) != Comparison::Changed)
}

/// A path as it is written in the list; `None` if it is not valid UTF-8.
pub(super) fn text(path: &Path) -> Option<String> {
    path.to_str().map(str::to_owned)
}

/// The hashes of all stored trees and manifests.
fn side_files(folder: &Path) -> io::Result<Vec<Hash>> {
    let mut hashes = Vec::new();
    for name in [TREES_FOLDER, MANIFESTS_FOLDER] {
        let entries = match fs::read_dir(folder.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let name = entry?.file_name();
            hashes.extend(name.to_str().and_then(|name| name.parse::<Hash>().ok()));
        }
    }
    Ok(hashes)
}

impl RecoveryReport {
    /// Writes the list of lost shares, before the new database replaces the damaged one.
    pub(super) fn keep(&self, folder: &Path, damaged: Option<&Path>) -> io::Result<()> {
        let name = |path: &Path| Some(path.file_name()?.to_string_lossy().into_owned());
        let mut lost = self.lost.clone();
        // An earlier recovery may not have finished.
        lost.extend(
            Recovery::read(folder)?
                .into_iter()
                .flat_map(|before| before.lost),
        );
        let recovery = Recovery {
            damaged: damaged.and_then(name),
            lost: lost.into_iter().collect(),
        };
        recovery.write(folder)
    }

    /// Logs the result.
    pub(super) fn report(&self, database: &Path, damaged: Option<&Path>, why: &dyn fmt::Display) {
        let database = database.display();
        let damaged = damaged.map_or_else(String::new, |path| path.display().to_string());
        let Self {
            shares,
            known,
            peers,
            group_rows,
            side_files,
            lost,
        } = self;
        tracing::warn!(
            %database, set_aside = damaged, %why, shares, known, peers, group_rows, side_files,
            "the database was damaged and has been replaced: {shares} shares and {known} \
             files in folders were found again; {side_files} stored trees and manifests have no \
             share yet"
        );
        if !lost.is_empty() {
            let count = lost.len();
            tracing::warn!(
                "{count} shares are not found again yet; a node looks for them when it starts: {}",
                named(lost.iter())
            );
        }
    }
}

/// The first few of many names, for messages.
pub fn named<'n>(names: impl Iterator<Item = &'n String>) -> String {
    let mut names: Vec<_> = names.take(NAMED + 1).map(String::as_str).collect();
    if names.len() > NAMED {
        names[NAMED] = "...";
    }
    names.join(", ")
}
