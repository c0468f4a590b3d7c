//! The promises, and the owner of each file. Pure: takes events, and returns violations.
//!
//! | event | promise, until another program changes its subject |
//! |---|---|
//! | `share PATH` answers | the hash is listed, and a peer can download it byte for byte |
//! | `unshare HASH` answers | the hash is not listed |
//! | `download` reports done, or `downloads` lists it as done | each file is at its name with its content |
//! | `download --detach` answers | the download is listed, in any state |
//! | `pause` answers | the download is listed as paused, and `resume` completes it |
//! | `cancel` answers | the download is not listed, and neither target nor record exists |
//! | `remove` answers | the download is not listed; its files stay and belong to the user from then on |
//! | `remove --with-data` answers | the same, and the files that no other program changed are gone |
//! | `limit` answers, `link --http` answers, a node is ready | limit, capability and identity stay the same |
//! | another program writes, renames or links a file | the file keeps its name and its content |
//! | a command fails, or is killed | nothing new; what is listed afterwards is the promise |
//! | `resume`, without other programs at the files and with a source in reach | the download completes |
//!
//! All promises hold after `kill -9`, after a power cut, and after an I/O error or a full disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
};

use crate::content::{Body, Digest};

/// The state that another program left at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Thing {
    File(Digest),
    Link(PathBuf),
    /// It has to exist; what it contains is not known.
    Any,
}

/// A file of the user's.
#[derive(Clone, Debug)]
struct Foreign {
    thing: Thing,
    /// Another path at which it may be: a download renames its staging folder with its content.
    or: Option<PathBuf>,
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    File(Digest),
    Link(PathBuf),
}

/// A share of the victim.
#[derive(Debug)]
struct Share {
    /// Whether it has to be listed; `None` where no answer came.
    listed: Option<bool>,
    /// Where it is, unchanged by other programs.
    places: BTreeSet<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// No answer came, or it was an error: what is listed next is the promise.
    Open,
    /// The same for a removal, which may be half done.
    Void,
    /// It is listed.
    Going,
    Paused,
    Done,
    Cancelled,
    /// It is not listed; its files belong to the user.
    Removed,
    /// It is not listed, and its files are gone.
    RemovedWithData,
}

#[derive(Clone, Debug)]
pub(crate) struct Download {
    pub(crate) path: PathBuf,
    pub(crate) promise: Promise,
    /// Its files and folders that other programs changed.
    changed: BTreeSet<PathBuf>,
    /// Whether other programs changed it before it was done: it may fail, but must not be wrong.
    is_disturbed: bool,
}

/// The observations that are compared with the promises.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// Hashes that the victim lists as shared.
    pub(crate) shares: BTreeSet<String>,
    /// Its downloads, and their states.
    pub(crate) downloads: BTreeMap<String, String>,
    /// Its limit, the capability of one hash, and its identity, by name.
    pub(crate) kept: BTreeMap<String, String>,
    /// All files and links on its disk, without its data folder.
    pub(crate) disk: BTreeMap<PathBuf, Seen>,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The sort, by which violations are counted.
    pub(crate) sort: &'static str,
    pub(crate) text: String,
    /// The first file with wrong content, if any.
    pub(crate) at: Option<PathBuf>,
}

impl Violation {
    pub(crate) fn new(sort: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        let at = None;
        Self { sort, text, at }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.sort, self.text)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    foreign: BTreeMap<PathBuf, Foreign>,
    shares: BTreeMap<String, Share>,
    downloads: BTreeMap<String, Download>,
    bodies: BTreeMap<String, Body>,
    kept: BTreeMap<String, String>,
}

/// Actions of other programs.
impl Model {
    /// Another program made or replaced the file at `path`.
    pub(crate) fn wrote(&mut self, path: &Path, thing: Thing) {
        self.changed(path);
        let foreign = Foreign { thing, or: None };
        self.foreign.insert(path.to_owned(), foreign);
    }

    /// Records that files moved with their staging folder.
    pub(crate) fn followed(&mut self, is_there: impl Fn(&Path) -> bool) {
        let moved = self.foreign.iter().filter_map(|(path, foreign)| {
            let or = foreign.or.as_ref()?;
            (!is_there(path) && is_there(or)).then(|| (path.clone(), or.clone()))
        });
        for (from, to) in moved.collect::<Vec<_>>() {
            if let Some(foreign) = self.foreign.remove(&from) {
                self.linked(&to, foreign.thing);
            }
        }
    }

