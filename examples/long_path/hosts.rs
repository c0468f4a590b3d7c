//! Hosts: network namespaces, each with a tun device as its only network.

use std::{
    fs,
    net::Ipv4Addr,
    os::fd::OwnedFd,
    path::Path,
    process::{self, Command},
    sync::Arc,
};

use crate::{Failure, tun};

/// Namespaces of this program begin so. The process that made them follows, and a number.
const PREFIX: &str = "pelago-line-";

/// Packets that a device keeps until the router reads them.
const DEVICE_QUEUE: u32 = 10_000;

/// The settings of each host that differ from those of its machine: buffers for the longest path,
/// and no memory of earlier connections.
const BUFFERS: &str = "4096 131072 134217728";
const SETTINGS: [(&str, &str); 4] = [
    ("net/ipv4/tcp_rmem", BUFFERS),
    ("net/ipv4/tcp_wmem", BUFFERS),
    ("net/ipv4/tcp_no_metrics_save", "1"),
    ("net/ipv6/conf/all/disable_ipv6", "1"),
];

/// The setting that names the congestion control of TCP.
const CONGESTION: &str = "net/ipv4/tcp_congestion_control";

/// A host. Dropping it removes it; its programs have to be over.
pub(crate) struct Host {
    namespace: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) tun: Arc<OwnedFd>,
}

impl Host {
    /// Creates a host, with this congestion control if one is named.
    pub(crate) fn new(number: u8, congestion: Option<&str>) -> Result<Self, Failure> {
        let namespace = format!("{PREFIX}{}-{number}", process::id());
        run(&["ip", "netns", "add", &namespace])?;
        let device = format!("line{}-{number}", process::id());
        let host = Self {
            namespace,
            address: Ipv4Addr::new(10, 79, 0, number),
            tun: Arc::new(tun::create(&device)?),
        };
        let (namespace, queue) = (&*host.namespace, &*DEVICE_QUEUE.to_string());
        let address = format!("{}/24", host.address);
        run(&["ip", "link", "set", &device, "netns", namespace])?;
        let within = ["ip", "-n", namespace];
        for line in [
            &["link", "set", "lo", "up"][..],
            &["link", "set", &device, "mtu", "1500", "txqueuelen", queue],
            &["address", "add", &address, "dev", &device],
            &["link", "set", &device, "up"],
        ] {
            run(&[&within, line].concat())?;
        }
        let congestion = congestion.map(|name| (CONGESTION, name));
        for (name, value) in SETTINGS.into_iter().chain(congestion) {
            let set = format!("echo {value} > /proc/sys/{name}");
            run(&["ip", "netns", "exec", namespace, "sh", "-c", &set])?;
        }
        Ok(host)
    }

    /// A program on this host. It replaces the process that is spawned.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.namespace])
            .arg(program);
        command
    }

    /// The settings that matter, as the system of the host reports them.
    pub(crate) fn settings(&self) -> Result<String, Failure> {
        let mut settings = Vec::new();
        for name in [CONGESTION, "net/ipv4/tcp_rmem", "net/ipv4/tcp_wmem"] {
            let output = self
                .command(Path::new("cat"))
                .arg(format!("/proc/sys/{name}"))
                .output()?;
            let value = String::from_utf8(output.stdout)?;
            let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
            settings.push(format!(
                "{} {value}",
                name.rsplit('/').next().unwrap_or(name)
            ));
        }
        for name in ["rmem_max", "wmem_max"] {
            let value = fs::read_to_string(format!("/proc/sys/net/core/{name}"))?;
            settings.push(format!("{name} {}", value.trim()));
        }
        Ok(settings.join(", "))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = run(&["ip", "netns", "delete", &self.namespace]);
    }
}

/// Removes hosts of runs that were killed.
pub(crate) fn clean_up() -> Result<(), Failure> {
    let Ok(names) = fs::read_dir("/run/netns") else {
        return Ok(());
    };
    for name in names {
        let name = name?.file_name().to_string_lossy().into_owned();
        let process = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            run(&["ip", "netns", "delete", &name])?;
        }
    }
    Ok(())
}

fn run(words: &[&str]) -> Result<(), Failure> {
    let output = Command::new(words[0]).args(&words[1..]).output()?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("{} failed: {errors}", words.join(" ")).into())
}
