//! The cases of groups: how soon a member who was admitted sees files, and how soon one who was removed
//! gets no more of them; what the check of each chunk costs; and how changes of many groups share one
//! disk.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::try_join_all;
use pelago::{
    DataFolder, DownloadRequest, GroupId, Hash, InviteOptions, Keypair, LocalUser, Mode, Node,
    Output, PeerAddress, Rates, Secret, Settings, ShareRequest, Store, Target, UserKey,
};
use pelago_groups::{Body, Entry, Statement, acts};
use pelago_store::{GroupChange, GroupRow};

use crate::{
    Failure,
    cases::{Scale, size},
    figures::{Figures, Interest, Row},
    peers::{Place, compare},
};

/// How long nothing may arrive after a removal before the last byte is taken for the last one.
const SILENCE: Duration = Duration::from_secs(3);

/// How often what was received is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// The rate at which a download runs that is cut off: slow enough that it does not end before.
const CUT_RATE: &str = "20MB";

/// The groups whose changes share a disk, and the members of each.
const GROUPS: usize = 50;
const MEMBERS: usize = 200;

/// A node of a user.
struct Member {
    node: Node,
    address: PeerAddress,
    folder: std::path::PathBuf,
}

impl Member {
    async fn start(place: &Place, name: &str, upload: Option<&str>) -> Result<Self, Failure> {
        let folder = place.path("member");
        let data = DataFolder::lock(folder.join("data"))?;
        Self::over(folder, Store::open(&data)?, name, upload).await
    }

    async fn over(
        folder: std::path::PathBuf,
        store: Store,
        name: &str,
        upload: Option<&str>,
    ) -> Result<Self, Failure> {
        let settings = Settings {
            mode: Mode::LongRunning,
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse()?],
            mdns: false,
            announce: false,
            limits: Rates {
                upload: upload.map(str::parse).transpose()?,
                ..Rates::default()
            },
            ..Settings::default()
        };
        let keypair = Keypair::generate_ed25519();
        let node = Node::start(settings, store, &keypair, Some(user(name))).await?;
        let listening = node.addresses().await?.into_iter().next();
        let address = PeerAddress::from(listening.ok_or("a node listens nowhere")?);
        Ok(Self {
            node,
            address,
            folder,
        })
    }

    async fn share(&self, path: &Path, group: Option<GroupId>) -> Result<Hash, Failure> {
        let request = ShareRequest {
            groups: group.into_iter().collect(),
            ..ShareRequest::new(path.to_owned())
        };
        Ok(self.node.share(request, |_| {}).await?.hash)
    }

    /// A request for `hash` in a group, or outside.
    fn wants(&self, hash: Hash, group: Option<GroupId>, from: &Self) -> DownloadRequest {
        DownloadRequest {
            group,
            is_public: group.is_none(),
            peers: vec![from.address.clone()],
            ..DownloadRequest::new(
                Target::Hash(hash),
                Output::At(self.folder.join(hash.to_string())),
                Duration::from_secs(60),
            )
        }
    }
}

fn user(name: &str) -> LocalUser {
    let mut seed = [0; 32];
    seed[..name.len()].copy_from_slice(name.as_bytes());
    LocalUser {
        secret: Secret::from_seed(seed),
        name: name.parse().expect("the benchmark gives valid names"),
    }
}

/// A founder with a group, and another user who asks to join it.
async fn pair(place: &Place, upload: Option<&str>) -> Result<(Member, Member, GroupId), Failure> {
    let anna = Member::start(place, "anna", upload).await?;
    let bert = Member::start(place, "bert", None).await?;
    let group = anna.node.group_create("family".parse()?).await?.id;
    let link = anna
        .node
        .group_invite("family", InviteOptions::default())
        .await?;
    bert.node.group_join(link, String::new()).await?;
    Ok((anna, bert, group))
}

pub(crate) async fn measure(place: &Place, scale: &Scale, repeat: u32) -> Result<Figures, Failure> {
    let file = place.file(scale.large)?;
    let (mut listed, mut cut) = (Vec::new(), Vec::new());
    for _ in 0..repeat {
        let (anna, bert, group) = pair(place, Some(CUT_RATE)).await?;
        let hash = anna.share(&file, Some(group)).await?;
        let began = Instant::now();
        anna.node.group_accept("family", "bert").await?;
        while bert
            .node
            .list_group(group, Duration::ZERO)
            .await
            .map_or(0, |of| of.listed.len())
            == 0
        {
            tokio::time::sleep(LOOK).await;
        }
        listed.push(began.elapsed());

        let download = bert
            .node
            .download(bert.wants(hash, Some(group), &anna))
            .await?;
        while download.status().borrow().verified_bytes.unwrap_or(0) < scale.large / 64 {
            tokio::time::sleep(LOOK).await;
        }
        let began = Instant::now();
        anna.node.group_remove("family", "bert").await?;
        let (mut last, mut at) = (0, Duration::ZERO);
        while began.elapsed() < at + SILENCE {
            let peers = anna.node.peers().await?;
            let to_bert = peers
                .iter()
                .find(|peer| peer.peer_id == bert.node.peer_id());
            if let Some(sent) = to_bert
                .map(|peer| peer.sent_bytes)
                .filter(|sent| *sent != last)
            {
                (last, at) = (sent, began.elapsed());
            }
            tokio::time::sleep(LOOK).await;
        }
        cut.push(at);
        if download.finished().await.is_ok() {
            return Err("a removed member got all of it".into());
        }
        anna.node.shutdown().await;
        bert.node.shutdown().await;
    }
    Ok(Figures {
        case: "groups",
        title: format!("a file of {} in a group", size(scale.large)),
        interest: Interest::Time,
        rows: vec![
            Row::new(
                "from acceptance to the first file that is listed",
                0,
                listed,
            ),
            Row::new("from removal to the last byte", 0, cut),
        ],
    })
}

