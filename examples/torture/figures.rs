//! Counts and results, for people and for programs.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde_json::{Value, json};

use crate::Kind;

/// Counts of one kind of torture.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) rounds: usize,
    /// Commands of Pelago.
    pub(crate) operations: usize,
    /// What other programs did.
    pub(crate) deeds: usize,
    pub(crate) kills: usize,
    pub(crate) cuts: usize,
    /// Calls that failed, and periods in which the disk failed.
    pub(crate) faults: u64,
    /// Periods in which the disk was full.
    pub(crate) full: usize,
    /// Completed downloads, counted at each comparison.
    pub(crate) downloads_compared: usize,
    /// Shares that another node downloaded, to compare them.
    pub(crate) shares_compared: usize,
    pub(crate) violations: BTreeMap<&'static str, usize>,
    pub(crate) time: Duration,
}

impl Figures {
    pub(crate) fn violated(&self) -> usize {
        self.violations.values().sum()
    }

    fn numbers(&self) -> [u64; 9] {
        [
            self.rounds as u64,
            self.operations as u64,
            self.deeds as u64,
            self.kills as u64,
            self.cuts as u64,
            self.faults,
            self.full as u64,
            self.downloads_compared as u64,
            self.shares_compared as u64,
        ]
    }
}

const HEADS: [&str; 9] = [
    "rounds",
    "commands",
    "deeds",
    "kills",
    "cuts",
    "faults",
    "full",
    "downloads",
    "shares",
];

/// All kinds.
pub(crate) struct Summary<'a> {
    pub(crate) seed: u64,
    pub(crate) kinds: &'a BTreeMap<Kind, Figures>,
}

impl Summary<'_> {
    fn all(&self) -> Figures {
        let mut all = Figures::default();
        for one in self.kinds.values() {
            all.rounds += one.rounds;
            all.operations += one.operations;
            all.deeds += one.deeds;
            all.kills += one.kills;
            all.cuts += one.cuts;
            all.faults += one.faults;
            all.full += one.full;
            all.downloads_compared += one.downloads_compared;
            all.shares_compared += one.shares_compared;
            all.time += one.time;
            for (sort, count) in &one.violations {
                *all.violations.entry(sort).or_default() += count;
            }
        }
        all
    }

    pub(crate) fn json(&self) -> Value {
        let one = |figures: &Figures| {
            let numbers = HEADS.iter().zip(figures.numbers());
            let mut all: serde_json::Map<_, _> = numbers
                .map(|(head, number)| ((*head).to_owned(), json!(number)))
                .collect();
            all.insert("violations".to_owned(), json!(figures.violations));
            all.insert("seconds".to_owned(), json!(figures.time.as_secs_f64()));
            Value::Object(all)
        };
        let kinds = self.kinds.iter();
        let kinds: serde_json::Map<_, _> =
            kinds.map(|(kind, f)| (kind.to_string(), one(f))).collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "seed": self.seed,
            "kinds": kinds,
            "all": one(&self.all()),
        })
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:8}", "kind")?;
        for head in HEADS {
            write!(f, " {head:>9}")?;
        }
        writeln!(f, " {:>9} {:>10}", "seconds", "violations")?;
        let all = self.all();
        let rows = self
            .kinds
            .iter()
            .map(|(kind, figures)| (kind.to_string(), figures));
        for (name, figures) in rows.chain([("all".to_owned(), &all)]) {
            write!(f, "{name:8}")?;
            for number in figures.numbers() {
                write!(f, " {number:>9}")?;
            }
            let seconds = figures.time.as_secs();
            writeln!(f, " {seconds:>9} {:>10}", figures.violated())?;
        }
        for (sort, count) in &all.violations {
            writeln!(f, "  {sort}: {count}")?;
        }
        Ok(())
    }
}
