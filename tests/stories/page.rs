//! The page of a node, in a real browser.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::unix::fs::symlink,
};

use fantoccini::key::Key;

use super::{
    browser::Browser,
    world::{Home, World, assert_content, eventually, noise, text},
};

const WIDE: (u32, u32) = (1280, 800);
const PHONE: (u32, u32) = (360, 740);

/// The URL with which a page signs in at the node.
fn page(home: &Home) -> String {
    let document = home.json(&["ui", "--no-open"]);
    document["url"].as_str().unwrap().to_owned()
}

fn opened(home: &Home, (width, height): (u32, u32)) -> Option<Browser> {
    let browser = Browser::open(width, height)?;
    browser.go(&page(home));
    browser.until("document.querySelector('.dot')?.dataset.state === 'live'");
    Some(browser)
}

const ROW: &str = "section:not([hidden]) .row";
const DIALOG: &str = "dialog[open]";

/// ```text
///   page of A ── A ── B ── page of B      a person shares at A, and another one downloads at B
/// ```
#[test]
fn people_share_see_and_download() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let film = noise(1, 3_000_000);
    let path = world.file("film.mkv", &film);
    let a = a.with("PELAGO_WEB_LISTEN", "127.0.0.1:0");
    let node_a = a.start(&["-n", "anna"]);
    let _node_b = b.start(&["-n", "bert", "-b", &node_a.address()]);
    let Some(anna) = opened(&a, WIDE) else { return };
    let bert = opened(&b, WIDE).unwrap();

    anna.click("#tab-shares");
    anna.click("#shares button.primary");
    anna.fill("dialog input[aria-label=Path]", &path);
    anna.click("dialog button.primary");
    // The link and its QR code appear immediately.
    anna.sees("dialog h2", "Link");
    anna.until("document.querySelector('dialog textarea').value.startsWith('pelago:')");
    anna.until("document.querySelector('dialog img.qr').naturalWidth > 0");
    anna.press(Key::Escape);
    anna.sees(ROW, "film.mkv");

    bert.click("#tab-network");
    bert.sees(ROW, "film.mkv");
    bert.fill("#network input[type=search]", "no such thing");
    bert.sees_no(ROW, "film.mkv");
    bert.fill("#network input[type=search]", "fil");
    bert.sees(ROW, "film.mkv");
    bert.click("#network .row .title");
    bert.sees(DIALOG, "anna");
    bert.click("dialog button.primary");
    bert.sees("aside", "film.mkv");
    bert.sees("#downloads .row", "Done");
    assert_content(&b.path("data/downloaded/film.mkv"), &film);
    // The page shows the source of the download, and the new share.
    bert.sees("aside .sources", "anna");
    bert.click("#tab-shares");
    bert.sees(ROW, "film.mkv");
    bert.click("#tab-peers");
    bert.sees(ROW, "anna");
    bert.sees(ROW, "TCP");

    // The sharer sees that the other one has it.
    anna.click("#tab-uploads");
    anna.sees(ROW, "bert");
    anna.sees(ROW, "has all of it");
    // A phone gets a link of its own.
    anna.click("#tab-shares");
    anna.click("#shares .row .title");
    anna.click("dialog button.phone");
    anna.click("dialog button.primary");
    anna.sees(DIALOG, "http://127.0.0.1:");
    anna.sees(DIALOG, "not encrypted");
    anna.until("document.querySelector('dialog img.qr').naturalWidth > 0");
    anna.click("dialog button.danger");

    anna.click("#shares .row .actions button:last-child");
    anna.click("dialog button.danger");
    anna.sees_no(ROW, "film.mkv");
}

