//! The path of a request: capability, hash, and names below the hash.

use percent_encoding::percent_decode_str;

use super::key::Key;
use crate::content::Hash;

/// The content that a path with a valid capability names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api) struct Target {
    /// The content.
    pub(super) hash: Hash,
    /// The last segment of the path that names the content itself.
    pub(super) top: String,
    /// The names that lead to an entry in a folder, or the name of a file.
    pub(super) names: Vec<String>,
    /// Whether the path ends with a slash, as those of folders do.
    pub(super) is_folder: bool,
}

/// Why a path is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum InvalidPath {
    /// It has another form, or its capability is wrong. Clients must not learn which.
    NotFound,
    /// It is not percent-encoded UTF-8.
    Malformed,
}

impl Target {
    /// Parses a path as it was sent.
    pub(super) fn parse(path: &str, key: &Key) -> Result<Self, InvalidPath> {
        let path = path.strip_prefix('/').ok_or(InvalidPath::NotFound)?;
        let mut parts = path.split('/');
        let capability = parts.next().unwrap_or_default();
        let hash = parts.next().and_then(hash).ok_or(InvalidPath::NotFound)?;
        if !key.is_capability(capability, &hash) {
            return Err(InvalidPath::NotFound);
        }
        Self::of_parts(hash, hash.to_string(), parts.collect())
    }

    /// The content `hash`, or what is `below` it in a path where `top` names the content.
    pub(in crate::api) fn below(
        hash: Hash,
        top: &str,
        below: Option<&str>,
    ) -> Result<Self, InvalidPath> {
        let parts = below.map(|below| below.split('/').collect());
        Self::of_parts(hash, top.to_owned(), parts.unwrap_or_default())
    }

    fn of_parts(hash: Hash, top: String, mut parts: Vec<&str>) -> Result<Self, InvalidPath> {
        let is_folder = parts.pop_if(|last| last.is_empty()).is_some();
        let names = parts.into_iter().map(name).collect::<Result<_, _>>()?;
        Ok(Self {
            hash,
            top,
            names,
            is_folder,
        })
    }
}

/// A hash in its canonical form, so that one content has one URL.
fn hash(text: &str) -> Option<Hash> {
    let hash: Hash = text.parse().ok()?;
    (hash.to_string() == text).then_some(hash)
}

/// One name. It can only name an entry of a folder, and cannot lead out of it.
fn name(part: &str) -> Result<String, InvalidPath> {
    let is_encoded = part.split('%').skip(1).all(|after| {
        let digits = after.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    if !is_encoded {
        return Err(InvalidPath::Malformed);
    }
    let decoded = percent_decode_str(part).decode_utf8();
    let name = decoded.map_err(|_| InvalidPath::Malformed)?;
    let leads_elsewhere = name.contains(['/', '\0']);
    if leads_elsewhere || matches!(&*name, "" | "." | "..") {
        return Err(InvalidPath::NotFound);
    }
    Ok(name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::load_or_create(tempfile::tempdir().unwrap().path()).unwrap()
    }

    #[test]
    fn names_are_decoded_one_by_one() {
        let (key, hash) = (key(), Hash::from_bytes([7; 32]));
        let capability = key.capability(&hash);
        let parse = |below: &str| {
            let target = Target::parse(&format!("/{capability}/{hash}{below}"), &key)?;
            Ok((target.names, target.is_folder))
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(parse(""), Ok((names(&[]), false)));
        assert_eq!(parse("/"), Ok((names(&[]), true)));
        assert_eq!(parse("/a/b%20c"), Ok((names(&["a", "b c"]), false)));
        assert_eq!(parse("/a+b/%E2%82%AC/"), Ok((names(&["a+b", "€"]), true)));
        assert_eq!(parse("/%252e%252e"), Ok((names(&["%2e%2e"]), false)));
        assert_eq!(parse("/..."), Ok((names(&["..."]), false)));
        assert_eq!(parse("/a%5Cb"), Ok((names(&["a\\b"]), false)));
        for nowhere in [
            "/..",
            "/../",
            "/a/../b",
            "/%2e%2e",
            "/%2E%2e/%2e",
            "/.",
            "/a//b",
            "//",
            "/a%2Fb",
            "/a%2fb",
            "/a%00b",
        ] {
            assert_eq!(parse(nowhere), Err(InvalidPath::NotFound), "{nowhere}");
        }
        for malformed in [
            "/%",
            "/%2",
            "/%zz",
            "/a%2gb",
            "/%ff",
            "/%c0%ae",
            "/%ed%a0%80",
        ] {
            assert_eq!(parse(malformed), Err(InvalidPath::Malformed), "{malformed}");
        }
    }

    #[test]
    fn a_client_without_the_capability_learns_nothing() {
        let (hash, other) = (Hash::from_bytes([0xab; 32]), Hash::from_bytes([8; 32]));
        let key = key();
        let capability = key.capability(&hash);
        for path in [
            String::new(),
            "/".to_owned(),
            "*".to_owned(),
            format!("/{hash}"),
            format!("/{hash}/{capability}"),
            format!("/{capability}"),
            format!("/{capability}/{other}"),
            format!("/{capability}/{other}/%"),
            format!("//{hash}/%2"),
            format!("/{}/{hash}", &capability[1..]),
            format!("/{capability}/{}", &hash.to_string()[1..]),
            format!("/{capability}/{}", hash.to_string().to_uppercase()),
        ] {
            assert_eq!(
                Target::parse(&path, &key),
                Err(InvalidPath::NotFound),
                "{path}"
            );
        }
    }
}
