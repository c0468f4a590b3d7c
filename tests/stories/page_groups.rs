//! Groups at the page of a node, in a real browser.

use fantoccini::key::Key;

use super::{
    browser::Browser,
    world::{Home, World, assert_content, noise},
};

/// A browser at the page of the node that runs here.
fn opened(home: &Home) -> Option<Browser> {
    let browser = Browser::open(1280, 800)?;
    let document = home.json(&["ui", "--no-open"]);
    browser.go(document["url"].as_str().unwrap());
    browser.until("document.querySelector('.dot')?.dataset.state === 'live'");
    Some(browser)
}

/// ```text
///   page of A ── A ── B ── page of B      A founds a group, B asks to join it and is removed again
/// ```
#[test]
fn people_found_join_share_and_remove() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let film = noise(1, 300_000);
    let path = world.file("film.mkv", &film);
    let node_a = a.start(&["-n", "anna"]);
    let _node_b = b.start(&["-n", "bert", "-b", &node_a.address()]);
    for (home, name) in [(&a, "anna"), (&b, "bert")] {
        home.run(&["user", "create", name, "--no-passphrase"])
            .done();
    }
    let Some(anna) = opened(&a) else { return };
    let bert = opened(&b).unwrap();

    anna.click("#tab-groups");
    anna.sees("#groups .empty", "You are in no group");
    anna.click("#groups button.primary");
    anna.fill("dialog input[aria-label=Name]", "family");
    anna.click("dialog button.primary");
    anna.sees(".one-group h2", "family");

    // The link and its QR code are shown once.
    anna.click(".one-group button.primary");
    anna.click("dialog button.primary");
    anna.until("document.querySelector('dialog textarea')?.value.startsWith('pelago:group/')");
    anna.until("document.querySelector('dialog img.qr').naturalWidth > 0");
    let link = anna.script("return document.querySelector('dialog textarea').value");
    anna.press(Key::Escape);

    // A link to a group, pasted like any other.
    bert.fill("#target", link.as_str().unwrap());
    bert.press(Key::Enter);
    bert.fill("dialog input[aria-label=Message]", "it is me");
    bert.click("dialog button.primary");
    bert.sees("#groups .group", "family");

    anna.until("document.querySelector('#tab-groups .count').textContent === '1'");
    anna.click(".parts a[data-part=requests]");
    anna.sees(".request", "bert");
    anna.sees(".request", "it is me");
    anna.click(".request button.primary");
    bert.sees("#groups .group", "2 members");
    anna.until("document.querySelector('#tab-groups .count').textContent === ''");

    // She shares with the group, and not with everyone.
    anna.click("#tab-shares");
    anna.click("#shares button.primary");
    anna.fill("dialog input[aria-label=Path]", &path);
    anna.click("dialog .scopes label:nth-of-type(1) input");
    anna.click("dialog .scopes label:nth-of-type(2) input");
    anna.click("dialog button.primary");
    anna.sees("dialog h2", "Link");
    anna.press(Key::Escape);
    anna.sees("#shares .row .words", "family: ");
    // In the view of a group, that is the choice at first.
    anna.click("#tab-groups");
    anna.click("#groups .group");
    anna.click(".one-group .view .bar button");
    anna.until("!document.querySelector('dialog .scopes label:nth-of-type(1) input').checked");
    anna.until("document.querySelector('dialog .scopes label:nth-of-type(2) input').checked");
    anna.press(Key::Escape);

    bert.click("#groups .group");
    bert.sees(".one-group .offer", "film.mkv");
    bert.click(".parts a[data-part=members]");
    bert.sees(".member", "anna");
    bert.sees(".member", "root, online");
    bert.click(".parts a[data-part=files]");
    bert.click(".one-group .offer .title");
    bert.sees("dialog[open]", "anna");
    bert.click("dialog button.primary");
    bert.sees("#downloads .row", "Done");
    assert_content(&b.path("data/downloaded/film.mkv"), &film);

    anna.click("#tab-groups");
    anna.click("#groups .group");
    anna.click(".parts a[data-part=members]");
    anna.sees(".member", "bert");
    anna.click(".member button[aria-label='Remove from the group']:not([hidden])");
    anna.click("dialog button.danger");
    anna.sees_no(".member", "bert");
    bert.click("#tab-groups");
    bert.sees("#groups .group", "an owner removed you");
}

/// ```text
///   page of A ── A ── B ── page of B      B withdraws a request, becomes an owner who is dropped, loses a
///                                         download with the group, and leaves it in the end
/// ```
#[test]
fn people_withdraw_are_dropped_as_owners_lose_downloads_and_leave() {
    let world = World::new();
    let (a, b, c) = (world.home("a"), world.home("b"), world.home("c"));
    let film = world.file("film.mkv", &noise(2, 2_000_000));
    let node_a = a.start(&["-n", "anna"]);
    let _node_b = b.start(&["-n", "bert", "-b", &node_a.address()]);
    for (home, name) in [(&a, "anna"), (&b, "bert"), (&c, "carl")] {
        home.run(&["user", "create", name, "--no-passphrase"])
            .done();
    }
    let carl = c.json(&["user", "show"])["user"]["key"].clone();
    let carl = carl.as_str().unwrap();
    a.run(&["group", "create", "family"]).done();
    let invite = a.json(&["group", "invite", "family"]);
    let Some(anna) = opened(&a) else { return };
    let bert = opened(&b).unwrap();

    let ask = || {
        bert.fill("#target", invite["link"].as_str().unwrap());
        bert.press(Key::Enter);
        bert.click("dialog button.primary");
        bert.sees("#groups .group", "no owner has answered");
    };
    ask();
    anna.click("#tab-groups");
    anna.sees("#groups .group", "1 request");
    bert.click("#groups button[aria-label='Withdraw the request']");
    bert.sees("#groups .empty", "You are in no group");
    anna.sees_no("#groups .group", "1 request");
    ask();
    anna.click("#groups .group");
    anna.click(".parts a[data-part=requests]");
    anna.click(".request button.primary");

    // What an owner decided alone is undone with the choice of the person who drops the owner.
    anna.click(".parts a[data-part=members]");
    anna.click(".member button[aria-label='Make an owner']:not([hidden])");
    bert.sees("#groups .group", "you are an owner");
    b.run(&["group", "add", "family", carl]).done();
    anna.until("document.querySelectorAll('.member').length === 3");
    anna.click(".member button[aria-label='Drop as an owner']:not([hidden])");
    anna.sees("dialog label", "stays a member");
    anna.click("dialog label input");
    anna.click("dialog button.danger");
    anna.until("document.querySelectorAll('.member').length === 2");
    bert.sees_no("#groups .group", "you are an owner");

    a.run(&["limit", "--upload", "50k"]).done();
    a.run(&["share", "--group", "family", &film]).done();
    bert.click("#groups .group");
    bert.click(".one-group .offer .title");
    bert.click("dialog button.primary");
    bert.sees("#downloads .row", "film.mkv");
    a.run(&["group", "remove", "family", "bert"]).done();
    bert.sees("#downloads .row", "does not belong to it any more");
    bert.click("#tab-groups");
    bert.sees("#groups .group", "an owner removed you");

    let user = b.json(&["user", "show"])["user"]["key"].clone();
    a.run(&["group", "add", "family", user.as_str().unwrap()])
        .done();
    bert.sees("#groups .group", "2 members");
    bert.click("#groups .group");
    bert.click(".one-group .bar button:last-child");
    bert.click("dialog button.danger");
    bert.sees("#groups .empty", "You are in no group");
    anna.until("document.querySelectorAll('.member').length === 1");
}
