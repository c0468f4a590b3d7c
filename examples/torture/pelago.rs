//! Pelago's commands and nodes: processes of the real program, with folders of their own.

use std::{
    fs::{self, File},
    io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::Failure;

/// How long anything may take, with a margin for slow and busy machines.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// From this moment on answers do not count, as the power is off. Set before the power cut.
#[derive(Clone, Default)]
pub(crate) struct Blackout(Arc<Mutex<bool>>);

impl Blackout {
    pub(crate) fn set(&self, is_dark: bool) {
        *self.0.lock() = is_dark;
    }

    pub(crate) fn is_dark(&self) -> bool {
        *self.0.lock()
    }
}

/// The result of a command.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It succeeded and printed this.
    Done(Value),
    /// It failed with this message.
    Failed(String),
    /// It was killed, or the power was cut first.
    Lost,
    /// It did not end in time.
    Hung,
}

impl Answer {
    pub(crate) fn done(&self) -> Option<&Value> {
        match self {
            Self::Done(value) => Some(value),
            _ => None,
        }
    }

    /// In a few words, for the log.
    pub(crate) fn brief(&self) -> String {
        match self {
            Self::Done(_) => "done".to_owned(),
            Self::Failed(why) => format!("failed: {why:.200}"),
            Self::Lost => "lost".to_owned(),
            Self::Hung => "hung".to_owned(),
        }
    }
}

/// The folders of a node and its commands.
#[derive(Clone)]
pub(crate) struct Home {
    pub(crate) binary: PathBuf,
    /// Its data folder.
    pub(crate) data: PathBuf,
    /// Outside of the tortured disk: the output of commands, and `HOME`.
    pub(crate) quiet: PathBuf,
    pub(crate) network: String,
    pub(crate) port: u16,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) blackout: Blackout,
}

impl Home {
    pub(crate) fn new(binary: &Path, data: PathBuf, quiet: PathBuf) -> Result<Self, Failure> {
        fs::create_dir_all(&quiet)?;
        // Free now. If another program takes it meanwhile, the start fails with a message.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        Ok(Self {
            binary: binary.to_owned(),
            data,
            quiet,
            network: format!("torture-{}", std::process::id()),
            port,
            variables: Vec::new(),
            blackout: Blackout::default(),
        })
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn command(&self, arguments: &[&str], name: &str) -> io::Result<Command> {
        let mut command = Command::new(&self.binary);
        command
            .arg("--json")
            .args(arguments)
            .current_dir(&self.quiet)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.quiet)
            .env("PELAGO_DATA_DIR", &self.data)
            .env("PELAGO_NETWORK_NAME", &self.network)
            .env("PELAGO_NETWORK_MDNS", "false")
            .env("PELAGO_STORAGE_SHARE_FOLDERS", "")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(File::create(self.quiet.join(format!("{name}.out")))?)
            .stderr(File::create(self.quiet.join(format!("{name}.err")))?);
        Ok(command)
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Answer, Failure> {
        self.run_killed(arguments, None)
    }

    /// Runs a command, and kills it after `kill`.
    pub(crate) fn run_killed(
        &self,
        arguments: &[&str],
        kill: Option<Duration>,
    ) -> Result<Answer, Failure> {
        let mut child = self.command(arguments, "command")?.spawn()?;
        let began = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if kill.is_some_and(|after| began.elapsed() >= after) {
                child.kill()?;
                child.wait()?;
                return Ok(Answer::Lost);
            }
            if began.elapsed() > PATIENCE {
                child.kill()?;
                child.wait()?;
                return Ok(Answer::Hung);
            }
            thread::sleep(LOOK_INTERVAL);
        };
        if self.blackout.is_dark() {
            return Ok(Answer::Lost);
        }
        let printed = fs::read(self.quiet.join("command.out"))?;
        let document = serde_json::from_slice(&printed).unwrap_or(Value::Null);
        if status.success() {
            return Ok(Answer::Done(document));
        }
        let errors = fs::read(self.quiet.join("command.err"))?;
        let message = document["error"]["message"].as_str().map(str::to_owned);
        Ok(match (status.code(), message) {
            (None, _) => Answer::Lost,
            (_, Some(message)) => Answer::Failed(message),
            (_, None) => Answer::Failed(format!(
                "{}{}",
                String::from_utf8_lossy(&printed),
                String::from_utf8_lossy(&errors)
            )),
        })
    }

    /// Starts a node, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// Its output, if it is not ready in time.
    pub(crate) fn start(&self, arguments: &[&str]) -> Result<Node, Failure> {
        let listen = format!("/ip4/127.0.0.1/tcp/{}", self.port);
        let mut all = vec!["start", "--listen", &listen];
        all.extend(arguments);
        let child = self.command(&all, "node")?.spawn()?;
        let mut node = Node {
            child,
            quiet: self.quiet.clone(),
        };
        let began = Instant::now();
        loop {
            let printed = fs::read_to_string(self.quiet.join("node.out"))?;
            if printed.contains(r#""event":"ready""#) {
                return Ok(node);
            }
            let has_ended = node.child.try_wait()?.is_some();
            if has_ended || began.elapsed() > PATIENCE {
                return Err(format!("the node does not start: {printed}{}", node.log()).into());
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }
}

/// A running node; it is killed when this is dropped.
pub(crate) struct Node {
    child: Child,
    quiet: PathBuf,
}

impl Node {
    pub(crate) fn pid(&self) -> Option<Pid> {
        Pid::from_raw(self.child.id().try_into().ok()?)
    }

    /// Whether it ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// The end of what it logged.
    pub(crate) fn log(&self) -> String {
        let log = fs::read(self.quiet.join("node.err")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Stops it by SIGTERM, or kills it if that takes too long.
    pub(crate) fn stop(mut self) -> Result<bool, Failure> {
        if let Some(pid) = self.pid() {
            kill_process(pid, Signal::TERM)?;
        }
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if self.child.try_wait()?.is_some() {
                return Ok(true);
            }
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(false)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
