//! The kinds of torture: the steps of a round of each, and what happens meanwhile.

use std::{
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rand::RngExt;
use rustix::process::{Signal, kill_process};

use crate::{
    Failure, Kind,
    ground::{Faults, Sort},
    model::Promise,
    pelago::Answer,
    strangers::Deed,
    tools::run,
    verbs::Verb,
    world::World,
};

/// A step, and its weight in the draw.
type Menu = &'static [(Step, u32)];

#[derive(Clone, Copy)]
enum Step {
    Pelago(Verb),
    Other(Deed),
}

use Step::{Other, Pelago};

/// Commands, without other programs at the files.
const VERBS: Menu = &[
    (Pelago(Verb::Share), 20),
    (Pelago(Verb::ShareAgain), 4),
    (Pelago(Verb::Unshare), 6),
    (Pelago(Verb::List), 4),
    (Pelago(Verb::Download), 20),
    (Pelago(Verb::Detach), 16),
    (Pelago(Verb::Pause), 10),
    (Pelago(Verb::Resume), 6),
    (Pelago(Verb::Cancel), 8),
    (Pelago(Verb::Remove), 3),
    (Pelago(Verb::RemoveWithData), 6),
    (Pelago(Verb::Move), 2),
    (Pelago(Verb::Limit), 2),
    (Pelago(Verb::Url), 2),
    (Pelago(Verb::Settle), 6),
];

const DEEDS: Menu = &[
    (Other(Deed::EditOwn), 10),
    (Other(Deed::ChangeAttributes), 6),
    (Other(Deed::EditDone), 14),
    (Other(Deed::SwapFolder), 6),
    (Other(Deed::HarmPart), 16),
    (Other(Deed::AddWatched), 8),
    (Other(Deed::RenameWatched), 6),
    (Other(Deed::CopyWatched), 5),
    (Other(Deed::WriteSlowly), 1),
];

/// Actions that are complete and on the disk before the power cut.
const QUIET_DEEDS: Menu = &[
    (Other(Deed::EditOwn), 10),
    (Other(Deed::ChangeAttributes), 3),
    (Other(Deed::EditDone), 8),
    (Other(Deed::SwapFolder), 4),
    (Other(Deed::AddWatched), 3),
    (Other(Deed::RenameWatched), 1),
];

/// Commands that write much, while the disk fails.
const WRITERS: Menu = &[
    (Pelago(Verb::Share), 3),
    (Pelago(Verb::Download), 12),
    (Pelago(Verb::Detach), 12),
    (Pelago(Verb::Pause), 2),
    (Pelago(Verb::Resume), 2),
    (Pelago(Verb::Cancel), 2),
    (Pelago(Verb::Settle), 4),
];

/// How long the download lasts that may lose no more than its last 10 s, and when it is checked.
const LONG: Duration = Duration::from_secs(16);
const LOOKED_AT: Duration = Duration::from_secs(5);

/// How long the proof of the rest may take; less than fetching it again takes.
const PROVEN_WITHIN: Duration = Duration::from_secs(3);

/// Its rate in bytes a second.
const SLOW: &str = "400k";

pub(crate) fn ground_of(kind: Kind, episode: usize) -> Sort {
    match kind {
        Kind::Kills | Kind::Verbs => Sort::Folder,
        Kind::Power => Sort::Power,
        Kind::Faults if episode.is_multiple_of(2) => Sort::Folder,
        Kind::Faults => Sort::Failing,
        Kind::Full => Sort::Small,
    }
}

/// Rounds of an episode, after which the next one begins with an empty disk.
pub(crate) const fn rounds_of(kind: Kind, is_short: bool) -> usize {
    match (kind, is_short) {
        (Kind::Verbs, true) => 5,
        (Kind::Kills, true) => 6,
        (Kind::Power, true) => 10,
        (Kind::Faults, true) => 2,
        (Kind::Full, true) => 2,
        (Kind::Power, false) => 15,
        (_, false) => 8,
    }
}

/// Waits for the thread that turns the power off.
fn joined(cutter: JoinHandle<Result<(), String>>) -> Result<(), Failure> {
    cutter.join().map_err(|_| "the cutter panicked")??;
    Ok(())
}

impl World<'_> {
    pub(crate) fn round(&mut self, kind: Kind, faults: Option<&Faults>) -> Result<(), Failure> {
        match (kind, faults) {
            (Kind::Verbs, _) => self.verbs_round(),
            (Kind::Kills, _) => self.kills_round(),
            (Kind::Power, _) => self.power_round(),
            (Kind::Faults, Some(faults)) => self.faults_round(faults),
            (Kind::Faults, None) => self.failing_round(),
            (Kind::Full, _) => self.full_round(),
        }
    }

    fn step(&mut self, menus: &[Menu]) -> Result<(), Failure> {
        let is_possible = |step: &Step| match step {
            Pelago(verb) => self.node.is_some() || verb.works_alone(),
            Other(deed) => !self.without.contains(deed),
        };
        let steps = menus.iter().copied().flatten();
        let steps: Vec<_> = steps
            .filter(|(step, _)| is_possible(step))
            .copied()
            .collect();
        let all: u32 = steps.iter().map(|(_, weight)| weight).sum();
        if all == 0 {
            return Ok(());
        }
        let mut drawn = self.rng.random_range(0..all);
        for (step, weight) in steps {
            if drawn < weight {
                return match step {
                    Pelago(verb) => self.act(verb),
                    Other(deed) => self.meddle(deed),
                };
            }
            drawn -= weight;
        }
        Ok(())
    }

    fn verbs_round(&mut self) -> Result<(), Failure> {
        self.prepare(4)?;
        if !self.start_node()? {
            return Ok(());
        }
        for _ in 0..14 {
            self.step(&[VERBS, DEEDS])?;
            // Other programs have little time to change an unfinished download, and use it.
            if self.chance(0.4) && !self.without.contains(&Deed::HarmPart) {
                self.meddle(Deed::HarmPart)?;
            }
        }
        if self.chance(0.4)
            && let Some(node) = self.node.take()
        {
            self.note("the node is stopped");
            if !node.stop()? {
                self.violated("hung", "the node does not end");
            }
        }
        self.check()
    }

    fn kills_round(&mut self) -> Result<(), Failure> {
        for _ in 0..self.rng.random_range(1..4) {
            self.prepare(4)?;
            if self.chance(0.25) {
                self.kill_commands()?;
            } else if self.start_node()? {
                self.kill_node()?;
            }
            if !self.violations.is_empty() {
                return Ok(());
            }
            self.library.start()?;
        }
        self.check()
    }

    /// Commands without a node, most of which are killed.
    fn kill_commands(&mut self) -> Result<(), Failure> {
        self.stop_node();
        for _ in 0..5 {
            if self.chance(0.7) {
                let after = self.rng.random_range(0..80);
                self.kill_command = Some(Duration::from_millis(after));
            }
            self.step(&[VERBS])?;
        }
        self.kill_command = None;
        Ok(())
    }

    /// Commands of a node that is killed meanwhile.
    fn kill_node(&mut self) -> Result<(), Failure> {
        let pid = self.node.as_ref().and_then(|node| node.pid());
        let pid = pid.ok_or("the node runs")?;
        let after = Duration::from_millis(self.rng.random_range(20..1500));
        let killer = thread::spawn(move || {
            thread::sleep(after);
            // The node is waited for only after this has ended, so that no other process has its id.
            kill_process(pid, Signal::KILL)
        });
        if self.chance(0.15) {
            self.note("the library is killed");
            self.figures.kills += 1;
            self.library.kill();
        }
        while !killer.is_finished() {
            self.step(&[VERBS, QUIET_DEEDS])?;
        }
        killer.join().map_err(|_| "the killer panicked")??;
        self.figures.kills += 1;
        self.stop_node();
        Ok(())
    }

    fn power_round(&mut self) -> Result<(), Failure> {
        self.prepare(4)?;
        let is_alone = self.chance(0.3);
        if is_alone {
            self.stop_node();
        } else if !self.start_node()? {
            return Ok(());
        }
        for _ in 0..self.rng.random_range(0..3) {
            self.step(&[QUIET_DEEDS])?;
        }
        self.ground.sync()?;
        let flag = self.rng.random_range(1..3);
        if self.node.is_some() && self.chance(0.04) {
            return self.long_round(flag);
        }
        if self.chance(0.5) {
            // In the middle of an operation.
            self.may_meddle = false;
            let after = Duration::from_millis(self.rng.random_range(20..1500));
            let cutter = self.cut_after(after, flag);
            while !cutter.is_finished() {
                self.step(&[VERBS])?;
            }
            joined(cutter)?;
            self.may_meddle = true;
        } else {
            for _ in 0..self.rng.random_range(1..6) {
                self.step(&[VERBS])?;
            }
            let after = [0, 0, 0, 200, 1200, 5500][self.rng.random_range(0..6)];
            joined(self.cut_after(Duration::from_millis(after), flag))?;
        }
        self.power_returns(flag)?;
        self.check()
    }

    /// Turns the power off after a while.
    fn cut_after(&self, after: Duration, flag: u32) -> JoinHandle<Result<(), String>> {
        let (root, blackout) = (self.ground.root(), self.victim.blackout.clone());
        let mut cut = self
            .tools
            .helper(&["cut", &flag.to_string(), &root.to_string_lossy()]);
        thread::spawn(move || {
            thread::sleep(after);
            // Answers count up to here.
            blackout.set(true);
            run(&mut cut).map(drop).map_err(|error| error.to_string())
        })
    }

    fn power_returns(&mut self, flag: u32) -> Result<(), Failure> {
        self.figures.cuts += 1;
        self.note(format!("the power is cut (flag {flag})"));
        self.stop_node();
        self.ground.mount_again()?;
        self.victim.blackout.set(false);
        Ok(())
    }

    /// A power cut during a download loses at most the last 10 s.
    fn long_round(&mut self, flag: u32) -> Result<(), Failure> {
        self.settle()?;
        let going = self.model.downloads_in(Promise::Going);
        let large = self
            .library
            .items
            .iter()
            .filter(|item| self.model.is_free(&item.hash));
        let Some(item) = large.max_by_key(|item| item.size).cloned() else {
            return Ok(());
        };
        if !going.is_empty() || item.size < 5 << 20 {
            return self.check();
        }
        self.pelago(&["limit", "--download", SLOW])?;
        let path = self.target(&item)?;
        self.model.asked(&item.hash, &path, &item.body);
        let (peer, to) = (self.library.address(), path.to_string_lossy().into_owned());
        let began = Instant::now();
        let arguments = [
            "download", &item.hash, "--peer", &peer, "-o", &to, "--detach",
        ];
        if let Answer::Done(_) = self.pelago(&arguments)? {
            self.model.answered(&item.hash, Promise::Going);
        }
        thread::sleep(LOOKED_AT);
        let before = self.verified(&item.hash)?.unwrap_or(0);
        let rest = LONG.saturating_sub(began.elapsed());
        joined(self.cut_after(rest, flag))?;
        self.power_returns(flag)?;
        if !self.start_node()? {
            return Ok(());
        }
        // The node proves first what it has; fetching the rest again takes longer than this waits.
        let began = Instant::now();
        let mut after = None;
        while after < Some(before) && began.elapsed() < PROVEN_WITHIN {
            after = self.verified(&item.hash)?.or(after);
            thread::sleep(Duration::from_millis(10));
        }
        if after < Some(before) {
            let text =
                format!("of {before} bytes, verified 11 s before the cut, {after:?} are left");
            self.violated("progress-lost", text);
        }
        self.pelago(&["limit", "--download", "off"])?;
        self.check()
    }

    /// Calls of the node fail.
    fn faults_round(&mut self, faults: &Faults) -> Result<(), Failure> {
        self.prepare(4)?;
        let is_alone = self.chance(0.3);
        if is_alone {
            self.stop_node();
        } else if !self.start_node()? {
            return Ok(());
        }
        let per_mille = [2, 10, 50, 300][self.rng.random_range(0..4)];
        let kinds = self.rng.random_range(1..8);
        let is_full = self.chance(0.3);
        let before = faults.count()?;
        self.note(format!(
            "{per_mille} of 1000 calls of kinds {kinds:03b} fail"
        ));
        faults.begin(per_mille, kinds, is_full)?;
        for _ in 0..8 {
            self.step(&[VERBS])?;
        }
        faults.end()?;
        let count = faults.count()? - before;
        self.note(format!("{count} calls failed"));
        self.figures.faults += count;
        self.may_end_by_fault();
        if self.chance(0.5) {
            self.stop_node();
        }
        self.check()
    }

    /// The disk below the file system fails.
    fn failing_round(&mut self) -> Result<(), Failure> {
        self.prepare(4)?;
        if !self.start_node()? {
            return Ok(());
        }
        for _ in 0..3 {
            self.step(&[VERBS])?;
        }
        self.settle()?;
        self.ground.sync()?;
        self.may_meddle = false;
        self.note("the disk below fails");
        // With a little space, the loss more often concerns data than the journal.
        self.ground
            .fill([0, 300_000, 1 << 20, 2 << 20][self.rng.random_range(0..4)])?;
        for _ in 0..6 {
            self.step(&[WRITERS])?;
        }
        self.ground.empty()?;
        self.note("the disk below works again");
        self.figures.faults += 1;
        self.may_end_by_fault();
        if self.chance(0.7) && self.start_node()? {
            // The system retries failed writes from the page cache.
            self.resume_all()?;
            self.settle()?;
        }
        self.stop_node();
        self.ground.mount_again()?;
        self.may_meddle = true;
        self.check()
    }

    /// A node that ended by itself on an I/O error is a violation.
    fn may_end_by_fault(&mut self) {
        if self.node.as_mut().is_some_and(|node| node.has_ended())
            && let Some(node) = self.node.take()
        {
            let log = node.log();
            self.violated("node-ended", format!("the node ended by itself: {log}"));
        }
    }

    fn full_round(&mut self) -> Result<(), Failure> {
        self.prepare(4)?;
        if !self.start_node()? {
            return Ok(());
        }
        for _ in 0..4 {
            self.step(&[VERBS])?;
        }
        let left = [0, 0, 4 << 10, 60 << 10, 500 << 10][self.rng.random_range(0..5)];
        self.note(format!("the disk is full, except {left} bytes"));
        self.ground.fill(left)?;
        self.figures.full += 1;
        for _ in 0..8 {
            self.step(&[VERBS])?;
        }
        self.may_end_by_fault();
        if self.chance(0.4) {
            self.stop_node();
            // So that no log or list can grow.
            self.ground.fill(0)?;
            if self.start_node()? {
                self.act(Verb::RemoveWithData)?;
                self.act(Verb::Cancel)?;
            }
        }
        self.ground.empty()?;
        self.note("there is space again");
        if self.chance(0.5) {
            self.stop_node();
        }
        self.check()
    }
}