/// The same file from the same node, by turns for everyone and in a group.
pub(crate) async fn access(place: &Place, scale: &Scale, repeat: u32) -> Result<Figures, Failure> {
    let (anna, bert, group) = pair(place, None).await?;
    anna.node.group_accept("family", "bert").await?;
    while bert.node.groups()?.is_empty() {
        tokio::time::sleep(LOOK).await;
    }
    let mut rows = Vec::new();
    let mut runs = [Vec::new(), Vec::new()];
    let files = [place.file(scale.large)?, place.file(scale.large)?];
    let scopes = [None, Some(group)];
    for (file, scope) in files.iter().zip(scopes) {
        anna.share(file, scope).await?;
    }
    for _ in 0..repeat {
        for ((file, scope), runs) in files.iter().zip(scopes).zip(&mut runs) {
            let hash = anna.share(file, scope).await?;
            let wanted = bert.wants(hash, scope, &anna);
            let began = Instant::now();
            let finished = bert.node.download(wanted).await?.finished().await?;
            runs.push(began.elapsed());
            compare(file, &finished.path)?;
            std::fs::remove_file(&finished.path)?;
        }
    }
    let [public, grouped] = runs;
    rows.push(Row::new("for everyone", scale.large, public));
    rows.push(Row::new("in a group", scale.large, grouped));
    anna.node.shutdown().await;
    bert.node.shutdown().await;
    Ok(Figures {
        case: "access",
        title: format!("{} for everyone and in a group", size(scale.large)),
        interest: Interest::Rate,
        rows,
    })
}

/// Changes of 50 groups of 200 members each: one after another, all at once, and commits of as much
/// without groups.
pub(crate) async fn changes(place: &Place, repeat: u32) -> Result<Figures, Failure> {
    let folder = place.path("member");
    let data = DataFolder::lock(folder.join("data"))?;
    let store = Store::open(&data)?;
    let founder = user("anna");
    let names = found_all(&store, &founder.secret)?;
    let anna = Member::over(folder, store.clone(), "anna", None).await?;
    if anna.node.groups()?.len() != GROUPS {
        return Err("a group was not read".into());
    }
    let (mut alone, mut all, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    let mut next = 0_u64;
    let mut newcomer = || {
        next += 1;
        let mut seed = [0xEE; 32];
        seed[..8].copy_from_slice(&next.to_be_bytes());
        Secret::<UserKey>::from_seed(seed).key()
    };
    for _ in 0..repeat {
        let began = Instant::now();
        for name in &names {
            anna.node.group_add(name, newcomer()).await?;
        }
        alone.push(began.elapsed());
        let began = Instant::now();
        let adding = names
            .iter()
            .map(|name| anna.node.group_add(name, newcomer()));
        try_join_all(adding.collect::<Vec<_>>()).await?;
        all.push(began.elapsed());
        let store = Arc::new(store.clone());
        let began = Instant::now();
        tokio::task::spawn_blocking(move || {
            for number in 0..GROUPS as u8 {
                let change = GroupChange {
                    kind: GroupRow::Facts,
                    of: [number; 32],
                    key: vec![1],
                    row: Some(vec![number; 180]),
                };
                store.change_groups(&[change])?;
            }
            Ok::<_, pelago::DatabaseError>(())
        })
        .await??;
        bare.push(began.elapsed());
    }
    anna.node.shutdown().await;
    Ok(Figures {
        case: "changes",
        title: format!("a change of each of {GROUPS} groups of {MEMBERS} members"),
        interest: Interest::Time,
        rows: vec![
            Row::new("one after another", 0, alone),
            Row::new("all at once", 0, all),
            Row::new("as many commits of one row, without groups", 0, bare),
        ],
    })
}

/// Founds the groups with all of their members in the database, and returns their ids.
fn found_all(store: &Store, founder: &Secret<UserKey>) -> Result<Vec<String>, Failure> {
    let members = (1..MEMBERS as u64).map(|number| {
        let mut seed = [0xDD; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        Secret::<UserKey>::from_seed(seed)
    });
    let members: Vec<_> = members.collect();
    let name =
        |member| acts::name_user(member, "one".parse()?, Vec::new(), None).map_err(Failure::from);
    let profiles: Vec<_> = members.iter().map(name).collect::<Result<_, _>>()?;
    let mut ids = Vec::new();
    for number in 0..GROUPS as u8 {
        let name = format!("group-{number}").parse()?;
        let founding = acts::found(founder, &name, [number; 16]);
        let group = founding.group().ok_or("a group has no id")?;
        let mut statements = vec![founding];
        statements.extend(profiles.iter().cloned());
        for member in &members {
            let entry = Entry {
                author: founder.key(),
                group,
                is_in: true,
                number: 1,
                ownership: None,
                role_number: 0,
                user: member.key(),
                via: None,
            };
            statements.push(Statement::sign(Body::Entry(entry), founder));
        }
        let rows = statements
            .iter()
            .zip(0_u64..)
            .map(|(statement, number)| GroupChange {
                kind: GroupRow::Statement,
                of: *group.as_bytes(),
                key: number.to_be_bytes().to_vec(),
                row: Some(statement.as_bytes().to_vec()),
            });
        store.change_groups(&rows.collect::<Vec<_>>())?;
        ids.push(group.to_string());
    }
    Ok(ids)
}
