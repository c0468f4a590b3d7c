//! One victim with everything around it: its disk, its node, its model, and a log of all steps.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    Failure,
    content::{self, Body},
    figures::Figures,
    ground::{Ground, Sort},
    library::Library,
    model::{Model, Thing, Violation},
    pelago::{Answer, Home, Node},
    strangers::Deed,
    tools::Tools,
};

/// Steps that are printed with a violation.
pub(crate) const LOGGED: usize = 40;

/// Bytes of a file that the user makes, at most.
const MOST_BYTES: usize = 2 << 20;

pub(crate) struct World<'a> {
    pub(crate) tools: &'a Tools,
    pub(crate) library: &'a mut Library,
    pub(crate) figures: &'a mut Figures,
    pub(crate) ground: Ground,
    pub(crate) victim: Home,
    pub(crate) node: Option<Node>,
    /// Downloads the victim's shares for the comparison.
    pub(crate) reader: Home,
    pub(crate) model: Model,
    pub(crate) rng: StdRng,
    pub(crate) violations: Vec<Violation>,
    pub(crate) log: Vec<String>,
    /// The time after which the next command is killed.
    pub(crate) kill_command: Option<Duration>,
    /// Whether other programs may write at any time. Their writes must be on the disk before the power is cut
    /// or the disk fails.
    pub(crate) may_meddle: bool,
    /// Empty folders to download to.
    pub(crate) targets: Vec<PathBuf>,
    /// Actions that other programs leave out.
    pub(crate) without: Vec<Deed>,
    /// Why downloads failed.
    pub(crate) why: BTreeMap<String, String>,
    /// The user's files and folders that are not shared yet.
    spares: Vec<(PathBuf, Body)>,
    /// Names of files that have another name, too.
    pub(crate) linked: BTreeSet<PathBuf>,
    serial: usize,
}

impl<'a> World<'a> {
    pub(crate) fn new(
        binary: &Path,
        folder: &Path,
        (sort, options): (Sort, &str),
        tools: &'a Tools,
        library: &'a mut Library,
        figures: &'a mut Figures,
    ) -> Result<Self, Failure> {
        fs::create_dir_all(folder)?;
        let ground = Ground::new(sort, folder.to_owned(), options)?;
        let data = ground.root().join("data");
        let mut world = Self {
            tools,
            library,
            figures,
            ground,
            victim: Home::new(binary, data, folder.join("victim"))?,
            node: None,
            reader: Home::new(binary, folder.join("reader/data"), folder.join("reader"))?,
            model: Model::default(),
            rng: StdRng::seed_from_u64(0),
            violations: Vec::new(),
            log: Vec::new(),
            kill_command: None,
            may_meddle: true,
            targets: Vec::new(),
            without: Vec::new(),
            why: BTreeMap::new(),
            spares: Vec::new(),
            linked: BTreeSet::new(),
            serial: 0,
        };
        world.wipe()?;
        Ok(world)
    }

    /// Begins anew, on the same disk.
    pub(crate) fn wipe(&mut self) -> Result<(), Failure> {
        self.stop_node();
        for entry in fs::read_dir(self.ground.root())? {
            let path = entry?.path();
            match path.symlink_metadata()?.is_dir() {
                true => fs::remove_dir_all(&path)?,
                false => fs::remove_file(&path)?,
            }
        }
        for folder in ["mine", "got", "keep", "watched"] {
            fs::create_dir_all(self.path(folder))?;
        }
        if self.ground.is_image() {
            self.ground.sync()?;
        }
        self.model = Model::default();
        self.spares.clear();
        self.targets.clear();
        self.linked.clear();
        self.log.clear();
        Ok(())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.ground.root().join(name)
    }

    /// A path that does not exist.
    pub(crate) fn fresh(&mut self, folder: &str, name: &str) -> PathBuf {
        self.serial += 1;
        self.path(folder).join(format!("{name}-{}", self.serial))
    }

    pub(crate) fn note(&mut self, line: impl Into<String>) {
        self.log.push(line.into());
    }

    pub(crate) fn violated(&mut self, sort: &'static str, text: impl Into<String>) {
        let violation = Violation::new(sort, text);
        self.note(format!("!!! {violation}"));
        self.violations.push(violation);
    }

