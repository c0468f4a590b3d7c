#![allow(missing_docs, dead_code, unused)]
use super::*;
use pelago_content::*;
use std::{io, path::PathBuf, sync::Arc};
#[derive(Clone, Debug)]
pub struct FolderSpec {
    pub descriptor: Descriptor,
    pub target: PathBuf,
    pub name: String,
    pub scopes: Scopes,
    pub resume_on_start: bool,
    pub only: Vec<String>,
}
pub struct PartialFolder;
pub struct FinishedFolder {
    pub path: PathBuf,
}
impl PartialFolder {
    pub fn create_or_resume(
        store: &Store,
        spec: FolderSpec,
        listing: Arc<Listing>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Arc<Self>, PartialError> {
        unreachable!()
    }
    pub fn sequence(&self) -> &Arc<Sequence> {
        unreachable!()
    }
    pub fn wanted(&self) -> BlockRanges {
        unreachable!()
    }
    pub fn verified(&self) -> BlockRanges {
        unreachable!()
    }
    pub fn descriptor_of(&self, file: usize) -> Descriptor {
        unreachable!()
    }
    pub fn write(
        &self,
        file: usize,
        chunk: Chunk,
        data: &[u8],
        proof: &[Node],
    ) -> Result<(), WriteError> {
        unreachable!()
    }
    pub fn finish(&self, options: FinishOptions) -> Result<FinishedFolder, FinishError> {
        unreachable!()
    }
}
impl Store {
    pub fn partial_folders(&self) -> io::Result<Vec<FolderSpec>> {
        Ok(Vec::new())
    }
}
