//! Members and others that follow no rule of the group protocol.

use std::time::{Duration, Instant};

use libp2p::identity::Keypair;
use pelago::{GroupId, GroupLink, Secret, UserKey};
use pelago_behaviour::{
    Protocol,
    group::{Answer, JoinOutcome, Request, read_answer, write_request},
    streams::Outbound,
};
use pelago_groups::{
    Body, Digest, Entry, Held, InviteKey, JoinRequest, MAX_NUMBER, NodeConsent, NodeKey, Ownership,
    Roster, Statement, acts, consent_message,
};

use crate::{
    groups::{ask_link, auto_link, founded, home, join, key, until, user},
    nodes::{Home, in_time},
    raw::Client,
};

/// A user whose node is a peer that sends what a test chooses.
pub(crate) struct Member {
    keypair: Keypair,
    secret: Secret<UserKey>,
    profile: Statement,
    held: Held,
    stream: Outbound,
    _client: Client,
}

impl Member {
    /// Connects, without joining anything.
    pub(crate) async fn connect(home: &Home, name: &str, group: GroupId) -> Self {
        let keypair = Keypair::generate_ed25519();
        let secret = user(name).secret;
        let profile = profile(&secret, name, &[&keypair], None);
        let client = Client::connect_as(&keypair, home).await;
        Self {
            stream: client.open(Protocol::Group).await,
            held: Held::new(group),
            _client: client,
            keypair,
            secret,
            profile,
        }
    }

    /// Joins by a link.
    pub(crate) async fn join(home: &Home, name: &str, link: &GroupLink) -> Self {
        let mut member = Self::connect(home, name, link.group).await;
        let (outcome, proof) = member.ask(&link.invite, "").await.unwrap();
        assert_eq!(outcome, JoinOutcome::Accepted);
        member.held.merge(proof);
        assert!(Roster::of(&member.held).is_in(&member.secret.key()));
        member
    }

    /// Asks to join by an invite.
    async fn ask(
        &mut self,
        invite: &Secret<InviteKey>,
        message: &str,
    ) -> Option<(JoinOutcome, Vec<Statement>)> {
        let group = self.held.group();
        let profile = self.profile.clone();
        let join = JoinRequest::new(&self.secret, profile, group, invite, message.to_owned(), 1);
        let request = Request::Join {
            group,
            request: join.request().as_bytes().to_vec(),
            profile: join.profile().as_bytes().to_vec(),
            origin: None,
        };
        match self.exchange(&request).await {
            Answer::Join {
                outcome,
                statements,
            } => Some((outcome, read(&statements))),
            _ => None,
        }
    }

    async fn exchange(&mut self, request: &Request) -> Answer {
        in_time(async {
            write_request(&mut self.stream, request).await.unwrap();
            read_answer(&mut self.stream).await.unwrap()
        })
        .await
    }

    pub(crate) async fn push(&mut self, statements: &[Statement]) -> Answer {
        let request = Request::Push {
            group: self.held.group(),
            digest: self.held.digest(),
            statements: statements
                .iter()
                .map(|one| one.as_bytes().to_vec())
                .collect(),
        };
        self.exchange(&request).await
    }

    /// Asks to compare the group, and reads the first answer.
    pub(crate) async fn begin_sync(&mut self) {
        let sync = Request::Sync {
            group: self.held.group(),
            digest: Digest::from_bytes([0; 32]),
            revision: 0,
        };
        let answer = self.exchange(&sync).await;
        assert!(matches!(answer, Answer::Held { .. }), "{answer:?}");
    }

    fn entry(&self, about: UserKey, is_in: bool, number: u64) -> Entry {
        Entry {
            author: self.secret.key(),
            group: self.held.group(),
            is_in,
            number,
            ownership: None,
            role_number: 0,
            user: about,
            via: None,
        }
    }

    fn sign(&self, entry: Entry) -> Statement {
        Statement::sign(Body::Entry(entry), &self.secret)
    }
}

/// What a user states of himself, with these nodes.
pub(crate) fn profile(
    secret: &Secret<UserKey>,
    name: &str,
    nodes: &[&Keypair],
    before: Option<&Statement>,
) -> Statement {
    let nodes = nodes.iter().map(|keypair| {
        let pair = (*keypair).clone().try_into_ed25519().unwrap();
        let consent = pair
            .sign(&consent_message(&secret.key()))
            .try_into()
            .unwrap();
        NodeConsent {
            consent: serde_bytes::ByteArray::new(consent),
            node: NodeKey::from_bytes(pair.public().to_bytes()),
        }
    });
    acts::name_user(secret, name.parse().unwrap(), nodes.collect(), before).unwrap()
}

fn read(statements: &[Vec<u8>]) -> Vec<Statement> {
    let read = statements
        .iter()
        .map(|bytes| Statement::from_bytes(bytes).unwrap());
    read.collect()
}

