//! Sessions of web pages, and the one-time codes that begin them. A command, which knows the token,
//! requests a code and passes it to the browser in the fragment of a URL, which browsers do not
//! send. The page exchanges the code for the secret of a session and for a bearer, which it sends
//! with each request. Neither is a cookie: browsers send cookies to every port of a host.
//!
//! Codes end with the API. Sessions outlive it, so that an open page keeps working after a restart
//! of the node. Meanwhile, another program may listen at the port. So a page never sends the
//! secret, and a bearer is valid for one run at one address only: it is a MAC over both, keyed with
//! the secret. After a restart, the page requests the id of the new run, which is unpredictable,
//! and derives a new bearer.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    io,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use sha2::Sha256;

use super::{
    Token,
    host::page_address,
    origins::Origins,
    redirect::Redirect,
    saved_sessions::{SavedSessions, SavedSessionsFile},
};

/// How long a code is valid. A browser takes seconds to start.
pub(super) const CODE_LIFETIME: Duration = Duration::from_secs(60);

/// Valid codes, at most. Over the limit, the oldest is dropped. People open one or two pages.
const MAX_CODES: usize = 16;

/// Sessions, at most. Over the limit, the oldest is dropped.
const MAX_SESSIONS: usize = 32;

/// Separates bearers from any other use of a secret. The page uses the same text.
const PURPOSE: &str = "pelago/page/1";

/// The sessions of one API.
#[derive(Debug)]
pub(super) struct Sessions {
    registry: Mutex<Registry>,
    /// The id of this run.
    run: Token,
    /// The address of the page.
    address: SocketAddr,
    /// Where else the page may be.
    origins: Origins,
    /// The file that saves them, if they are saved.
    file: Option<SavedSessionsFile>,
}

#[derive(Debug, Default)]
struct Registry {
    codes: VecDeque<Code>,
    /// Oldest first.
    sessions: VecDeque<Session>,
}

#[derive(Debug)]
struct Code {
    code: Token,
    given: Instant,
    /// The file that opens the page with this code, if there is one.
    _redirect: Option<Redirect>,
}

/// The session of one page.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// Never sent by a page.
    pub(super) secret: Token,
    /// The credential that the page sends in this run.
    pub(super) bearer: Token,
    /// What pages at other origins send instead, after a restart.
    elsewhere: Vec<Token>,
}

impl Sessions {
    /// No sessions yet, for an API at `served`. They are not saved.
    pub(super) fn new(served: SocketAddr) -> Self {
        Self {
            registry: Mutex::default(),
            run: Token::generate(),
            address: page_address(served),
            origins: Origins::default(),
            file: None,
        }
    }

    /// The `saved` sessions of `file`, which also saves changes, of a page at `served` and `origins`.
    pub(super) fn restored(
        file: SavedSessionsFile,
        saved: SavedSessions,
        served: SocketAddr,
        origins: Origins,
    ) -> Self {
        let mut sessions = Self::new(served);
        sessions.origins = origins;
        Redirect::clear(file.folder());
        let secrets = saved.secrets.into_iter().take(MAX_SESSIONS);
        let known: VecDeque<_> = secrets
            .map(|secret| sessions.session(secret.into()))
            .collect();
        sessions.registry = Mutex::new(Registry {
            sessions: known,
            ..Registry::default()
        });
        sessions.file = Some(file);
        sessions
    }

    /// The id of this run. Not a secret, but unpredictable.
    pub(super) const fn run(&self) -> &Token {
        &self.run
    }

    /// Where the page may be beyond its own address.
    pub(super) const fn origins(&self) -> &Origins {
        &self.origins
    }

    fn session(&self, secret: Token) -> Session {
        let bearer = |address: &str| bearer(&secret, &self.run, address);
        Session {
            bearer: bearer(&self.address.to_string()),
            elsewhere: self.origins.authorities().map(bearer).collect(),
            secret,
        }
    }

