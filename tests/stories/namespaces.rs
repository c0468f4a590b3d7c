//! Network namespaces, which require root: hosts and routers on this machine, each with devices of
//! its own. Dropping them removes them.

use std::{
    fs::{self, File},
    io::Write as _,
    os::fd::AsFd,
    panic,
    process::{self, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{
    system::{is_root, run},
    world::eventually,
};

/// A network namespace. Programs in it have to end before it is dropped.
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// A namespace that has the loopback device only. Its name begins with that of this process, so
    /// that `.ci/run` finds it after a kill.
    pub(crate) fn new(label: &str) -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pelago-story-{}-{count}-{label}", process::id());
        run(&format!("ip netns add {name}"))?;
        let namespace = Self { name };
        namespace.try_ip("link set lo up")?;
        Ok(namespace)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs `act` in a thread that is in this namespace. Sockets stay in the namespace where they
    /// were opened, so that any thread can use them afterwards.
    pub(crate) fn run<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let link = File::open(format!("/run/netns/{}", self.name)).unwrap();
        let within = || {
            move_into_link_name_space(link.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            act()
        };
        let result = thread::scope(|scope| scope.spawn(within).join());
        result.unwrap_or_else(|reason| panic::resume_unwind(reason))
    }

    /// A program in this namespace. It replaces the process that is spawned.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs commands of `ip`, one a line, such as "address add 10.77.0.3/24 dev lan".
    #[track_caller]
    pub(crate) fn ip(&self, lines: &str) {
        self.try_ip(lines).unwrap();
    }

    /// Loads rules of nftables.
    #[track_caller]
    pub(crate) fn nft(&self, rules: &str) {
        let mut nft = self.command("nft");
        nft.args(["-f", "-"]);
        feed(nft, rules).unwrap();
    }

    /// Whether the system could load these rules.
    pub(crate) fn check_nft(&self, rules: &str) -> Result<(), String> {
        let mut nft = self.command("nft");
        nft.args(["-c", "-f", "-"]);
        feed(nft, rules)
    }

    /// Sets a setting of the system, given by its path below `net/`.
    #[track_caller]
    pub(crate) fn set(&self, setting: &str, value: &str) {
        let path = format!("/proc/sys/net/{setting}");
        self.run(|| fs::write(&path, value)).unwrap();
    }

    /// Turns IPv6 off, as container engines do.
    pub(crate) fn turn_ipv6_off(&self) {
        for interface in ["all", "default", "lo", "lan"] {
            self.set(&format!("ipv6/conf/{interface}/disable_ipv6"), "1");
        }
    }

    /// Lays a cable from the new device `device` to the new device `far_device` in `far`. Both are
    /// down.
    pub(crate) fn connect(&self, device: &str, far: &Self, far_device: &str) -> Result<(), String> {
        run(&format!(
            "ip link add {device} netns {} type veth peer name {far_device} netns {}",
            self.name, far.name
        ))
    }

    /// Waits until the device at an end of a cable sends and receives. The system notices with a
    /// delay that the other end is up, and drops all packets until then.
    #[track_caller]
    pub(crate) fn wait_for(&self, device: &str) {
        let state = || {
            let mut ip = Command::new("ip");
            ip.args(["-n", &self.name, "-d", "-o", "link", "show", "dev", device]);
            String::from_utf8(ip.output().unwrap().stdout).unwrap()
        };
        eventually("a cable to be up", || {
            let state = state();
            let is_forwarding = !state.contains("bridge_slave") || state.contains("forwarding");
            (state.contains("state UP") && is_forwarding).then_some(())
        });
    }

    fn try_ip(&self, lines: &str) -> Result<(), String> {
        let mut ip = Command::new("ip");
        ip.args(["-n", &self.name, "-batch", "-"]);
        feed(ip, lines)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(why) = run(&format!("ip netns delete {}", self.name)) {
            eprintln!("{why}");
        }
    }
}

/// Runs a command with `input` as its stdin.
fn feed(mut command: Command, input: &str) -> Result<(), String> {
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let fed = command.spawn().and_then(|mut child| {
        let written = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output()?;
        written.map(|()| output)
    });
    let output = fed.map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}\n{input}", why.trim()))
}

/// Two network namespaces, connected by one cable.
pub(crate) struct Cable {
    pub(crate) left: Namespace,
    pub(crate) right: Namespace,
}

/// The addresses of the two ends of a cable. With `nodad` a new IPv6 address can be used at once: the
/// system looks for no duplicate.
const IPV4_ENDS: [&str; 2] = ["10.77.0.1/24", "10.77.0.2/24"];
const IPV6_ENDS: [&str; 2] = ["fd77::1/64 nodad", "fd77::2/64 nodad"];

impl Cable {
    /// A cable with IPv4 addresses; of IPv6 it has link-local addresses only. Prints why and
    /// returns `None` if that fails.
    pub(crate) fn new() -> Option<Self> {
        Self::between(IPV4_ENDS)
    }

    /// A cable with IPv6 addresses only.
    pub(crate) fn of_ipv6() -> Option<Self> {
        Self::between(IPV6_ENDS)
    }

    fn between(ends: [&str; 2]) -> Option<Self> {
        if !is_root("a network namespace") {
            return None;
        }
        let laid = Self::lay(ends);
        laid.inspect_err(|why| eprintln!("skipped: {why}")).ok()
    }

    fn lay(ends: [&str; 2]) -> Result<Self, String> {
        let cable = Self {
            left: Namespace::new("left")?,
            right: Namespace::new("right")?,
        };
        cable.left.connect("lan", &cable.right, "lan")?;
        for (namespace, address) in [&cable.left, &cable.right].into_iter().zip(ends) {
            namespace.try_ip(&format!("address add {address} dev lan\nlink set lan up\n"))?;
        }
        cable.left.wait_for("lan");
        Ok(cable)
    }
}