    /// Decides by chance.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability)
    }

    /// One of these at random.
    pub(crate) fn pick<T: Clone>(&mut self, among: &[T]) -> Option<T> {
        match among.len() {
            0 => None,
            len => Some(among[self.rng.random_range(0..len)].clone()),
        }
    }

    /// Runs a command of Pelago for the victim.
    pub(crate) fn pelago(&mut self, arguments: &[&str]) -> Result<Answer, Failure> {
        self.figures.operations += 1;
        let kill = self.kill_command.take();
        let answer = self.victim.run_killed(arguments, kill)?;
        if kill.is_some() && matches!(answer, Answer::Lost) {
            self.figures.kills += 1;
        }
        let root = self.ground.root().to_string_lossy().into_owned() + "/";
        let line = arguments.join(" ").replace(&root, "");
        self.note(format!("pelago {line}: {}", answer.brief()));
        if matches!(answer, Answer::Hung) {
            self.violated("hung", format!("pelago {line} does not end"));
        }
        Ok(answer)
    }

    /// Starts the victim's node unless it runs; whether it runs.
    pub(crate) fn start_node(&mut self) -> Result<bool, Failure> {
        if self.node.as_mut().is_some_and(|node| !node.has_ended()) {
            return Ok(true);
        }
        if let Some(node) = self.node.take() {
            let log = node.log();
            self.violated("node-ended", format!("the node ended by itself: {log}"));
        }
        let watched = self.path("watched");
        let watched = watched.to_string_lossy().into_owned();
        let library = self.library.address();
        match self
            .victim
            .start(&["--dir", &watched, "--bootstrap", &library])
        {
            Ok(node) => {
                self.note("the node starts");
                self.node = Some(node);
                Ok(true)
            }
            Err(why) => {
                self.violated("no-start", why.to_string());
                Ok(false)
            }
        }
    }

    /// Kills the victim's node.
    pub(crate) fn stop_node(&mut self) {
        if let Some(node) = self.node.take() {
            node.kill();
            self.note("the node is killed");
        }
    }

    /// Makes files and folders of the user's, which can be shared later, and folders to download to.
    pub(crate) fn prepare(&mut self, count: usize) -> Result<(), Failure> {
        while self.targets.len() < 2 * count {
            let folder = self.fresh("got", "to");
            fs::create_dir(&folder)?;
            self.targets.push(folder);
        }
        while self.spares.len() < count {
            let path = self.fresh("mine", "own");
            let body = if self.chance(0.3) {
                content::make_folder(&mut self.rng, &path, MOST_BYTES)?
            } else {
                content::make_file(&mut self.rng, &path, MOST_BYTES)?
            };
            for (path, digest) in body.files_at(&path) {
                self.model.wrote(&path, Thing::File(digest));
            }
            self.spares.push((path, body));
        }
        Ok(())
    }

    /// One of the user's files or folders that were not shared so far, as it is.
    pub(crate) fn spare(&mut self) -> Option<(PathBuf, Body)> {
        let (path, before) = self.spares.pop()?;
        // Other programs may have changed it.
        Some((path.clone(), self.body_at(&path)?)).filter(|(_, now)| *now == before)
    }

    /// The user's content at `path`, according to the model.
    pub(crate) fn body_at(&self, path: &Path) -> Option<Body> {
        let files = self.model.files_below(path);
        let tree: BTreeMap<_, _> = files
            .into_iter()
            .map(|(at, digest)| (at.strip_prefix(path).map(Path::to_owned), digest))
            .filter_map(|(at, digest)| Some((at.ok()?, digest)))
            .collect();
        match tree.get(Path::new("")) {
            Some(digest) => Some(Body::File(*digest)),
            None if tree.is_empty() => None,
            None => Some(Body::Tree(tree)),
        }
    }

    /// Writes a file of the user's.
    pub(crate) fn user_writes(&mut self, path: &Path, content: &[u8]) -> Result<(), Failure> {
        match content::write(path, content) {
            Ok(digest) => self.model.wrote(path, Thing::File(digest)),
            // On a full disk an empty file may be left.
            Err(error) if error.kind() == ErrorKind::StorageFull => {
                if path.exists() {
                    self.model
                        .wrote(path, Thing::File(content::digest(&fs::read(path)?)));
                }
            }
            Err(error) => return Err(format!("{}: {error}", path.display()).into()),
        }
        Ok(())
    }

    /// Records that another program changed a file in place.
    pub(crate) fn user_changed(&mut self, path: &Path) -> Result<(), Failure> {
        let digest = content::digest(&fs::read(path)?);
        self.model.wrote(path, Thing::File(digest));
        Ok(())
    }
}
