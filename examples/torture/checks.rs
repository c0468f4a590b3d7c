//! Compares the promises with lists, disk, and the downloads of another node.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    Failure,
    content::{self, Body, Digest},
    ground::Sort,
    model::{Observed, Promise, Seen},
    pelago::Answer,
    verbs::{IDENTITY, text_of},
    world::World,
};

/// How long the victim may take to share the files of its watched folder.
const WATCH_PATIENCE: Duration = Duration::from_secs(20);

/// How long a share may take to be served after its file got another mode or name, or its node restarted.
const SERVE_PATIENCE: Duration = Duration::from_secs(8);

const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Bytes that have to be free for a download to complete.
const ROOM: u64 = 32 << 20;

/// Shares that are downloaded after a round.
const SAMPLE: usize = 6;

impl World<'_> {
    /// Compares everything. Afterwards the node runs, and all downloads have ended.
    pub(crate) fn check(&mut self) -> Result<(), Failure> {
        self.library.start()?;
        if !self.start_node()? {
            return Ok(());
        }
        let watched = self.check_watched()?;
        self.compare()?;
        self.fetch_shares(&watched)?;
        self.go_on()?;
        self.compare()
    }

    /// Compares the victim's lists and its disk with the model.
    pub(crate) fn compare(&mut self) -> Result<(), Failure> {
        let Some(observed) = self.observe()? else {
            return Ok(());
        };
        self.model.adopt(&observed);
        // From its first check on, a node keeps its identity.
        self.model.keeps_first(&observed, IDENTITY);
        let mut all = self.model.violations(&observed);
        for folder in ["mine", "keep", "watched"] {
            all.extend(self.model.strays(&self.path(folder), &observed));
        }
        self.figures.downloads_compared += self.model.downloads_in(Promise::Done).len();
        for violation in all {
            let look = violation.at.as_deref().and_then(described);
            let look = look.map_or_else(String::new, |look| format!(" ({look})"));
            self.violated(violation.sort, violation.text + &look);
        }
        Ok(())
    }

    fn observe(&mut self) -> Result<Option<Observed>, Failure> {
        // First: downloads that are done now have to be on the disk.
        let (shares, downloads) = (
            self.victim.run(&["list"])?,
            self.victim.run(&["downloads"])?,
        );
        let (Answer::Done(shares), Answer::Done(downloads)) = (&shares, &downloads) else {
            let text = format!("{} {}", shares.brief(), downloads.brief());
            self.violated("no-answer", text);
            return Ok(None);
        };
        let states = downloads.as_array().map(Vec::as_slice).unwrap_or_default();
        let state = |one: &Value| {
            Some((
                one["hash"].as_str()?.to_owned(),
                one["state"].as_str()?.to_owned(),
            ))
        };
        let kept = self.kept()?;
        let mut disk = BTreeMap::new();
        for folder in ["mine", "got", "keep", "watched"] {
            look(&self.path(folder), &mut disk)?;
        }
        Ok(Some(Observed {
            shares: text_of(shares, "hash"),
            downloads: states.iter().filter_map(state).collect(),
            kept,
            disk,
        }))
    }

    /// Waits until the files of the watched folder are listed, and returns their hashes.
    fn check_watched(&mut self) -> Result<Vec<String>, Failure> {
        let files = self.model.files_below(&self.path("watched"));
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let paths: Vec<_> = files
            .iter()
            .map(|(path, _)| path.to_string_lossy())
            .collect();
        let mut arguments = vec!["hash"];
        arguments.extend(paths.iter().map(|path| &**path));
        let Answer::Done(hashed) = self.reader.run(&arguments)? else {
            return Ok(Vec::new());
        };
        let mut hashes = BTreeMap::new();
        for (one, (path, digest)) in hashed.as_array().into_iter().flatten().zip(&files) {
            if let Some(hash) = one["hash"].as_str() {
                self.model.knows(hash, Body::File(*digest));
                hashes.insert(hash.to_owned(), path.clone());
            }
        }
        let began = Instant::now();
        loop {
            if let Answer::Done(listed) = self.victim.run(&["list"])? {
                let listed = text_of(&listed, "hash");
                let missing: Vec<_> = hashes
                    .iter()
                    .filter(|(hash, _)| !listed.contains(*hash))
                    .collect();
                if missing.is_empty() {
                    break;
                }
                if began.elapsed() > WATCH_PATIENCE {
                    let text = format!("watched files are not listed: {missing:?}");
                    self.violated("watched-lost", text);
                    break;
                }
            }
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(hashes.into_keys().collect())
    }

    /// Downloads some of the victim's shares that have to be served, and compares them.
    fn fetch_shares(&mut self, watched: &[String]) -> Result<(), Failure> {
        let mut all = self.model.served();
        // Those of the last round first.
        all.reverse();
        let mut sample = Vec::new();
        for from in [&*all, watched] {
            for _ in 0..SAMPLE {
                sample.extend(self.pick(from));
            }
        }
        sample.sort_unstable();
        sample.dedup();
        self.empty_reader()?;
        for hash in sample {
            self.fetch_share(&hash)?;
        }
        Ok(())
    }

    fn fetch_share(&mut self, hash: &str) -> Result<(), Failure> {
        let copy = self.reader.quiet.join("copies").join(hash);
        let (peer, to) = (self.victim.address(), copy.to_string_lossy().into_owned());
        let arguments = [
            "download",
            hash,
            "--peer",
            &peer,
            "-o",
            &to,
            "--no-seed",
            "--timeout",
            "3",
        ];
        let began = Instant::now();
        loop {
            match self.reader.run(&arguments)? {
                Answer::Done(_) => break,
                answer if began.elapsed() > SERVE_PATIENCE => {
                    let places = self.model.places(hash);
                    let text = format!("{hash} of {places:?} is not served: {}", answer.brief());
                    self.violated("share-unserved", text);
                    return self.forget_reader();
                }
                _ => thread::sleep(LOOK_INTERVAL),
            }
        }
        self.figures.shares_compared += 1;
        let body = self.model.body(hash).cloned();
        for (path, digest) in body.iter().flat_map(|body| body.files_at(&copy)) {
            if digest_at(&path)? != Some(digest) {
                self.violated("share-wrong", format!("{hash}: {}", path.display()));
            }
        }
        Ok(())
    }

    /// The reader begins anew, without what it has of shares that were not served.
    fn forget_reader(&self) -> Result<(), Failure> {
        Ok(fs::remove_dir_all(&self.reader.data)?)
    }

    /// Resumes all downloads, and waits until they end.
    fn go_on(&mut self) -> Result<(), Failure> {
        if !self.settle()? {
            return Ok(());
        }
        let mut all = self.model.downloads_in(Promise::Paused);
        if self.chance(0.5) {
            // Some stay paused for the next round.
            all.truncate(1);
        }
        all.extend(self.model.downloads_in(Promise::Open));
        let mut resumed = BTreeMap::new();
        for hash in &all {
            let before = self.model.download(hash).cloned();
            let answer = self.pelago(&["resume", hash])?;
            match (answer, before) {
                (Answer::Done(_), _) => {
                    self.model.answered(hash, Promise::Going);
                    resumed.insert(hash.clone(), self.model.has_to_end(hash));
                }
                (answer, Some(before)) if before.promise == Promise::Paused => {
                    let text =
                        format!("{hash} is paused and cannot be resumed: {}", answer.brief());
                    self.violated("resume-failed", text);
                    self.model.answered(hash, Promise::Void);
                }
                // It never began, or it has ended.
                _ => self.model.answered(hash, Promise::Void),
            }
        }
        if !self.settle()? {
            return Ok(());
        }
        for hash in resumed
            .into_iter()
            .filter_map(|(hash, has_to)| has_to.then_some(hash))
        {
            let promise = self.model.download(&hash).map(|download| download.promise);
            if self.ground.free()? < ROOM {
                continue;
            }
            if promise != Some(Promise::Done) {
                let why = self.why.get(&hash);
                let text =
                    format!("{hash:.8} has to get done when it is resumed, and fails: {why:?}");
                self.violated("resume-failed", text);
            }
        }
        Ok(())
    }

    /// After the last round: cancels and removes everything; nothing of Pelago's may be left.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        if !self.start_node()? {
            return Ok(());
        }
        self.pelago(&["cancel", "--all"])?;
        self.pelago(&["remove", "--all"])?;
        let Answer::Done(left) = self.victim.run(&["downloads"])? else {
            return Ok(());
        };
        if left.as_array().is_some_and(|left| !left.is_empty()) {
            self.violated(
                "list-left",
                format!("after cancel and remove --all: {left}"),
            );
        }
        for entry in fs::read_dir(self.victim.data.join("partial"))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.len() == 64 && self.ground_keeps_all() {
                self.violated("record-left", format!("partial/{name}"));
            }
        }
        Ok(())
    }

    fn ground_keeps_all(&self) -> bool {
        self.ground.sort() == Sort::Folder
    }
}

