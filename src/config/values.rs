//! Which values a setting takes, when they are read, and how people are shown both.

use std::net::{Ipv6Addr, SocketAddr};

use libp2p::Multiaddr;
use serde::{Deserialize, Deserializer, de::Error};
use toml::Value;

use crate::limits::Rate;

/// Bytes of the longest network name: it is part of every protocol's name, sent with each stream.
const MAX_NETWORK_NAME_LEN: usize = 32;

/// Bytes of the longest node name, so that it fits a line of `peers` and a message.
const MAX_NODE_NAME_LEN: usize = 64;

/// Of what kind the values of a setting are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Bytes a second; 0: no limit.
    Rate,
    /// A whole number.
    Number,
    /// Yes or no.
    Bool,
    /// One of several words.
    Choice(&'static [&'static str]),
    /// Any other text, or a list of texts.
    Text,
}

/// The values of a setting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values {
    rule: Rule,
    /// The meaning of a special value, for people; may be empty.
    note: &'static str,
    pub(super) unit: Option<&'static str>,
    /// Whether the setting can change while a node runs.
    pub(super) at_run_time: bool,
}

#[derive(Clone, Copy, Debug)]
enum Rule {
    Rate,
    Number {
        min: i64,
        max: i64,
    },
    Flag,
    Choice(&'static [&'static str]),
    Text {
        is_valid: fn(&str) -> bool,
        expected: &'static str,
    },
    List {
        is_valid: fn(&str) -> bool,
        expected: &'static str,
    },
}

/// A limit in bytes a second, which can change while a node runs.
pub(super) const fn limit() -> Values {
    Values::new(Rule::Rate).unit("bytes a second").at_run_time()
}

/// A whole number from `min` to `max`.
pub(super) const fn number(min: i64, max: i64) -> Values {
    Values::new(Rule::Number { min, max })
}

/// Yes or no.
pub(super) const fn flag() -> Values {
    Values::new(Rule::Flag)
}

/// One of several words.
pub(super) const fn choice(words: &'static [&'static str]) -> Values {
    Values::new(Rule::Choice(words))
}

/// A text; `expected` tells people what is valid.
pub(super) const fn text(is_valid: fn(&str) -> bool, expected: &'static str) -> Values {
    Values::new(Rule::Text { is_valid, expected })
}

/// A list of texts; `expected` tells people which are valid.
pub(super) const fn list(is_valid: fn(&str) -> bool, expected: &'static str) -> Values {
    Values::new(Rule::List { is_valid, expected })
}

impl Values {
    const fn new(rule: Rule) -> Self {
        Self {
            rule,
            note: "",
            unit: None,
            at_run_time: false,
        }
    }

    pub(super) const fn unit(self, unit: &'static str) -> Self {
        Self {
            unit: Some(unit),
            ..self
        }
    }

    pub(super) const fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }

    pub(super) const fn at_run_time(self) -> Self {
        Self {
            at_run_time: true,
            ..self
        }
    }

    pub(super) const fn kind(&self) -> ValueKind {
        match self.rule {
            Rule::Rate => ValueKind::Rate,
            Rule::Number { .. } => ValueKind::Number,
            Rule::Flag => ValueKind::Bool,
            Rule::Choice(words) => ValueKind::Choice(words),
            Rule::Text { .. } | Rule::List { .. } => ValueKind::Text,
        }
    }

    /// Whether the setting can have this value.
    pub(super) fn contain(&self, value: &Value) -> bool {
        match (self.rule, value) {
            (Rule::Rate, Value::Integer(bytes)) => {
                u64::try_from(*bytes).is_ok_and(|bytes| Rate::limit(bytes).is_ok())
            }
            (Rule::Number { min, max }, Value::Integer(number)) => (min..=max).contains(number),
            (Rule::Flag, Value::Boolean(_)) => true,
            (Rule::Choice(words), Value::String(word)) => words.contains(&word.as_str()),
            (Rule::Text { is_valid, .. }, Value::String(text)) => is_valid(text),
            (Rule::List { is_valid, .. }, Value::Array(items)) => {
                items.iter().all(|item| item.as_str().is_some_and(is_valid))
            }
            _ => false,
        }
    }

    /// The values that a file or a variable may hold, as the object of "use".
    pub(super) fn expected(&self) -> String {
        match self.rule {
            Rule::Rate => "a whole number of bytes a second from 1000 (1 kB/s) to 1000000000000 \
                           (1 TB/s), or 0 for no limit"
                .to_owned(),
            Rule::Number { min, max } => format!("a whole number from {min} to {max}"),
            Rule::Flag => "true or false".to_owned(),
            Rule::Choice(words) => alternatives(words),
            Rule::Text { expected, .. } | Rule::List { expected, .. } => expected.to_owned(),
        }
    }

    /// The values that people may type, in few words.
    pub(super) fn allowed(&self) -> String {
        let values = match self.rule {
            Rule::Rate => {
                "1 kB/s to 1 TB/s, such as 50000, 400k, 1.5MB or 2MiB; 0 or off: no limit"
                    .to_owned()
            }
            Rule::Number { min, max } => format!("{min} to {max}"),
            _ => self.expected(),
        };
        match self.note {
            "" => values,
            note => format!("{values}; {note}"),
        }
    }
}

