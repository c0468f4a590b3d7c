//! Sessions of web pages, and the one-time codes that they begin with.
//!
//! A command, which knows the token, asks for a code and gives it to the browser in a URL's fragment,
//! which is sent nowhere. The page exchanges it for a cookie that scripts cannot read. Codes end with the
//! API; sessions go on when the node is back, so that a page that stayed open need not be opened anew.

use std::{
    collections::VecDeque,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{
    Token,
    kept::{Kept, KeptFile},
};

/// How long a code can be used: a browser takes seconds to start.
pub(super) const CODE_LIFETIME: Duration = Duration::from_secs(60);

/// Codes that can be used at once, at most; the oldest goes first. People open a page or two.
const MAX_CODES: usize = 16;

/// Sessions at once, at most; the oldest goes first.
const MAX_SESSIONS: usize = 32;

/// The sessions of one API.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    inner: Mutex<Inner>,
    /// Where they are kept, and the port that goes with them.
    kept: Option<(KeptFile, u16)>,
}

#[derive(Debug, Default)]
struct Inner {
    codes: VecDeque<(Token, Instant)>,
    /// The hashes of their secrets, oldest first.
    sessions: VecDeque<String>,
}

impl Sessions {
    /// Those that were `kept` in `file`, which keeps them from now on, for an API at `port`.
    pub(super) fn kept(file: KeptFile, kept: Kept, port: u16) -> Self {
        let mut sessions: VecDeque<_> = kept.sessions.into();
        sessions.truncate(MAX_SESSIONS);
        let inner = Inner {
            sessions,
            ..Inner::default()
        };
        Self {
            inner: Mutex::new(inner),
            kept: Some((file, port)),
        }
    }

    /// Writes down what there is, if it is kept.
    fn keep(&self, inner: &Inner) -> io::Result<()> {
        let Some((file, port)) = &self.kept else {
            return Ok(());
        };
        let written = file.write(Kept {
            port: *port,
            sessions: inner.sessions.iter().cloned().collect(),
        });
        written.inspect_err(|error| {
            let path = file.path().display();
            tracing::warn!(%path, %error, "the next node does not know which pages are open");
        })
    }

    /// A new code, given out at `now`.
    pub(super) fn code(&self, now: Instant) -> Token {
        let mut inner = self.lock();
        if inner.codes.len() >= MAX_CODES {
            inner.codes.pop_front();
        }
        let code = Token::generate();
        inner.codes.push_back((code.clone(), now));
        code
    }

    /// Takes a code for a new session, whose secret this gives; none if the code is not, or no longer,
    /// good. Blocks on the disk. A session that cannot be kept ends with the node.
    pub(super) fn begin(&self, code: &str, now: Instant) -> Option<Token> {
        let mut inner = self.lock();
        inner
            .codes
            .retain(|(_, given)| now.saturating_duration_since(*given) < CODE_LIFETIME);
        let is_it = |(known, _): &(Token, Instant)| known.is(code.as_bytes());
        let at = inner.codes.iter().position(is_it)?;
        inner.codes.remove(at);
        if inner.sessions.len() >= MAX_SESSIONS {
            inner.sessions.pop_front();
        }
        let session = Token::generate();
        inner.sessions.push_back(hash(session.as_str()));
        // The warning says so; the page works.
        let _ = self.keep(&inner);
        Some(session)
    }

    /// Whether there is a session with this secret.
    pub(super) fn is(&self, secret: &str) -> bool {
        let hash = hash(secret);
        let inner = self.lock();
        inner.sessions.iter().any(|known| is_same(known, &hash))
    }

    /// Ends the session with this secret, if there is one. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// What the system said: it is ended, but the next node knows it again.
    pub(super) fn end(&self, secret: &str) -> io::Result<()> {
        let hash = hash(secret);
        let mut inner = self.lock();
        inner.sessions.retain(|known| !is_same(known, &hash));
        self.keep(&inner)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of a secret: its SHA-256 in hex.
fn hash(secret: &str) -> String {
    Sha256::digest(secret)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Compares in a time that does not tell how much is the same.
fn is_same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_good_once_and_for_a_minute() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let code = sessions.code(now);
        assert!(sessions.begin("", now).is_none());
        let session = sessions.begin(code.as_str(), now).unwrap();
        assert!(sessions.begin(code.as_str(), now).is_none(), "reused");
        assert!(sessions.is(session.as_str()) && !sessions.is(code.as_str()));
        sessions.end(session.as_str()).unwrap();
        assert!(!sessions.is(session.as_str()));

        let code = sessions.code(now);
        assert!(sessions.begin(code.as_str(), now + CODE_LIFETIME).is_none());
    }

    #[test]
    fn sessions_outlast_the_node_and_their_secrets_are_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = || {
            let (file, kept) = KeptFile::open(folder.path());
            Sessions::kept(file, kept, 7)
        };
        let before = sessions();
        let code = before.code(Instant::now());
        let secret = before.begin(code.as_str(), Instant::now()).unwrap();
        let after = sessions();
        assert!(after.is(secret.as_str()));
        let file = std::fs::read_to_string(folder.path().join("pages.json")).unwrap();
        assert!(!file.contains(secret.as_str()));
        after.end(secret.as_str()).unwrap();
        assert!(!sessions().is(secret.as_str()));
    }

    #[test]
    fn a_session_that_cannot_be_kept_ends_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (file, kept) = KeptFile::open(folder.path());
        let sessions = Sessions::kept(file, kept, 7);
        folder.close().unwrap();
        let code = sessions.code(Instant::now());
        let secret = sessions.begin(code.as_str(), Instant::now()).unwrap();
        assert!(sessions.is(secret.as_str()));
        sessions.end(secret.as_str()).unwrap_err();
        assert!(!sessions.is(secret.as_str()));
    }

    #[test]
    fn the_oldest_goes_where_there_are_too_many() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let first = sessions.code(now);
        let codes: Vec<_> = (0..MAX_CODES).map(|_| sessions.code(now)).collect();
        assert!(sessions.begin(first.as_str(), now).is_none());
        let begun: Vec<_> = codes
            .iter()
            .map(|code| sessions.begin(code.as_str(), now).unwrap())
            .collect();
        for _ in 0..MAX_SESSIONS - MAX_CODES + 1 {
            let code = sessions.code(now);
            sessions.begin(code.as_str(), now).unwrap();
        }
        assert!(!sessions.is(begun[0].as_str()) && sessions.is(begun[1].as_str()));
    }
}
