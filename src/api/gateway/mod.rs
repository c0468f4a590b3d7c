//! The gateway: content as plain HTTP, for browsers and players, on an origin of its own.
//!
//! Owns its listeners, its URLs and their access control: a URL holds a capability, which grants
//! reading of one hash. Read-only. Content may be hostile. Response headers forbid it to run
//! scripts and to load anything from elsewhere. The gateway is `localhost`, while the API and the
//! page are at an IP address: cookies ignore ports, so content must not share a host with the API.
//! URLs are secrets and never logged.
//!
//! `http://localhost:PORT/CAPABILITY/HASH/NAME` is a file, and `.../HASH/PATH/` is a folder.
//!
//! | file | owns |
//! |---|---|
//! | `key` | capabilities, and the key that makes them |
//! | `urls` | URLs of content |
//! | `path` | the content that the path of a request names |
//! | `range`, `conditions` | ranges and conditional requests (RFC 9110) |
//! | `headers` | the headers that confine hostile content |
//! | `answer` | the response to a request |
//! | `listing` | folders, as HTML and as JSON |
//! | `html` | the layout of pages, and error pages |
//! | `saved_port` | the port of the last run |
//! | `server` | sockets, and the check of the `Host` header |

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

pub(super) use self::{
    answer::{Contents, malformed},
    headers::common as common_headers,
    html::{escaped, failure, head},
    path::{InvalidPath, Target},
    server::{misdirected, names_host},
    urls::encoded,
};
pub use self::{
    key::KeyError,
    server::{Gateway, GatewayError, GatewaySettings},
    urls::GatewayUrls,
};