#[cfg(test)]
impl Values {
    /// Values at the edges of what is allowed; none for text, which has no edges.
    pub(super) fn edges(&self) -> Vec<Value> {
        match self.rule {
            Rule::Rate => [0, 1_000, 1_000_000_000_000].map(Value::Integer).to_vec(),
            Rule::Number { min, max } => [min, max].map(Value::Integer).to_vec(),
            Rule::Flag => [false, true].map(Value::Boolean).to_vec(),
            Rule::Choice(words) => words.iter().map(|word| Value::from(*word)).collect(),
            Rule::Text { .. } | Rule::List { .. } => Vec::new(),
        }
    }
}

/// `a, b or c`.
fn alternatives(words: &[&str]) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        words => words.concat(),
    }
}

/// Whether a text may be a network's name, and so part of a protocol's name.
pub(super) fn is_network_name(text: &str) -> bool {
    let is_allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    (1..=MAX_NETWORK_NAME_LEN).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// Whether a text may be a node's name; it may be empty.
pub(super) fn is_node_name(text: &str) -> bool {
    text.len() <= MAX_NODE_NAME_LEN && !text.chars().any(char::is_control)
}

/// Whether a text is `IP:PORT`.
pub(super) fn is_socket_address(text: &str) -> bool {
    text.parse::<SocketAddr>().is_ok()
}

/// Whether a text is `IP:PORT` or empty.
pub(super) fn is_socket_address_or_empty(text: &str) -> bool {
    text.is_empty() || is_socket_address(text)
}

/// Whether a text is a multiaddr.
pub(super) fn is_multiaddr(text: &str) -> bool {
    text.parse::<Multiaddr>().is_ok()
}

/// Whether a text is an origin as browsers write it: in lower case, without a path or the default
/// port.
pub(super) fn is_origin(text: &str) -> bool {
    let (rest, default) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (rest, 443),
        (_, Some(rest)) => (rest, 80),
        _ => return false,
    };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let is_port = |port: &str| {
        let number = port.parse::<u16>().ok();
        number.is_some_and(|number| ![0, default].contains(&number) && number.to_string() == port)
    };
    let is_name = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_')
    };
    let is_host = match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(address) => {
            let parsed = address.parse::<Ipv6Addr>();
            parsed.is_ok_and(|parsed| parsed.to_string() == address)
        }
        None => !host.is_empty() && host.bytes().all(is_name),
    };
    is_host && port.is_none_or(is_port)
}

/// Any text is valid; those who use the setting parse it.
pub(super) const fn is_any(_: &str) -> bool {
    true
}

/// A limit in bytes a second; 0 is none.
pub(super) fn optional_rate<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Rate>, D::Error> {
    Rate::limit(u64::deserialize(from)?).map_err(D::Error::custom)
}

/// `IP:PORT`; an empty text is none.
pub(super) fn optional_socket_address<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<SocketAddr>, D::Error> {
    match String::deserialize(from)?.as_str() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(D::Error::custom),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_those_that_browsers_write() {
        for valid in [
            "https://files.example.org",
            "http://127.0.0.1:9000",
            "https://localhost:8443",
            "http://[::1]:9000",
            "https://xn--nxa.example",
        ] {
            assert!(is_origin(valid), "{valid}");
        }
        for invalid in [
            "",
            "https://",
            "files.example.org",
            "ftp://a.example",
            "https://A.example",
            "https://a.example/",
            "https://a.example/pelago",
            "https://a.example:443",
            "http://a.example:80",
            "http://a.example:0",
            "http://a.example:09000",
            "http://a.example:",
            "http://:9000",
            "http://user@a.example",
            "http://[::0001]:9000",
            "http://*.example",
            "null",
        ] {
            assert!(!is_origin(invalid), "{invalid}");
        }
    }
}