/// ```text
///   page of B ── B ── A      A shares two folders with a link that leads out
/// ```
#[test]
fn a_folder_is_downloaded_with_the_links_that_are_chosen() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let node_a = a.start(&[]);
    for name in ["one", "two"] {
        world.file(&format!("{name}/file"), name.as_bytes());
        symlink("/etc/hosts", world.path(name).join("link")).unwrap();
        a.share(&text(&world.path(name)));
    }
    let _node_b = b.start(&["-b", &node_a.address()]);
    let Some(page) = opened(&b, WIDE) else { return };
    let get = |name: &str, links: &str| {
        page.click("#tab-network");
        page.fill("#network input[type=search]", name);
        page.sees("#network .row", name);
        page.click("#network .row .title");
        page.sees(DIALOG, "Symbolic links to create");
        page.script(&format!(
            "document.querySelector('dialog select').value = '{links}'"
        ));
        page.click("dialog button.primary");
        page.sees("aside h2", name);
    };
    get("one", "inside");
    page.sees(
        "aside .differences",
        "the link link → /etc/hosts is left out: it leads out of the folder",
    );
    get("two", "all");
    let link = |name: &str| fs::read_link(b.path(&format!("data/downloaded/{name}/link"))).ok();
    eventually("the other link to be there", || link("two"));
    assert_eq!(link("one"), None);
}

/// ```text
///   page, two tabs ── B ── A      the download is slow enough to pause it and to restart B
/// ```
#[test]
fn a_download_is_paused_resumed_and_cancelled_and_the_node_restarted() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let film = noise(2, 8_000_000);
    let node_a = a.start(&[]);
    let hash = a.share(&world.file("film.mkv", &film));
    let node_b = b.start(&["-b", &node_a.address()]);
    b.run(&["limit", "--download", "200k"]).done();
    let Some(browser) = opened(&b, WIDE) else {
        return;
    };

    browser.fill("#target", &hash);
    browser.press(Key::Enter);
    browser.click("dialog button.primary");
    browser.sees("aside", "Held back by our own limit");
    browser.until("document.querySelector('aside progress, .download progress').value > 0");
    browser.until("document.querySelector('aside .map').height > 0");

    // Another tab shows the same, and each tab shows what the other one does.
    browser.new_tab();
    browser.go(&page(&b));
    browser.sees("#downloads .row", "film.mkv");
    browser.click("#downloads .row button[aria-label=Pause]");
    browser.sees("#downloads .row", "Paused");
    browser.look_at_tab(0);
    browser.sees("#downloads .row", "Paused");

    // The node is killed. The page says so, and reconnects when the node is back.
    node_b.kill();
    browser.sees("#notice", "The node is not running");
    let _node_b = b.start(&["-b", &node_a.address()]);
    browser.until("document.querySelector('.dot').dataset.state === 'live'");
    browser.until("document.querySelector('#notice').hidden");
    browser.sees("#downloads .row", "Paused");
    browser.click("#downloads .row button[aria-label=Resume]");
    browser.sees("#downloads .row", "Held back by our own limit");

    browser.click("#tab-settings");
    browser.fill("[id='transfer.download_limit']", "");
    browser.press(Key::Tab);
    browser.click("#tab-downloads");
    browser.sees("#downloads .row", "Done");
    assert_content(&b.path("data/downloaded/film.mkv"), &film);

    // A download without a source waits, and the person cancels it.
    browser.fill("#target", &"ab".repeat(32));
    browser.press(Key::Enter);
    browser.click("dialog button.primary");
    browser.sees("#downloads .row", "abab");
    browser.click("#downloads .row button[aria-label=Cancel]");
    browser.click("dialog button.danger");
    browser.sees_no("#downloads .row", "abab");
}

