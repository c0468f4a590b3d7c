//! Random actions of other programs on the victim's files.

use std::{
    fs::{self, File},
    io::{Seek, SeekFrom, Write},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, SystemTime},
};

use clap::ValueEnum;
use rand::RngExt;

use crate::{
    Failure,
    checks::files_below,
    content,
    model::{Promise, Thing},
    pelago::Answer,
    tools::run,
    world::World,
};

/// How long a slow writer pauses: longer than the pause after which a file counts as written.
const QUIET: Duration = Duration::from_millis(2600);

/// When the victim is asked meanwhile.
const ASKED: Duration = Duration::from_millis(2100);

/// Each can be left out with `--without`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Deed {
    /// Puts files where a download wants to write: at its name, or at its name with `.part`.
    PutInTheWay,
    /// Changes a file of the user's.
    EditOwn,
    /// Changes the mode of a file, or gives it a second name: its content and times stay.
    ChangeAttributes,
    /// Changes a file of a completed download.
    EditDone,
    /// Moves a downloaded folder, and leaves a link.
    SwapFolder,
    /// Changes a file of an unfinished download.
    HarmPart,
    /// A new file in the watched folder.
    AddWatched,
    /// Renames many files, or a folder, there.
    RenameWatched,
    /// Copies a file there, and removes the first.
    CopyWatched,
    /// Writes half of a file there, waits, and writes the rest.
    WriteSlowly,
}

