//! The API of one data folder: socket, token and `api.json` together.

use std::{future::Future, io, net::SocketAddr, path::Path};

use axum::Router;
use tokio::net::TcpListener;

use super::{ApiFile, ApiFileError, Token, serve};

/// An API that can be found from the data folder, until dropped.
#[derive(Debug)]
pub struct Local {
    listener: TcpListener,
    token: Token,
    address: SocketAddr,
    file: ApiFile,
}

impl Local {
    /// Listens at `listen` and says so in `folder`, whose lock the caller holds.
    ///
    /// # Errors
    ///
    /// [`LocalError`]; then nothing listens, and nothing is said.
    pub async fn open(folder: &Path, listen: SocketAddr) -> Result<Self, LocalError> {
        let unusable = |source| LocalError::Listen { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(unusable)?;
        let address = listener.local_addr().map_err(unusable)?;
        let token = Token::generate();
        let file = ApiFile::write(folder, address, &token)?;
        Ok(Self {
            listener,
            token,
            address,
            file,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `router`, as [`serve`] does. The file goes when this ends or is dropped.
    pub async fn serve(self, router: Router, shutdown: impl Future<Output = ()>) {
        let _file = self.file;
        serve(self.listener, router, self.token, shutdown).await;
    }
}

/// Why there is no API.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The address cannot be listened at.
    #[error("the API cannot listen on {listen}: {source}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody can be told.
    #[error(transparent)]
    File(#[from] ApiFileError),
}
