//! The API over a node without peers.
//!
//! ```text
//! client -- in process ---------.
//!                                +-- router -- node (in memory, alone)
//! client -- socket, token ------'
//! ```

mod access;
mod calls;
mod events;
mod files;
mod groups;
mod openapi;
mod pages;
mod settings;
mod user;

use std::{net::SocketAddr, time::Duration};

use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use super::{App, Client, Token, router, serve};
use crate::node::testing::alone;

/// How long to wait at most, on a busy machine. Everything in these tests takes seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// An API on a socket.
struct Served {
    address: SocketAddr,
    token: Token,
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Served {
    async fn new(app: impl Into<App>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let token = Token::generate();
        let (end, ended) = oneshot::channel();
        let ended = async {
            if ended.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let task = tokio::spawn(serve(listener, router(app), token.clone(), ended));
        Self {
            address,
            token,
            end,
            task,
        }
    }

    async fn client(&self) -> Client {
        Client::connect(self.address, self.token.clone())
            .await
            .unwrap()
    }
}
