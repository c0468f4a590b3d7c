//! Sessions of web pages, and the one-time codes that they begin with.
//!
//! A command, which knows the token, asks for a code and gives it to the browser in a URL's fragment,
//! which is sent nowhere. The page exchanges it for a cookie that scripts cannot read. All of it is in
//! memory and ends with the API.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::Token;

/// How long a code can be used: a browser takes seconds to start.
pub(super) const CODE_LIFETIME: Duration = Duration::from_secs(60);

/// Codes that can be used at once, at most; the oldest goes first. People open a page or two.
const MAX_CODES: usize = 16;

/// Sessions at once, at most; the oldest goes first.
const MAX_SESSIONS: usize = 32;

/// The sessions of one API.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    codes: VecDeque<(Token, Instant)>,
    sessions: VecDeque<Token>,
}

impl Sessions {
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
    /// good.
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
        inner.sessions.push_back(session.clone());
        Some(session)
    }

    /// Whether there is a session with this secret.
    pub(super) fn is(&self, secret: &str) -> bool {
        let inner = self.lock();
        inner
            .sessions
            .iter()
            .any(|known| known.is(secret.as_bytes()))
    }

    /// Ends the session with this secret, if there is one.
    pub(super) fn end(&self, secret: &str) {
        let mut inner = self.lock();
        inner.sessions.retain(|known| !known.is(secret.as_bytes()));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        sessions.end(session.as_str());
        assert!(!sessions.is(session.as_str()));

        let code = sessions.code(now);
        assert!(sessions.begin(code.as_str(), now + CODE_LIFETIME).is_none());
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