/// ```text
///   page ── B ── A      one download runs slowly; the person reorders the others
/// ```
#[test]
fn queued_downloads_are_moved_by_buttons_and_keys() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let node_a = a.start(&[]);
    let _node_b = b.start(&["-b", &node_a.address()]);
    b.run(&["settings", "transfer.max_downloads", "1"]).done();
    b.run(&["limit", "--download", "20k"]).done();
    let Some(browser) = opened(&b, WIDE) else {
        return;
    };
    let hashes = [0, 1, 2, 3, 4].map(|at| {
        let hash = a.share(&world.file(&format!("{at}.bin"), &noise(at, 4_000_000)));
        b.run(&["download", &hash, "--detach"]).done();
        hash
    });
    let in_order = |order: [usize; 5]| order.map(|at| hashes[at].as_str());
    let shown = |order| {
        let expected = in_order(order).join(" ");
        browser.until(&format!(
            "[...document.querySelectorAll('#downloads .row')].map(row => row.dataset.key).join(' ') === {expected:?}"
        ));
    };
    let row = |at: usize| format!("#downloads .row[data-key='{}']", hashes[at]);
    let button = |at, label: &str| format!("{} button[aria-label^='Move {label}']", row(at));
    shown([0, 1, 2, 3, 4]);
    browser.until(&format!(
        "!document.querySelector({:?}).checkVisibility()",
        button(0, "up")
    ));
    browser.click(&button(3, "up"));
    shown([0, 1, 3, 2, 4]);
    browser.click(&button(3, "down"));
    shown([0, 1, 2, 3, 4]);
    // The focus stays on the button of the entry that moves.
    browser.script(&format!("document.querySelector({:?}).focus()", row(4)));
    for (key, order) in [
        (Key::Up, [0, 1, 2, 4, 3]),
        (Key::Up, [0, 1, 4, 2, 3]),
        (Key::Down, [0, 1, 2, 4, 3]),
    ] {
        browser.press_with(Key::Alt, key);
        shown(order);
        let stays = format!(
            "document.activeElement === document.querySelector({:?})",
            row(4)
        );
        browser.until(&stays);
    }
    let list = b.json(&["downloads"]);
    let listed = [0, 1, 2, 3, 4].map(|at| list[at]["hash"].as_str().unwrap());
    assert_eq!(listed, in_order([0, 1, 2, 4, 3]));
    // The details show the hash, and not only a button that copies it.
    browser.click(&format!("{} .title", row(4)));
    browser.sees("aside .hash-button", &hashes[4][..8]);
    // Names beside the details have enough width.
    browser.until("document.querySelector('#downloads .row .title').clientWidth > 400");
}

/// ```text
///   page ── A      settings have descriptions, and a refused value stays marked until it changes
/// ```
#[test]
fn a_refused_setting_is_marked_until_it_is_changed() {
    let world = World::new();
    let a = world.home("a");
    let _node = a.start(&[]);
    let Some(browser) = opened(&a, WIDE) else {
        return;
    };
    const FIELD: &str = "[id='transfer.max_downloads']";
    const REFUSED: &str = "[id='transfer.max_downloads-refused']";
    let is_marked = format!("document.querySelector({FIELD:?}).ariaInvalid === 'true'");
    browser.click("#tab-settings");
    browser.sees(
        "[id='transfer.max_downloads-about']",
        "Higher: downloads begin sooner, end later, and take more memory.",
    );
    // The unit is shown once, beside the value.
    browser.sees("label[for='transfer.timeout_seconds']", "Timeout");
    browser.sees_no("label[for='transfer.timeout_seconds']", "Timeout seconds");

    browser.fill(FIELD, "5000");
    browser.press(Key::Tab);
    browser.until(&is_marked);
    browser.sees(REFUSED, "use 1 to 1024");
    // Changes of other settings, and another view, leave the mark as it is.
    a.run(&["settings", "transfer.seed", "false"]).done();
    browser.until("!document.querySelector(\"[id='transfer.seed']\").checked");
    browser.click("#tab-log");
    browser.click("#tab-settings");
    assert_eq!(
        browser.script(&format!("return document.querySelector({FIELD:?}).value")),
        "5000"
    );
    browser.until(&is_marked);
    browser.fill(FIELD, "50");
    browser.until(&format!("!({is_marked})"));
    browser.press(Key::Tab);
    browser.sees_no(REFUSED, "use 1");
    browser.sees(".toast", "Max downloads: changed");
    let now = a.json(&["settings", "transfer.max_downloads"]);
    assert_eq!(now[0]["value"], 50);
}