async fn names(home: &Home) -> Vec<UserKey> {
    let members = home.node.group_members("family").await.unwrap();
    members.into_iter().map(|member| member.user).collect()
}

async fn counted(home: &Home, result: &str) -> u64 {
    home.counted(&format!(
        "pelago_groups_statements_total{{result=\"{result}\"}}"
    ))
    .await
}

/// A member signs entries as if he were an owner; an owner who was dropped signs more.
#[tokio::test]
async fn what_a_user_without_a_say_signs_has_no_force() {
    let anna = home("anna").await;
    founded(&anna).await;
    let mut mallory = Member::join(&anna, "mallory", &auto_link(&anna, 1).await).await;
    let mut owner_of_himself = mallory.entry(key("mallory"), true, 9);
    owner_of_himself.ownership = Some(Ownership::Now);
    let forged = [
        mallory.sign(owner_of_himself),
        mallory.sign(mallory.entry(key("eve"), true, 1)),
        mallory.sign(mallory.entry(key("anna"), false, MAX_NUMBER)),
    ];
    let answer = mallory.push(&forged).await;
    assert!(matches!(answer, Answer::Held { .. }));
    assert_eq!(counted(&anna, "ignored").await, 3);
    assert_eq!(names(&anna).await.len(), 2);

    let name = key("mallory").to_string();
    anna.node.group_owner_add("family", &name).await.unwrap();
    mallory.push(&forged).await;
    assert!(names(&anna).await.contains(&key("eve")));
    assert!(
        names(&anna).await.contains(&key("anna")),
        "owners do not decide about the founder"
    );
    anna.node
        .group_owner_drop("family", &name, Some(Vec::new()))
        .await
        .unwrap();
    assert!(!names(&anna).await.contains(&key("eve")));
    let past = mallory.sign(mallory.entry(key("eve"), true, 7));
    mallory.push(&[past]).await;
    assert!(!names(&anna).await.contains(&key("eve")));
}

/// A removed member sends his old admission again, signs for himself, and asks by his old link.
#[tokio::test]
async fn a_removed_member_does_not_come_back_by_what_he_kept() {
    let anna = home("anna").await;
    founded(&anna).await;
    let link = auto_link(&anna, 2).await;
    let mut mallory = Member::join(&anna, "mallory", &link).await;
    let kept: Vec<_> = mallory.held.statements().cloned().collect();
    anna.node.group_remove("family", "mallory").await.unwrap();
    for _ in 0..2 {
        let answer = mallory.push(&kept).await;
        // The answer tells what happened to him, and nothing of others.
        let Answer::Nothing { statements } = answer else {
            panic!("{answer:?}");
        };
        mallory.held.merge(read(&statements));
        assert!(Roster::of(&mallory.held).is_out(&key("mallory")));
        assert_eq!(names(&anna).await, [key("anna")]);
    }
    let himself = mallory.sign(mallory.entry(key("mallory"), true, 99));
    mallory.push(&[himself]).await;
    let asked = mallory.ask(&link.invite, "again").await.unwrap();
    assert_eq!(asked.0, JoinOutcome::Revoked);
    assert_eq!(names(&anna).await, [key("anna")]);
    assert!(anna.node.group_requests("family").unwrap().is_empty());
}

/// A stranger gets the same bytes for a group that exists, for one that does not, and for any request.
#[tokio::test]
async fn a_stranger_cannot_tell_a_group_from_none() {
    let anna = home("anna").await;
    founded(&anna).await;
    let group = anna.node.group_id("family").unwrap();
    let link = ask_link(&anna).await;
    let other = GroupId::from_bytes([7; 32]);
    let invite = Secret::<InviteKey>::from_seed([7; 32]);
    let digest = Digest::from_bytes([0; 32]);
    let mut answers = Vec::new();
    for group in [group, other] {
        let mut eve = Member::connect(&anna, "eve", group).await;
        let admission = eve.sign(eve.entry(key("eve"), true, 1));
        let begun = Instant::now();
        let sync = Request::Sync {
            group,
            digest,
            revision: 0,
        };
        answers.push(eve.exchange(&sync).await);
        answers.push(eve.push(&[admission]).await);
        assert_eq!(eve.ask(&invite, "").await, None);
        // She knows the key of the invite, as its members do, and not its secret.
        let profile = eve.profile.clone();
        let mut forged = JoinRequest::new(&eve.secret, profile, group, &invite, String::new(), 1)
            .asked()
            .clone();
        forged.invite = link.invite.key();
        let forged = Statement::sign(Body::Request(forged), &eve.secret);
        let forged = Request::Join {
            group,
            request: forged.as_bytes().to_vec(),
            profile: eve.profile.as_bytes().to_vec(),
            origin: None,
        };
        answers.push(eve.exchange(&forged).await);
        assert!(
            begun.elapsed() >= Duration::from_millis(40),
            "each answer takes its time"
        );
    }
    let nothing = Answer::Nothing {
        statements: Vec::new(),
    };
    assert!(
        answers.iter().all(|answer| *answer == nothing),
        "{answers:?}"
    );
    assert_eq!(anna.node.group_requests("family").unwrap(), []);
}

