//! The API of one data folder: its socket, its token and its files.

use std::{future::Future, io, net::SocketAddr, path::Path, sync::Arc};

use axum::Router;
use tokio::net::TcpListener;

use super::{
    ApiFile, ApiFileError, Token,
    access::Access,
    origins::Origins,
    saved_sessions::{SavedSessions, SavedSessionsFile},
    serve::Server,
    sessions::Sessions,
};

/// A listening API that clients find through the data folder, until this is dropped.
#[derive(Debug)]
pub struct LocalApi {
    listener: TcpListener,
    token: Token,
    address: SocketAddr,
    file: ApiFile,
    sessions_file: SavedSessionsFile,
    saved_sessions: SavedSessions,
    origins: Origins,
}

impl LocalApi {
    /// Listens at `listen` and writes the address to `folder`, whose lock the caller holds.
    ///
    /// # Errors
    ///
    /// [`LocalApiError`]. Then nothing listens, and no file is written.
    pub async fn open(folder: &Path, listen: SocketAddr) -> Result<Self, LocalApiError> {
        let unusable = |source| LocalApiError::Listen { listen, source };
        let (sessions_file, saved_sessions) = SavedSessionsFile::open(folder);
        let listener = bind(listen, saved_sessions.port).await.map_err(unusable)?;
        let address = listener.local_addr().map_err(unusable)?;
        let token = Token::generate();
        let file = ApiFile::write(folder, address, &token)?;
        Ok(Self {
            listener,
            token,
            address,
            file,
            sessions_file,
            saved_sessions,
            origins: Origins::default(),
        })
    }

    /// Lets browsers open the page at these origins as well, such as `https://files.example.org`: those
    /// of tunnels and proxies.
    #[must_use]
    pub fn with_origins(self, origins: Vec<String>) -> Self {
        Self {
            origins: origins.into(),
            ..self
        }
    }

    /// The address that it listens at.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `router`, as [`serve`](super::serve) does. `api.json` is removed when this ends or is
    /// dropped.
    pub async fn serve(self, router: Router, shutdown: impl Future<Output = ()>) {
        self.server(router).run(shutdown).await;
    }

    /// The server of `router` on this socket.
    #[must_use]
    pub fn server(self, router: Router) -> LocalApiServer {
        let (file, saved) = (self.sessions_file, self.saved_sessions);
        let sessions = Sessions::restored(file, saved, self.address, self.origins);
        let access = Access::new(self.token, self.address, sessions);
        LocalApiServer {
            sessions: Arc::clone(access.sessions()),
            server: Server::new(access, self.listener, router),
            _file: self.file,
        }
    }
}

/// A router on the socket of a [`LocalApi`]. Dropping it removes `api.json` and the files that open
/// the page.
#[derive(Debug)]
pub struct LocalApiServer {
    server: Server,
    sessions: Arc<Sessions>,
    _file: ApiFile,
}

impl LocalApiServer {
    /// Serves as [`serve`](super::serve) does. Can be called again after a panic.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) {
        self.server.run(shutdown).await;
    }
}

impl Drop for LocalApiServer {
    fn drop(&mut self) {
        self.sessions.remove_all_codes();
    }
}

/// Listens at `listen`. If its port is 0, the port of the last run is tried first, as open pages
/// use it.
async fn bind(listen: SocketAddr, last_port: u16) -> io::Result<TcpListener> {
    if listen.port() == 0 && last_port != 0 {
        let again = SocketAddr::new(listen.ip(), last_port);
        if let Ok(listener) = TcpListener::bind(again).await {
            return Ok(listener);
        }
    }
    TcpListener::bind(listen).await
}

/// Why the API cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalApiError {
    /// The API cannot listen at the address.
    #[error("the API cannot listen on {listen}: {source}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// The error of the system.
        source: io::Error,
    },
    /// `api.json` cannot be written.
    #[error(transparent)]
    File(#[from] ApiFileError),
}
