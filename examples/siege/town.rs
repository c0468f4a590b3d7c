//! The nodes, and what their people do: share, download, compare, remove; and nodes that are killed.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::{
    Failure,
    content::{self, Body},
    pelago::{Answer, Home, Node},
    watch::Pids,
};

const NODES: usize = 6;

/// Bytes of a file at most.
const MOST_BYTES: usize = 8 << 20;

/// Bytes of the content that attackers request.
const BAIT_BYTES: usize = 8 << 20;

/// The metric of the memory for records of the DHT.
const RECORDS: &str = "pelago_dht_records_bytes ";

/// How long half of all local calls may take during the attack.
const STATUS_WITHIN: Duration = Duration::from_millis(250);

struct Member {
    home: Home,
    /// Where the node serves its metrics.
    metrics: SocketAddr,
    node: Option<Node>,
    folder: PathBuf,
}

/// Results.
#[derive(Default)]
pub(crate) struct Figures {
    rounds: u64,
    compared: u64,
    failed: u64,
    kills: u64,
    status: Vec<Duration>,
    pub(crate) wrong: Vec<String>,
}

pub(crate) struct Town {
    members: Vec<Member>,
    pids: Pids,
    rng: StdRng,
    bait: String,
    number: u64,
    pub(crate) figures: Figures,
}

impl Town {
    pub(crate) fn open(
        binary: &Path,
        folder: &Path,
        seed: u64,
        budget: u64,
    ) -> Result<Self, Failure> {
        let mut members = Vec::new();
        for at in 0..NODES {
            let folder = folder.join(format!("node-{at}"));
            fs::create_dir_all(&folder)?;
            let metrics = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            let home = Home::new(binary, folder.join("data"), folder.join("quiet"))?
                .with("PELAGO_NETWORK_MEMORY_BUDGET_MIB", &budget.to_string())
                .with("PELAGO_API_METRICS", &metrics.to_string());
            members.push(Member {
                home,
                metrics,
                node: None,
                folder,
            });
        }
        let mut town = Self {
            members,
            pids: Pids::default(),
            rng: StdRng::seed_from_u64(seed),
            bait: String::new(),
            number: 0,
            figures: Figures::default(),
        };
        *town.pids.lock() = vec![None; NODES];
        for at in 0..NODES {
            town.start(at)?;
        }
        let noise = content::noise(&mut town.rng, BAIT_BYTES);
        let path = town.members[0].folder.join("bait");
        content::write(&path, &noise)?;
        for at in 0..NODES {
            let shared = town.members[at]
                .home
                .run(&["share", &path.to_string_lossy()])?;
            let shared = shared.done().ok_or_else(|| shared.brief())?;
            town.bait = text(&shared[0]["hash"])?;
        }
        Ok(town)
    }

    /// The ports of the nodes.
    pub(crate) fn targets(&self) -> Vec<u16> {
        self.members.iter().map(|member| member.home.port).collect()
    }

    pub(crate) fn network(&self) -> String {
        self.members[0].home.network.clone()
    }

    /// The hash of the content that all nodes share with everyone.
    pub(crate) fn bait(&self) -> String {
        self.bait.clone()
    }

    /// The most memory that one node holds for records of the DHT, in MiB: they stay for 48 h.
    pub(crate) fn records_mib(&self) -> Result<u64, Failure> {
        let mut most = 0;
        for member in &self.members {
            let mut stream = TcpStream::connect(member.metrics)?;
            write!(
                stream,
                "GET /metrics HTTP/1.0\r\nHost: {}\r\n\r\n",
                member.metrics
            )?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            let line = text.lines().find_map(|line| line.strip_prefix(RECORDS));
            let bytes: u64 = line.ok_or("a metric is missing")?.trim().parse()?;
            most = most.max(bytes >> 20);
        }
        Ok(most)
    }

    pub(crate) fn pids(&self) -> Pids {
        Arc::clone(&self.pids)
    }

