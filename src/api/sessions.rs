//! Sessions of web pages, and the one-time codes that they begin with.
//!
//! A command, which knows the token, asks for a code and gives it to the browser in a URL's fragment,
//! which is sent nowhere. The page exchanges it for the secret of a session and for a bearer, which it shows
//! with each request. Nothing of it is a cookie: a browser sends those to every port of a host.
//!
//! Codes end with the API; sessions go on when the node is back, so that a page that stayed open need not
//! be opened anew. Meanwhile another program may listen at its port. So the secret is
//! never sent, and a bearer is good for one run at one address only: a MAC over both under the secret. At
//! the next run the page asks for that run's number, which cannot be known before, and makes a new one.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    io,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit, Mac};
use parking_lot::{Mutex, MutexGuard};
use sha2::Sha256;

use super::{
    Token,
    host::page_address,
    redirect::Redirect,
    saved_sessions::{SavedSessions, SavedSessionsFile},
};

/// How long a code can be used: a browser takes seconds to start.
pub(super) const CODE_LIFETIME: Duration = Duration::from_secs(60);

/// Codes that can be used at once, at most; the oldest goes first. People open a page or two.
const MAX_CODES: usize = 16;

/// Sessions at once, at most; the oldest goes first.
const MAX_SESSIONS: usize = 32;

/// What the MAC is for, so that it never stands for anything else. The page has the same.
const PURPOSE: &str = "pelago/page/1";

/// The sessions of one API.
#[derive(Debug)]
pub(super) struct Sessions {
    registry: Mutex<Registry>,
    /// What tells this run from others.
    run: Token,
    /// Where the page is.
    address: SocketAddr,
    /// Where they are kept.
    kept: Option<SavedSessionsFile>,
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
    /// The file that leads there, if there is one.
    _redirect: Option<Redirect>,
}

/// What a page knows.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// Never sent by a page.
    pub(super) secret: Token,
    /// What it shows in this run.
    pub(super) bearer: Token,
}

impl Sessions {
    /// None yet, for an API at `served`, and none that outlast it.
    pub(super) fn new(served: SocketAddr) -> Self {
        Self {
            registry: Mutex::default(),
            run: Token::generate(),
            address: page_address(served),
            kept: None,
        }
    }

    /// Those that were `kept` in `file`, which keeps them from now on.
    pub(super) fn restored(
        file: SavedSessionsFile,
        kept: SavedSessions,
        served: SocketAddr,
    ) -> Self {
        let mut sessions = Self::new(served);
        Redirect::clear(file.folder());
        let secrets = kept.secrets.into_iter().take(MAX_SESSIONS);
        let known: VecDeque<_> = secrets
            .map(|secret| sessions.session(secret.into()))
            .collect();
        sessions.registry = Mutex::new(Registry {
            sessions: known,
            ..Registry::default()
        });
        sessions.kept = Some(file);
        sessions
    }

    /// What tells this run from others: no secret, and not to be guessed before.
    pub(super) const fn run(&self) -> &Token {
        &self.run
    }

    fn session(&self, secret: Token) -> Session {
        let bearer = bearer(&secret, &self.run, self.address);
        Session { secret, bearer }
    }

    /// Writes down what there is, if it is kept.
    fn keep(&self, registry: &Registry) -> io::Result<()> {
        let Some(file) = &self.kept else {
            return Ok(());
        };
        let secrets = registry.sessions.iter().map(|session| &session.secret);
        let written = file.write(SavedSessions {
            port: self.address.port(),
            secrets: secrets.map(|secret| secret.as_str().to_owned()).collect(),
        });
        written.inspect_err(|error| {
            let path = file.path().display();
            tracing::warn!(%path, %error, "the next node does not know which pages are open");
        })
    }

    /// A new code, given out at `now`.
    pub(super) fn new_code(&self, now: Instant) -> Token {
        let code = Token::generate();
        self.add_code(code.clone(), now, None);
        code
    }

    /// The same, and a file that leads a browser there; none where there is no folder for it. Blocks on the
    /// disk.
    ///
    /// # Errors
    ///
    /// What the system said; then there is no code.
    pub(super) fn new_code_in_file(&self, now: Instant) -> io::Result<(Token, Option<PathBuf>)> {
        let code = Token::generate();
        let url = format!("http://{}/#code={}", self.address, code.as_str());
        let folder = self.kept.as_ref().map(SavedSessionsFile::folder);
        let redirect = folder.map(|folder| Redirect::write(folder, &url));
        let redirect = redirect.transpose()?;
        let path = redirect.as_ref().map(|redirect| redirect.path().to_owned());
        self.add_code(code.clone(), now, redirect);
        Ok((code, path))
    }

