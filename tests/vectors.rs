//! Runs the test vectors of docs/PROTOCOL.md. `scripts/vectors.py` writes them. It is a second
//! implementation, so that code and vectors check each other.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::{fs, path::Path};

use futures::{executor::block_on, io::Cursor};
use libp2p::PeerId;
use pelago_behaviour::{FrameError, availability, catalogue, chunk, group};
use pelago_content::{
    Descriptor, Hash, Hasher, Kind, Link, Manifest, Node, proof_len, subtree, verify, verify_node,
};
use pelago_groups::{GroupId, NodeKey, NodeSecret, Statement, UserKey};
use serde_json::Value;

fn vectors(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/vectors/{name}.json"));
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    let (pairs, rest) = text(value).as_bytes().as_chunks::<2>();
    assert!(rest.is_empty());
    let byte = |pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.iter().map(|pair| byte(pair)).collect()
}

fn node(value: &Value) -> Node {
    bytes(value).try_into().unwrap()
}

fn hash(value: &Value) -> Hash {
    text(value).parse().unwrap()
}

/// The bytes that `content` and `size` of a vector describe.
fn content(vector: &Value) -> Vec<u8> {
    let size = number(&vector["size"]) as usize;
    match text(&vector["content"]) {
        "zero" => vec![0; size],
        "counting" => (0..size).map(|at| (at % 251) as u8).collect(),
        other => other.as_bytes().to_owned(),
    }
}

fn describe(data: &[u8]) -> Descriptor {
    let mut hasher = Hasher::new(Kind::File);
    hasher.update(data);
    hasher.finish().unwrap()
}

#[test]
fn content_has_its_hash() {
    for vector in list(&vectors("content")) {
        let descriptor = describe(&content(vector));
        assert_eq!(
            descriptor.to_bytes()[..],
            bytes(&vector["descriptor"]),
            "{vector}"
        );
        assert_eq!(descriptor.root(), node(&vector["root"]), "{vector}");
        assert_eq!(descriptor.hash(), hash(&vector["hash"]), "{vector}");
        let multihash = [&[0x12, 32], &descriptor.hash().provider_key()[..]].concat();
        assert_eq!(multihash, bytes(&vector["provider_key"]), "{vector}");
    }
}

#[test]
fn chunks_have_their_proofs() {
    for vector in list(&vectors("proofs")) {
        let data = content(vector);
        let descriptor = describe(&data);
        let geometry = descriptor.geometry();
        let level = number(&vector["level"]).try_into().unwrap();
        let chunk = geometry.chunk(level, number(&vector["index"])).unwrap();
        let range = chunk.bytes(geometry);
        let [first, end] = [0, 1].map(|at| number(&vector["bytes"][at]));
        assert_eq!(range, first..end, "{vector}");
        let data = &data[first as usize..end as usize];
        let proof: Vec<_> = list(&vector["proof"]).iter().map(node).collect();
        assert_eq!(proof_len(geometry, chunk), proof.len(), "{vector}");
        assert_eq!(subtree(data, level), node(&vector["node"]), "{vector}");
        verify(&descriptor, chunk, data, &proof).unwrap();
        verify_node(&descriptor, chunk, node(&vector["node"]), &proof).unwrap();
    }
}

#[test]
fn manifests_have_one_form() {
    let vectors = vectors("manifests");
    for vector in list(&vectors["valid"]) {
        let data = bytes(&vector["bytes"]);
        let manifest = Manifest::from_bytes(&data).unwrap();
        let descriptor = manifest.descriptor();
        assert_eq!(manifest.to_bytes(), data, "{vector}");
        assert_eq!(
            descriptor.to_bytes()[..],
            bytes(&vector["descriptor"]),
            "{vector}"
        );
        assert_eq!(descriptor.hash(), hash(&vector["hash"]), "{vector}");
    }
    for vector in list(&vectors["refused"]) {
        assert!(
            Manifest::from_bytes(&bytes(&vector["bytes"])).is_err(),
            "{vector}"
        );
    }
}

#[test]
fn links_are_read_and_written() {
    let vectors = vectors("links");
    let link = |vector: &Value| Link {
        hash: hash(&vector["hash"]),
        name: vector["name"].as_str().map(str::to_owned),
        size: vector["size"].as_u64(),
        is_unlisted: vector["unlisted"].as_bool().unwrap(),
        group: vector["group"]
            .as_str()
            .map(|id| *id.parse::<Hash>().unwrap().as_bytes()),
        peers: list(&vector["peers"])
            .iter()
            .map(|peer| text(peer).to_owned())
            .collect(),
    };
    for vector in list(&vectors["written"]) {
        assert_eq!(link(vector).to_string(), text(&vector["link"]));
    }
    for vector in list(&vectors["written"])
        .iter()
        .chain(list(&vectors["read"]))
    {
        assert_eq!(text(&vector["link"]).parse(), Ok(link(vector)), "{vector}");
    }
    for vector in list(&vectors["refused"]) {
        assert!(text(&vector["link"]).parse::<Link>().is_err(), "{vector}");
    }
}

