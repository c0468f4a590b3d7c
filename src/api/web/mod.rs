//! Links for people without Pelago: their browsers download a share, or upload files into a folder.
//!
//! Owns a listener of its own, which exists only while there is a link, and the links, which exist
//! only in memory. A link holds a random token, which grants one share or one folder until it is
//! withdrawn, expires, or the node ends. Everything here is plain HTTP, which others on the way can
//! read: commands and the page say so. Decides nothing about content: the node says what may be
//! given away, and where files may go. Errors are pages or short texts for people.
//!
//! | file | owns |
//! |---|---|
//! | `links`, `registry` | the links, their limits and their end: pure; as tasks share them |
//! | `service` | the listener, from the first link to the last one |
//! | `answer` | which link a request belongs to |
//! | `receive` | the page that uploads files, and the files that arrive |
//! | `addresses` | the addresses of this machine |
//! | `routes` | the API |

mod addresses;
mod answer;
mod links;
mod receive;
mod registry;
pub(super) mod routes;
mod service;

pub(super) use self::{addresses::origins_elsewhere, service::WebService};