    /// The same within a staging folder, which may be renamed.
    pub(crate) fn wrote_in_staging(&mut self, path: &Path, thing: Thing, or: PathBuf) {
        let foreign = Foreign {
            thing,
            or: Some(or),
        };
        self.foreign.insert(path.to_owned(), foreign);
    }

    /// Another program gave a file a second name, which is its own.
    pub(crate) fn linked(&mut self, path: &Path, thing: Thing) {
        let foreign = Foreign { thing, or: None };
        self.foreign.insert(path.to_owned(), foreign);
    }

    pub(crate) fn removed(&mut self, path: &Path) {
        self.changed(path);
        self.foreign.retain(|at, _| !at.starts_with(path));
    }

    /// Another program renamed a file or a folder. Files of Pelago become the user's.
    pub(crate) fn renamed(&mut self, from: &Path, to: &Path) {
        let moved = self.standing(from);
        self.removed(from);
        for (path, thing) in moved {
            let rest = path.strip_prefix(from).expect("it is below it");
            let to = match rest.as_os_str().is_empty() {
                true => to.to_owned(),
                false => to.join(rest),
            };
            self.wrote(&to, thing);
        }
    }

    /// Files of the user's and of downloads that are done, at `at` or below it.
    fn standing(&self, at: &Path) -> Vec<(PathBuf, Thing)> {
        let foreign = self.foreign.iter().filter(|(path, _)| path.starts_with(at));
        let mut all: Vec<_> = foreign
            .map(|(path, foreign)| (path.clone(), foreign.thing.clone()))
            .collect();
        for (hash, download) in &self.downloads {
            if download.promise == Promise::Done {
                let files = self.intact(hash, download);
                let files = files.filter(|(path, _)| path.starts_with(at));
                all.extend(files.map(|(path, digest)| (path, Thing::File(digest))));
            }
        }
        all
    }

    /// From now on nothing is promised about the shares and downloads that contain `path`.
    fn changed(&mut self, path: &Path) {
        let touches = |other: &Path| other.starts_with(path) || path.starts_with(other);
        for share in self.shares.values_mut() {
            share.places.retain(|place| !touches(place));
            if share.places.is_empty() && share.listed == Some(true) {
                share.listed = None;
            }
        }
        for download in self.downloads.values_mut() {
            if touches(&download.path) {
                download.changed.insert(path.to_owned());
            }
        }
    }

    /// Another program changed an unfinished download.
    pub(crate) fn disturbed(&mut self, hash: &str) {
        if let Some(download) = self.downloads.get_mut(hash) {
            download.is_disturbed = true;
        }
    }
}

/// Answers of Pelago.
impl Model {
    pub(crate) fn shared(&mut self, hash: &str, path: &Path, body: &Body) {
        self.bodies.insert(hash.to_owned(), body.clone());
        let share = self.shares.entry(hash.to_owned()).or_insert(Share {
            listed: None,
            places: BTreeSet::new(),
        });
        share.listed = Some(true);
        share.places.insert(path.to_owned());
    }

    pub(crate) fn unshared(&mut self, hash: &str) {
        if let Some(share) = self.shares.get_mut(hash) {
            share.listed = Some(false);
            share.places.clear();
        }
    }

    /// A command about a share failed or was killed.
    pub(crate) fn share_is_open(&mut self, hash: &str) {
        if let Some(share) = self.shares.get_mut(hash) {
            share.listed = None;
            share.places.clear();
        }
    }

    /// A download of `hash` to `path` begins; nothing is promised so far.
    pub(crate) fn asked(&mut self, hash: &str, path: &Path, body: &Body) {
        self.bodies.insert(hash.to_owned(), body.clone());
        let download = Download {
            path: path.to_owned(),
            promise: Promise::Open,
            changed: BTreeSet::new(),
            is_disturbed: false,
        };
        self.downloads.insert(hash.to_owned(), download);
        // A completed download is shared, even if it was withdrawn before.
        self.share_is_open(hash);
    }

    /// The user allowed Pelago to replace files at the names of a download.
    pub(crate) fn overwrites(&mut self, hash: &str) {
        let (Some(download), Some(body)) = (self.downloads.get(hash), self.bodies.get(hash)) else {
            return;
        };
        for (path, _) in body.files_at(&download.path) {
            self.foreign.remove(&path);
        }
    }

    /// Something has a value that stays; `None` if the value is not known.
    pub(crate) fn keeps(&mut self, name: &str, value: Option<String>) {
        match value {
            Some(value) => self.kept.insert(name.to_owned(), value),
            None => self.kept.remove(name),
        };
    }