    /// One node shares, another downloads and compares; with `kills`, a third may be killed meanwhile.
    pub(crate) fn round(&mut self, kills: bool) -> Result<(), Failure> {
        self.figures.rounds += 1;
        self.number += 1;
        let sharer = self.rng.random_range(0..NODES);
        let getter = (sharer + self.rng.random_range(1..NODES)) % NODES;
        let name = format!("content-{}", self.number);
        let path = self.members[sharer].folder.join(&name);
        let body = match self.rng.random_bool(0.3) {
            true => content::make_folder(&mut self.rng, &path, MOST_BYTES)?,
            false => content::make_file(&mut self.rng, &path, MOST_BYTES)?,
        };
        let shared = self.members[sharer]
            .home
            .run(&["share", &path.to_string_lossy()])?;
        let Some(shared) = shared.done() else {
            let why = format!("share failed: {}", shared.brief());
            self.figures.wrong.push(why);
            return Ok(());
        };
        let hash = text(&shared[0]["hash"])?;
        if kills && self.rng.random_bool(0.3) {
            let third = (getter + self.rng.random_range(1..NODES)) % NODES;
            if third != sharer {
                self.restart(third)?;
            }
        }
        self.look_at_status(getter)?;
        self.download(sharer, getter, &hash, &name, &body)?;
        self.members[sharer].home.run(&["unshare", &hash])?;
        match &body {
            Body::File(_) => fs::remove_file(&path)?,
            Body::Tree(_) => fs::remove_dir_all(&path)?,
        }
        Ok(())
    }

    fn download(
        &mut self,
        sharer: usize,
        getter: usize,
        hash: &str,
        name: &str,
        body: &Body,
    ) -> Result<(), Failure> {
        let target = self.members[getter].folder.join(format!("got-{name}"));
        let peer = self.members[sharer].home.address();
        let to = target.to_string_lossy();
        let home = &self.members[getter].home;
        let answer = home.run(&["download", hash, "--peer", &peer, "-o", &to])?;
        if !matches!(answer, Answer::Done(_)) {
            self.figures.failed += 1;
            let why = format!("download {}: {}", self.number, answer.brief());
            self.figures.wrong.push(why);
            return Ok(());
        }
        self.figures.compared += 1;
        for (path, digest) in body.files_at(&target) {
            let is_right = fs::read(&path).is_ok_and(|bytes| content::digest(&bytes) == digest);
            if !is_right {
                let why = format!("{} is not what was shared", path.display());
                self.figures.wrong.push(why);
            }
        }
        home.run(&["remove", hash, "--with-data"])?;
        if target.exists() {
            self.figures
                .wrong
                .push(format!("{to} was removed and still exists"));
        }
        Ok(())
    }

    fn look_at_status(&mut self, at: usize) -> Result<(), Failure> {
        let began = Instant::now();
        let answer = self.members[at].home.run(&["status"])?;
        self.figures.status.push(began.elapsed());
        if answer.done().is_none() {
            self.figures
                .wrong
                .push(format!("status: {}", answer.brief()));
        }
        Ok(())
    }

    fn start(&mut self, at: usize) -> Result<(), Failure> {
        let first = self.members[0].home.address();
        let bootstrap = ["--bootstrap", &first];
        let arguments: &[&str] = if at == 0 { &[] } else { &bootstrap };
        let member = &mut self.members[at];
        let node = member.home.start(arguments)?;
        let pid = node
            .pid()
            .map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
        member.node = Some(node);
        self.pids.lock()[at] = pid;
        Ok(())
    }

    fn restart(&mut self, at: usize) -> Result<(), Failure> {
        self.figures.kills += 1;
        self.pids.lock()[at] = None;
        if let Some(node) = self.members[at].node.take() {
            node.kill();
        }
        self.start(at)
    }
}

fn text(value: &Value) -> Result<String, Failure> {
    Ok(value.as_str().ok_or("a field is missing")?.to_owned())
}

impl Figures {
    /// How long `pelago status` takes: the median and the maximum.
    fn status_times(&self) -> (Duration, Duration) {
        let mut times = self.status.clone();
        times.sort_unstable();
        let at = |at: usize| times.get(at).copied().unwrap_or_default();
        (at(times.len() / 2), at(times.len().saturating_sub(1)))
    }

    pub(crate) fn json(&self) -> Value {
        let (median, most) = self.status_times();
        let numbers = BTreeMap::from([
            ("rounds", self.rounds),
            ("compared", self.compared),
            ("failed", self.failed),
            ("kills", self.kills),
        ]);
        json!({
            "counts": numbers,
            "status_ms": { "median": median.as_millis() as u64, "most": most.as_millis() as u64 },
        })
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (median, most) = self.status_times();
        let slow = if median > STATUS_WITHIN {
            " (slow)"
        } else {
            ""
        };
        write!(
            f,
            "{} rounds, {} downloads compared, {} failed, {} kills; the command status took {} ms in the \
             median{slow}, {} ms at most",
            self.rounds,
            self.compared,
            self.failed,
            self.kills,
            median.as_millis(),
            most.as_millis()
        )
    }
}
