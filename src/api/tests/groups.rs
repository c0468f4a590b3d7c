//! Groups of a node without peers.

use std::fs;

use pelago_groups::GroupLink;

use super::{Served, alone};
use crate::{
    api::{
        CallError, Client, router,
        types::{
            CatalogueQuery, Group, GroupRole, InviteMode, InviteRequest, JoinRequest, JoinStatus,
            ShareEvent, ShareRequest, Shared, UnshareQuery,
        },
    },
    node::testing::of_user,
};

fn code<T>(result: Result<T, CallError>) -> String {
    match result {
        Err(CallError::Refused(error)) => error.code,
        Err(error) => panic!("{error}"),
        Ok(_) => "done".to_owned(),
    }
}

async fn share(client: &Client, request: &ShareRequest) -> Shared {
    let mut events = client.share(request).await.unwrap();
    while let Some(event) = events.next().await.unwrap() {
        match event {
            ShareEvent::Hashing { .. } => {}
            ShareEvent::Shared(shared) => return shared,
            ShareEvent::Error { error } => panic!("{error}"),
        }
    }
    panic!("the node ended");
}

#[tokio::test]
async fn a_group_is_founded_renamed_and_left() {
    let served = Served::new(of_user("anna").await).await;
    let client = served.client().await;
    assert_eq!(client.groups().await.unwrap(), []);
    let founded = client.create_group("a b/ü?").await.unwrap();
    assert_eq!((&*founded.name, founded.role), ("a b/ü?", GroupRole::Root));
    assert_eq!((founded.members, founded.owners), (1, 1));
    let renamed = client.rename_group("a b/ü?", "family").await.unwrap();
    assert_eq!((&*renamed.name, &renamed.id), ("family", &founded.id));
    assert_eq!(code(client.rename_group("family", " x").await), "bad-name");
    let detail = client.group(&founded.id[..8]).await.unwrap();
    assert_eq!((detail.nodes, detail.confirmed), (1, 1));
    let members = client.group_members("family").await.unwrap();
    assert_eq!(members.len(), 1);
    let anna = &members[0];
    assert_eq!(anna.name.as_deref(), Some("anna"));
    assert!(anna.you && anna.online && anna.user == detail.founded_by);

    // The same name twice is ambiguous.
    let other = client.create_group("family").await.unwrap();
    assert_eq!(code(client.group("family").await), "ambiguous-name");
    client.leave_group(&other.id).await.unwrap();
    assert_eq!(code(client.group(&other.id).await), "not-a-member");
    assert_eq!(client.groups().await.unwrap(), [detail.group]);
    assert_eq!(code(client.group("friends").await), "unknown-group");
}

#[tokio::test]
async fn invites_are_made_listed_and_revoked_and_links_are_drawn() {
    let served = Served::new(of_user("anna").await).await;
    let client = served.client().await;
    let Group { id, .. } = client.create_group("family").await.unwrap();
    let ask = InviteRequest::default();
    let ask = client.invite_to_group("family", &ask).await.unwrap();
    assert_eq!((ask.mode, ask.uses_left), (InviteMode::Ask, None));
    let link: GroupLink = ask.link.parse().unwrap();
    assert_eq!(link.invite.key().to_string(), ask.invite);
    assert_eq!(link.group.to_string(), id);
    let auto = InviteRequest {
        auto: true,
        uses: Some(2),
        expires_seconds: Some(3600),
    };
    let auto = client.invite_to_group("family", &auto).await.unwrap();
    assert_eq!((auto.mode, auto.uses_left), (InviteMode::Auto, Some(2)));
    assert!(auto.expires_unix_ms.is_some());

    let revoked = client.revoke_group_invite("family", &auto.invite[..8]);
    assert!(!revoked.await.unwrap().open);
    let invites = client.group_invites("family").await.unwrap();
    let is_open = |invite: &str| {
        let mut invites = invites.iter();
        invites.any(|listed| listed.invite == invite && listed.open && listed.yours)
    };
    assert!(is_open(&ask.invite) && !is_open(&auto.invite));
    let unknown = client.revoke_group_invite("family", "01234567").await;
    assert_eq!(code(unknown), "unknown-invite");

    let body = serde_json::json!({ "text": ask.link }).to_string();
    let (address, token) = (served.address, served.token.as_str());
    let head = format!(
        "POST /v1/qr HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}",
        body.len()
    );
    let (status, drawn) = super::access::raw(&served, &head, body.as_bytes()).await;
    assert_eq!((status, drawn.contains("<svg")), (200, true), "{drawn}");
}

