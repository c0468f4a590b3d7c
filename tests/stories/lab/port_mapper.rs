//! The daemon of a router with which hosts open its ports: miniupnpd, as many routers have it.

use std::fs;

use tempfile::TempDir;

use crate::{
    namespaces::Namespace,
    world::{Run, text},
};

/// Its settings. Hosts may open ports for themselves only.
const SETTINGS: &str = "ext_ifname=wan
listening_ip=lan
enable_upnp=yes
enable_natpmp=yes
secure_mode=yes
uuid=8d3c3b0a-2a7c-4d6f-9a55-6f1f6e1a0b01
allow 1024-65535 192.168.1.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
";

/// A running daemon. Dropping this ends it.
pub(crate) struct PortMapper {
    _daemon: Run,
    _folder: TempDir,
}

impl PortMapper {
    /// Starts it, and waits until it answers hosts.
    pub(crate) fn start(router: &Namespace) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [settings, pid] = ["settings", "pid"].map(|name| folder.path().join(name));
        fs::write(&settings, SETTINGS).unwrap();
        let mut command = router.command("miniupnpd");
        command.args(["-d", "-f", &text(&settings), "-P", &text(&pid)]);
        let daemon = Run::new(command);
        daemon.err.line("Listening for NAT-PMP/PCP");
        Self {
            _daemon: daemon,
            _folder: folder,
        }
    }
}