/// ```text
///   page of C ── C ── A, B      A shares one file, A and B share another; C has one at two paths
/// ```
#[test]
fn offers_name_their_peers_and_shares_their_paths() {
    let world = World::new();
    let (a, b, c) = (world.home("a"), world.home("b"), world.home("c"));
    let node_a = a.start(&["-n", "alice"]);
    let node_b = b.start(&["-n", "bob"]);
    let film = a.share(&world.file("film.mkv", &noise(1, 3_000_000)));
    let both = world.file("both.bin", &noise(2, 1000));
    a.share(&both);
    b.share(&both);
    let _node_c = c.start(&["-b", &node_a.address(), "-b", &node_b.address()]);
    c.run(&["limit", "--download", "20k"]).done();
    let Some(phone) = opened(&c, PHONE) else {
        return;
    };
    phone.click("#tab-network");
    phone.sees("#network .row .peers", "alice");
    phone.until(
        "[...document.querySelectorAll('#network .row .peers')].some(e => \
         e.checkVisibility() && ['alice and bob', 'bob and alice'].includes(e.innerText))",
    );
    // The offer of content that is downloading links to its download.
    c.run(&["download", &film, "--detach"]).done();
    phone.sees("#network .row .peers", "downloading");
    phone.click("#network .row button[aria-label='Show the download']");
    phone.sees("aside h2", "film.mkv");
    // B may have answered that it has nothing before the page was open.
    phone.sees("aside .sources li", "alice");

    let (one, other) = (world.file("one/same", b"x"), world.file("other/same", b"x"));
    c.share(&one);
    c.share(&other);
    assert_eq!(c.json(&["status"])["shares"], 2);
    phone.until("document.querySelector('#tab-shares .count').textContent === '2'");
    c.run(&["unshare", &c.hash(&one)]).done();
    phone.until("document.querySelector('#tab-shares .count').textContent === ''");
}

/// ```text
///   page ── A      a file is dropped on the page, and copied to the shared folder
/// ```
#[test]
fn a_dropped_file_is_shared() {
    let world = World::new();
    let a = world.home("a");
    let _node = a.start(&["--dir", "shared"]);
    let Some(browser) = opened(&a, WIDE) else {
        return;
    };
    browser.click("#tab-shares");
    browser.sees(".empty", "Nothing is shared yet");
    let drop = |content: &str| {
        browser.script(&format!(
            "const files = new DataTransfer();
             files.items.add(new File([{content}], 'dropped.txt'));
             const view = document.querySelector('#shares .view');
             view.dispatchEvent(new DragEvent('drop', {{ dataTransfer: files, bubbles: true }}));"
        ));
    };
    drop("'what was dropped'");
    browser.sees(ROW, "dropped.txt");
    assert_content(&a.path("shared/dropped.txt"), b"what was dropped");

    // A refused upload shows the reason, though the node read little of it.
    drop("new Uint8Array(64 << 20)");
    browser.sees(".toast.error", "dropped.txt exists already");
    assert_content(&a.path("shared/dropped.txt"), b"what was dropped");
}

/// ```text
///   page ── A      a program writes to the shared folder
/// ```
#[test]
fn a_file_that_is_being_written_has_a_badge() {
    let world = World::new();
    let a = world.home("a");
    let _node = a.start(&["--dir", "shared"]);
    let mut file = File::create(a.path("shared/film.mkv")).unwrap();
    file.write_all(&noise(1, 300_000)).unwrap();
    let Some(browser) = opened(&a, WIDE) else {
        return;
    };
    browser.click("#tab-shares");
    browser.sees(".written", "film.mkv");
    browser.sees(".written .badge", "still being written");
    browser.sees("#shares .summary", "1 still being written");
    // The file has no link yet.
    browser.click(".written");
    browser.until("!document.querySelector('dialog[open]')");
    drop(file);
    browser.sees("#shares .row:not(.written)", "film.mkv");
    browser.until("!document.querySelector('.written')");
}

