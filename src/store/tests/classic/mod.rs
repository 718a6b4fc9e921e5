//! The chunks of the classic dialects: what every test of them needs, and the tests by theme.

mod chunks;
mod crash;
mod digests;
mod join;
mod outside;
mod records;

use super::*;
use crate::core::{ClassicJob, ClassicReply, ConnId, FaultKind, SpoolId};
use crate::store::{ClassicRecords, ClassicStore};
use crate::wire::classic::ChunkName;
use crate::wire::classic::records::DictionaryShape;

const CONN: ConnId = ConnId { slot: 3, generation: 1 };

impl Place {
    fn chunks(&self) -> PathBuf {
        self.path("chunks")
    }

    fn in_chunks(&self, name: &str) -> PathBuf {
        self.chunks().join(name)
    }

    fn records(&self) -> ClassicRecords {
        ClassicRecords {
            available: Some(self.path("Available_Chunks.txt")),
            unlisted: None,
            dictionary: self.path("The_Content_Dictionary.txt"),
            shape: DictionaryShape::Addresses,
        }
    }

    /// Chunks that lie in the folder are those that are kept.
    fn classic(&self) -> StoreConfig {
        let classic = ClassicStore { chunk_dir: self.chunks(), records: None, remove_joined: false };
        StoreConfig { classic: Some(classic), ..self.config() }
    }

    /// Chunks that are kept are in the record.
    fn recorded(&self) -> StoreConfig {
        let classic =
            ClassicStore { chunk_dir: self.chunks(), records: Some(self.records()), remove_joined: false };
        StoreConfig { classic: Some(classic), ..self.config() }
    }

    fn open_classic(&self) -> Session {
        self.open_as(self.classic(), None)
    }

    /// Names in the folder of the chunks, hidden ones too, in order.
    fn chunk_listing(&self) -> Vec<String> {
        listing(&self.chunks())
    }

    /// Puts a chunk there as if it had come earlier.
    fn put_chunk(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.chunks()).unwrap();
        fs::write(self.in_chunks(name), bytes).unwrap();
    }

    /// Cuts the bytes in five chunks and puts them there.
    fn put_five(&self, stem: &str, bytes: &[u8]) -> Vec<ChunkName> {
        let pieces = bytes.chunks(bytes.len().div_ceil(5)).enumerate();
        let names = pieces.map(|(at, piece)| {
            let text = format!("{stem}_{}", at + 1);
            self.put_chunk(&text, piece);
            name(&text)
        });
        names.collect()
    }
}

impl Session {
    fn job(&mut self, job: ClassicJob) -> Vec<ClassicReply> {
        let replies = self.submit(StoreJob::Classic(job));
        classic(replies)
    }

    fn list(&mut self) -> Vec<(String, u64)> {
        kept(self.job(ClassicJob::List))
    }

    fn keep(&mut self, spool: u32, text: &str, bytes: &[u8]) -> Vec<ClassicReply> {
        self.store.write_spool(SpoolId(spool), bytes);
        self.job(ClassicJob::KeepSpool { spool: SpoolId(spool), name: name(text), skip: 0 })
    }

    fn open_chunk(&mut self, conn: ConnId, text: &str) -> Option<u64> {
        match &self.job(ClassicJob::OpenChunk { conn, name: name(text) })[..] {
            [ClassicReply::ChunkOpened { conn: told, bytes }] if *told == conn => *bytes,
            other => panic!("{other:?}"),
        }
    }

    fn span_bytes(&mut self, conn: ConnId) -> Result<Vec<u8>, SpanFault> {
        let mut bytes = vec![0; 4 << 20];
        let read = self.store.read_span(SpanSource::Kept(conn), &mut bytes, 0)?.unwrap();
        bytes.truncate(read);
        Ok(bytes)
    }

    fn merge(&mut self, file: &str, chunks: &[ChunkName]) -> Result<(PathBuf, u64), Fault> {
        let (file, chunks) = (file.to_owned(), chunks.to_vec());
        let mut replies = self.job(ClassicJob::Merge { ticket: 7, file, chunks });
        while replies.is_empty() {
            self.woken.recv_timeout(WAIT_MAX).unwrap();
            replies = classic(self::replies(self.run()));
        }
        match replies.remove(0) {
            ClassicReply::Merged { ticket: 7, path, bytes } => Ok((path, bytes)),
            ClassicReply::MergeFailed { ticket: 7, fault } => Err(fault),
            other => panic!("{other:?}"),
        }
    }
}

fn name(text: &str) -> ChunkName {
    ChunkName::parse(text).unwrap()
}

fn names(texts: &[&str]) -> Vec<ChunkName> {
    texts.iter().map(|text| name(text)).collect()
}

fn classic(replies: Vec<StoreReply>) -> Vec<ClassicReply> {
    let of = |reply| if let StoreReply::Classic(reply) = reply { Some(reply) } else { None };
    replies.into_iter().filter_map(of).collect()
}

/// The one list of kept chunks among the replies.
fn kept(replies: Vec<ClassicReply>) -> Vec<(String, u64)> {
    match &replies[..] {
        [ClassicReply::Kept { chunks }] => {
            chunks.iter().map(|(name, bytes)| (name.to_string(), *bytes)).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn pairs(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
    pairs.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect()
}

fn listing(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
