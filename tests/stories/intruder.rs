//! Another user of the machine swaps files in a folder to which both may write. Downloads write
//! nothing elsewhere, and take over no file of that user.

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader},
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use super::{
    system::is_root,
    world::{Run, World, eventually, noise, text},
};

/// The user id of the stranger.
const STRANGER: u32 = 65534;

/// The content of the stranger's files, and of a file that must not change.
const BAIT: &[u8] = b"a stranger's own";
const KEPT: &[u8] = b"a file of the user";

/// How many swaps there are at least.
const SWAPS: u64 = 3000;

/// How many folders are downloaded meanwhile.
const ALBUMS: u64 = 20;

/// Swaps all entries of the folder `$ARGV[0]`, at any depth, for links to `$ARGV[1]` and for files
/// of its own, and back. Creates links and files at paths that downloads will use. Prints the
/// number of swaps so far.
const INTRUDE: &str = r#"
use strict; use File::Path "remove_tree";
$| = 1;
my ($open, $victim) = @ARGV;
my ($swaps, $printed, $number) = (0, 0, 0);
open(my $bait, ">", "$open/.bait") or die; print $bait "a stranger's own"; close $bait;
sub names { opendir(my $dir, $_[0]) or return (); grep { !/^\.\.?$/ && !/^\.(bait|gone)/ } readdir $dir }
sub swap {
    my ($path, $depth) = @_;
    my $gone = "$open/.gone" . $number++;
    return if -l $path;
    if (-d $path) {
        swap("$path/$_", $depth + 1) for $depth < 3 ? names($path) : ();
        rename($path, $gone) or return;
        symlink($victim, $path);
        $swaps++;
        select(undef, undef, undef, 0.0005) if $swaps % 3 == 0;
        unlink $path;
        rename($gone, $path) if $swaps % 2;
    } elsif (-f $path && (stat(_))[4] != $>) {
        rename($path, $gone) or return;
        my $way = $swaps++ % 3;
        $way == 0 ? symlink("$victim/kept", $path) : link("$open/.bait", $path);
        unlink $path if $way == 2;
    }
}
for (my $n = 0; ; $n = ($n + 1) % 20) {
    symlink("$victim/new", "$open/album$n.part") if $n % 3 == 0;
    link("$open/.bait", "$open/album$n.part") if $n % 3 == 1;
    mkdir("$open/album$n") if $n % 5 == 0;
    symlink($victim, "$open/album$n/s") if $n % 5 == 0;
    swap("$open/$_", 0) for names($open);
    if ($swaps >= $printed + 100) { print "$swaps\n"; $printed = $swaps; }
    remove_tree(glob "$open/.gone*") if $n % 20 == 0;
}
"#;

/// The stranger's program. Dropping this ends it.
struct Intruder {
    child: Child,
    swaps: Arc<AtomicU64>,
}

impl Intruder {
    fn new(open: &Path, victim: &Path) -> Self {
        let mut command = Command::new("perl");
        command.args(["-e", INTRUDE]).args([open, victim]);
        command
            .uid(STRANGER)
            .gid(STRANGER)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let counts = BufReader::new(child.stdout.take().unwrap());
        let swaps = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&swaps);
        thread::spawn(move || {
            for line in counts.lines().map_while(Result::ok) {
                counted.store(line.parse().unwrap(), Ordering::Relaxed);
            }
        });
        Self { child, swaps }
    }

    /// The number of swaps so far.
    fn swaps(&self) -> u64 {
        self.swaps.load(Ordering::Relaxed)
    }
}

impl Drop for Intruder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The paths of all entries below a folder. Does not follow links.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(below(&entry.path()));
        }
        found.push(entry.path());
    }
    found.sort();
    found
}

/// ```text
///   B ── A      B downloads to a folder where a stranger swaps folders and files for links
/// ```
#[test]
fn a_stranger_in_the_folder_leads_nothing_elsewhere() {
    if !is_root("another user in a shared folder") {
        return;
    }
    if Command::new("perl").arg("-e1").status().is_err() {
        eprintln!("skipped: no perl for the stranger to swap with");
        return;
    }
    let world = World::for_others();
    let (a, b) = (world.home("a"), world.home("b"));
    let node_a = a.start(&[]);
    let address = node_a.address();
    let hashes: Vec<_> = (0..=ALBUMS)
        .map(|album| {
            for n in 0..12 {
                world.file(&format!("album{album}/{n}.jpg"), &noise(album + n, 30_000));
                world.file(&format!("album{album}/s/{n}.jpg"), &noise(album * n, 3000));
            }
            a.share(&text(&world.path(&format!("album{album}"))))
        })
        .collect();
    let (open, victim) = (world.path("open"), world.path("victim"));
    for folder in [&open, &victim] {
        fs::create_dir(folder).unwrap();
        // The stranger may write to both. The test is only about what Pelago writes.
        fs::set_permissions(folder, Permissions::from_mode(0o777)).unwrap();
    }
    fs::write(victim.join("kept"), KEPT).unwrap();
    let before = fs::metadata(victim.join("kept")).unwrap();

    // Other users may also write to the files of the download, so that there is more to swap.
    let get = |hash: &str, to: &Path| {
        let line = "umask 000; exec \"$0\" \"$@\"";
        let program = env!("CARGO_BIN_EXE_pelago");
        let to = text(to);
        let all = [
            "-c",
            line,
            program,
            "download",
            hash,
            "--peer",
            &address,
            "--timeout",
            "2",
            "-o",
            &to,
        ];
        Run::new(b.program("sh", &all)).end_within(Duration::from_secs(30))
    };
    let intruder = Intruder::new(&open, &victim);
    for hash in &hashes[1..] {
        get(hash, &open);
    }
    eventually("enough swaps", || (intruder.swaps() >= SWAPS).then_some(()));
    let swaps = intruder.swaps();
    drop(intruder);

    assert_eq!(below(&victim), [victim.join("kept")], "after {swaps} swaps");
    assert_eq!(fs::read(victim.join("kept")).unwrap(), KEPT);
    let after = fs::metadata(victim.join("kept")).unwrap();
    let of = |file: &fs::Metadata| (file.ino(), file.mtime_nsec(), file.nlink(), file.mode());
    assert_eq!(of(&after), of(&before));
    for path in below(&open) {
        let found = path.symlink_metadata().unwrap();
        if found.is_file() && found.uid() == STRANGER {
            assert_eq!(fs::read(&path).unwrap(), BAIT, "{}", path.display());
        }
    }
    // In a folder where no other program interferes, a download succeeds.
    get(&hashes[0], &world.path("album")).done();
}