/// ```text
///   page ── A      a file that is moved, one that changes, a folder with one that changes, and a
///                  download without a source
/// ```
#[test]
fn what_is_wrong_with_a_share_and_what_a_download_waits_for_are_shown() {
    let world = World::new();
    let a = world.home("a").with("PELAGO_TRANSFER_TIMEOUT_SECONDS", "2");
    let _node = a.start(&[]);
    let [gone, changed] = ["gone.bin", "changed.bin"].map(|name| world.file(name, name.as_bytes()));
    let inner = world.file("box/a.txt", b"a");
    world.file("box/b.txt", b"b");
    let folder = text(&world.path("box"));
    for path in [&gone, &changed, &folder] {
        a.share(path);
    }
    let Some(page) = opened(&a, WIDE) else { return };
    page.click("#tab-shares");
    page.sees(ROW, "gone.bin");
    let moved = text(&world.path("moved.bin"));
    fs::rename(&gone, &moved).unwrap();
    page.sees(ROW, "moved or removed, or its disk is not mounted");
    world.file("box/a.txt", b"other content of another size");
    page.sees(ROW, "1 file not available");
    // The terminal says the same, with what to do.
    let again = format!("to share the folder as it is now: `pelago share {folder}`");
    a.run(&["list"])
        .done()
        .prints(&format!("missing  {gone}: put it back"))
        .prints(&format!("changed  {inner}: {again}"));
    // Each has one action.
    page.click("#shares button[aria-label='Hash again']");
    page.sees_no(ROW, "1 file not available");
    page.click("#shares button[aria-label='Find again']");
    page.fill("dialog input", &moved);
    page.click("dialog button.primary");
    page.sees(ROW, "moved.bin");
    page.sees_no(ROW, "missing");
    let listed = a.json(&["list"]);
    let listed = listed.as_array().unwrap();
    let paths: Vec<_> = listed
        .iter()
        .map(|share| share["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, [&folder, &changed, &moved]);
    assert!(listed.iter().all(|share| share["state"] == "available"));
    // The node hashes a changed file again by itself.
    world.file("changed.bin", b"other content of another size");
    page.sees(ROW, "changed: ");

    let absent = "0".repeat(64);
    a.run(&["download", &absent, "-o", "got", "--detach"])
        .done();
    page.click("#tab-downloads");
    page.sees("#downloads .row", "Waiting for a source");
}

/// ```text
///   page ── A      shares files with names that contain HTML or control characters
/// ```
#[test]
fn names_are_shown_and_do_nothing() {
    let world = World::new();
    let a = world.home("a");
    let _node = a.start(&[]);
    let Some(browser) = opened(&a, WIDE) else {
        return;
    };
    let path = world.file("x", b"x");
    let names = [
        "<img src=x onerror=\"document.title='broken'\">",
        "invoice\u{202e}fdp.exe",
        "two\nlines\u{7}",
    ];
    for name in names {
        a.run(&["unshare", &a.hash(&path)]);
        a.run(&["share", &path, "--name", name]).done();
    }
    for (at, shown) in ["<img src=x", r"invoice\u{202e}fdp.exe", r"two\nlines\u{7}"]
        .into_iter()
        .enumerate()
    {
        let path = world.file(&format!("file{at}"), format!("content {at}").as_bytes());
        // A name that nodes refuse is not shown either.
        let shared = a.spawn(&["share", &path, "--name", names[at]]).end();
        browser.click("#tab-shares");
        if shared.status.success() {
            browser.sees(ROW, shown);
        }
    }
    assert_eq!(browser.script("return document.images.length"), 0);
    assert_ne!(browser.script("return document.title"), "broken");
    let hidden = "return /[\\u202e\\u0007\\n]/.test(document.querySelector('#shares .row .name').textContent)";
    assert_eq!(browser.script(hidden), false);
}

/// ```text
///   phone ── A      everything fits, and can be reached with the keyboard
/// ```
#[test]
fn everything_fits_a_phone_and_is_reached_by_keyboard() {
    let world = World::new();
    let a = world.home("a");
    // The log has a line about this.
    let _node = a.start(&["--dir", "shared"]);
    for at in 0..30 {
        let name = format!("a file with a name that is long enough to be cut {at:02}.bin");
        a.share(&world.file(&name, &noise(at, 1000)));
    }
    let Some(phone) = opened(&a, PHONE) else {
        return;
    };
    for view in ["downloads", "shares", "network", "peers", "settings", "log"] {
        phone.click(&format!("#tab-{view}"));
        phone.until(&format!(
            "document.getElementById({view:?})?.hidden === false"
        ));
        let wide = phone.script("return document.documentElement.scrollWidth");
        assert_eq!(wide, PHONE.0, "{view}");
    }
    // An entry of the log has time and level, and below them two lines of the message.
    let height = |css: &str| {
        let script =
            format!("return document.querySelector({css:?}).getBoundingClientRect().height");
        phone.script(&script).as_f64().unwrap()
    };
    phone.until("document.querySelector('#log .line')");
    assert!(height("#log .line") < 70.0);
    let apart = phone.script(
        "const [time, level, said] = ['time', 'b', 'span'].map(css =>
             document.querySelector(`#log .line ${css}`).getBoundingClientRect());
         return time.right + 4 < level.left && said.top >= time.bottom - 1 && said.width > 300",
    );
    assert_eq!(apart, true);
    phone.click("#log .line");
    phone.until("document.querySelector('dialog .said')");
    phone.press(Key::Escape);

    phone.click("#tab-shares");
    phone.until("document.querySelector('#shares .row')?.ariaSetSize === '30'");
    let reach = "document.querySelector('#shares .row[tabindex=\"0\"]')";
    phone.script(&format!("{reach}.focus()"));
    for _ in 0..29 {
        phone.press(Key::Down);
    }
    phone.until("document.activeElement.innerText.includes('29.bin')");
    phone.press(Key::Enter);
    phone.sees(DIALOG, "29.bin");
    let wide = phone.script("return document.documentElement.scrollWidth");
    assert_eq!(wide, PHONE.0);
}

/// ```text
///   page ── A      without a code, with a used one, and under another host name
/// ```
#[test]
fn a_page_that_is_not_signed_in_says_so() {
    let world = World::new();
    let a = world.home("a");
    let _node = a.start(&[]);
    let url = page(&a);
    let Some(browser) = Browser::open(WIDE.0, WIDE.1) else {
        return;
    };
    let (origin, _) = url.split_once('#').unwrap();
    browser.go(origin);
    browser.sees("#notice", "pelago ui");
    // The page waits for a sign-in, and sends no requests meanwhile.
    let asked = "return performance.getEntriesByType('resource').filter(e => e.name.includes('/v1/events')).length";
    let before = browser.script(asked);
    assert!(before.as_u64().unwrap() <= 2, "{before}");
    browser.go(&url);
    browser.until("document.querySelector('.dot').dataset.state === 'live'");
    browser.reload();
    browser.until("document.querySelector('.dot').dataset.state === 'live'");
    // Neither address nor history has the code, which is used up.
    assert_eq!(
        browser.script("return location.href.includes('code')"),
        false
    );
    let cookie = browser.script("return document.cookie");
    assert_eq!(cookie, "", "other ports of this host would be sent it");

    let other = Browser::open(WIDE.0, WIDE.1).unwrap();
    other.go(&url);
    other.sees("#notice", "pelago ui");
    other.go(&origin.replace("127.0.0.1", "localhost"));
    other.until("!document.querySelector('#tabs')");
}

/// A page whose script tries to use the API of a node at which the browser is signed in.
fn hostile_page(api: &str) -> String {
    format!(
        "<!doctype html><title>untouched</title><body><script>
         document.title = 'ran';
         const tries = [
             fetch('{api}/v1/status', {{ credentials: 'include' }}),
             fetch('{api}/v1/shares', {{ credentials: 'include', mode: 'no-cors' }}).then(r => r.text()).then(t => {{ if (!t) throw 0; }}),
             fetch('{api}/v1/pause', {{ credentials: 'include', mode: 'no-cors', method: 'POST' }}).then(() => {{ throw 0; }}),
         ];
         Promise.allSettled(tries).then(all => document.title = all.every(t => t.status === 'rejected') ? 'nothing read' : 'read');
         </script>"
    )
}

/// Serves `page` at another port, like the web server of another user of this host.
fn foreign_server(page: String) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let length = page.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\
                 Connection: close\r\n\r\n{page}"
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}/")
}