#[tokio::test]
async fn an_answer_does_not_have_the_secret_of_a_link_that_was_given_for_something_else() {
    let served = Served::new(of_user("anna").await).await;
    let client = served.client().await;
    client.create_group("family").await.unwrap();
    let ask = InviteRequest::default();
    let link = client.invite_to_group("family", &ask).await.unwrap().link;
    let (_, secret) = link.split_once("invite=").unwrap();
    let encoded = link
        .replace(':', "%3A")
        .replace('/', "%2F")
        .replace('?', "%3F")
        .replace('=', "%3D")
        .replace('&', "%26");
    let (address, token) = (served.address, served.token.as_str());
    for (request, body) in [
        (
            "POST /v1/downloads".to_owned(),
            format!(r#"{{"target": "{link}", "output": "default", "timeout_seconds": 1}}"#),
        ),
        (
            "POST /v1/look".to_owned(),
            format!(r#"{{"target": "{link}", "timeout_seconds": 1}}"#),
        ),
        (
            "POST /v1/shares".to_owned(),
            format!(r#"{{"path": "{link}"}}"#),
        ),
        (
            "POST /v1/shares".to_owned(),
            format!(r#"{{"path": "/{link}", "groups": ["family"]}}"#),
        ),
        (
            "POST /v1/groups".to_owned(),
            format!(r#"{{"name": " {link}"}}"#),
        ),
        (
            "POST /v1/joins".to_owned(),
            format!(
                r#"{{"link": "{}"}}"#,
                link.replacen("invite=", "invite=x", 1)
            ),
        ),
        (
            "POST /v1/joins".to_owned(),
            format!(r#"{{"link": {{"{link}": 1}}}}"#),
        ),
        (format!("GET /v1/links?what={encoded}"), String::new()),
        (format!("GET /v1/links?group={encoded}"), String::new()),
        (format!("DELETE /v1/shares?what={encoded}"), String::new()),
        (format!("GET /v1/groups/{encoded}"), String::new()),
        (format!("GET /v1/{encoded}"), String::new()),
    ] {
        let head = format!(
            "{request} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}",
            body.len()
        );
        let (status, answer) = super::access::raw(&served, &head, body.as_bytes()).await;
        let is_error = status >= 400 || answer.contains(r#""error""#);
        assert!(is_error, "{request} {body}: {answer}");
        let shows_it = answer.contains(&secret[..16]);
        assert!(!shows_it, "{request} {body}: {answer}");
    }
}

#[tokio::test]
async fn a_share_is_for_the_groups_and_for_everyone_as_asked() {
    let client = Client::in_process(router(of_user("anna").await));
    let (one, other) = ("family", "friends");
    let [family, friends] = [one, other].map(|name| client.create_group(name));
    let (family, friends) = (family.await.unwrap().id, friends.await.unwrap().id);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.txt");
    fs::write(&path, "a").unwrap();
    let for_groups = |groups: &[&str], everyone| ShareRequest {
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        everyone,
        ..ShareRequest::new(path.to_str().unwrap())
    };
    let shared = share(&client, &for_groups(&[one], None)).await;
    assert_eq!(
        (&shared.groups, shared.group_only),
        (&vec![family.clone()], true)
    );
    assert!(shared.link.contains(&format!("group={family}")));
    let shared = share(&client, &for_groups(&[other], Some(true))).await;
    assert_eq!((shared.groups.len(), shared.group_only), (2, false));
    assert!(!shared.link.contains("group="));
    assert_eq!(
        code(client.share(&for_groups(&[], Some(false))).await),
        "bad-request"
    );
    assert_eq!(
        code(client.share(&for_groups(&["x"], None)).await),
        "unknown-group"
    );

    // The list of a group has the shares of this node.
    let of_group = |group: &str| CatalogueQuery {
        group: Some(group.to_owned()),
        wait: Some(0.0),
        ..CatalogueQuery::default()
    };
    let (listed, incomplete) = client.catalogue(&of_group(one)).await.unwrap();
    assert_eq!((listed.len(), incomplete), (1, 0));
    assert_eq!((listed[0].peers, listed[0].state.is_some()), (0, true));
    let links = client.links(None, Some(other)).await.unwrap();
    assert!(links[0].link.contains(&format!("group={friends}")));

    let text = path.to_str().map(str::to_owned);
    let unshare = async |group: &str| {
        let query = UnshareQuery {
            what: "a.txt".to_owned(),
            path: text.clone(),
            group: Some(group.to_owned()),
            ..UnshareQuery::default()
        };
        client.unshare(&query).await
    };
    let left = unshare(one).await.unwrap();
    assert_eq!(
        (left[0].still_shared, left[0].group_only, &left[0].groups),
        (true, false, &vec![friends.clone()])
    );
    assert_eq!(code(unshare(one).await), "not-shared");
    assert_eq!(client.catalogue(&of_group(one)).await.unwrap().0, []);
    let left = client.shares().await.unwrap();
    assert_eq!(
        (&left[0].groups, left[0].group_only),
        (&vec![friends.clone()], false)
    );
    let only_public = UnshareQuery {
        what: "a.txt".to_owned(),
        everyone: true,
        ..UnshareQuery::default()
    };
    let left = client.unshare(&only_public).await.unwrap();
    assert!(left[0].still_shared && left[0].group_only);
    assert_eq!(code(client.unshare(&only_public).await), "not-shared");

    // A group that the user has left is still one with which he shares.
    client.leave_group(other).await.unwrap();
    let ended = unshare(&friends[..8]).await.unwrap();
    assert!(!ended[0].still_shared);
    assert_eq!(client.shares().await.unwrap(), []);
}

#[tokio::test]
async fn a_node_without_a_user_has_no_groups() {
    let client = Client::in_process(router(alone().await));
    assert_eq!(code(client.groups().await), "no-user");
    assert_eq!(code(client.create_group("family").await), "no-user");
    let request = JoinRequest {
        link: "pelago:group/ab".to_owned(),
        message: String::new(),
    };
    assert_eq!(code(client.join_group(&request).await), "bad-link");

    // A link whose members are not reached stays a request.
    let anna = Client::in_process(router(of_user("anna").await));
    let bert = Client::in_process(router(of_user("bert").await));
    anna.create_group("family").await.unwrap();
    let invite = InviteRequest::default();
    let invite = anna.invite_to_group("family", &invite).await.unwrap();
    let request = JoinRequest {
        link: invite.link,
        message: "it is me".to_owned(),
    };
    assert_eq!(code(client.join_group(&request).await), "no-user");
    let asked = bert.join_group(&request).await.unwrap();
    assert_eq!(asked.status, JoinStatus::Pending);
    assert_eq!(asked.name.as_deref(), Some("family"));
    assert_eq!(bert.joins().await.unwrap(), [asked]);
    assert_eq!(code(bert.group("family").await), "unknown-group");
}