    fn add_code(&self, code: Token, given: Instant, redirect: Option<Redirect>) {
        let mut registry = self.lock();
        if registry.codes.len() >= MAX_CODES {
            registry.codes.pop_front();
        }
        registry.codes.push_back(Code {
            code,
            given,
            _redirect: redirect,
        });
    }

    /// Forgets codes that are too old, and the files that lead there.
    pub(super) fn forget_codes(&self, now: Instant) {
        let is_good = |code: &Code| now.saturating_duration_since(code.given) < CODE_LIFETIME;
        self.lock().codes.retain(is_good);
    }

    /// Forgets all codes, as the API ends.
    pub(super) fn forget_all_codes(&self) {
        self.lock().codes.clear();
    }

    /// Takes a code for a new session; none if the code is not, or no longer, good. Blocks on the disk. A
    /// session that cannot be kept ends with the node.
    pub(super) fn begin(&self, code: &str, now: Instant) -> Option<Session> {
        self.forget_codes(now);
        let mut registry = self.lock();
        let is_it = |known: &Code| known.code.is(code.as_bytes());
        let at = registry.codes.iter().position(is_it)?;
        registry.codes.remove(at);
        if registry.sessions.len() >= MAX_SESSIONS {
            registry.sessions.pop_front();
        }
        let session = self.session(Token::generate());
        registry.sessions.push_back(session.clone());
        // The warning says so; the page works.
        let _ = self.keep(&registry);
        Some(session)
    }

    /// The session whose page shows `bearer`, if there is one.
    pub(super) fn find(&self, bearer: &[u8]) -> Option<Session> {
        let registry = self.lock();
        let mut sessions = registry.sessions.iter();
        sessions.find(|known| known.bearer.is(bearer)).cloned()
    }

    /// Ends the session whose page shows `bearer`, if there is one. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// What the system said: it is ended, but the next node knows it again.
    pub(super) fn end(&self, bearer: &[u8]) -> io::Result<()> {
        let mut registry = self.lock();
        registry.sessions.retain(|known| !known.bearer.is(bearer));
        self.keep(&registry)
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock()
    }
}

/// What the page of a session shows at `address` in one run.
fn bearer(secret: &Token, run: &Token, address: SocketAddr) -> Token {
    let key = secret.as_str().as_bytes();
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length will do");
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

    fn kept(folder: &Path) -> Sessions {
        let (file, kept) = SavedSessionsFile::open(folder);
        Sessions::restored(file, kept, at(7))
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
    fn a_code_is_good_once_and_for_a_minute() {
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
    fn the_file_of_a_code_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let (sessions, now) = (kept(folder.path()), Instant::now());
        let (code, file) = sessions.new_code_in_file(now).unwrap();
        let file = file.unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(&format!("http://127.0.0.1:7/#code={}", code.as_str())));
        sessions.begin(code.as_str(), now).unwrap();
        assert!(!file.exists());

        let (_, old) = sessions.new_code_in_file(now).unwrap();
        let old = old.unwrap();
        sessions.forget_codes(now + CODE_LIFETIME / 2);
        assert!(old.exists());
        sessions.forget_codes(now + CODE_LIFETIME);
        assert!(!old.exists());
        assert_eq!(Sessions::new(at(7)).new_code_in_file(now).unwrap().1, None);
    }

    #[test]
    fn sessions_outlast_the_node_and_what_was_sent_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let before = kept(folder.path());
        let session = begun(&before);
        let after = kept(folder.path());
        assert!(
            !is(&after, &session.bearer),
            "it may have been sent to others"
        );
        // As the page makes it.
        let again = bearer(&session.secret, after.run(), at(7));
        assert!(is(&after, &again) && !is(&before, &again));
        // Whoever is where the node was passes on what a page made for that address.
        assert!(!is(&after, &bearer(&session.secret, after.run(), at(8))));
        after.end(again.as_str().as_bytes()).unwrap();
        let last = kept(folder.path());
        assert!(!is(&last, &bearer(&session.secret, last.run(), at(7))));
    }

    /// The page makes it of the same bytes (`page/session.js`).
    #[test]
    fn a_bearer_is_what_the_page_makes() {
        let (secret, run) = (Token::from("ab".repeat(32)), Token::from("cd".repeat(32)));
        assert_eq!(
            bearer(&secret, &run, at(7)).as_str(),
            "141bfdf46c5c0cf5bd0d6acc78bb39fbec6e5371b58ce32e97dedfbadf1a5bc1"
        );
    }

    #[test]
    fn a_session_that_cannot_be_kept_ends_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = kept(folder.path());
        folder.close().unwrap();
        let session = begun(&sessions);
        assert!(is(&sessions, &session.bearer));
        sessions
            .end(session.bearer.as_str().as_bytes())
            .unwrap_err();
        assert!(!is(&sessions, &session.bearer));
    }

    #[test]
    fn the_oldest_goes_where_there_are_too_many() {
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
