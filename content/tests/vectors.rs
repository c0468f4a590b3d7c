//! The published vectors, and the attack because of which a bare root is not a name of content.

use pelago_content::{
    Builder, Descriptor, Geometry, Hasher, Kind, Node, ProofError, STORED_LEVEL, leaf, parent,
    subtree, verify, verify_node,
};

/// All zeroes.
fn zero(_: usize) -> u8 {
    0
}

/// Byte i is i mod 251.
fn counting(at: usize) -> u8 {
    (at % 251) as u8
}

/// A size, the content's bytes, its root and its hash.
type Vector = (usize, fn(usize) -> u8, &'static str, &'static str);

/// libtorrent computes the same roots.
const VECTORS: [Vector; 9] = [
    (
        0,
        zero,
        "0000000000000000000000000000000000000000000000000000000000000000",
        "d3a73dbb60af7a6640fe82a8964e44b4cc2d3bf054803efd5ee4e8a721a79c8d",
    ),
    (
        1,
        zero,
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "4b2ab3d7cef38be52344d00056f7211a8ee3cb5f9b38f36c13720c98d5a28fb5",
    ),
    (
        16384,
        zero,
        "4fe7b59af6de3b665b67788cc2f99892ab827efae3a467342b3bb4e3bc8e5bfe",
        "dbd168b1a570b56e05347188e30edeccfb26a14bd84c8bd1fbae0f0ef4d75bf9",
    ),
    (
        16385,
        zero,
        "477e14ff3453ec4ec3855f8753cb07288aade5618a473ccc2ab1208886e460ec",
        "c0475627a1c2bdf046b08d9ccf8937d521eaff51bdd7e19865b27248f6f10397",
    ),
    (
        65537,
        zero,
        "5237ab44f83ac2e214b8c1e1627f18e5d50caed1c8ead9b66770c15b7ee609c7",
        "bbc12d7d3e4f98c7a53bec3f1d0a5f2509e0fb61a56e6144cba9cbbaf7e65868",
    ),
    (
        1_048_576,
        zero,
        "515ea9181744b817744ded9d2e8e9dc6a8450c0b0c52e24b5077f302ffbd9008",
        "d0c8095cc0db36ed29940cfd01a78a82433ea09e8cd6b404169ea5588b4f3e32",
    ),
    (
        49152,
        counting,
        "c23d35ec942288a7d9b58d1d0446a76104660b7c72e5cf39f38bddb028ff8ca0",
        "2105123eab9db103d100bb3b8a2b9901da819e41da3430eb9af461bbfcf634a5",
    ),
    (
        65600,
        counting,
        "2b2c17c5fe414b8ca3cd6e7a6c775c4ee0cf983839dcbca54b4c28094bd7d3c9",
        "70c324c63c385a8cb5c1f10fedfe874bef6e7f6fa6d1be644eefd71622ae7df8",
    ),
    (
        300_000,
        counting,
        "1c5fb49bf57e0e945d9428a1798ddc8acc5dc57e19aa0c9bb1ed90e9b7885ee1",
        "6381fa85a3a4a584c94a23d96806358f50f96970a526247fed9343a96e00df3b",
    ),
];

fn hex(node: Node) -> String {
    node.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_hasher_computes_the_vectors() {
    for (size, byte, root, hash) in VECTORS {
        let data: Vec<u8> = (0..size).map(byte).collect();
        let mut hasher = Hasher::new(Kind::File);
        hasher.update(&data);
        let descriptor = hasher.finish().unwrap();
        assert_eq!(descriptor.size(), size as u64);
        assert_eq!(hex(descriptor.root()), root, "root of {size} bytes");
        assert_eq!(descriptor.hash().to_string(), hash, "hash of {size} bytes");
    }
}

#[test]
fn runs_of_256_kib_and_the_builder_compute_the_vectors() {
    for (size, byte, root, _) in VECTORS {
        let data: Vec<u8> = (0..size).map(byte).collect();
        let geometry = Geometry::new(size as u64);
        let mut builder = Builder::new(STORED_LEVEL);
        for index in 0..geometry.chunks(STORED_LEVEL) {
            let chunk = geometry.chunk(STORED_LEVEL, index).unwrap();
            let bytes = chunk.bytes(geometry);
            let run = &data[bytes.start as usize..bytes.end as usize];
            builder.push(subtree(run, chunk.level()), &mut |_, _, _| {});
        }
        let built = builder.finish(size as u64, &mut |_, _, _| {}).unwrap();
        assert_eq!(hex(built), root, "root of {size} bytes");
    }
}

/// Content of two blocks, and a file of 64 bytes with their hashes: the leaf of the file is
/// computed from the same bytes as the root of the content.
#[test]
fn a_file_of_two_hashes_is_not_the_file_they_came_from() {
    let original: Vec<u8> = (0..32 * 1024).map(counting).collect();
    let (left, right) = original.split_at(16 * 1024);
    let confusing = [leaf(left), leaf(right)].concat();

    let describe = |data: &[u8]| {
        let mut hasher = Hasher::new(Kind::File);
        hasher.update(data);
        hasher.finish().unwrap()
    };
    let (long, short) = (describe(&original), describe(&confusing));
    assert_eq!(long.root(), short.root());
    assert_eq!(long.root(), parent(&leaf(left), &leaf(right)));
    assert_ne!(long.hash(), short.hash());

    let whole = |descriptor: &Descriptor| descriptor.geometry().chunk(u8::MAX, 0).unwrap();
    assert_eq!(verify(&long, whole(&long), &original, &[]), Ok(()));
    assert_eq!(verify(&short, whole(&short), &confusing, &[]), Ok(()));
    let error = Err(ProofError::Data {
        expected: 32 * 1024,
        found: 64,
    });
    assert_eq!(verify(&long, whole(&long), &confusing, &[]), error);
    let error = Err(ProofError::Data {
        expected: 64,
        found: 32 * 1024,
    });
    assert_eq!(verify(&short, whole(&short), &original, &[]), error);

    // The short file has neither a second block nor a proof.
    let first = long.geometry().chunk(0, 0).unwrap();
    assert_eq!(verify(&long, first, left, &[leaf(right)]), Ok(()));
    let error = Err(ProofError::Length {
        expected: 0,
        found: 1,
    });
    assert_eq!(
        verify_node(&short, first, leaf(left), &[leaf(right)]),
        error
    );
    let second = long.geometry().chunk(0, 1).unwrap();
    assert!(matches!(
        verify(&short, second, right, &[leaf(left)]),
        Err(ProofError::OutOfRange(_))
    ));
}
