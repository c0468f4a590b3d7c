//! The encoding of rows: CBOR.

use cbor4ii::{
    core::{dec::Read, utils::SliceReader},
    serde::Deserializer,
};

/// Encodes a row.
pub(crate) fn encode<T: serde::Serialize>(row: &T) -> Result<Vec<u8>, redb::Error> {
    cbor4ii::serde::to_vec(Vec::new(), row)
        .map_err(|error| redb::Error::Corrupted(format!("a row that cannot be encoded: {error}")))
}

/// Decodes a row of the table called `table`. All of it: bytes behind the value show that it is
/// damaged.
pub(crate) fn decode<'a, T: serde::Deserialize<'a>>(
    table: &str,
    row: &'a [u8],
) -> Result<T, redb::Error> {
    let damaged =
        |what: String| redb::Error::Corrupted(format!("a damaged row in {table}: {what}"));
    decode_whole(row).map_err(damaged)
}

/// Decodes what the disk holds in CBOR, from rows and from files; `None` if it is damaged, or has bytes
/// behind its value.
#[must_use]
pub fn decode_row<'a, T: serde::Deserialize<'a>>(row: &'a [u8]) -> Option<T> {
    decode_whole(row).ok()
}

fn decode_whole<'a, T: serde::Deserialize<'a>>(row: &'a [u8]) -> Result<T, String> {
    let mut deserializer = Deserializer::new(SliceReader::new(row));
    let value = T::deserialize(&mut deserializer).map_err(|error| error.to_string())?;
    let mut rest = deserializer.into_inner();
    match rest.fill(1) {
        Ok(rest) if rest.as_ref().is_empty() => Ok(value),
        _ => Err("it has bytes behind its value".to_owned()),
    }
}