    /// The value that was seen first stays.
    pub(crate) fn keeps_first(&mut self, observed: &Observed, name: &str) {
        if let (false, Some(value)) = (self.kept.contains_key(name), observed.kept.get(name)) {
            self.keeps(name, Some(value.clone()));
        }
    }

    pub(crate) fn answered(&mut self, hash: &str, promise: Promise) {
        let Some(download) = self.downloads.get_mut(hash) else {
            return;
        };
        download.promise = promise;
        let download = download.clone();
        match promise {
            Promise::Removed => {
                let left: Vec<_> = self.intact(hash, &download).collect();
                for (path, digest) in left {
                    self.linked(&path, Thing::File(digest));
                }
            }
            Promise::RemovedWithData => self.unshared(hash),
            _ => {}
        }
    }
}

/// Known content.
impl Model {
    pub(crate) fn body(&self, hash: &str) -> Option<&Body> {
        self.bodies.get(hash)
    }

    /// The hash of this content, if it is known.
    pub(crate) fn hash_of(&self, body: &Body) -> Option<String> {
        let mut same = self.bodies.iter().filter(|(_, other)| *other == body);
        same.next().map(|(hash, _)| hash.clone())
    }

    /// From now on the content of `hash` is known.
    pub(crate) fn knows(&mut self, hash: &str, body: Body) {
        self.bodies.insert(hash.to_owned(), body);
    }

    /// Another program changed only the times of the file at `path`.
    pub(crate) fn touched(&mut self, path: &Path) {
        for share in self.shares.values_mut() {
            share.places.retain(|place| !path.starts_with(place));
            if share.places.is_empty() && share.listed == Some(true) {
                share.listed = None;
            }
        }
    }

    pub(crate) fn download(&self, hash: &str) -> Option<&Download> {
        self.downloads.get(hash)
    }

    /// The downloads with this promise.
    pub(crate) fn downloads_in(&self, promise: Promise) -> Vec<String> {
        let same = self.downloads.iter().filter(|(_, d)| d.promise == promise);
        same.map(|(hash, _)| hash.clone()).collect()
    }

    /// Whether `hash` can be downloaded.
    pub(crate) fn is_free(&self, hash: &str) -> bool {
        !self.downloads.contains_key(hash)
    }

    /// Shares that have to be served.
    pub(crate) fn served(&self) -> Vec<String> {
        let listed = self.shares.iter().filter(|(_, s)| s.listed == Some(true));
        listed.map(|(hash, _)| hash.clone()).collect()
    }

    /// Files of the user's below `folder`, with their content.
    pub(crate) fn files_below(&self, folder: &Path) -> Vec<(PathBuf, Digest)> {
        let below = self.foreign.iter().filter(|(p, _)| p.starts_with(folder));
        below
            .filter_map(|(path, foreign)| match foreign.thing {
                Thing::File(digest) => Some((path.clone(), digest)),
                _ => None,
            })
            .collect()
    }

    /// Whether a download has to complete: no other program changed it, or has a file at one of its names or in
    /// a folder of its name, as a file that exists by chance is not used.
    pub(crate) fn has_to_end(&self, hash: &str) -> bool {
        let (Some(download), Some(body)) = (self.downloads.get(hash), self.bodies.get(hash)) else {
            return false;
        };
        let mut files = body.files_at(&download.path).into_iter();
        let is_in_the_way = files.any(|(path, _)| path.ancestors().any(|at| self.is_foreign(at)))
            || self.foreign.keys().any(|at| at.starts_with(&download.path));
        !download.is_disturbed && download.changed.is_empty() && !is_in_the_way
    }

    pub(crate) fn is_foreign(&self, path: &Path) -> bool {
        self.foreign.contains_key(path)
    }

    /// The paths from which `hash` is shared.
    pub(crate) fn places(&self, hash: &str) -> Vec<PathBuf> {
        let share = self.shares.get(hash);
        share.map_or_else(Vec::new, |share| share.places.iter().cloned().collect())
    }

    /// Files of a download that no other program changed, and their content.
    pub(crate) fn intact<'a>(
        &'a self,
        hash: &str,
        download: &'a Download,
    ) -> impl Iterator<Item = (PathBuf, Digest)> + use<'a> {
        let files = self.bodies.get(hash).map(|b| b.files_at(&download.path));
        files.into_iter().flatten().filter(|(path, _)| {
            let is_changed = download.changed.iter().any(|at| path.starts_with(at));
            !is_changed && !self.foreign.contains_key(path)
        })
    }
}

