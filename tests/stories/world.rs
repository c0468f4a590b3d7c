//! Folders, nodes and commands of one story. Dropping them stops and removes everything.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Read, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use serde_json::Value;
use tempfile::TempDir;

use super::namespaces::Namespace;

/// How long any step may take, with a margin for slow and busy machines.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The id of an unprivileged user, and of the user's group.
pub(crate) const NOBODY: u32 = 65534;

/// The time between two checks of a state that reports no changes: at first, and at most. It grows
/// with the time waited, because most checks start a command.
const CHECK_INTERVAL: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(200)];

/// A new folder, and a network name that no other story uses.
pub(crate) struct World {
    folder: PathBuf,
    network: String,
    /// Removes the folder at the end; `None` if the caller does.
    _temporary: Option<TempDir>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::within(&std::env::temp_dir())
    }

    /// A world that other users of the machine can reach: the folder for temporary files may be
    /// closed to them.
    pub(crate) fn for_others() -> Self {
        let world = Self::within(Path::new("/var/tmp"));
        fs::set_permissions(&world.folder, fs::Permissions::from_mode(0o755)).unwrap();
        world
    }

    fn within(folder: &Path) -> Self {
        let temporary = tempfile::Builder::new()
            .prefix("pelago-story-")
            .tempdir_in(folder)
            .unwrap();
        let path = temporary.path().to_owned();
        Self {
            _temporary: Some(temporary),
            ..Self::at(&path)
        }
    }

    /// A world in a folder that the caller creates and removes.
    pub(crate) fn at(folder: &Path) -> Self {
        let name = folder.file_name().unwrap().to_str().unwrap();
        // Nodes of other stories on this machine may connect, but belong to other networks.
        let network = name
            .to_ascii_lowercase()
            .replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        Self {
            folder: folder.to_owned(),
            network,
            _temporary: None,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a file, and returns its path as text.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        text(&path)
    }

    /// A new home in this world.
    pub(crate) fn home(&self, name: &str) -> Home {
        let folder = self.path(name);
        fs::create_dir_all(&folder).unwrap();
        Home {
            folder,
            binary: env!("CARGO_BIN_EXE_pelago").to_owned(),
            network: self.network.clone(),
            within: Vec::new(),
            is_in_namespace: false,
            variables: Vec::new(),
        }
    }
}

/// A data folder for a node, and the working directory of its commands.
#[derive(Clone)]
pub(crate) struct Home {
    folder: PathBuf,
    binary: String,
    network: String,
    /// The program that runs its commands, with arguments; empty if they run directly.
    within: Vec<String>,
    is_in_namespace: bool,
    variables: Vec<(String, String)>,
}

impl Home {
    /// This home in a network namespace, where mDNS is on.
    pub(crate) fn within(mut self, namespace: &Namespace) -> Self {
        self.within = ["ip", "netns", "exec", namespace.name()]
            .map(str::to_owned)
            .into();
        self.is_in_namespace = true;
        self.with("PELAGO_NETWORK_MDNS", "true")
    }

    /// This home with commands that see `root` as the root of all paths. Requires root.
    pub(crate) fn in_root(mut self, root: &str) -> Self {
        self.within = ["chroot", root].map(str::to_owned).into();
        self
    }

    /// This home with an unprivileged user as its owner. Requires root, and [`World::for_others`].
    pub(crate) fn of_nobody(mut self) -> Self {
        // Other users may have no access to what root built.
        let copy = self.path("pelago");
        fs::copy(&self.binary, &copy).unwrap();
        std::os::unix::fs::chown(&self.folder, Some(NOBODY), Some(NOBODY)).unwrap();
        let user = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
        self.within = ["setpriv".to_owned(), "--clear-groups".to_owned()].into();
        self.within.extend(user);
        self.binary = text(&copy);
        self
    }

    /// This home with an environment variable for its commands.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// This home with another build of Pelago.
    pub(crate) fn of_build(self, binary: String) -> Self {
        Self { binary, ..self }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Its data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        self.program(&self.binary, arguments)
    }

