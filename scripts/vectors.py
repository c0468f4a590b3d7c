#!/usr/bin/env python3
"""Writes the test vectors of docs/PROTOCOL.md to docs/vectors/.

An implementation of the formats of its own, with nothing but Python's standard library: where it and
Pelago agree, both follow the text. `tests/vectors.rs` runs the files against Pelago.

    scripts/vectors.py            # writes the files
    scripts/vectors.py --check    # fails if a file differs from what would be written
"""

import hashlib
import hmac
import json
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "vectors"
BLOCK = 16 * 1024


# Section 1: content.

def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def content(pattern, size):
    """The bytes that `pattern` and `size` stand for in the files."""
    if pattern == "zero":
        return bytes(size)
    if pattern == "counting":
        return bytes(i % 251 for i in range(size))
    return pattern.encode()


def levels(data):
    """All nodes of the tree, level by level from the leaves, padding included."""
    leaves = [sha256(data[at:at + BLOCK]) for at in range(0, len(data), BLOCK)] or [bytes(32)]
    width = 1
    while width < len(leaves):
        width *= 2
    rows = [leaves + [bytes(32)] * (width - len(leaves))]
    while len(rows[-1]) > 1:
        row = rows[-1]
        rows.append([sha256(row[at], row[at + 1]) for at in range(0, len(row), 2)])
    return rows


def descriptor(kind, data):
    return bytes([kind]) + len(data).to_bytes(8, "big") + levels(data)[-1][0]


def hash_of(described):
    return sha256(b"pelago/content/1", described)


def provider_key(hash_):
    return sha256(b"pelago/provider/1", hash_)