/// The content of a file; none if there is no file.
pub(crate) fn digest_at(path: &Path) -> Result<Option<Digest>, Failure> {
    match path.symlink_metadata() {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Ok(None),
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", path.display()).into()),
    }
    match fs::read(path) {
        Ok(content) => Ok(Some(content::digest(&content))),
        Err(error) if is_gone(&error) => Ok(None),
        // The disk fails.
        Err(error) if error.raw_os_error() == Some(5) => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display()).into()),
    }
}

/// Describes a wrong file.
fn described(path: &Path) -> Option<String> {
    let content = fs::read(path).ok()?;
    let pages: Vec<_> = content.chunks(4096).collect();
    let zeros = pages
        .iter()
        .filter(|page| page.iter().all(|byte| *byte == 0));
    Some(format!(
        "{} bytes, {} of {} pages are zeros",
        content.len(),
        zeros.count(),
        pages.len()
    ))
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// All files and links below `folder`.
pub(crate) fn look(folder: &Path, into: &mut BTreeMap<PathBuf, Seen>) -> Result<(), Failure> {
    for path in files_below(folder)? {
        if let Ok(target) = fs::read_link(&path) {
            into.insert(path, Seen::Link(target));
        } else if let Some(digest) = digest_at(&path)? {
            into.insert(path, Seen::File(digest));
        }
    }
    Ok(())
}

/// The paths of all files and links below `folder`, without following any.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let (mut all, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(format!("{}: {error}", folder.display()).into()),
        };
        for entry in entries {
            let Ok(entry) = entry else { continue };
            match entry.file_type() {
                Ok(found) if found.is_dir() => folders.push(entry.path()),
                Ok(_) => all.push(entry.path()),
                // It was removed meanwhile.
                Err(_) => {}
            }
        }
    }
    all.sort_unstable();
    Ok(all)
}