    /// A command of any program.
    pub(crate) fn program<S: AsRef<OsStr>>(&self, program: &str, arguments: &[S]) -> Command {
        let mut command = match self.within.split_first() {
            Some((first, others)) => {
                let mut command = Command::new(first);
                command.args(others).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.args(arguments);
        self.prepare(&mut command);
        command
    }

    /// Makes a command run here. Of the caller's environment it gets `PATH` only.
    fn prepare(&self, command: &mut Command) {
        command
            .current_dir(&self.folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.folder)
            .env("PELAGO_DATA_DIR", self.data())
            .env("PELAGO_NETWORK_NAME", &self.network)
            .env("PELAGO_NETWORK_MDNS", "false")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
    }

    /// Starts a command.
    pub(crate) fn spawn<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Run {
        Run::new(self.command(arguments))
    }

    /// Runs a command, and waits for its end.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Ended {
        self.spawn(arguments).end()
    }

    /// Runs a command with `input` as its stdin.
    pub(crate) fn fed(&self, arguments: &[&str], input: &str) -> Ended {
        let path = self.path("stdin");
        fs::write(&path, input).unwrap();
        let mut command = self.command(arguments);
        command.stdin(fs::File::open(path).unwrap());
        Run::new(command).end()
    }

    /// Runs a line in a shell, as a person who copied it from the output of a command.
    pub(crate) fn run_line(&self, line: &str) -> Ended {
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        self.prepare(&mut command);
        Run::new(command).end()
    }

    /// Runs a command that has to succeed, and returns its JSON document.
    pub(crate) fn json<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Value {
        let mut all: Vec<&OsStr> = vec![OsStr::new("--json")];
        all.extend(arguments.iter().map(AsRef::as_ref));
        self.run(&all).done().document()
    }

    /// The events of the node that runs here, line by line. `of` are topics.
    pub(crate) fn events(&self, of: &str) -> Lines {
        let file = fs::read(self.data().join("api.json")).unwrap();
        let api: Value = serde_json::from_slice(&file).unwrap();
        let [address, token] = ["address", "token"].map(|field| api[field].as_str().unwrap());
        let mut stream = TcpStream::connect(address).unwrap();
        let request = format!(
            "GET /v1/events?of={of} HTTP/1.0\r\nHost: {address}\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        Lines::read(stream, "events")
    }

    /// Starts a node on loopback, and waits until it is ready. It shares only the folders in
    /// `arguments`.
    pub(crate) fn start(&self, arguments: &[&str]) -> Node {
        let mut all = vec!["start"];
        if !self.is_in_namespace {
            all.extend(["--listen", "/ip4/127.0.0.1/tcp/0"]);
        }
        all.extend(arguments);
        self.clone()
            .with_default("PELAGO_STORAGE_SHARE_FOLDERS", "")
            .started(&all)
    }

    fn with_default(mut self, name: &str, value: &str) -> Self {
        self.variables
            .insert(0, (name.to_owned(), value.to_owned()));
        self
    }

    /// Starts a node with exactly these arguments, and waits until it is ready.
    pub(crate) fn started(&self, arguments: &[&str]) -> Node {
        let run = self.spawn(arguments);
        run.out.wait(|line| line == "ready", "ready");
        let listening = |line: String| Some(line.strip_prefix("listening on ")?.to_owned());
        let listen = run.out.lines().into_iter().filter_map(listening).collect();
        Node { run, listen }
    }

    /// The hash of a file.
    pub(crate) fn hash(&self, path: &str) -> String {
        self.run(&["hash", path])
            .done()
            .stdout
            .split(' ')
            .next()
            .unwrap()
            .to_owned()
    }

    /// Shares a file with the node that runs here, and returns its hash.
    pub(crate) fn share(&self, path: &str) -> String {
        let shared = self.json(&["share", path]);
        shared[0]["hash"].as_str().unwrap().to_owned()
    }
}

/// A running node.
pub(crate) struct Node {
    pub(crate) run: Run,
    pub(crate) listen: Vec<String>,
}

impl Node {
    /// `host:port` of TCP on loopback.
    pub(crate) fn address(&self) -> String {
        let port = self.listen.iter().find_map(|address| {
            let rest = address.strip_prefix("/ip4/127.0.0.1/tcp/")?;
            rest.split('/').next()
        });
        format!("127.0.0.1:{}", port.expect("the node listens on loopback"))
    }

    pub(crate) fn peer_id(&self) -> String {
        self.listen[0].rsplit('/').next().unwrap().to_owned()
    }

    /// Ends it with a signal, and waits until it has shut down.
    pub(crate) fn stop(self) -> Ended {
        self.run.signal("TERM");
        self.run.end().done()
    }

    /// `kill -9`.
    pub(crate) fn kill(self) {
        self.run.signal("KILL");
        self.run.end();
    }
}

/// A running command. Dropping this kills it.
pub(crate) struct Run {
    child: Child,
    line: String,
    pub(crate) out: Lines,
    pub(crate) err: Lines,
}

impl Run {
    pub(crate) fn new(mut command: Command) -> Self {
        let line = format!("{command:?}");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{line}: {error}"));
        let out = Lines::read(child.stdout.take().unwrap(), &line);
        let err = Lines::read(child.stderr.take().unwrap(), &line);
        Self {
            child,
            line,
            out,
            err,
        }
    }

    /// The id of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let line = format!("kill -{signal} {}", self.child.id());
        // It may have ended already.
        let _ = Command::new("sh")
            .args(["-c", &line])
            .stderr(Stdio::null())
            .status()
            .unwrap();
    }

    /// Waits until some of the download that it follows is there.
    pub(crate) fn has_some(&self) {
        let has_some =
            |line: &str| line.contains("downloading ") && !line.contains("downloading 0 B");
        self.err.wait(has_some, "downloading");
    }

    /// Bytes that it has read so far, from files and sockets; `None` if the system does not report
    /// it.
    pub(crate) fn read_bytes(&self) -> Option<u64> {
        let counts = fs::read_to_string(format!("/proc/{}/io", self.child.id())).ok()?;
        counts
            .lines()
            .find_map(|line| line.strip_prefix("rchar: ")?.parse().ok())
    }

    /// Its resident memory in bytes; `None` if the system does not report it.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kibibytes * 1024)
    }