def blocks_of(size):
    return -(-size // BLOCK)


def nodes_at(size, level):
    """Nodes of a level that have content below them."""
    return -(-blocks_of(size) // 2**level)


def proof(data, level, index):
    rows = levels(data)
    siblings = []
    while level < len(rows) - 1:
        if index ^ 1 < nodes_at(len(data), level):
            siblings.append(rows[level][index ^ 1])
        level, index = level + 1, index // 2
    return siblings


# CBOR (RFC 8949) with the shortest numbers and lengths.

class Encoded(bytes):
    """CBOR that is written as it is."""


def longest(number):
    """A number in its longest encoding."""
    return Encoded(b"\x1b" + number.to_bytes(8, "big"))


def head(major, number):
    for extra, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 24:
            return bytes([major << 5 | number])
        if number < 256**size:
            return bytes([major << 5 | extra]) + number.to_bytes(size, "big")
    raise ValueError(number)


def cbor(value):
    if isinstance(value, Encoded):
        return bytes(value)
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(cbor, value))
    return head(5, len(value)) + b"".join(cbor(k) + cbor(v) for k, v in value.items())


def ordered(entry):
    """A map with its keys in the order of their encoded bytes."""
    return dict(sorted(entry.items(), key=lambda item: cbor(item[0])))


def manifest(entries):
    """The manifest of a directory with these entries; `v` is before `entries` as it is shorter."""
    entries = sorted(entries, key=lambda entry: entry["n"].encode())
    return cbor({"v": 1, "entries": [ordered(entry) for entry in entries]})


def frame(message, data=b""):
    body = cbor(message)
    return len(body).to_bytes(4, "big") + body + data


# Section 2: peer ids.

# The public keys of the first two tests of RFC 8032, section 7.1.
PUBLIC_KEYS = [
    bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
    bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"),
]


def peer_id(public_key):
    """The id of an Ed25519 key: an identity multihash of its protobuf."""
    key = b"\x08\x01\x12\x20" + public_key
    return b"\x00" + bytes([len(key)]) + key


def base58(data):
    digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = digits[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def availability_proof(hash_, prover, verifier):
    message = b"pelago/availability/2" + prover + verifier
    return hmac.new(hash_, message, hashlib.sha256).digest()


# Section 12: groups. Ed25519 as in RFC 8032, and X25519 on the same points.

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def point_of(y, sign):
    x2 = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


BASE = point_of(4 * pow(5, -1, P) % P, 0)


def add(one, other):
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c, d = 2 * one[3] * other[3] * D % P, 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(scalar, point):
    product = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            product = add(product, point)
        point, scalar = add(point, point), scalar >> 1
    return product


def compressed(point):
    inverse = pow(point[2], -1, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def scalar_of(seed):
    scalar = int.from_bytes(hashlib.sha512(seed).digest()[:32], "little")
    return scalar & ~(7 | 1 << 255) | 1 << 254


def public_key(seed):
    return compressed(times(scalar_of(seed), BASE))


def signature(seed, message):
    number = lambda *parts: int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % ORDER
    nonce = number(hashlib.sha512(seed).digest()[32:], message)
    first = compressed(times(nonce, BASE))
    challenge = number(first, public_key(seed), message)
    return first + ((nonce + challenge * scalar_of(seed)) % ORDER).to_bytes(32, "little")


def shared_secret(seed, other_key):
    number = int.from_bytes(other_key, "little")
    point = times(scalar_of(seed), point_of(number & (1 << 255) - 1, number >> 255))
    y = point[1] * pow(point[2], -1, P) % P
    return ((1 + y) * pow(1 - y, -1, P) % P).to_bytes(32, "little")


def group_id(root, salt):
    return sha256(b"pelago/group/1", root, salt)


def statement(seed, body):
    """The bytes of a statement, and its id."""
    encoded = cbor(body)
    signed = signature(seed, b"pelago/statement/1" + encoded)
    return cbor({"b": encoded, "s": signed}), sha256(encoded)


# The files.

def contents():
    of = [("zero", 0), ("zero", 1), ("hello", 5), ("zero", 16384), ("zero", 16385), ("zero", 40000),
          ("counting", 49152), ("counting", 65600), ("zero", 65537), ("counting", 300000),
          ("zero", 1048576), ("counting", 1048577)]
    vectors = []
    for pattern, size in of:
        data = content(pattern, size)
        described = descriptor(0, data)
        key = provider_key(hash_of(described))
        vectors.append({
            "content": pattern,
            "size": size,
            "root": levels(data)[-1][0].hex(),
            "descriptor": described.hex(),
            "hash": hash_of(described).hex(),
            "provider_key": (b"\x12\x20" + key).hex(),
        })
    return vectors


def proofs():
    of = [("zero", 0), ("hello", 5), ("zero", 16384), ("zero", 40000), ("counting", 65600),
          ("counting", 300000), ("counting", 1048577)]
    vectors = []
    for pattern, size in of:
        data = content(pattern, size)
        rows = levels(data)
        height = len(rows) - 1
        for level in range(height + 1):
            last = max(nodes_at(size, level), 1) - 1
            for index in sorted({0, last // 2, last}):
                start = min(index * 2**level * BLOCK, size)
                end = min((index + 1) * 2**level * BLOCK, size)
                vectors.append({
                    "content": pattern,
                    "size": size,
                    "level": level,
                    "index": index,
                    "bytes": [start, end],
                    "node": rows[level][index].hex(),
                    "proof": [node.hex() for node in proof(data, level, index)],
                })
    return vectors


def manifests():
    hello, empty = descriptor(0, b"hello"), descriptor(0, b"")
    inner = manifest([{"n": "hello.txt", "f": hello}])
    folder = descriptor(1, inner)
    entries = [
        {"n": "hello.txt", "f": hello},
        {"n": "run", "f": hello, "x": True},
        {"n": "empty", "f": empty},
        {"n": "inner", "d": folder, "b": 5, "c": 1},
        {"n": "link", "l": "inner/hello.txt"},
        {"n": "Straße", "f": hello},
        {"n": "stra\u00dfe", "f": hello},
        {"n": "cafe\u0301", "f": hello},
        {"n": "caf\u00e9", "f": hello},
    ]
    valid = [
        ("a directory without entries", manifest([])),
        ("one file", inner),
        ("entries of each kind; names that some file systems take for the same", manifest(entries)),
    ]
    file = {"f": hello, "n": "a"}

    def of(*entries):
        return cbor({"v": 1, "entries": list(entries)})

    refused = [
        ("entries that do not ascend", of({**file, "n": "b"}, file)),
        ("the same name twice", of(file, file)),
        ("keys in another order", of({"n": "a", "f": hello})),
        ("an unknown key", of({**file, "z": 1})),
        ("another version", cbor({"v": 2, "entries": []})),
        ("a byte behind the map", manifest([]) + b"\0"),
        ("a number that is not in its shortest form", bytes.fromhex("a261761801" "67656e747269657380")),
        ("an array of indefinite length", bytes.fromhex("a2617601" "67656e74726965739fff")),
        ("x that is false", of({**file, "x": False})),
        ("the name ..", of({**file, "n": ".."})),
        ("a name with a slash", of({**file, "n": "a/b"})),
        ("an empty name", of({**file, "n": ""})),
        ("a name of 256 bytes", of({**file, "n": "a" * 256})),
        ("an empty target", of({"l": "", "n": "a"})),
        ("a file with the descriptor of a folder", of({"f": folder, "n": "a"})),
        ("a folder without b and c", of({"d": folder, "n": "a"})),
        ("a file that is also a link", of({"f": hello, "l": "b", "n": "a"})),
    ]
    return {
        "valid": [{
            "what": what,
            "bytes": data.hex(),
            "descriptor": descriptor(1, data).hex(),
            "hash": hash_of(descriptor(1, data)).hex(),
        } for what, data in valid],
        "refused": [{"what": what, "bytes": data.hex()} for what, data in refused],
    }


def links():
    hash_ = hash_of(descriptor(0, b"hello")).hex()
    id_, other_id = (base58(peer_id(key)) for key in PUBLIC_KEYS[:2])
    peer, other = f"/ip4/192.0.2.1/tcp/8080/p2p/{id_}", f"/ip4/192.0.2.2/tcp/8080/p2p/{other_id}"
    start = f"pelago:{hash_}"

    def link(text, name=None, size=None, is_unlisted=False, peers=(), group=None):
        return {"link": text, "hash": hash_, "name": name, "size": size,
                "unlisted": is_unlisted, "group": group, "peers": list(peers)}

    # What a writer makes of the values that follow.
    written = [
        link(start),
        link(f"{start}?name=hello.txt&size=5&peer={peer}", "hello.txt", 5, peers=[peer]),
        link(f"{start}?name=a%20b%2Bc%26d%25%23%C3%BC&unlisted=1", "a b+c&d%#ü", is_unlisted=True),
        link(f"{start}?peer={peer}&peer=host:8080", peers=[peer, "host:8080"]),
        link(f"{start}?peer={peer}&peer=/ip6/::1/tcp/1&peer={other}&peer=/ip6/::2/tcp/1",
             peers=[peer, f"/ip6/::1/tcp/1/p2p/{id_}", other, f"/ip6/::2/tcp/1/p2p/{other_id}"]),
        link(f"{start}?size=5&unlisted=1&group={'0a' * 32}&peer={peer}", None, 5, True, [peer],
             "0a" * 32),
    ]
    # What a reader makes of other texts.
    read = [
        link(f"PELAGO:{hash_.upper()}"),
        link(f"{start}?"),
        link(f"{start}?name=", ""),
        link(f"{start}?name=a+b", "a+b"),
        link(f"{start}?name=über", "über"),
        link(f"{start}?name=a#b", "a"),
        link(f"{start}?name=a%23b", "a#b"),
        link(f"{start}#top"),
        link(f"{start}?size=5#top", size=5),
        link(f"{start}?peer=%2Fip4%2F192.0.2.1", peers=["/ip4/192.0.2.1"]),
        link(f"{start}?peer=nonsense", peers=["nonsense"]),
        link(f"{start}?peer=/ip4/192.0.2.1/tcp/1&peer={peer}&peer=host:1&peer=/ip6/::1/tcp/1/p2p/{other_id}/p2p-circuit",
             peers=["/ip4/192.0.2.1/tcp/1", peer, "host:1", f"/ip6/::1/tcp/1/p2p/{other_id}/p2p-circuit/p2p/{id_}"]),
        link(f"{start}?unlisted=0"),
        link(f"{start}?unlisted", is_unlisted=True),
        link(f"{start}?unlisted=no", is_unlisted=True),
        link(f"{start}?unlisted=0&unlisted=1", is_unlisted=True),
        link(f"{start}?colour=blue&&size=18446744073709551615", size=2**64 - 1),
    ]
    refused = [
        ("another scheme", f"http:{hash_}"),
        ("no hash", "pelago:"),
        ("63 digits", start[:-1]),
        ("65 digits", start + "0"),
        ("a digit that is not hexadecimal", start[:-1] + "g"),
        ("a slash before the hash", f"pelago:/{hash_}"),
        ("two names", start + "?name=a&name=a"),
        ("two sizes", start + "?size=1&size=1"),
        ("a size that is not a number", start + "?size=5kB"),
        ("a size with a sign", start + "?size=+5"),
        ("an empty size", start + "?size="),
        ("a size of 2^64", start + "?size=18446744073709551616"),
        ("a percent sign without two digits", start + "?name=100%"),
        ("bytes that are not UTF-8", start + "?name=%FF"),
        ("a name of 1,025 bytes", start + "?name=" + "a" * 1025),
        ("a group of 63 digits", start + "?group=" + "a" * 63),
        ("two groups", start + f"?group={'0a' * 32}&group={'0a' * 32}"),
        ("65 peers", start + "?" + "&".join(["peer=a"] * 65)),
        ("8,193 bytes", (start + "?ignored=").ljust(8193, "a")),
    ]
    return {
        "written": written,
        "read": read,
        "refused": [{"what": what, "link": text} for what, text in refused],
    }


def availability():
    hash_ = hash_of(descriptor(0, b"hello"))
    subscriber, responder = map(peer_id, PUBLIC_KEYS)
    return [{
        "hash": hash_.hex(),
        "subscriber": {"text": base58(one), "bytes": one.hex()},
        "responder": {"text": base58(other), "bytes": other.hex()},
        "k": provider_key(hash_).hex(),
        "m_of_subscriber": availability_proof(hash_, one, other).hex(),
        "m_of_responder": availability_proof(hash_, other, one).hex(),
    } for one, other in [(subscriber, responder), (responder, subscriber)]]


def groups():
    anna, bert, invite, node, other_node = (bytes([number]) * 32 for number in range(1, 6))
    root, user, salt = public_key(anna), public_key(bert), bytes(range(16))
    group, via, peer = group_id(root, salt), public_key(invite), public_key(node)
    consent = signature(node, b"pelago/node/1" + user)
    asked = signature(invite, b"pelago/invite/1" + group + user)
    entry = {"a": root, "g": group, "i": True, "n": 1, "u": user}
    bodies = [
        ("a user with one node", bert,
         {"user": {"d": "bert", "n": 1, "p": [{"c": consent, "p": peer}], "u": user}}),
        ("a founded group", anna, {"group": {"a": root, "d": "family", "n": 1, "s": salt}}),
        ("a user who is in", anna, {"entry": {**entry, "v": via}}),
        ("a user who is an owner", anna,
         {"entry": {"a": root, "g": group, "i": True, "n": 1, "o": "now", "r": 1, "u": user, "v": via}}),
        ("a user who is out", anna, {"entry": {**entry, "i": False, "n": 2}}),
        ("an open invite", anna,
         {"invite": {"a": root, "g": group, "m": "auto", "o": True, "v": via}}),
        ("a user who leaves", bert, {"leave": {"g": group, "n": 2, "u": user}}),
        ("a request to join", bert,
         {"request": {"c": asked, "g": group, "m": "it is me", "u": user, "v": via}}),
    ]
    valid = [(what, *statement(seed, body)) for what, seed, body in bodies]
    refused = [
        ("an entry that another user signed", statement(bert, {"entry": entry})[0]),
        ("number 0", statement(anna, {"entry": {**entry, "n": 0}})[0]),
        ("a number above 2^53", statement(anna, {"entry": {**entry, "n": 2**53 + 1}})[0]),
        ("a number that is not in its shortest form",
         statement(anna, {"entry": {**entry, "n": longest(1)}})[0]),
        ("an unknown key", statement(anna, {"entry": {**entry, "z": 1}})[0]),
        ("an unknown kind", statement(anna, {"vote": entry})[0]),
        ("an owner who is out", statement(anna, {"entry": {
            "a": root, "g": group, "i": False, "n": 1, "o": "now", "r": 1, "u": user}})[0]),
        ("a node that has not agreed", statement(bert, {"user": {
            "d": "bert", "n": 1, "p": [{"c": consent, "p": public_key(other_node)}], "u": user}})[0]),
        ("a name with a line break", statement(anna, {"group": {
            "a": root, "d": "fam\nily", "n": 1, "s": salt}})[0]),
        ("a byte behind the statement", valid[0][1] + b"\0"),
    ]
    pair = [(node, other_node), (other_node, node)]
    return {
        "id": {"root": root.hex(), "salt": salt.hex(), "id": group.hex()},
        "valid": [{"what": what, "bytes": data.hex(), "id": id_.hex()} for what, data, id_ in valid],
        "refused": [{"what": what, "bytes": data.hex()} for what, data in refused],
        "rendezvous": [{
            "seed": one.hex(),
            "other": public_key(two).hex(),
            "announces": sha256(b"pelago/rendezvous/1", shared_secret(one, public_key(two)),
                                public_key(one)).hex(),
            "looks_up": sha256(b"pelago/rendezvous/1", shared_secret(one, public_key(two)),
                               public_key(two)).hex(),
        } for one, two in pair],
    }


def frames():
    zeros = content("zero", 40000)
    described = descriptor(0, zeros)
    hash_, key = hash_of(described), provider_key(hash_of(described))
    subscriber, responder = map(peer_id, PUBLIC_KEYS)
    address = bytes.fromhex("04c000020106" "1f90" "a503") + bytes([len(subscriber)]) + subscriber
    item = {"h": hash_, "l": 0, "i": 2}
    last = zeros[2 * BLOCK:]
    siblings = b"".join(proof(zeros, 0, 2))
    empty = descriptor(0, b"")

    def vector(what, kind, data):
        return {"what": what, "kind": kind, "bytes": data.hex()}

    group = bytes(range(32))
    # Each is the one form in which Pelago writes the message.
    written = [
        vector("block 2 of 40,000 zero bytes", "chunk request", frame({"i": [item]})),
        vector("its node alone, and the whole content", "chunk request",
               frame({"i": [{**item, "n": True}, {"h": hash_, "l": 2, "i": 0}]})),
        vector("the data of block 2; 7,232 bytes follow", "chunk answer",
               frame({"s": 0, "d": described, "p": siblings, "b": len(last)}, last)),
        vector("the node of block 2", "chunk answer",
               frame({"s": 0, "d": described, "p": siblings, "t": levels(zeros)[0][2]})),
        vector("empty content", "chunk answer", frame({"s": 0, "d": empty, "p": b"", "b": 0})),
        vector("absent", "chunk answer", frame({"s": 1})),
        vector("out of range", "chunk answer", frame({"s": 2})),
        vector("busy for half a second", "chunk answer", frame({"s": 3, "r": 500})),
        vector("changed", "chunk answer", frame({"s": 4})),
        vector("malformed", "chunk answer", frame({"s": 5})),
        vector("a subscription", "availability request",
               frame({"k": key, "m": availability_proof(hash_, subscriber, responder)})),
        vector("a subscription in a group", "availability request",
               frame({"k": key, "m": availability_proof(hash_, subscriber, responder), "g": group})),
        vector("a first update in a group: all blocks are here", "availability update",
               frame({"d": described, "l": 0, "r": [0, 3],
                      "m": availability_proof(hash_, responder, subscriber), "g": group})),
        vector("absent", "availability update", frame({"l": 0})),
        vector("a first update: blocks 0 and 2 are here, block 2 is suggested", "availability update",
               frame({"d": described, "n": "zeros", "l": 0, "r": [0, 1, 2, 3], "p": [address],
                      "s": [2, 3], "e": True, "m": availability_proof(hash_, responder, subscriber)})),
        vector("a further update: block 1", "availability update",
               frame({"d": described, "l": 0, "r": [1, 2]})),
        vector("everything", "catalogue request", frame({})),
        vector("two words, on from a page", "catalogue request",
               frame({"q": "sea shanty", "c": b"\1\2\3"})),
        vector("a page with one file and one folder, and more to come", "catalogue page",
               frame({"e": [{"h": hash_, "n": "zeros", "k": 0, "s": 40000},
                            {"h": hash_of(descriptor(1, manifest([]))), "n": "folder", "k": 1, "s": 0}],
                      "c": b"\1\2\3"})),
        vector("the last page", "catalogue page", frame({"e": []})),
        vector("the catalogue of a group", "catalogue request", frame({"g": group})),
        vector("the last page of it", "catalogue page", frame({"e": [], "g": group})),
        vector("a sync", "group request", frame({"g": group, "d": bytes(32), "r": 7})),
        vector("a delivery", "group request", frame({"g": group, "d": bytes(32), "s": [b"one", b"two"]})),
        vector("a request to join that a member passes on", "group request",
               frame({"g": group, "s": [b"request", b"profile"], "j": True, "o": 9})),
        vector("nothing", "group answer", frame({})),
        vector("nothing, and why", "group answer", frame({"s": [b"out"]})),
        vector("what the responder holds", "group answer", frame({"d": bytes(32), "r": 7})),
        vector("accepted", "group answer", frame({"s": [b"in"], "j": 1})),
        vector("ids", "group batch", frame({"i": bytes(64)})),
        vector("statements and wishes", "group batch",
               frame({"w": bytes(32), "m": True}) + frame({"s": [b"one"]})),
    ]
    # What a reader accepts beside the written form. `as` is the written form of the same message.
    item_frame = frame({"i": [item]})
    update = {"d": described, "l": 0, "r": [0, 3]}
    read = [
        ("an unknown key", "chunk request", frame({"z": 1, "i": [item]}), item_frame),
        ("l and i left out: both are 0", "chunk request", frame({"i": [{"h": hash_}]}),
         frame({"i": [{"h": hash_, "l": 0, "i": 0}]})),
        ("numbers in their longest encoding", "chunk request",
         frame({"i": [{"h": hash_, "l": longest(0), "i": longest(2)}]}), item_frame),
        ("n that is false", "chunk request", frame({"i": [{**item, "n": False}]}), item_frame),
        ("a byte behind the map", "chunk request", bytes([0, 0, 0, item_frame[3] + 1]) + item_frame[4:] + b"\0",
         item_frame),
        ("p left out where it is empty", "chunk answer", frame({"s": 0, "d": empty, "b": 0}),
         frame({"s": 0, "d": empty, "p": b"", "b": 0})),
        ("busy without r", "chunk answer", frame({"s": 3}), frame({"s": 3, "r": 0})),
        ("busy for more than a minute: a minute", "chunk answer", frame({"s": 3, "r": 3_600_000}),
         frame({"s": 3, "r": 60_000})),
        ("runs in units of 2^1 blocks, cut off at the end", "availability update",
         frame({"d": described, "l": 1, "r": [0, 2]}), frame(update)),
        ("runs that reach past the end", "availability update",
         frame({"d": described, "r": [0, 9], "s": [1, 9]}), frame({**update, "s": [1, 3]})),
        ("a name hint of 256 bytes: no hint", "availability update",
         frame({**update, "n": "a" * 256}), frame(update)),
        ("p that is empty", "availability update", frame({**update, "p": []}), frame(update)),
        ("r left out: 0", "group answer", frame({"d": bytes(32)}), frame({"d": bytes(32)})),
        ("an entry of an unknown kind is left out", "catalogue page",
         frame({"e": [{"h": hash_, "n": "a", "k": 2, "s": 1}]}), frame({"e": []})),
    ]
    refused = [
        ("no items", "chunk request", frame({"i": []})),
        ("257 items", "chunk request", frame({"i": [{"h": hash_}] * 257})),
        ("a hash of 3 bytes", "chunk request", frame({"i": [{"h": b"abc"}]})),
        ("level 300", "chunk request", frame({"i": [{"h": hash_, "l": 300}]})),
        ("index -1", "chunk request", frame({"i": [{"h": hash_, "i": -1}]})),
        ("a longer frame than 32 KiB", "chunk request", (32 * 1024 + 1).to_bytes(4, "big")),
        ("an unknown status", "chunk answer", frame({"s": 6})),
        ("ok without a descriptor", "chunk answer", frame({"s": 0, "b": 0})),
        ("ok with neither data nor node", "chunk answer", frame({"s": 0, "d": empty})),
        ("a proof that ends inside a node", "chunk answer",
         frame({"s": 0, "d": described, "p": bytes(33), "b": 0})),
        ("a longer frame than 2 KiB", "chunk answer", (2 * 1024 + 1).to_bytes(4, "big")),
        ("a key of 31 bytes", "availability request", frame({"k": bytes(31), "m": bytes(32)})),
        ("a group of 31 bytes", "availability request",
         frame({"k": key, "m": bytes(32), "g": bytes(31)})),
        ("a group of 33 bytes", "catalogue request", frame({"g": bytes(33)})),
        ("a request without m", "availability request", frame({"k": key})),
        ("a run without an end", "availability update", frame({"d": described, "r": [0]})),
        ("an empty run", "availability update", frame({"d": described, "r": [1, 1]})),
        ("adjacent runs", "availability update", frame({"d": described, "r": [0, 1, 1, 2]})),
        ("runs that descend", "availability update", frame({"d": described, "r": [2, 3, 0, 1]})),
        ("a run wholly past the end", "availability update", frame({"d": described, "r": [3, 4]})),
        ("a suggested run wholly past the end", "availability update",
         frame({"d": described, "s": [3, 4]})),
        ("33 addresses", "availability update", frame({"d": described, "p": [address] * 33})),
        ("an address that is not a multiaddr", "availability update",
         frame({"d": described, "p": [b"\xff"]})),
        ("a query of 257 bytes", "catalogue request", frame({"q": "a" * 257})),
        ("a cursor that is text", "catalogue request", frame({"c": "abc"})),
        ("a page of 257 entries", "catalogue page",
         frame({"e": [{"h": hash_, "n": "a", "k": 0, "s": 1}] * 257})),
        ("a request without a group", "group request", frame({"d": bytes(32)})),
        ("a delivery without a digest", "group request", frame({"g": group, "s": [b"one"]})),
        ("a request to join without a profile", "group request",
         frame({"g": group, "s": [b"request"], "j": True})),
        ("a statement of 2,145 bytes", "group request",
         frame({"g": group, "d": bytes(32), "s": [bytes(2145)]})),
        ("an unknown outcome", "group answer", frame({"j": 6})),
        ("a longer frame than 64 KiB", "group answer", (64 * 1024 + 1).to_bytes(4, "big")),
        ("a part of an id", "group batch", frame({"i": bytes(33)})),
        ("an empty part that is not the last", "group batch", frame({"m": True})),
        ("a name of 1,025 bytes", "catalogue page",
         frame({"e": [{"h": hash_, "n": "a" * 1025, "k": 0, "s": 1}]})),
    ]
    return {
        "written": written,
        "read": [{**vector(what, kind, data), "as": same.hex()} for what, kind, data, same in read],
        "refused": [vector(what, kind, data) for what, kind, data in refused],
    }


def main():
    is_check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not is_check:
        sys.exit(__doc__)
    files = {"content": contents(), "proofs": proofs(), "manifests": manifests(), "links": links(),
             "availability": availability(), "groups": groups(), "frames": frames()}
    FOLDER.mkdir(exist_ok=True)
    for name, vectors in files.items():
        path = FOLDER / f"{name}.json"
        text = json.dumps(vectors, indent=1, ensure_ascii=False) + "\n"
        if not is_check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            sys.exit(f"{path} differs from what {sys.argv[0]} writes: run it without --check")


if __name__ == "__main__":
    main()