/// The comparison.
impl Model {
    /// Takes an observation as a promise where nothing was promised before.
    pub(crate) fn adopt(&mut self, observed: &Observed) {
        for (hash, download) in &mut self.downloads {
            let Some(state) = observed.downloads.get(hash) else {
                continue;
            };
            let is_over = matches!(
                download.promise,
                Promise::Cancelled | Promise::Removed | Promise::RemovedWithData
            );
            match (&**state, download.promise) {
                _ if is_over => {}
                ("done", Promise::Open | Promise::Going) => download.promise = Promise::Done,
                ("paused", Promise::Open) => download.promise = Promise::Paused,
                ("failed", Promise::Going) => download.promise = Promise::Open,
                (_, Promise::Open) if state != "failed" => download.promise = Promise::Going,
                _ => {}
            }
        }
    }

    /// All broken promises.
    pub(crate) fn violations(&self, observed: &Observed) -> Vec<Violation> {
        let mut all = self.of_foreign(observed);
        all.extend(self.of_shares(observed));
        for (name, was) in &self.kept {
            if let Some(is) = observed.kept.get(name).filter(|is| *is != was) {
                let text = format!("the {name} was {was} and is {is}");
                all.push(Violation::new("kept-lost", text));
            }
        }
        for (hash, download) in &self.downloads {
            all.extend(self.of_download(hash, download, observed));
        }
        all
    }

    fn of_foreign(&self, observed: &Observed) -> Vec<Violation> {
        let mut wrong = Vec::new();
        for (path, foreign) in &self.foreign {
            let at = |path: &Path| match (observed.disk.get(path), &foreign.thing) {
                (Some(_), Thing::Any) => true,
                (Some(Seen::File(is)), Thing::File(was)) => is == was,
                (Some(Seen::Link(is)), Thing::Link(was)) => is == was,
                _ => false,
            };
            if at(path) || foreign.or.as_deref().is_some_and(at) {
                continue;
            }
            let found = match observed.disk.get(path) {
                None => "is gone",
                Some(_) => "has other content",
            };
            wrong.push(format!("{} {found}", path.display()));
        }
        in_one("foreign", "of the user's files", &wrong)
    }

    fn of_shares(&self, observed: &Observed) -> Vec<Violation> {
        let mut all = Vec::new();
        for (hash, share) in &self.shares {
            match (share.listed, observed.shares.contains(hash)) {
                (Some(true), false) => {
                    let text = format!("{hash} of {:?} is shared and not listed", share.places);
                    all.push(Violation::new("share-lost", text));
                }
                (Some(false), true) => {
                    let text = format!("{hash} was withdrawn and is listed");
                    all.push(Violation::new("share-returned", text));
                }
                _ => {}
            }
        }
        all
    }

    fn of_download(&self, hash: &str, download: &Download, observed: &Observed) -> Vec<Violation> {
        let state = observed.downloads.get(hash).map(String::as_str);
        let at = download.path.display();
        let broken =
            |sort, text: String| vec![Violation::new(sort, format!("{hash} to {at} {text}"))];
        match (download.promise, state) {
            (Promise::Done, _) => self.of_done(hash, download, observed),
            (Promise::Paused, Some("paused")) => Vec::new(),
            // A download that lost files to other programs may fail.
            (Promise::Paused, Some("failed")) if download.is_disturbed => Vec::new(),
            (Promise::Paused, state) => {
                let state = state.unwrap_or("not listed");
                broken("pause-lost", format!("was paused and is {state}"))
            }
            (Promise::Going, None) => {
                broken("download-lost", "was accepted and is not listed".to_owned())
            }
            (Promise::Cancelled, Some(state)) => {
                broken("cancel-lost", format!("was cancelled and is {state}"))
            }
            (Promise::Cancelled, None) => self.of_cancelled(hash, download, observed),
            (Promise::Removed | Promise::RemovedWithData, Some(state)) => {
                broken("remove-lost", format!("was removed and is {state}"))
            }
            (Promise::RemovedWithData, None) => self.left(hash, download, observed, "removed"),
            _ => Vec::new(),
        }
    }