impl World<'_> {
    pub(crate) fn meddle(&mut self, deed: Deed) -> Result<(), Failure> {
        let before = self.log.len();
        let done = self.do_deed(deed);
        // Not every action finds a file.
        self.figures.deeds += usize::from(self.log.len() > before);
        done
    }

    fn do_deed(&mut self, deed: Deed) -> Result<(), Failure> {
        match deed {
            // A part of downloading: see `verbs`.
            Deed::PutInTheWay => Ok(()),
            Deed::EditOwn => self.edit_own(),
            Deed::ChangeAttributes => self.change_attributes(),
            Deed::EditDone => self.edit_done(),
            Deed::SwapFolder => self.swap_folder(),
            Deed::HarmPart => self.harm_part(),
            Deed::AddWatched => self.add_watched(),
            Deed::RenameWatched => self.rename_watched(),
            Deed::CopyWatched => self.copy_watched(),
            Deed::WriteSlowly => self.write_slowly(),
        }
    }

    fn edit_own(&mut self) -> Result<(), Failure> {
        let mut files = Vec::new();
        for folder in ["mine", "watched", "got"] {
            files.extend(self.model.files_below(&self.path(folder)));
        }
        match self.pick(&files) {
            Some((path, _)) => self.edit(&path),
            None => Ok(()),
        }
    }

    fn edit_done(&mut self) -> Result<(), Failure> {
        let done = self.model.downloads_in(Promise::Done);
        let Some(hash) = self.pick(&done) else {
            return Ok(());
        };
        let download = self.model.download(&hash).cloned().expect("it was listed");
        let files: Vec<_> = self.model.intact(&hash, &download).collect();
        match self.pick(&files) {
            Some((path, _)) if path.exists() => self.edit(&path),
            _ => Ok(()),
        }
    }

    fn change_attributes(&mut self) -> Result<(), Failure> {
        let mut files = Vec::new();
        for folder in ["mine", "watched"] {
            files.extend(self.model.files_below(&self.path(folder)));
        }
        for hash in self.model.downloads_in(Promise::Done) {
            let download = self.model.download(&hash).cloned().expect("it was listed");
            files.extend(self.model.intact(&hash, &download));
        }
        let Some((path, _)) = self.pick(&files) else {
            return Ok(());
        };
        if !path.exists() {
            return Ok(());
        }
        let short = path.display();
        if self.chance(0.5) {
            self.note(format!("other program: changes the mode of {short}"));
            return Ok(fs::set_permissions(
                &path,
                fs::Permissions::from_mode(0o600),
            )?);
        }
        self.note(format!("other program: makes a second name of {short}"));
        let to = self.fresh("keep", "second");
        fs::hard_link(&path, &to)?;
        let digest = content::digest(&fs::read(&path)?);
        self.model.linked(&to, Thing::File(digest));
        self.linked.extend([path, to]);
        Ok(())
    }

    /// Changes a file that belongs to the user, or will from now on.
    fn edit(&mut self, path: &Path) -> Result<(), Failure> {
        // A download may have moved it. The comparison finds files that are lost.
        let Ok(found) = path.metadata() else {
            return Ok(());
        };
        let (root, size) = (self.ground.root(), found.len());
        // A file with two names would change under both: only the name is replaced.
        let way = match self.linked.contains(path) {
            true => self.rng.random_range(5..10),
            false => self.rng.random_range(0..11),
        };
        let short = path.strip_prefix(&root).unwrap_or(path).display();
        self.log
            .push(format!("other program: {} {short}", WAYS[way]));
        match way {
            0 => self.overwrite_in_place(path, size, false)?,
            1 => self.overwrite_in_place(path, size, true)?,
            2 => File::options().write(true).open(path)?.set_len(size / 2)?,
            3 => {
                let more = content::noise(&mut self.rng, 500);
                File::options().append(true).open(path)?.write_all(&more)?;
            }
            4 => self.write_through_mapping(path, size)?,
            5 => {
                let new = path.with_file_name(".new");
                let size = usize::try_from(size)?;
                fs::write(&new, content::noise(&mut self.rng, size))?;
                fs::rename(&new, path)?;
                self.linked.remove(path);
            }
            6 => {
                fs::remove_file(path)?;
                self.model.removed(path);
                return Ok(());
            }
            7 => {
                let to = self.fresh("keep", "renamed");
                return self.rename(path, &to);
            }
            8 => {
                let to = self.fresh("keep", "linked");
                self.rename(path, &to)?;
                symlink(&to, path)?;
                self.model.wrote(path, Thing::Link(to));
                return Ok(());
            }
            9 => {
                File::options()
                    .append(true)
                    .open(path)?
                    .set_modified(SystemTime::now())?;
                self.model.touched(path);
                return Ok(());
            }
            _ => fs::write(path, content::noise(&mut self.rng, 4000))?,
        }
        self.user_changed(path)
    }

    /// Writes some bytes, and sets back the times on request.
    fn overwrite_in_place(
        &mut self,
        path: &Path,
        size: u64,
        sets_back: bool,
    ) -> Result<(), Failure> {
        let before = path.metadata()?.modified()?;
        let at = self.rng.random_range(0..size.max(1));
        let new = content::noise(&mut self.rng, usize::try_from((size - at).min(300))?);
        let mut file = File::options().write(true).open(path)?;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(&new)?;
        if sets_back {
            file.set_modified(before)?;
        }
        Ok(())
    }

    fn write_through_mapping(&mut self, path: &Path, size: u64) -> Result<(), Failure> {
        if size < 2 {
            return Ok(());
        }
        let at = self.rng.random_range(0..size - 1);
        let length = (size - at).min(400);
        let (at, length) = (at.to_string(), length.to_string());
        let path = path.to_string_lossy();
        run(&mut self.tools.helper(&["map", &path, &at, &length, "37"])).map(drop)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> Result<(), Failure> {
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        if from.symlink_metadata().is_err() {
            return Ok(());
        }
        let is_there = |path: &Path| path.symlink_metadata().is_ok();
        self.model.followed(is_there);
        fs::rename(from, to)?;
        if self.linked.remove(from) {
            self.linked.insert(to.to_owned());
        }
        self.model.renamed(from, to);
        Ok(())
    }

    fn swap_folder(&mut self) -> Result<(), Failure> {
        let done = self.model.downloads_in(Promise::Done);
        let paths = done.iter().filter_map(|hash| self.model.download(hash));
        let folders = paths.map(|download| download.path.clone());
        let mut folders: Vec<_> = folders.filter(|path| is_folder(path)).collect();
        let below: Vec<_> = folders.iter().map(|path| path.join("s")).collect();
        folders.extend(below.into_iter().filter(|path| is_folder(path)));
        let Some(folder) = self.pick(&folders) else {
            return Ok(());
        };
        let to = self.fresh("keep", "folder");
        self.note(format!(
            "other program: moves {} and leaves a link",
            folder.display()
        ));
        // Names that have another one, and move with their folder.
        let moved: Vec<_> = self
            .linked
            .iter()
            .filter(|p| p.starts_with(&folder))
            .cloned()
            .collect();
        for path in moved {
            let rest = path.strip_prefix(&folder)?;
            self.linked.insert(to.join(rest));
        }
        self.rename(&folder, &to)?;
        symlink(&to, &folder)?;
        self.model.wrote(&folder, Thing::Link(to));
        Ok(())
    }

    /// Files below `got` that a download grows in.
    fn parts(&self) -> Result<Vec<(String, PathBuf)>, Failure> {
        let going = self.model.downloads_in(Promise::Going);
        let paused = self.model.downloads_in(Promise::Paused);
        let mut all = Vec::new();
        for path in files_below(&self.path("got"))? {
            let text = path.to_string_lossy().into_owned();
            if self.model.is_foreign(&path) || !text.contains(".part") {
                continue;
            }
            let of = going.iter().chain(&paused).find(|hash| {
                let download = self.model.download(hash).expect("it was listed");
                text.starts_with(&*download.path.to_string_lossy())
            });
            all.extend(of.map(|hash| (hash.clone(), path)));
        }
        Ok(all)
    }

    /// Changes an unfinished download. Races with it are intended: files that are gone meanwhile are left
    /// alone.
    fn harm_part(&mut self) -> Result<(), Failure> {
        let parts = self.parts()?;
        let Some((hash, path)) = self.pick(&parts) else {
            return Ok(());
        };
        let target = self
            .model
            .download(&hash)
            .expect("it was listed")
            .path
            .clone();
        let folder = target.parent().expect("it is below the root");
        let Some(staging) = path.strip_prefix(folder)?.components().next() else {
            return Ok(());
        };
        let staging = folder.join(staging);
        let is_staged = staging != path;
        let way = self.rng.random_range(0..9);
        self.note(format!(
            "other program: {} {}",
            PART_WAYS[way],
            path.display()
        ));
        self.model.disturbed(&hash);
        let own = content::noise(&mut self.rng, 2000);
        let opened = || File::options().write(true).open(&path);
        let done = match way {
            0 => opened().and_then(|mut file| {
                let size = file.metadata()?.len();
                file.seek(SeekFrom::Start(size / 3))?;
                file.write_all(&own)
            }),
            1 => opened().and_then(|file| file.set_len(file.metadata()?.len() / 2)),
            2 => opened().and_then(|mut file| {
                file.seek(SeekFrom::End(0))?;
                file.write_all(&own)
            }),
            3 => fs::remove_file(&path),
            4 => opened().and_then(|file| file.set_modified(SystemTime::now())),
            5 => {
                let to = self.fresh("keep", "part");
                let linked = fs::hard_link(&path, &to);
                if linked.is_ok() {
                    self.model.linked(&to, Thing::Any);
                }
                linked
            }
            6 if !is_staged => self.replace_part(&path, &own),
            8 if is_staged => self.swap_in_staging(&staging, &target),
            _ if is_staged => {
                let name = path.with_file_name("file-of-the-user");
                let rest = name.strip_prefix(&staging)?;
                let or = target.join(rest);
                let written = fs::write(&name, &own);
                if written.is_ok() {
                    let thing = Thing::File(content::digest(&own));
                    self.model.wrote_in_staging(&name, thing, or);
                }
                written
            }
            _ => Ok(()),
        };
        if let Err(error) = done {
            self.note(format!("  {error}"));
        }
        Ok(())
    }

    /// Replaces an unfinished file by one of the user's, unless it has just gone.
    fn replace_part(&mut self, path: &Path, own: &[u8]) -> std::io::Result<()> {
        let new = self.fresh("keep", "new");
        fs::write(&new, own)?;
        rustix::fs::renameat_with(
            rustix::fs::CWD,
            &new,
            rustix::fs::CWD,
            path,
            rustix::fs::RenameFlags::EXCHANGE,
        )
        .inspect_err(|_| drop(fs::remove_file(&new)))?;
        self.model.linked(path, Thing::File(content::digest(own)));
        // The replaced file is elsewhere now, with unknown content.
        self.model.linked(&new, Thing::Any);
        Ok(())
    }

    /// Moves a folder in which a download grows, and leaves a link: nothing may be written through it.
    fn swap_in_staging(&mut self, staging: &Path, target: &Path) -> std::io::Result<()> {
        let (from, to) = (staging.join("s"), self.fresh("keep", "growing"));
        fs::rename(&from, &to)?;
        for path in files_below(&to).map_err(std::io::Error::other)? {
            self.model.linked(&path, Thing::Any);
        }
        symlink(&to, &from)?;
        self.model
            .wrote_in_staging(&from, Thing::Link(to), target.join("s"));
        Ok(())
    }

    fn add_watched(&mut self) -> Result<(), Failure> {
        let folder = self
            .pick(&["watched", "watched/one", "watched/two"])
            .expect("there are some");
        for _ in 0..self.rng.random_range(1..10) {
            let size = content::size(&mut self.rng, 1 << 20);
            let content = content::noise(&mut self.rng, size);
            let path = self.fresh(folder, "seen");
            self.user_writes(&path, &content)?;
        }
        self.note(format!("other program: new files in {folder}"));
        Ok(())
    }

    fn rename_watched(&mut self) -> Result<(), Failure> {
        let folders = ["watched/one", "watched/two"].map(|name| self.path(name));
        if self.chance(0.4)
            && let Some(folder) = folders.iter().find(|folder| is_folder(folder))
        {
            let to = self.fresh("watched", "folder");
            self.note(format!(
                "other program: renames {} to {}",
                folder.display(),
                to.display()
            ));
            return self.rename(folder, &to);
        }
        let mut files = self.model.files_below(&self.path("watched"));
        files.truncate(16);
        self.note(format!(
            "other program: renames {} watched files",
            files.len()
        ));
        for (path, _) in files {
            let to = self.fresh("watched", "renamed");
            self.rename(&path, &to)?;
        }
        Ok(())
    }

    fn copy_watched(&mut self) -> Result<(), Failure> {
        let files = self.model.files_below(&self.path("watched"));
        let Some((path, _)) = self.pick(&files) else {
            return Ok(());
        };
        let Ok(content) = fs::read(&path) else {
            return Ok(());
        };
        let to = self.fresh("watched", "copied");
        self.note(format!(
            "other program: copies {} and removes it",
            path.display()
        ));
        self.user_writes(&to, &content)?;
        let pause = self.rng.random_range(0..700);
        thread::sleep(Duration::from_millis(pause));
        fs::remove_file(&path)?;
        self.model.removed(&path);
        Ok(())
    }

    /// While a file is being written it is not shared.
    fn write_slowly(&mut self) -> Result<(), Failure> {
        let path = self.fresh("watched", "slow");
        let name = path
            .file_name()
            .expect("it has one")
            .to_string_lossy()
            .into_owned();
        self.note(format!("other program: writes {name} slowly"));
        let (text, quiet) = (path.to_string_lossy(), QUIET.as_millis().to_string());
        let mut writer: Command = self.tools.helper(&["hold", &text, &quiet, "300000"]);
        let mut writer = writer.spawn()?;
        thread::sleep(ASKED);
        let answer = self.pelago(&["list"])?;
        if let Answer::Done(listed) = answer {
            let listed = listed.as_array().cloned().unwrap_or_default();
            if listed
                .iter()
                .any(|one| one["name"].as_str().is_some_and(|n| n.ends_with(&*name)))
            {
                self.violated(
                    "growing-shared",
                    format!("{name} is shared while it is written"),
                );
            }
        }
        writer.wait()?;
        self.user_changed(&path)
    }
}

const WAYS: [&str; 11] = [
    "writes in place",
    "writes in place and sets back the time of",
    "truncates",
    "appends to",
    "writes through a mapping of",
    "replaces",
    "removes",
    "renames",
    "moves and leaves a link at",
    "touches",
    "rewrites",
];

const PART_WAYS: [&str; 9] = [
    "writes into",
    "truncates",
    "appends to",
    "removes",
    "touches",
    "makes a second name of",
    "replaces",
    "puts a file beside",
    "moves the folder of, or puts a file beside",
];

/// Whether it is a folder, and no link to one.
fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_dir())
}