/// ```text
///   page of A ── A      the same browser opens hostile HTML: from A's gateway, and from the server
///                       of another user at another port
/// ```
#[test]
fn hostile_pages_reach_nothing_where_a_person_is_signed_in() {
    let world = World::new();
    let a = world.home("a");
    let _node = a.start(&[]);
    let Some(browser) = opened(&a, WIDE) else {
        return;
    };
    let api = browser.script("return location.origin");
    let api = api.as_str().unwrap();
    let missing = "cd".repeat(32);
    a.run(&["download", &missing, "--detach", "--timeout", "3600"])
        .done();
    let is_paused = || a.json(&["downloads"])[0]["state"] == "paused";

    // Scripts of content from the gateway do not run.
    let hash = a.share(&world.file("page.html", hostile_page(api).as_bytes()));
    let url = a.json(&["link", &hash, "--http"])["url"].clone();
    browser.go(url.as_str().unwrap());
    browser.until("document.readyState === 'complete'");
    assert_eq!(browser.script("return document.title"), "untouched");

    // Scripts from the other server run, but can neither read nor change anything.
    browser.go(&foreign_server(hostile_page(api)));
    browser.until("document.title.includes('read')");
    assert_eq!(browser.script("return document.title"), "nothing read");
    assert!(!is_paused());

    // The person is still signed in.
    browser.go(api);
    browser.sees("#downloads .row", "cdcd");
    a.run(&["pause", "--all"]).done();
    assert!(is_paused());
}