/// Eve has the request of a user, and sends it from a node that the user does not name.
#[tokio::test]
async fn a_request_that_another_peer_sends_is_kept_and_shows_it_nothing() {
    let anna = home("anna").await;
    founded(&anna).await;
    let link = ask_link(&anna).await;
    let carl = Member::connect(&anna, "carl", link.group).await;
    let mut eve = Member::connect(&anna, "eve", link.group).await;
    let profile = carl.profile.clone();
    let join = JoinRequest::new(
        &carl.secret,
        profile,
        link.group,
        &link.invite,
        String::new(),
        1,
    );
    let replayed = Request::Join {
        group: link.group,
        request: join.request().as_bytes().to_vec(),
        profile: join.profile().as_bytes().to_vec(),
        origin: None,
    };
    let nothing = Answer::Nothing {
        statements: Vec::new(),
    };
    assert_eq!(eve.exchange(&replayed).await, nothing);
    until(&anna.node, |node| {
        !node.group_requests("family").unwrap().is_empty()
    })
    .await;
    anna.node.group_accept("family", "carl").await.unwrap();
    assert_eq!(eve.exchange(&replayed).await, nothing);
}

/// A link that became public: many users ask by it from one place, and one from another.
#[tokio::test]
async fn a_flood_of_requests_leaves_an_honest_one() {
    let anna = home("anna").await;
    founded(&anna).await;
    let (public, private) = (ask_link(&anna).await, ask_link(&anna).await);
    let mut honest = Member::connect(&anna, "honest", public.group).await;
    assert_eq!(
        honest.ask(&public.invite, "it is me").await.unwrap().0,
        JoinOutcome::Pending
    );
    let mut other = Member::connect(&anna, "other", public.group).await;
    assert_eq!(
        other.ask(&private.invite, "").await.unwrap().0,
        JoinOutcome::Pending
    );
    let mut flood = Member::connect(&anna, "flood", public.group).await;
    for number in 0..50_u8 {
        flood.secret = Secret::from_seed([number; 32]);
        flood.profile = profile(&flood.secret, "flood", &[&flood.keypair], None);
        flood.ask(&public.invite, "").await;
    }
    let requests = anna.node.group_requests("family").unwrap();
    let has = |name: &str| requests.iter().any(|request| request.user == key(name));
    assert!(has("honest") && has("other"));
    assert_eq!(requests.len(), 32 + 1);
    anna.node
        .group_revoke("family", &public.invite.key().to_string())
        .await
        .unwrap();
    assert_eq!(anna.node.group_requests("family").unwrap().len(), 1);
}

/// A member states another's node as his own; the node has not agreed.
#[tokio::test]
async fn the_node_of_another_cannot_be_claimed() {
    let (anna, bert) = (home("anna").await, home("bert").await);
    founded(&anna).await;
    join(&bert, &auto_link(&anna, 1).await).await;
    let mut mallory = Member::join(&anna, "mallory", &auto_link(&anna, 1).await).await;
    let Body::User(mut stated) = mallory.profile.body().clone() else {
        unreachable!();
    };
    stated.number += 1;
    stated.nodes[0].node = {
        let digits = bert.node.peer_id().to_bytes();
        NodeKey::from_bytes(digits[digits.len() - 32..].try_into().unwrap())
    };
    let claim = Statement::sign(Body::User(stated), &mallory.secret);
    let refused = counted(&anna, "refused").await;
    mallory.push(&[claim]).await;
    assert_eq!(counted(&anna, "refused").await, refused + 1);
    let members = anna.node.group_members("family").await.unwrap();
    let of_mallory = members
        .iter()
        .find(|member| member.user == key("mallory"))
        .unwrap();
    assert_eq!(of_mallory.peers, [mallory.keypair.public().to_peer_id()]);
}

