//! The content that the victim downloads, and the node that has it.

use std::path::Path;

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    Failure,
    content::{self, Body},
    pelago::{Home, Node},
};

const FILES: usize = 30;
const FOLDERS: usize = 10;

/// Bytes of a file at most.
pub(crate) const MOST_BYTES: usize = 8 << 20;

/// Bytes a second: a large file takes a second, in which something can happen to it.
const RATE: &str = "8000000";

#[derive(Clone)]
pub(crate) struct Item {
    pub(crate) hash: String,
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) body: Body,
}

/// A node with files and folders. Its only torture is a kill.
pub(crate) struct Library {
    home: Home,
    node: Option<Node>,
    pub(crate) items: Vec<Item>,
}

impl Library {
    /// Makes the files that follow from `seed`, and shares them.
    pub(crate) fn open(binary: &Path, folder: &Path, seed: u64) -> Result<Self, Failure> {
        let home = Home::new(binary, folder.join("data"), folder.join("quiet"))?
            .with("PELAGO_TRANSFER_UPLOAD_LIMIT", RATE);
        let node = Some(home.start(&[])?);
        let mut library = Self {
            home,
            node,
            items: Vec::new(),
        };
        let mut rng = StdRng::seed_from_u64(seed);
        for number in 0..FILES + FOLDERS {
            let is_folder = number >= FILES;
            let name = format!("{}{number}", if is_folder { "album" } else { "film" });
            let path = folder.join("files").join(&name);
            let body = if is_folder {
                content::make_folder(&mut rng, &path, MOST_BYTES)?
            } else if number % 3 == 0 {
                let size = rng.random_range(MOST_BYTES / 4..MOST_BYTES);
                let noise = content::noise(&mut rng, size);
                Body::File(content::write(&path, &noise)?)
            } else {
                content::make_file(&mut rng, &path, MOST_BYTES)?
            };
            library.share(&path, name, body)?;
        }
        Ok(library)
    }

    fn share(&mut self, path: &Path, name: String, body: Body) -> Result<(), Failure> {
        let answer = self.home.run(&["share", &path.to_string_lossy()])?;
        let shared = answer.done().ok_or_else(|| answer.brief())?;
        let hash = shared[0]["hash"].as_str().ok_or("a share has a hash")?;
        self.items.push(Item {
            hash: hash.to_owned(),
            name,
            size: shared[0]["size"].as_u64().unwrap_or(0),
            body,
        });
        Ok(())
    }

    pub(crate) fn address(&self) -> String {
        self.home.address()
    }

    pub(crate) fn kill(&mut self) {
        if let Some(node) = self.node.take() {
            node.kill();
        }
    }

    /// Starts the node, if it does not run.
    pub(crate) fn start(&mut self) -> Result<(), Failure> {
        if self.node.is_none() {
            self.node = Some(self.home.start(&[])?);
        }
        Ok(())
    }
}
