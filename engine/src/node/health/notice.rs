//! One fact that a person should know.

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoticeKind {
    /// A watched folder.
    Watch,
    /// A background task.
    Duty,
    /// A limit of the system for this process.
    Limit,
    /// A share.
    Share,
    /// A download.
    Download,
    /// The clock.
    Clock,
    /// Memory.
    Memory,
    /// Free space on a disk.
    Disk,
    /// The identity of the node.
    Identity,
    /// Files that the node set aside.
    SetAside,
    /// A bootstrap node.
    Bootstrap,
}

impl NoticeKind {
    /// The kind as programs read it: it stays the same between versions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::Duty => "duty",
            Self::Limit => "limit",
            Self::Share => "share",
            Self::Download => "download",
            Self::Clock => "clock",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Identity => "identity",
            Self::SetAside => "set-aside",
            Self::Bootstrap => "bootstrap",
        }
    }
}

/// A fact that a person should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What it is about.
    pub kind: NoticeKind,
    /// Which of them: the path of the folder or disk, the name of the background task, the hash of
    /// the download, or the address of the bootstrap node. `None`: the whole node.
    pub subject: Option<String>,
    /// Whether something does not work because of it. Otherwise it works with a drawback.
    pub is_problem: bool,
    /// The fact: a short sentence that names the folder, task or download.
    pub what: String,
    /// Its cause.
    pub why: String,
    /// What to do about it; `None` if nothing has to be done.
    pub remedy: Option<String>,
}