    fn of_done(&self, hash: &str, download: &Download, observed: &Observed) -> Vec<Violation> {
        let (mut wrong, mut at) = (Vec::new(), None);
        for (path, digest) in self.intact(hash, download) {
            let found = match observed.disk.get(&path) {
                Some(Seen::File(is)) if *is == digest => continue,
                Some(Seen::File(_)) => "has wrong content",
                Some(Seen::Link(_)) => "is a link",
                None => "is not there",
            };
            wrong.push(format!("{} {found}", path.display()));
            at = at.or(Some(path));
        }
        let mut all = in_one("done-wrong", &format!("{hash:.8} is done, and"), &wrong);
        all.iter_mut()
            .for_each(|violation| violation.at.clone_from(&at));
        all.extend(self.extra(hash, download, observed));
        all
    }

    /// Files in a downloaded folder that are neither its content nor those of another program.
    fn extra(&self, hash: &str, download: &Download, observed: &Observed) -> Vec<Violation> {
        let Some(body @ Body::Tree(_)) = self.bodies.get(hash) else {
            return Vec::new();
        };
        if download.is_disturbed || !download.changed.is_empty() {
            return Vec::new();
        }
        let files = body.files_at(&download.path).into_iter();
        let expected: BTreeSet<_> = files.map(|(path, _)| path).collect();
        let below = self.unexplained(&download.path, observed);
        let extra: Vec<_> = below
            .filter(|path| !expected.contains(*path))
            .map(|path| path.display().to_string())
            .collect();
        let text = format!("{hash:.8} is done, and its folder also contains");
        in_one("done-extra", &text, &extra)
    }

    /// Files on the disk at or below `folder` that do not belong to the user.
    fn unexplained<'a>(
        &'a self,
        folder: &'a Path,
        observed: &'a Observed,
    ) -> impl Iterator<Item = &'a PathBuf> {
        let below = observed.disk.keys().filter(move |p| p.starts_with(folder));
        below.filter(|path| {
            let elsewhere = |foreign: &Foreign| foreign.or.as_ref() == Some(*path);
            !self.foreign.contains_key(*path) && !self.foreign.values().any(elsewhere)
        })
    }

    fn of_cancelled(&self, hash: &str, download: &Download, observed: &Observed) -> Vec<Violation> {
        let mut all = self.left(hash, download, observed, "cancelled");
        let part = with_part(&download.path);
        let ours = observed.disk.keys().find(|path| {
            let is_changed = download.changed.iter().any(|at| path.starts_with(at));
            path.starts_with(&part) && !self.foreign.contains_key(*path) && !is_changed
        });
        if let Some(path) = ours.filter(|_| !download.is_disturbed) {
            let text = format!("{hash:.8} was cancelled, and {} is left", path.display());
            all.push(Violation::new("part-left", text));
        }
        all
    }

    fn left(
        &self,
        hash: &str,
        download: &Download,
        observed: &Observed,
        what: &str,
    ) -> Vec<Violation> {
        let is_there = |(path, digest): &(PathBuf, Digest)| {
            observed.disk.get(path) == Some(&Seen::File(*digest))
        };
        let files = self.intact(hash, download).filter(is_there);
        let left: Vec<_> = files.map(|(path, _)| path.display().to_string()).collect();
        let text = format!("{hash:.8} was {what}, and this is there:");
        in_one("target-left", &text, &left)
    }

    /// Files below a folder of the user's that the user did not put there.
    pub(crate) fn strays(&self, folder: &Path, observed: &Observed) -> Vec<Violation> {
        let strays = self.unexplained(folder, observed);
        let strays: Vec<_> = strays.map(|path| path.display().to_string()).collect();
        in_one("stray", "into a folder of the user's was put", &strays)
    }
}

/// One violation for all files of one sort.
fn in_one(sort: &'static str, text: &str, files: &[String]) -> Vec<Violation> {
    let Some(first) = files.first() else {
        return Vec::new();
    };
    let more = match files.len() {
        1 => String::new(),
        count => format!(" (and {} more files)", count - 1),
    };
    vec![Violation::new(sort, format!("{text} {first}{more}"))]
}

