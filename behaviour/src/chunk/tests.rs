use futures::{executor::block_on, io::Cursor};

use super::*;

/// A request with one item, whose level and index are these bytes of CBOR.
fn request(level: &[u8], index: &[u8]) -> Result<Option<Vec<Item>>, FrameError> {
    let hash = [&[0x58, 32][..], &[7; 32]].concat();
    let item = [
        &[0xa3, 0x61, b'h'],
        &hash[..],
        &[0x61, b'l'],
        level,
        &[0x61, b'i'],
        index,
    ];
    let map = [&[0xa1, 0x61, b'i', 0x81][..], &item.concat()].concat();
    let frame = [&(map.len() as u32).to_be_bytes()[..], &map].concat();
    block_on(read_request(&mut Cursor::new(frame)))
}

/// Every encoding of a number that CBOR allows, the shortest first.
fn encodings(number: u8) -> [Vec<u8>; 5] {
    [
        vec![number],
        vec![0x18, number],
        vec![0x19, 0, number],
        vec![0x1a, 0, 0, 0, number],
        vec![0x1b, 0, 0, 0, 0, 0, 0, 0, number],
    ]
}

#[test]
fn level_and_index_may_have_any_valid_encoding() {
    for level in encodings(4) {
        for index in encodings(9) {
            let items = request(&level, &index).unwrap().unwrap();
            assert_eq!(
                (items[0].level, items[0].index),
                (4, 9),
                "{level:?} {index:?}"
            );
        }
    }
}

#[test]
fn a_level_out_of_range_and_a_negative_index_are_malformed() {
    for (level, index) in [
        (&[0x19, 1, 44][..], &[0][..]),
        (&[0], &[0x20]),
        (&[0x20], &[0]),
    ] {
        let read = request(level, index);
        assert!(matches!(read, Err(FrameError::Malformed(_))), "{read:?}");
    }
}