    /// Waits for its end.
    pub(crate) fn end(self) -> Ended {
        self.end_within(PATIENCE)
    }

    pub(crate) fn end_within(mut self, patience: Duration) -> Ended {
        let status = wait_for_some("the end of a command", patience, || {
            self.child.try_wait().unwrap()
        });
        let status = status.unwrap_or_else(|why| panic!("{why}\n{}", self.transcript()));
        let (stdout, stderr) = (self.out.rest(), self.err.rest());
        Ended {
            line: self.line.clone(),
            status,
            stdout,
            stderr,
        }
    }

    fn transcript(&self) -> String {
        let (out, err) = (self.out.lines().join("\n"), self.err.lines().join("\n"));
        format!("{}\nstdout:\n{out}\nstderr:\n{err}", self.line)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- {}", self.transcript());
        }
    }
}

/// The output of a command, line by line.
#[derive(Clone)]
pub(crate) struct Lines {
    read: Arc<(Mutex<Output>, Condvar)>,
    line: String,
}

#[derive(Default)]
struct Output {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    fn read(from: impl Read + Send + 'static, line: &str) -> Self {
        let read = Arc::new((Mutex::new(Output::default()), Condvar::new()));
        let writer = Arc::clone(&read);
        thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut line = Vec::new();
            loop {
                line.clear();
                let is_end = !matches!(from.read_until(b'\n', &mut line), Ok(1..));
                let mut read = writer.0.lock();
                if is_end {
                    read.ended = true;
                } else {
                    let line = String::from_utf8_lossy(&line);
                    read.lines.push(line.trim_end_matches('\n').to_owned());
                }
                writer.1.notify_all();
                if is_end {
                    return;
                }
            }
        });
        Self {
            read,
            line: line.to_owned(),
        }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.read.0.lock().lines.clone()
    }

    /// Waits for a line that contains `what`, and returns it.
    pub(crate) fn line(&self, what: &str) -> String {
        self.wait(|line| line.contains(what), what)
    }

    /// Waits for a line for which `is_it` holds, and returns it.
    pub(crate) fn wait(&self, is_it: impl Fn(&str) -> bool, what: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut read = self.read.0.lock();
        loop {
            if let Some(line) = read.lines.iter().find(|line| is_it(line)) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let all = read.lines.join("\n");
            assert!(
                !read.ended,
                "{} ended without saying {what:?}:\n{all}",
                self.line
            );
            assert!(
                !left.is_zero(),
                "{} does not say {what:?}:\n{all}",
                self.line
            );
            self.read.1.wait_for(&mut read, left);
        }
    }

    /// All of the output, once the command has ended.
    fn rest(&self) -> String {
        let mut read = self.read.0.lock();
        let ended = &self.read.1;
        ended.wait_while_for(&mut read, |read| !read.ended, PATIENCE);
        read.lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

/// The result of a command.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    #[allow(dead_code, reason = "shown when an assertion fails")]
    line: String,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// Asserts its exit code.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn done(self) -> Self {
        self.code(0)
    }

    #[track_caller]
    pub(crate) fn failed(self) -> Self {
        self.code(1)
    }

    /// Asserts that stderr contains `what`.
    #[track_caller]
    pub(crate) fn says(self, what: &str) -> Self {
        assert!(self.stderr.contains(what), "{what:?} is not in {self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn prints(self, what: &str) -> Self {
        assert!(self.stdout.contains(what), "{what:?} is not in {self:#?}");
        self
    }

    /// Its stdout, which has to be exactly one JSON document.
    #[track_caller]
    pub(crate) fn document(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// The names of an object's fields, sorted.
#[track_caller]
pub(crate) fn fields(object: &Value) -> Vec<&str> {
    let object = object
        .as_object()
        .unwrap_or_else(|| panic!("{object} is not an object"));
    let mut fields: Vec<_> = object.keys().map(String::as_str).collect();
    fields.sort_unstable();
    fields
}

/// Calls `ask` until it returns a value. `what` names the event in the panic after [`PATIENCE`].
#[track_caller]
pub(crate) fn eventually<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    wait_for_some(what, PATIENCE, ask).unwrap_or_else(|why| panic!("{why}"))
}

fn wait_for_some<T>(
    what: &str,
    patience: Duration,
    mut ask: impl FnMut() -> Option<T>,
) -> Result<T, String> {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        let waited = begun.elapsed();
        if waited >= patience {
            return Err(format!("waited {} s for {what}", patience.as_secs()));
        }
        let [least, most] = CHECK_INTERVAL;
        thread::sleep((waited / 10).clamp(least, most));
    }
}

/// Bytes without repetitions, which depend on the seed only.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

pub(crate) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Compares a file with `content`. A failure does not print the bytes.
#[track_caller]
pub(crate) fn assert_content(path: &Path, content: &[u8]) {
    let found = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(found == content, "{} has other content", path.display());
}