    /// Saves the sessions, if they have a file.
    fn save(&self, registry: &Registry) -> io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let secrets = registry.sessions.iter().map(|session| &session.secret);
        let written = file.write(SavedSessions {
            port: self.address.port(),
            secrets: secrets.map(|secret| secret.as_str().to_owned()).collect(),
        });
        written.inspect_err(|error| {
            let path = file.path().display();
            tracing::warn!(
                %path,
                %error,
                "could not save the sessions of pages: they end with this node"
            );
        })
    }

    /// A new code, valid from `now`.
    pub(super) fn new_code(&self, now: Instant) -> Token {
        let code = Token::generate();
        self.add_code(code.clone(), now, None);
        code
    }

    /// A new code, and a file that opens the page with it; `None` if sessions are not saved, as
    /// there is no folder for it. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// The error of the system. Then there is no code.
    pub(super) fn new_code_in_file(&self, now: Instant) -> io::Result<(Token, Option<PathBuf>)> {
        let code = Token::generate();
        let url = format!("http://{}/#code={}", self.address, code.as_str());
        let folder = self.file.as_ref().map(SavedSessionsFile::folder);
        let redirect = folder.map(|folder| Redirect::write(folder, &url));
        let redirect = redirect.transpose()?;
        let path = redirect.as_ref().map(|redirect| redirect.path().to_owned());
        self.add_code(code.clone(), now, redirect);
        Ok((code, path))
    }

    fn add_code(&self, code: Token, given: Instant, redirect: Option<Redirect>) {
        let mut registry = self.registry.lock();
        if registry.codes.len() >= MAX_CODES {
            registry.codes.pop_front();
        }
        registry.codes.push_back(Code {
            code,
            given,
            _redirect: redirect,
        });
    }

    /// Removes expired codes and their files.
    pub(super) fn remove_expired_codes(&self, now: Instant) {
        let is_valid = |code: &Code| now.saturating_duration_since(code.given) < CODE_LIFETIME;
        self.registry.lock().codes.retain(is_valid);
    }

    /// Removes all codes and their files, when the API ends.
    pub(super) fn remove_all_codes(&self) {
        self.registry.lock().codes.clear();
    }

    /// Exchanges a code for a new session; `None` if the code is invalid or expired. Blocks on the
    /// disk. A session that cannot be saved ends with the node.
    pub(super) fn begin(&self, code: &str, now: Instant) -> Option<Session> {
        self.remove_expired_codes(now);
        let mut registry = self.registry.lock();
        let is_it = |known: &Code| known.code.is(code.as_bytes());
        let at = registry.codes.iter().position(is_it)?;
        registry.codes.remove(at);
        if registry.sessions.len() >= MAX_SESSIONS {
            registry.sessions.pop_front();
        }
        let session = self.session(Token::generate());
        registry.sessions.push_back(session.clone());
        // The error is logged, and the page works until the node ends.
        let _ = self.save(&registry);
        Some(session)
    }

    /// The session with this `bearer`, if there is one.
    pub(super) fn find(&self, bearer: &[u8]) -> Option<Session> {
        let registry = self.registry.lock();
        let mut sessions = registry.sessions.iter();
        sessions.find(|known| known.has(bearer)).cloned()
    }

    /// Ends the session with this `bearer`, if there is one. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// The error of the system. The session has ended, but is valid again after a restart.
    pub(super) fn end(&self, bearer: &[u8]) -> io::Result<()> {
        let mut registry = self.registry.lock();
        registry.sessions.retain(|known| !known.has(bearer));
        self.save(&registry)
    }
}

impl Session {
    fn has(&self, bearer: &[u8]) -> bool {
        self.bearer.is(bearer) || self.elsewhere.iter().any(|known| known.is(bearer))
    }
}

