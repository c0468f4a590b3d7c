//! What this node gives to people without Pelago, and takes from them, by their browsers.
//!
//! Decides what may be given away so: shares that everyone with the hash may have, and never content
//! of groups alone. And where files of others may go: into a folder of which nothing is shared on.
//! Serves nothing itself.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use pelago_content::Hash;
use thiserror::Error;

use super::{
    CodedError, IncomingError, IncomingFile, Node, Shared, UnshareError, blocking::blocking, shares,
};
use crate::{
    access::{Action, permits},
    network::Closed,
    store::{DatabaseError, NewFile, NewFileError, Store},
    transfer::{numbered, sanitised},
};

/// Names that are tried for a file: `a.txt`, `a (2).txt`, and so on.
const MAX_NAMES: u32 = 1000;

/// Why something cannot be given to browsers, or taken from them.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WebError {
    /// Nothing is shared so, or several contents are.
    #[error(transparent)]
    Selection(#[from] UnshareError),
    /// Only members of groups may have it.
    #[error("{name:?} is shared with a group alone, so it gets no link for everyone")]
    GroupContent {
        /// Its name.
        name: String,
    },
    /// What is in the folder is shared, or would be.
    #[error(
        "{} cannot receive files: what is in {} is shared with others",
        crate::store::shown(folder),
        crate::store::shown(shared)
    )]
    SharedFolder {
        /// The folder.
        folder: PathBuf,
        /// The share or the watched folder that it is in.
        shared: PathBuf,
    },
    /// It is in the data folder of the node.
    #[error(
        "{} cannot receive files: it is in the data folder of the node",
        crate::store::shown(folder)
    )]
    DataFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// It cannot be created or used.
    #[error("the folder {} cannot be used: {source}", crate::store::shown(folder))]
    Unusable {
        /// The folder.
        folder: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The database cannot be read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The node has shut down.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl CodedError for WebError {
    fn code(&self) -> &'static str {
        match self {
            Self::Selection(error) => error.code(),
            Self::GroupContent { .. } => "group-content",
            Self::SharedFolder { .. } => "folder-is-shared",
            Self::DataFolder { .. } => "in-data-folder",
            Self::Unusable { .. } => "folder-unusable",
            Self::Database(_) => "database",
            Self::Closed(_) => "shutting-down",
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Selection(error) => return error.hint(),
            Self::GroupContent { .. } => {
                "share it with everyone who has the link first: pelago share --unlisted PATH"
            }
            Self::SharedFolder { .. } | Self::DataFolder { .. } => {
                "choose a folder that is not shared, as files of others would be shared on"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl Node {
    /// The share that `what` selects, for people without Pelago.
    ///
    /// # Errors
    /// See [`WebError`].
    pub async fn share_for_browsers(&self, what: &str) -> Result<Shared, WebError> {
        let (store, what) = (self.core.store.clone(), what.to_owned());
        let shared = blocking(move || shares::links(&store, Some(&what))).await??;
        let mut names = shared.iter().map(|shared| shared.name.clone());
        let name = names.next().unwrap_or_default();
        let mut open = shared
            .into_iter()
            .filter(|shared| permits(&shared.scopes, Action::Fetch));
        open.next().ok_or(WebError::GroupContent { name })
    }

    /// Whether this node shares the content, and not with groups alone. False if the database cannot
    /// be read.
    pub async fn is_shared_outside_groups(&self, hash: Hash) -> bool {
        let store = self.core.store.clone();
        let shares = blocking(move || store.shares_of(&hash)).await;
        let Ok(Ok(shares)) = shares else {
            return false;
        };
        let mut shares = shares.iter();
        shares.any(|share| permits(&share.scopes, Action::Fetch))
    }

    /// The folder at `path`, which is created if it does not exist, as a place for files of others.
    ///
    /// # Errors
    /// See [`WebError`].
    pub async fn folder_for_receiving(&self, path: PathBuf) -> Result<PathBuf, WebError> {
        let (store, watched) = (
            self.core.store.clone(),
            self.core.settings.share_folders.clone(),
        );
        blocking(move || folder_for_receiving(&store, &watched, &path)).await?
    }

    /// Begins to receive a file of `len` bytes in a folder that [`Node::folder_for_receiving`]
    /// returned. Its name is made safe, and another one is chosen where it is taken.
    ///
    /// # Errors
    /// See [`IncomingError`].
    pub async fn receive_file(
        &self,
        folder: &Path,
        name: &str,
        len: u64,
    ) -> Result<IncomingFile, IncomingError> {
        let name = sanitised(name).ok_or_else(|| IncomingError::Name {
            name: name.to_owned(),
        })?;
        for number in 1..=MAX_NAMES {
            let name = numbered(&name, number);
            let target = folder.join(&name);
            let Some(permit) = self.core.incoming.permit_new(&target)? else {
                continue;
            };
            let (space, folder) = (self.core.store.disk_space().clone(), folder.to_owned());
            let created = blocking(move || NewFile::create(&space, &folder, &name, len)).await?;
            match created {
                Err(NewFileError::Exists { .. }) => {}
                created => return Ok(IncomingFile::new(created?, permit)),
            }
        }
        let path = folder.join(name);
        Err(NewFileError::Exists { path }.into())
    }
}

fn folder_for_receiving(
    store: &Store,
    watched: &[PathBuf],
    path: &Path,
) -> Result<PathBuf, WebError> {
    let unusable = |source| WebError::Unusable {
        folder: path.to_owned(),
        source,
    };
    fs::create_dir_all(path).map_err(unusable)?;
    // Without links, so that the folder has a single path.
    let folder = fs::canonicalize(path).map_err(unusable)?;
    let resolved = |path: &PathBuf| fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    if let Some(data) = store.folder()
        && folder.starts_with(resolved(&data.to_owned()))
    {
        return Err(WebError::DataFolder { folder });
    }
    if let Some(shared) = watched
        .iter()
        .find(|watched| folder.starts_with(resolved(watched)))
    {
        let shared = shared.clone();
        return Err(WebError::SharedFolder { folder, shared });
    }
    for above in folder.ancestors() {
        if store.share_at(above)?.is_some() {
            let shared = above.to_owned();
            return Err(WebError::SharedFolder { folder, shared });
        }
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::store::{NewFolder, Origin, Scope};

    #[test]
    fn files_of_others_go_where_nothing_is_shared_on() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        let store = Store::in_memory();
        let [watched, shared, free] = ["watched", "shared", "free"].map(|name| home.join(name));
        fs::create_dir_all(shared.join("in")).unwrap();
        fs::create_dir(&watched).unwrap();
        let folder = NewFolder {
            path: shared.clone(),
            name: "shared".to_owned(),
            scopes: Scope::Unlisted.into(),
            origin: Origin::Explicit,
        };
        let go_on = |_| ControlFlow::Continue(());
        store.share_folder(&folder, &go_on).unwrap();
        let is_free = |path: &Path| {
            let folder = folder_for_receiving(&store, std::slice::from_ref(&watched), path);
            folder
                .map(|folder| folder == path)
                .map_err(|error| error.code())
        };
        assert_eq!(is_free(&free.join("deep")), Ok(true), "it is created");
        for path in [&watched, &watched.join("x"), &shared, &shared.join("in")] {
            assert_eq!(is_free(path), Err("folder-is-shared"), "{}", path.display());
        }
        fs::write(home.join("file"), "").unwrap();
        assert_eq!(is_free(&home.join("file")), Err("folder-unusable"));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&watched, home.join("link")).unwrap();
            assert_eq!(is_free(&home.join("link")), Err("folder-is-shared"));
        }
    }
}
