//! The encoding of rows: CBOR.

/// Encodes a row.
pub(crate) fn encode<T: serde::Serialize>(row: &T) -> Result<Vec<u8>, redb::Error> {
    cbor4ii::serde::to_vec(Vec::new(), row)
        .map_err(|error| redb::Error::Corrupted(format!("a row that cannot be encoded: {error}")))
}

/// Decodes a row of the table called `table`.
pub(crate) fn decode<'a, T: serde::Deserialize<'a>>(
    table: &str,
    row: &'a [u8],
) -> Result<T, redb::Error> {
    cbor4ii::serde::from_slice(row)
        .map_err(|error| redb::Error::Corrupted(format!("a damaged row in {table}: {error}")))
}