/// One who was admitted elsewhere brings the proof: Anna's node takes it, and forwards what is new.
#[tokio::test]
async fn a_member_whom_this_node_does_not_know_proves_it() {
    let (anna, bert) = (home("anna").await, home("bert").await);
    founded(&anna).await;
    join(&bert, &auto_link(&anna, 1).await).await;
    until(&bert.node, |node| !node.groups().unwrap().is_empty()).await;
    anna.node
        .group_owner_add("family", &key("bert").to_string())
        .await
        .unwrap();
    // Bert, an owner, admits Carl where no node sees it.
    let mut carl = Member::connect(&anna, "carl", bert.node.group_id("family").unwrap()).await;
    let bert_secret = user("bert").secret;
    let admitted = Statement::sign(
        Body::Entry(Entry {
            author: bert_secret.key(),
            user: carl.secret.key(),
            ..carl.entry(carl.secret.key(), true, 1)
        }),
        &bert_secret,
    );
    let proof = [admitted, carl.profile.clone()];
    let answer = carl.push(&proof).await;
    assert!(matches!(answer, Answer::Nothing { statements } if statements.is_empty()));
    until(&anna.node, |node| node.groups().unwrap()[0].members == 3).await;
    until(&bert.node, |node| node.groups().unwrap()[0].members == 3).await;
    let held = carl.push(&proof).await;
    assert!(matches!(held, Answer::Held { .. }), "he is a member now");
}

/// A member who was removed keeps his request, which an honest member delivers again; and another
/// member feeds him, and a newcomer, the roster from before.
#[tokio::test]
async fn an_old_request_and_an_old_roster_bring_back_no_one() {
    let (anna, bert) = (home("anna").await, home("bert").await);
    founded(&anna).await;
    let link = ask_link(&anna).await;
    let mut mallory = Member::connect(&anna, "mallory", link.group).await;
    mallory.ask(&link.invite, "first").await.unwrap();
    anna.node.group_accept("family", "mallory").await.unwrap();
    let admitted = mallory.ask(&link.invite, "first").await.unwrap();
    mallory.held.merge(admitted.1);
    let kept: Vec<_> = mallory.held.statements().cloned().collect();
    anna.node.group_remove("family", "mallory").await.unwrap();
    assert_eq!(
        mallory.ask(&link.invite, "first").await.unwrap().0,
        JoinOutcome::Revoked
    );

    // Bert, new in the group, gets what Mallory kept before and after he has met Anna.
    let mut to_bert = Member::connect(&bert, "mallory", link.group).await;
    to_bert.push(&kept).await;
    join(&bert, &auto_link(&anna, 1).await).await;
    until(&bert.node, |node| {
        node.groups()
            .unwrap()
            .iter()
            .any(|group| group.members == 2)
    })
    .await;
    to_bert.push(&kept).await;
    // He may be in the middle of his first sync, which has the removal.
    until(&bert.node, |node| node.groups().unwrap()[0].members == 2).await;
    assert!(!names(&bert).await.contains(&key("mallory")));
}

/// An owner signs two entries with one number: all nodes take the removal, and report it.
#[tokio::test]
async fn an_owner_who_contradicts_himself_is_noticed_and_all_end_alike() {
    let (anna, bert) = (home("anna").await, home("bert").await);
    founded(&anna).await;
    join(&bert, &auto_link(&anna, 1).await).await;
    let mut mallory = Member::join(&anna, "mallory", &auto_link(&anna, 1).await).await;
    anna.node
        .group_owner_add("family", &key("mallory").to_string())
        .await
        .unwrap();
    let both = [true, false].map(|is_in| mallory.sign(mallory.entry(key("eve"), is_in, 1)));
    mallory.push(&both[..1]).await;
    until(&bert.node, |node| node.groups().unwrap()[0].members == 4).await;
    mallory.push(&both[1..]).await;
    mallory.push(&both[..1]).await;
    until(&bert.node, |node| node.groups().unwrap()[0].members == 3).await;
    assert_eq!(names(&anna).await, names(&bert).await);
    assert!(anna.counted("pelago_groups_contradictions_total").await >= 1);
}

/// Frames and batches beyond the limits end the stream before they are read, and nothing else.
#[tokio::test]
async fn what_is_too_long_is_refused_before_it_is_read() {
    let anna = home("anna").await;
    founded(&anna).await;
    let mut mallory = Member::join(&anna, "mallory", &auto_link(&anna, 1).await).await;
    let client = Client::connect(&anna).await;
    let received = client.say(Protocol::Group, &[0xFF; 4]).await;
    assert!(received.is_empty());
    let again = mallory.push(&[mallory.profile.clone()]).await;
    assert!(matches!(again, Answer::Held { .. }));
}

/// A link went public: all who came by it are removed together.
#[tokio::test]
async fn all_who_came_by_a_link_are_removed_together() {
    let anna = home("anna").await;
    founded(&anna).await;
    let link = auto_link(&anna, 5).await;
    for name in ["eve", "mallory", "trudy"] {
        Member::join(&anna, name, &link).await;
    }
    Member::join(&anna, "bert", &auto_link(&anna, 1).await).await;
    let invite = link.invite.key().to_string();
    let removed = anna
        .node
        .group_remove_by_invite("family", &invite)
        .await
        .unwrap();
    assert_eq!((removed.users.len(), removed.revoked.len()), (3, 1));
    assert_eq!(names(&anna).await.len(), 2);
}
