//! The gateway: content as plain HTTP, for browsers and players, on an origin of its own.
//!
//! Owns its listeners, and which of the node's contents may be read by whom: whoever knows a capability,
//! which is in the path and holds for one hash. Read-only. What is served may be hostile: it is told to
//! browsers as something that may not run scripts nor reach anything else, and it lives on `localhost`
//! while the API and the page live on an IP address, so that no cookie of theirs, which know no ports,
//! comes here. No URL is ever logged.
//!
//! `http://localhost:PORT/CAPABILITY/HASH/NAME` is a file, `.../HASH/PATH/` what is in a folder.
//!
//! | file | owns |
//! |---|---|
//! | `key` | the capabilities, and the key that they are made with |
//! | `urls` | URLs |
//! | `path` | what a request's path names |
//! | `range`, `conditions` | which bytes, and whether any, by RFC 9110 |
//! | `headers` | what browsers are told of hostile content |
//! | `answer` | a request's answer |
//! | `listing` | folders, for people and programs |
//! | `html` | failures, for people |
//! | `saved_port` | where it was the last time |
//! | `server` | sockets: who is let in, and who is too slow |

mod answer;
mod conditions;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzzing;
mod headers;
mod html;
mod key;
mod listing;
mod path;
mod range;
mod saved_port;
mod server;
pub(super) mod urls;

pub use self::{
    key::KeyError,
    server::{Gateway, GatewayError, GatewaySettings},
    urls::GatewayUrls,
};