#[test]
fn peers_prove_to_each_other_that_they_have_a_hash() {
    for vector in list(&vectors("availability")) {
        let hash = hash(&vector["hash"]);
        let [subscriber, responder] = ["subscriber", "responder"].map(|role| {
            let peer = PeerId::from_bytes(&bytes(&vector[role]["bytes"])).unwrap();
            assert_eq!(peer.to_string(), text(&vector[role]["text"]));
            peer
        });
        let request = availability::Request::new(&hash, &subscriber, &responder);
        assert_eq!(request.key[..], bytes(&vector["k"]));
        assert_eq!(
            request.proof.as_bytes()[..],
            bytes(&vector["m_of_subscriber"])
        );
        let answer = availability::Proof::new(&hash, &responder, &subscriber);
        assert_eq!(answer.as_bytes()[..], bytes(&vector["m_of_responder"]));
    }
}

/// Reads a message, and returns the bytes that Pelago writes for it.
async fn rewritten(kind: &str, frame: &[u8]) -> Result<Vec<u8>, FrameError> {
    let mut from = Cursor::new(frame);
    let mut to = Cursor::new(Vec::new());
    match kind {
        "chunk request" => {
            let items = chunk::read_request(&mut from).await?.unwrap();
            chunk::write_request(&mut to, &items).await?;
        }
        "chunk answer" => {
            let answer = chunk::read_answer(&mut from).await?;
            let mut data = Vec::new();
            if let chunk::Answer::Data { length, .. } = answer {
                chunk::read_data(&mut from, length, &mut data).await?;
            }
            chunk::write_answer(&mut to, &answer, &data).await?;
        }
        "availability request" => {
            let request = availability::read_request(&mut from).await?.unwrap();
            availability::write_request(&mut to, &request).await?;
        }
        "availability update" => {
            let update = availability::read_update(&mut from).await?.unwrap();
            availability::write_update(&mut to, &update).await?;
        }
        "catalogue request" => {
            let request = catalogue::read_request(&mut from).await?.unwrap();
            catalogue::write_request(&mut to, &request).await?;
        }
        "catalogue page" => {
            let page = catalogue::read_page(&mut from).await?;
            catalogue::write_page(&mut to, &page).await?;
        }
        "group request" => {
            let request = group::read_request(&mut from).await?.unwrap();
            group::write_request(&mut to, &request).await?;
        }
        "group answer" => {
            let answer = group::read_answer(&mut from).await?;
            group::write_answer(&mut to, &answer).await?;
        }
        "group batch" => {
            let batch = group::read_batch(&mut from).await?;
            group::write_batch(&mut to, &batch).await?;
        }
        other => panic!("no message is called {other}"),
    }
    Ok(to.into_inner())
}

#[test]
fn statements_have_one_form_and_one_author() {
    let vectors = vectors("groups");
    let [root, id] = ["root", "id"].map(|key| bytes(&vectors["id"][key]).try_into().unwrap());
    let salt = bytes(&vectors["id"]["salt"]).try_into().unwrap();
    let group = GroupId::new(&UserKey::from_bytes(root), &salt);
    assert_eq!(group, GroupId::from_bytes(id));
    for vector in list(&vectors["valid"]) {
        let data = bytes(&vector["bytes"]);
        let statement = Statement::from_bytes(&data).unwrap();
        assert_eq!(statement.as_bytes(), data, "{vector}");
        assert_eq!(
            statement.id().as_bytes()[..],
            bytes(&vector["id"]),
            "{vector}"
        );
        assert!(statement.group().is_none_or(|of| of == group), "{vector}");
    }
    for vector in list(&vectors["refused"]) {
        let read = Statement::from_bytes(&bytes(&vector["bytes"]));
        assert!(read.is_err(), "{vector}");
    }
}

#[test]
fn two_nodes_have_keys_by_which_they_meet() {
    for vector in list(&vectors("groups")["rendezvous"]) {
        let node = NodeSecret::from_seed(&bytes(&vector["seed"]).try_into().unwrap());
        let other = NodeKey::from_bytes(bytes(&vector["other"]).try_into().unwrap());
        let neighbour = node.neighbours([other], 1)[0];
        assert_eq!(
            neighbour.publish[..],
            bytes(&vector["announces"]),
            "{vector}"
        );
        assert_eq!(
            neighbour.look_up[..],
            bytes(&vector["looks_up"]),
            "{vector}"
        );
    }
}

#[test]
fn frames_are_read_and_written() {
    let vectors = vectors("frames");
    let rewrite = |vector: &Value| {
        let frame = bytes(&vector["bytes"]);
        block_on(rewritten(text(&vector["kind"]), &frame))
    };
    for vector in list(&vectors["written"]) {
        assert_eq!(
            rewrite(vector).unwrap(),
            bytes(&vector["bytes"]),
            "{vector}"
        );
    }
    for vector in list(&vectors["read"]) {
        assert_eq!(rewrite(vector).unwrap(), bytes(&vector["as"]), "{vector}");
    }
    for vector in list(&vectors["refused"]) {
        let refusal = rewrite(vector).unwrap_err();
        assert!(!matches!(refusal, FrameError::Io(_)), "{vector}: {refusal}");
    }
}
