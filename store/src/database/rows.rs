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
    let mut deserializer = Deserializer::new(SliceReader::new(row));
    let value = T::deserialize(&mut deserializer).map_err(|error| damaged(error.to_string()))?;
    let mut rest = deserializer.into_inner();
    match rest.fill(1) {
        Ok(rest) if rest.as_ref().is_empty() => Ok(value),
        _ => Err(damaged("it has bytes behind its value".to_owned())),
    }
}
