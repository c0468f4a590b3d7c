//! Content that follows from a seed, and its comparison.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use rand::{RngExt, rngs::StdRng};
use sha2::{Digest as _, Sha256};

pub(crate) type Digest = [u8; 32];

/// Files of a folder at most.
const MOST_FILES: usize = 40;

/// The content of a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    File(Digest),
    /// The files by their paths in the folder.
    Tree(BTreeMap<PathBuf, Digest>),
}

impl Body {
    /// The files of this body, if it is at `path`.
    pub(crate) fn files_at(&self, path: &Path) -> Vec<(PathBuf, Digest)> {
        match self {
            Self::File(digest) => vec![(path.to_owned(), *digest)],
            Self::Tree(files) => files.iter().map(|(at, d)| (path.join(at), *d)).collect(),
        }
    }
}

pub(crate) fn digest(content: &[u8]) -> Digest {
    Sha256::digest(content).into()
}

/// Bytes that look random, and are quick to make without optimisation, too (splitmix64).
pub(crate) fn noise(rng: &mut StdRng, size: usize) -> Vec<u8> {
    let mut state: u64 = rng.random();
    let mut content = Vec::with_capacity(size + 8);
    while content.len() < size {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        content.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    content.truncate(size);
    content
}

/// From 1 KB to `most`, small ones more often.
pub(crate) fn size(rng: &mut StdRng, most: usize) -> usize {
    let bits = rng.random_range(10.0..(most as f64).log2());
    (f64::exp2(bits) as usize).clamp(1, most)
}

/// Writes a new file.
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<Digest> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, content)?;
    Ok(digest(content))
}

/// Writes a new file of random content.
pub(crate) fn make_file(rng: &mut StdRng, path: &Path, most: usize) -> io::Result<Body> {
    let size = size(rng, most);
    Ok(Body::File(write(path, &noise(rng, size))?))
}

/// Writes a new folder: small files in some sub-folders, now and then with equal content, and at times
/// one large file.
pub(crate) fn make_folder(rng: &mut StdRng, path: &Path, most: usize) -> io::Result<Body> {
    let mut files = BTreeMap::new();
    let mut last = noise(rng, 2000);
    for number in 0..rng.random_range(3..=MOST_FILES) {
        let folder = ["", "s", "s/deep", "t"][rng.random_range(0..4)];
        let at = Path::new(folder).join(format!("file{number}"));
        if rng.random_bool(0.9) {
            let size = size(rng, 20_000);
            last = noise(rng, size);
        }
        files.insert(at.clone(), write(&path.join(at), &last)?);
    }
    if rng.random_bool(0.4) {
        let size = rng.random_range(most / 8..most);
        let at = PathBuf::from("s/large");
        files.insert(at.clone(), write(&path.join(at), &noise(rng, size))?);
    }
    Ok(Body::Tree(files))
}