/// The path of an unfinished download to `path`.
pub(crate) fn with_part(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::digest;

    fn file(content: &[u8]) -> Body {
        Body::File(digest(content))
    }

    fn done(path: &str, content: &[u8]) -> Model {
        let mut model = Model::default();
        model.asked("h", Path::new(path), &file(content));
        model.answered("h", Promise::Done);
        model
    }

    fn disk(files: &[(&str, &[u8])]) -> Observed {
        let files = files.iter();
        Observed {
            disk: files
                .map(|(path, content)| (path.into(), Seen::File(digest(content))))
                .collect(),
            ..Observed::default()
        }
    }

    fn sorts(model: &Model, observed: &Observed) -> Vec<&'static str> {
        let all = model.violations(observed).into_iter();
        all.map(|violation| violation.sort).collect()
    }

    #[test]
    fn what_is_done_has_to_be_there() {
        let model = done("/got/x", b"x");
        assert_eq!(sorts(&model, &disk(&[("/got/x", b"x")])), [""; 0]);
        assert_eq!(sorts(&model, &disk(&[("/got/x", b"y")])), ["done-wrong"]);
        assert_eq!(sorts(&model, &disk(&[])), ["done-wrong"]);
    }

    #[test]
    fn a_folder_that_is_done_contains_nothing_else() {
        let mut model = Model::default();
        let files = BTreeMap::from([(PathBuf::from("x"), digest(b"x"))]);
        model.asked("h", Path::new("/got/f"), &Body::Tree(files));
        model.answered("h", Promise::Done);
        let twice = disk(&[("/got/f/x", b"x"), ("/got/f/f/x", b"x")]);
        assert_eq!(sorts(&model, &twice), ["done-extra"]);
        model.linked(Path::new("/got/f/f/x"), Thing::Any);
        assert_eq!(sorts(&model, &twice), [""; 0]);
    }

    #[test]
    fn what_an_other_program_changed_is_its_own() {
        let mut model = done("/got/x", b"x");
        model.wrote(Path::new("/got/x"), Thing::File(digest(b"y")));
        assert_eq!(sorts(&model, &disk(&[("/got/x", b"y")])), [""; 0]);
        assert_eq!(sorts(&model, &disk(&[])), ["foreign"]);
        let mut model = done("/got/x", b"x");
        model.renamed(Path::new("/got/x"), Path::new("/keep/x"));
        assert_eq!(sorts(&model, &disk(&[("/keep/x", b"x")])), [""; 0]);
        assert_eq!(sorts(&model, &disk(&[("/got/x", b"x")])), ["foreign"]);
    }

    #[test]
    fn a_share_is_listed_until_its_file_changes() {
        let mut model = Model::default();
        model.shared("h", Path::new("/mine/x"), &file(b"x"));
        assert_eq!(sorts(&model, &disk(&[])), ["share-lost"]);
        model.wrote(Path::new("/mine/x"), Thing::File(digest(b"y")));
        let mut observed = disk(&[("/mine/x", b"y")]);
        assert_eq!(sorts(&model, &observed), [""; 0]);
        model.unshared("h");
        observed.shares.insert("h".to_owned());
        assert_eq!(sorts(&model, &observed), ["share-returned"]);
    }

    #[test]
    fn settings_stay() {
        let mut model = Model::default();
        model.keeps("limit", Some("1".to_owned()));
        let mut observed = disk(&[]);
        observed.kept.insert("limit".to_owned(), "2".to_owned());
        assert_eq!(sorts(&model, &observed), ["kept-lost"]);
        model.keeps("limit", None);
        assert_eq!(sorts(&model, &observed), [""; 0]);
    }

    #[test]
    fn verbs_hold() {
        let mut observed = disk(&[]);
        for (promise, state, sort) in [
            (Promise::Paused, Some("downloading"), "pause-lost"),
            (Promise::Paused, None, "pause-lost"),
            (Promise::Going, None, "download-lost"),
            (Promise::Cancelled, Some("paused"), "cancel-lost"),
            (Promise::Removed, Some("done"), "remove-lost"),
        ] {
            let mut model = done("/got/x", b"x");
            model.answered("h", promise);
            // The files of a download that was removed without its data stay.
            model.foreign.clear();
            observed.downloads = state
                .map(|state| ("h".to_owned(), state.to_owned()))
                .into_iter()
                .collect();
            assert_eq!(sorts(&model, &observed), [sort], "{promise:?}");
        }
    }

    #[test]
    fn cancel_leaves_what_is_not_ours() {
        let mut model = done("/got/x", b"x");
        model.answered("h", Promise::Cancelled);
        assert_eq!(
            sorts(&model, &disk(&[("/got/x.part", b"p")])),
            ["part-left"]
        );
        assert_eq!(sorts(&model, &disk(&[("/got/x", b"x")])), ["target-left"]);
        model.wrote(Path::new("/got/x.part"), Thing::File(digest(b"own")));
        assert_eq!(sorts(&model, &disk(&[("/got/x.part", b"own")])), [""; 0]);
        assert_eq!(sorts(&model, &disk(&[])), ["foreign"]);
    }
}