/// The bearer of a session at `address`, a host with its port, in one run.
fn bearer(secret: &Token, run: &Token, address: &str) -> Token {
    let key = secret.as_str().as_bytes();
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(format!("{PURPOSE}\n{}\n{address}", run.as_str()).as_bytes());
    let code = mac.finalize().into_bytes();
    let digits = code.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    digits.into()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn restored(folder: &Path) -> Sessions {
        let (file, saved) = SavedSessionsFile::open(folder);
        let origins = vec!["https://a.example".to_owned()];
        Sessions::restored(file, saved, at(7), origins.into())
    }

    fn begun(sessions: &Sessions) -> Session {
        let now = Instant::now();
        let code = sessions.new_code(now);
        sessions.begin(code.as_str(), now).unwrap()
    }

    fn is(sessions: &Sessions, bearer: &Token) -> bool {
        sessions.find(bearer.as_str().as_bytes()).is_some()
    }

    #[test]
    fn a_code_is_valid_once_and_for_a_minute() {
        let (sessions, now) = (Sessions::new(at(7)), Instant::now());
        let code = sessions.new_code(now);
        assert!(sessions.begin("", now).is_none());
        let session = sessions.begin(code.as_str(), now).unwrap();
        assert!(sessions.begin(code.as_str(), now).is_none(), "reused");
        assert!(is(&sessions, &session.bearer));
        assert!(!is(&sessions, &code) && !is(&sessions, &session.secret));
        sessions.end(session.bearer.as_str().as_bytes()).unwrap();
        assert!(!is(&sessions, &session.bearer));

        let code = sessions.new_code(now);
        assert!(sessions.begin(code.as_str(), now + CODE_LIFETIME).is_none());
    }

    #[test]
    fn the_file_of_a_code_is_removed_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let (sessions, now) = (restored(folder.path()), Instant::now());
        let (code, file) = sessions.new_code_in_file(now).unwrap();
        let file = file.unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(&format!("http://127.0.0.1:7/#code={}", code.as_str())));
        sessions.begin(code.as_str(), now).unwrap();
        assert!(!file.exists());

        let (_, old) = sessions.new_code_in_file(now).unwrap();
        let old = old.unwrap();
        sessions.remove_expired_codes(now + CODE_LIFETIME / 2);
        assert!(old.exists());
        sessions.remove_expired_codes(now + CODE_LIFETIME);
        assert!(!old.exists());
        assert_eq!(Sessions::new(at(7)).new_code_in_file(now).unwrap().1, None);
    }

    #[test]
    fn sessions_outlive_the_node_and_bearers_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let before = restored(folder.path());
        let session = begun(&before);
        let after = restored(folder.path());
        assert!(
            !is(&after, &session.bearer),
            "it may have been sent to others"
        );
        // The page derives it in the same way.
        let derived = |run: &Sessions, address: &str| bearer(&session.secret, run.run(), address);
        let again = derived(&after, "127.0.0.1:7");
        assert!(is(&after, &again) && !is(&before, &again));
        assert!(is(&after, &derived(&after, "a.example")));
        // A program at the old address of the node could forward a bearer for that address.
        assert!(!is(&after, &derived(&after, "127.0.0.1:8")));
        after.end(again.as_str().as_bytes()).unwrap();
        let last = restored(folder.path());
        assert!(!is(&last, &derived(&last, "127.0.0.1:7")));
    }

    /// The page derives it from the same bytes (`page/session.js`).
    #[test]
    fn the_page_derives_the_same_bearer() {
        let (secret, run) = (Token::from("ab".repeat(32)), Token::from("cd".repeat(32)));
        assert_eq!(
            bearer(&secret, &run, "127.0.0.1:7").as_str(),
            "141bfdf46c5c0cf5bd0d6acc78bb39fbec6e5371b58ce32e97dedfbadf1a5bc1"
        );
    }

    #[test]
    fn a_session_ends_even_if_that_cannot_be_saved() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = restored(folder.path());
        folder.close().unwrap();
        let session = begun(&sessions);
        assert!(is(&sessions, &session.bearer));
        sessions
            .end(session.bearer.as_str().as_bytes())
            .unwrap_err();
        assert!(!is(&sessions, &session.bearer));
    }

    #[test]
    fn the_oldest_is_dropped_over_the_limit() {
        let (sessions, now) = (Sessions::new(at(7)), Instant::now());
        let first = sessions.new_code(now);
        for _ in 0..MAX_CODES {
            sessions.new_code(now);
        }
        assert!(sessions.begin(first.as_str(), now).is_none());
        let begun: Vec<_> = (0..=MAX_SESSIONS).map(|_| begun(&sessions)).collect();
        assert!(!is(&sessions, &begun[0].bearer) && is(&sessions, &begun[1].bearer));
    }
}