/// Measures a page with many entries. Run it alone, in release:
/// `cargo nextest run --release --run-ignored only -E 'test(page_figures)' --no-capture`
///
/// ```text
///   page ── A      shares 10,000 files and has 200 downloads
/// ```
#[test]
#[ignore = "it measures, and asserts nothing about time"]
fn page_figures() {
    let world = World::new();
    let a = world.home("a");
    let node = a.start(&["--dir", "shared"]);
    let Some(browser) = opened(&a, WIDE) else {
        return;
    };
    let timing = "const t = performance.getEntriesByType('navigation')[0];
                  return Math.round(performance.getEntriesByName('interactive')[0].startTime - t.startTime)";
    for _ in 0..5 {
        browser.go("about:blank");
        browser.go(&page(&a));
        browser.until("document.body.dataset.ready");
        println!("interactive after {} ms", browser.script(timing));
    }
    for at in 0..10_000 {
        world.file(&format!("a/shared/file {at}.bin"), &noise(at, 16));
    }
    for at in 0..200_u64 {
        let hash = format!("{at:064x}");
        a.run(&["download", &hash, "--detach", "--timeout", "3600"])
            .done();
    }
    let count = || a.json(&["status"])["shares"].as_u64();
    eventually("10,000 shares", || (count() == Some(10_000)).then_some(()));
    browser.go("about:blank");
    browser.go(&page(&a));
    browser.script(
        "window.long = [];
         new PerformanceObserver(list => list.getEntries().forEach(task => long.push(Math.round(task.duration))))
             .observe({ type: 'longtask', buffered: true })",
    );
    browser.until("document.querySelector('#tab-shares .count').textContent === '10,000'");
    for view in ["shares", "downloads", "shares"] {
        browser.click(&format!("#tab-{view}"));
        browser.script(&format!(
            "const rows = document.querySelector('#{view} .rows');
             for (let at = 0; at < 40; at += 1) setTimeout(() => rows.scrollTop += 3000, at * 20)"
        ));
        browser.until(&format!(
            "document.querySelector('#{view} .rows').scrollTop > 5000"
        ));
    }
    browser.fill("#shares input[type=search]", "99");
    browser.sees(ROW, "99");
    println!(
        "tasks over 50 ms: {}",
        browser.script("return JSON.stringify(long)")
    );
    node.kill();
}

/// ```text
///   page ── A      its user is created, logs out and logs in again on the page
/// ```
#[test]
fn a_person_creates_a_user_and_logs_out_and_in() {
    let world = World::new();
    let a = world.home("a");
    let _node = a.start(&["-n", "anna"]);
    a.share(&world.file("film.mkv", b"film"));
    let Some(page) = opened(&a, WIDE) else { return };
    let seen = || a.json(&["user", "show"])["state"].clone();

    // Groups take a user.
    page.click("#tab-groups");
    page.click("#groups button.primary");
    page.fill("dialog input[type=text]", "Anna");
    page.fill("dialog label:nth-of-type(2) input", "correct horse");
    page.fill("dialog label:nth-of-type(3) input", "correct house");
    page.click("dialog button.primary");
    page.sees("dialog .problem", "differ");
    page.fill("dialog label:nth-of-type(3) input", "correct horse");
    page.click("dialog button.primary");
    // The node restarts, and the page reconnects by itself.
    page.sees("button.user", "Anna");
    assert_eq!(seen(), "unlocked");
    page.click("#tab-shares");
    page.sees(ROW, "film.mkv");

    page.click("button.user");
    page.click("dialog button.danger");
    page.sees("#lock", "Anna");
    page.sees_no("body", "film.mkv");
    assert_eq!(seen(), "locked");
    page.fill("#lock input", "wrong horse");
    page.press(Key::Enter);
    page.sees("#lock .problem", "wrong");
    page.fill("#lock input", "correct horse");
    page.press(Key::Enter);
    page.sees("button.user", "Anna");
    page.click("#tab-shares");
    page.sees(ROW, "film.mkv");
    assert_eq!(seen(), "unlocked");
}
