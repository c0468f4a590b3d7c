//! Random commands, and what their answers promise.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rand::RngExt;
use serde_json::Value;

use crate::{
    Failure,
    checks::digest_at,
    content::{self, Body},
    library::Item,
    model::{Promise, with_part},
    pelago::{Answer, PATIENCE},
    strangers::Deed,
    world::World,
};

/// Bytes from which on a download takes long enough to be disturbed.
const LARGE: u64 = 1 << 20;

const LOOK_INTERVAL: Duration = Duration::from_millis(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Share,
    ShareAgain,
    Unshare,
    List,
    Download,
    Detach,
    Pause,
    Resume,
    Cancel,
    Remove,
    RemoveWithData,
    Move,
    Limit,
    Url,
    Settle,
}

/// The names in the model of the limit, the node's identity, and the capability of a URL.
const LIMIT: &str = "upload limit";
pub(crate) const IDENTITY: &str = "identity";
const CAPABILITY: &str = "capability of the first share";

impl Verb {
    /// Whether it works without a running node.
    pub(crate) fn works_alone(self) -> bool {
        use Verb::{Download, List, Share, ShareAgain, Unshare};
        matches!(self, Share | ShareAgain | Unshare | List | Download)
    }
}

impl World<'_> {
    pub(crate) fn act(&mut self, verb: Verb) -> Result<(), Failure> {
        match verb {
            Verb::Share => match self.spare() {
                Some((path, body)) => self.share(&path, &body),
                None => Ok(()),
            },
            Verb::ShareAgain => self.share_again(),
            Verb::Unshare => self.unshare(),
            Verb::List => self.list(),
            Verb::Download => self.download(),
            Verb::Detach => self.detach(),
            Verb::Pause => self.pause(),
            Verb::Resume => self.resume(),
            Verb::Cancel => self.cancel(),
            Verb::Remove => self.remove(false),
            Verb::RemoveWithData => self.remove(true),
            Verb::Move => self.change_order(),
            Verb::Limit => self.limit(),
            Verb::Url => {
                let kept = self.capability()?;
                if kept.is_some() {
                    self.model.keeps(CAPABILITY, kept);
                }
                Ok(())
            }
            Verb::Settle => self.settle().map(drop),
        }
    }

    fn share(&mut self, path: &Path, body: &Body) -> Result<(), Failure> {
        let text = path.to_string_lossy().into_owned();
        // If the node was killed a moment ago, the command must not serve instead of it.
        let mut arguments = vec!["share", &text, "--no-serve"];
        if self.chance(0.2) {
            arguments.push("--unlisted");
        }
        let answer = self.pelago(&arguments)?;
        match answer.done().and_then(|shared| shared[0]["hash"].as_str()) {
            Some(hash) => self.model.shared(hash, path, body),
            None => {
                if let Some(hash) = self.model.hash_of(body) {
                    self.model.share_is_open(&hash);
                }
            }
        }
        Ok(())
    }

    /// Shares again a file that was shared or changed before.
    fn share_again(&mut self) -> Result<(), Failure> {
        let files = self.model.files_below(&self.path("mine"));
        let Some((path, _)) = self.pick(&files) else {
            return Ok(());
        };
        let body = self.body_at(&path).expect("it is there");
        self.share(&path, &body)
    }

    fn unshare(&mut self) -> Result<(), Failure> {
        let served = self.model.served();
        let Some(hash) = self.pick(&served) else {
            return Ok(());
        };
        let answer = self.pelago(&["unshare", &hash])?;
        match answer {
            Answer::Done(_) => self.model.unshared(&hash),
            _ => self.model.share_is_open(&hash),
        }
        Ok(())
    }

    /// Checks that a new share is listed and has a link.
    fn list(&mut self) -> Result<(), Failure> {
        let served = self.model.served();
        let Answer::Done(listed) = self.pelago(&["list"])? else {
            return Ok(());
        };
        let listed = text_of(&listed, "hash");
        for hash in &served {
            if !listed.contains(hash) {
                let places = self.model.places(hash);
                self.violated("share-lost", format!("{hash} of {places:?} is not listed"));
            }
        }
        if let Some(hash) = self.pick(&served)
            && self.node.is_some()
        {
            self.pelago(&["link", &hash])?;
        }
        Ok(())
    }

    /// Something of the library that the victim does not have.
    fn wanted(&mut self, least: u64) -> Option<Item> {
        let items = self.library.items.iter().filter(|item| item.size >= least);
        let free: Vec<_> = items
            .filter(|item| self.model.is_free(&item.hash))
            .cloned()
            .collect();
        self.pick(&free)
    }

    /// Puts files of the user's where the download wants to write.
    fn put_in_the_way(&mut self, item: &Item, path: &Path) -> Result<bool, Failure> {
        if !self.may_meddle || self.without.contains(&Deed::PutInTheWay) {
            return Ok(false);
        }
        let own = content::noise(&mut self.rng, 3000);
        let part = with_part(path);
        let is_folder = matches!(item.body, Body::Tree(_));
        match self.rng.random_range(0..14) {
            0 | 1 => self.user_writes(&part, &own)?,
            2 => self.user_writes(&part.join("own"), &own)?,
            3 if !is_folder => self.user_writes(path, &own)?,
            3 | 4 if is_folder => self.user_writes(&path.join("own"), &own)?,
            5 | 6 if is_folder => {
                let files = item.body.files_at(path);
                let (file, _) = self.pick(&files).expect("no folder is empty");
                self.user_writes(&with_part(&file), &own)?;
            }
            _ => return Ok(false),
        }
        self.note(format!("the user has files in the way of {}", item.name));
        Ok(true)
    }

    /// The folder of a new download, which exists.
    pub(crate) fn target(&mut self, item: &Item) -> Result<PathBuf, Failure> {
        if self.targets.is_empty() && self.may_meddle {
            let folder = self.fresh("got", "to");
            match fs::create_dir(&folder) {
                Ok(()) => self.targets.push(folder),
                // There is no space for another folder.
                Err(error) if error.kind() == ErrorKind::StorageFull => {}
                Err(error) => return Err(format!("{}: {error}", folder.display()).into()),
            }
        }
        let folder = self.targets.pop();
        Ok(folder.map_or_else(
            || self.fresh("got", &item.name),
            |folder| folder.join(&item.name),
        ))
    }

    fn arguments(&mut self, item: &Item, path: &Path) -> Result<Vec<String>, Failure> {
        if self.put_in_the_way(item, path)? && self.ground.is_image() {
            self.ground.sync()?;
        }
        let mut all = vec!["download".to_owned(), item.hash.clone()];
        // An existing folder stands for a path inside it.
        let output = match path.is_dir() {
            true => path.parent().expect("it is below the root"),
            false => path,
        };
        let (peer, path) = (self.library.address(), output.to_string_lossy());
        all.extend(["--peer", &peer, "-o", &path, "--timeout", "15"].map(str::to_owned));
        if self.chance(0.3) {
            all.push("--overwrite".to_owned());
        }
        Ok(all)
    }

    /// Downloads, and waits.
    fn download(&mut self) -> Result<(), Failure> {
        let least = if self.chance(0.2) { LARGE } else { 0 };
        let Some(item) = self.wanted(least) else {
            return Ok(());
        };
        let path = self.target(&item)?;
        let arguments = self.arguments(&item, &path)?;
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        self.model.asked(&item.hash, &path, &item.body);
        let may_overwrite = arguments.contains(&"--overwrite");
        let in_the_way = self.model.files_below(&path);
        let answer = self.pelago(&arguments)?;
        if may_overwrite {
            self.model.overwrites(&item.hash);
        } else if matches!(answer, Answer::Done(_)) && matches!(item.body, Body::File(_)) {
            for (path, _) in in_the_way {
                let path = path.display();
                self.violated(
                    "foreign",
                    format!("{path} was replaced without --overwrite"),
                );
            }
        }
        if matches!(answer, Answer::Done(_)) {
            self.is_done(&item.hash)?;
        }
        Ok(())
    }

    /// Records that a download is done, and compares it immediately.
    fn is_done(&mut self, hash: &str) -> Result<(), Failure> {
        self.model.answered(hash, Promise::Done);
        let Some(download) = self.model.download(hash).cloned() else {
            return Ok(());
        };
        let files: Vec<_> = self.model.intact(hash, &download).collect();
        self.figures.downloads_compared += 1;
        let mut wrong = Vec::new();
        for (path, digest) in files {
            match digest_at(&path)? {
                Some(found) if found == digest => {}
                Some(_) => wrong.push(format!("{} is wrong", path.display())),
                None => wrong.push(format!("{} is not there", path.display())),
            }
        }
        // The power may be off by now.
        if let Some(first) = wrong.first()
            && !self.victim.blackout.is_dark()
        {
            let count = wrong.len();
            let text = format!("{hash:.8} says done, and of its files {count} are not, as {first}");
            self.violated("done-wrong", text);
        }
        Ok(())
    }

    /// Begins a download in the node.
    fn detach(&mut self) -> Result<(), Failure> {
        let least = if self.chance(0.7) { LARGE } else { 0 };
        let Some(item) = self.wanted(least) else {
            return Ok(());
        };
        let path = self.target(&item)?;
        let mut arguments = self.arguments(&item, &path)?;
        arguments.push("--detach".to_owned());
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        self.model.asked(&item.hash, &path, &item.body);
        let answer = self.pelago(&arguments)?;
        if arguments.contains(&"--overwrite") {
            self.model.overwrites(&item.hash);
        }
        if let Answer::Done(_) = answer {
            self.model.answered(&item.hash, Promise::Going);
        }
        let pause = self.rng.random_range(0..300);
        thread::sleep(Duration::from_millis(pause));
        Ok(())
    }

    fn pause(&mut self) -> Result<(), Failure> {
        let going = self.model.downloads_in(Promise::Going);
        let Some(hash) = self.pick(&going) else {
            return Ok(());
        };
        let answer = self.pelago(&["pause", &hash])?;
        let promise = match state_of(&answer) {
            Some("paused") => Promise::Paused,
            _ => Promise::Open,
        };
        self.model.answered(&hash, promise);
        Ok(())
    }

    fn resume(&mut self) -> Result<(), Failure> {
        let paused = self.model.downloads_in(Promise::Paused);
        let Some(hash) = self.pick(&paused) else {
            return Ok(());
        };
        let answer = self.pelago(&["resume", &hash])?;
        let promise = match answer {
            Answer::Done(_) => Promise::Going,
            _ => Promise::Open,
        };
        self.model.answered(&hash, promise);
        Ok(())
    }

    pub(crate) fn resume_all(&mut self) -> Result<(), Failure> {
        let answer = self.pelago(&["resume", "--all"])?;
        let promise = match answer {
            Answer::Done(_) => Promise::Going,
            _ => Promise::Open,
        };
        for hash in self.model.downloads_in(Promise::Paused) {
            self.model.answered(&hash, promise);
        }
        Ok(())
    }

    fn cancel(&mut self) -> Result<(), Failure> {
        let mut all = self.model.downloads_in(Promise::Going);
        all.extend(self.model.downloads_in(Promise::Paused));
        let Some(hash) = self.pick(&all) else {
            return Ok(());
        };
        let answer = self.pelago(&["cancel", &hash])?;
        let promise = match answer {
            Answer::Done(_) => Promise::Cancelled,
            _ => Promise::Open,
        };
        self.model.answered(&hash, promise);
        Ok(())
    }

    fn remove(&mut self, with_data: bool) -> Result<(), Failure> {
        let done = self.model.downloads_in(Promise::Done);
        let Some(hash) = self.pick(&done) else {
            return Ok(());
        };
        let arguments = ["remove", &hash, "--with-data"];
        let answer = self.pelago(&arguments[..if with_data { 3 } else { 2 }])?;
        let promise = match answer {
            Answer::Done(_) if with_data => Promise::RemovedWithData,
            Answer::Done(_) => Promise::Removed,
            _ => Promise::Void,
        };
        self.model.answered(&hash, promise);
        Ok(())
    }

    fn change_order(&mut self) -> Result<(), Failure> {
        let going = self.model.downloads_in(Promise::Going);
        let Some(hash) = self.pick(&going) else {
            return Ok(());
        };
        self.pelago(&["move", &hash, "--first"])?;
        Ok(())
    }

    /// Sets a limit that nothing here reaches.
    fn limit(&mut self) -> Result<(), Failure> {
        let rate = self.rng.random_range(1..1000) * 1_000_000_000_u64;
        let answer = self.pelago(&["limit", "--upload", &rate.to_string()])?;
        let kept = answer.done().map(|limits| limits["upload"].to_string());
        self.model.keeps(LIMIT, kept);
        Ok(())
    }

    /// The proof in a URL that this node made it.
    fn capability(&mut self) -> Result<Option<String>, Failure> {
        let hash = self.library.items[0].hash.clone();
        let answer = self.victim.run(&["link", &hash, "--http"])?;
        let url = answer.done().and_then(|link| link["url"].as_str());
        Ok(url.and_then(|url| Some(url.split('/').nth(3)?.to_owned())))
    }

    /// The current values that have to stay the same.
    pub(crate) fn kept(&mut self) -> Result<BTreeMap<String, String>, Failure> {
        let mut kept = BTreeMap::new();
        if let Answer::Done(limits) = self.victim.run(&["limit"])? {
            kept.insert(LIMIT.to_owned(), limits["upload"].to_string());
        }
        if let Some(capability) = self.capability()? {
            kept.insert(CAPABILITY.to_owned(), capability);
        }
        if let Answer::Done(status) = self.victim.run(&["status"])? {
            kept.insert(IDENTITY.to_owned(), status["peer_id"].to_string());
        }
        Ok(kept)
    }

    /// Waits until no download makes progress, and records those that are done; whether that happened in
    /// time.
    pub(crate) fn settle(&mut self) -> Result<bool, Failure> {
        let began = Instant::now();
        loop {
            let Answer::Done(listed) = self.victim.run(&["downloads"])? else {
                return Ok(false);
            };
            let listed = listed.as_array().cloned().unwrap_or_default();
            let is_over =
                |one: &Value| matches!(one["state"].as_str(), Some("done" | "failed" | "paused"));
            let moving: Vec<_> = listed.iter().filter(|one| !is_over(one)).collect();
            if moving.is_empty() {
                self.take_note_of(&listed)?;
                return Ok(true);
            }
            if began.elapsed() > PATIENCE {
                let text = format!("downloads do not end: {moving:?}");
                self.violated("stuck", text);
                return Ok(false);
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }

    fn take_note_of(&mut self, listed: &[Value]) -> Result<(), Failure> {
        for one in listed {
            let (Some(hash), Some(state)) = (one["hash"].as_str(), one["state"].as_str()) else {
                continue;
            };
            let promise = self.model.download(hash).map(|download| download.promise);
            match (promise, state) {
                (Some(Promise::Going | Promise::Open), "done") => {
                    self.note(format!("{hash:.8} is listed as done"));
                    self.is_done(hash)?;
                }
                (Some(Promise::Going), "failed") => {
                    self.note(format!("{hash:.8} failed: {}", one["why"]));
                    self.model.answered(hash, Promise::Open);
                    self.why.insert(hash.to_owned(), one["why"].to_string());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Verified bytes of a download, as the victim reports them.
    pub(crate) fn verified(&mut self, hash: &str) -> Result<Option<u64>, Failure> {
        let Answer::Done(listed) = self.victim.run(&["downloads"])? else {
            return Ok(None);
        };
        let listed = listed.as_array().cloned().unwrap_or_default();
        let one = listed.iter().find(|one| one["hash"] == hash);
        Ok(one.and_then(|one| one["verified_bytes"].as_u64()))
    }

    /// Removes the files that nothing needs any more, so that an episode does not fill its disk.
    pub(crate) fn empty_reader(&self) -> Result<(), Failure> {
        let copies = self.reader.quiet.join("copies");
        if copies.exists() {
            fs::remove_dir_all(&copies)?;
        }
        Ok(fs::create_dir_all(&copies)?)
    }
}

fn state_of(answer: &Answer) -> Option<&str> {
    answer.done()?[0]["state"].as_str()
}

/// The values of this field in a list.
pub(crate) fn text_of(list: &Value, field: &str) -> BTreeSet<String> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let texts = list.iter().filter_map(|one| one[field].as_str());
    texts.map(str::to_owned).collect()
}
