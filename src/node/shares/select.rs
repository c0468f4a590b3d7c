//! Finds the shares that a person selects by hash, the first digits of one, or name.

use std::{io, path::PathBuf};

use pelago_content::Hash;
use thiserror::Error;

use super::{Shared, each_page};
use crate::{
    network::Closed,
    node::{CodedError, selector::Selector},
    store::{DatabaseError, Printable, Share, Store, shown},
};

/// Why no single share was found to unshare, to read, or to make a link for.
#[derive(Debug, Error)]
pub enum UnshareError {
    /// No share has that hash or name.
    #[error("no share matches {what:?}")]
    NotShared {
        /// The hash, its first digits, or the name.
        what: String,
    },
    /// It is part of a shared folder.
    #[error(
        "{what:?} is not shared by itself: it is part of the shared folder {}",
        shown(folder)
    )]
    InFolder {
        /// The path.
        what: String,
        /// The path of the folder.
        folder: PathBuf,
    },
    /// The exclusions from watched folders cannot be recorded.
    #[error("nothing was unshared, because the change cannot be recorded: {0}")]
    NotKept(io::Error),
    /// Shares with different contents match.
    #[error("{what:?} matches several shares:\n{}", shares_by(choices))]
    Ambiguous {
        /// The first digits or the name.
        what: String,
        /// The shares that match.
        choices: Vec<Shared>,
    },
    /// The database cannot be read or written.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The node shut down.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl CodedError for UnshareError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotShared { .. } | Self::InFolder { .. } => "not-shared",
            Self::NotKept(_) => "not-kept",
            Self::Ambiguous { .. } => "ambiguous-name",
            Self::Database(_) => "database",
            Self::Closed(_) => "shutting-down",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotShared { .. } => Some("see the shares with `pelago list`".to_owned()),
            Self::InFolder { folder, .. } => Some(format!(
                "unshare the folder: pelago unshare {folder:?}; or name the file in the folder's \
                 .pelagoignore, and share the folder again"
            )),
            Self::NotKept(_) => {
                Some("free space on the disk of the data folder, and try again".to_owned())
            }
            Self::Ambiguous { .. } => Some("give the hash, or more of its digits".to_owned()),
            _ => None,
        }
    }
}

/// The shares that `what` selects, or all shares, by name: each content once. Their links name no
/// peer.
///
/// # Errors
/// No share matches, or shares with different contents do; or the database cannot be read.
pub fn links(store: &Store, what: Option<&str>) -> Result<Vec<Shared>, UnshareError> {
    let mut shares = Vec::new();
    match what {
        Some(what) => shares = store.shares_of(&select_hash(store, what)?)?,
        None => each_page(store, |page| {
            shares.extend(page);
            Ok(())
        })?,
    }
    let mut links: Vec<_> = shares.into_iter().map(Shared::from).collect();
    links.sort_by(|a, b| (&a.name, a.hash).cmp(&(&b.name, b.hash)));
    links.dedup_by(|a, b| a.hash == b.hash && (what.is_some() || a.name == b.name));
    Ok(links)
}

/// The hash of the one content that `what` selects.
pub(in crate::node) fn select_hash(store: &Store, what: &str) -> Result<Hash, UnshareError> {
    let shares = select(store, what)?;
    let not_shared = || UnshareError::NotShared {
        what: what.to_owned(),
    };
    shares
        .first()
        .map(|share| share.hash)
        .ok_or_else(not_shared)
}

/// The shares that `what` selects, all with the same content: a hash or its first digits selects
/// all places of that content, a name those of that name. Empty if no share matches.
pub(in crate::node::shares) fn select(
    store: &Store,
    what: &str,
) -> Result<Vec<Share>, UnshareError> {
    let selector = Selector::new(what);
    let shares = match &selector {
        Selector::Hash(hash) => store.shares_of(hash)?,
        Selector::Name(name) => store.shares_named(name)?,
        Selector::Prefix(..) => {
            let mut shares = Vec::new();
            each_page(store, |page| {
                let page = page.into_iter();
                shares.extend(page.filter(|share| selector.matches(&share.hash, &share.name)));
                Ok(())
            })?;
            shares
        }
    };
    let mut choices: Vec<_> = shares.iter().cloned().map(Shared::from).collect();
    choices.sort_by_key(|shared| shared.hash);
    choices.dedup_by_key(|shared| shared.hash);
    if choices.len() > 1 {
        return Err(UnshareError::Ambiguous {
            what: what.to_owned(),
            choices,
        });
    }
    Ok(shares)
}

fn shares_by(choices: &[Shared]) -> String {
    let line = |choice: &Shared| {
        let (hash, name) = (choice.hash, Printable(&choice.name));
        let path = shown(&choice.path);
        format!("  {hash}  {name}, {path}")
    };
    choices.iter().map(line).collect::<Vec<_>>().join("\n")
}
