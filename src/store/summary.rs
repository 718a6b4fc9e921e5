//! What a download among neighbours writes beside its target: a summary of the chunks that are here and where each came
//! from, and each chunk as a file of its own, when that is wanted.
//!
//! The summary takes the place of the one before in one step. Knows neither peers nor when to write.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::core::{Fault, FaultKind};
use crate::store::fault;
use crate::store::fs::{File, Fs, FsResult, Make};
use crate::types::{ContentId, Geometry};

/// The most bytes of a file name.
const FILE_NAME_BYTES_MAX: usize = 255;
/// What the names of these files end in; the last is that of a summary that is being written.
const ENDINGS: [&str; 3] = [".chunks", ".summary.json", ".summary.json.new"];
/// A summary that was left by a run before and is larger than this is not read.
const SUMMARY_BYTES_MAX: u64 = 512 << 20;

/// Where a chunk came from, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The address of the peer.
    pub peer: String,
    /// Its user name.
    pub user: String,
    /// What it is to this peer: `owner` or `neighbour`.
    pub part: String,
}

/// A chunk that is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    chunk: u32,
    /// The BLAKE3 hash of its bytes.
    id: ContentId,
    /// `None`: it was here before, and nobody knows.
    from: Option<Origin>,
}

/// The whole file.
#[derive(Debug, Serialize, Deserialize)]
struct Text {
    id: ContentId,
    name: String,
    size: u64,
    chunk_bytes: u32,
    chunks: u32,
    have: u32,
    complete: bool,
    held: Vec<Held>,
}

/// The summary of one download, and its chunk files.
#[derive(Debug)]
pub struct Summary {
    fs: Fs,
    path: PathBuf,
    folder: File,
    name: String,
    content: ContentId,
    cut: Geometry,
    held: BTreeMap<u32, Held>,
    /// Where chunks came from in a run before.
    before: BTreeMap<u32, Origin>,
    /// The folder of the chunk files.
    chunk_folder: Option<File>,
    dirty: bool,
}

impl Summary {
    /// The summary of a content that goes to the folder `dir` under the file name `name`. Remembers of the one that is there
    /// where chunks came from. With `keep_chunks` there will be a folder of chunks, too.
    pub fn open(
        dir: &Path,
        name: &str,
        content: ContentId,
        cut: Geometry,
        keep_chunks: bool,
    ) -> Result<Summary, Fault> {
        let fs = Fs::new();
        let mut end = name.len().min(FILE_NAME_BYTES_MAX - ENDINGS[2].len());
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        let name = name[..end].to_owned();
        let failed = |path: &Path, errno| fault::writing("write", path, errno);
        let folder = fs.open_folder(dir).map_err(|errno| failed(dir, errno))?;
        let chunk_path = dir.join(format!("{name}{}", ENDINGS[0]));
        let chunk_folder = match keep_chunks {
            true => Some(open_or_make(&fs, &chunk_path).map_err(|errno| failed(&chunk_path, errno))?),
            false => None,
        };
        let path = dir.join(format!("{name}{}", ENDINGS[1]));
        let mut summary = Summary {
            fs,
            path,
            folder,
            name,
            content,
            cut,
            held: BTreeMap::new(),
            before: BTreeMap::new(),
            chunk_folder,
            dirty: true,
        };
        summary.before = summary.read().unwrap_or_default();
        Ok(summary)
    }

    /// A chunk is here, and these are its bytes. `None`: it came from where it was said before, if that is known.
    pub fn add(&mut self, chunk: u32, bytes: &[u8], from: Option<Origin>) -> Result<(), Fault> {
        let id = ContentId(*blake3::hash(bytes).as_bytes());
        let told = || self.held.get(&chunk).and_then(|held| held.from.clone());
        let from = from.or_else(told).or_else(|| self.before.get(&chunk).cloned());
        self.held.insert(chunk, Held { chunk, id, from });
        self.dirty = true;
        let Some(folder) = &self.chunk_folder else { return Ok(()) };
        let (name, draft) = (chunk.to_string(), format!(".{chunk}.new"));
        let written = self.replace(folder, &name, &draft, bytes);
        written.map_err(|errno| fault::writing("write a chunk beside", &self.path, errno))
    }

    /// Whether [`Summary::write`] has something new to write.
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// How many chunks it tells of.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether it tells of no chunk.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Writes the summary in place of the one before.
    pub fn write(&mut self) -> Result<(), Fault> {
        let have = u32::try_from(self.held.len()).unwrap_or(u32::MAX);
        let text = Text {
            id: self.content,
            name: self.name.clone(),
            size: self.cut.size_bytes(),
            chunk_bytes: self.cut.chunk_bytes(),
            chunks: self.cut.chunks(),
            have,
            complete: have == self.cut.chunks(),
            held: self.held.values().cloned().collect(),
        };
        let bug = |_| fault::fault(FaultKind::Bug, "the summary cannot be put into words".to_owned());
        let mut bytes = serde_json::to_vec(&text).map_err(bug)?;
        bytes.push(b'\n');
        let [_, ending, draft_ending] = ENDINGS.map(|ending| format!("{}{ending}", self.name));
        let written = self.replace(&self.folder, &ending, &draft_ending, &bytes);
        self.dirty = false;
        written.map_err(|errno| fault::writing("write", &self.path, errno))
    }

    fn replace(&self, folder: &File, name: &str, draft: &str, bytes: &[u8]) -> FsResult<()> {
        let file = self.fs.open_write_at(folder, draft, Make::IfMissing)?;
        self.fs.set_len(&file, 0)?;
        self.fs.write_at(&file, bytes, 0)?;
        self.fs.rename_over(folder, draft, name)
    }

    /// What the summary of a run before says of where chunks came from; `None` when there is none of this download.
    fn read(&self) -> Option<BTreeMap<u32, Origin>> {
        let name = format!("{}{}", self.name, ENDINGS[1]);
        let file = self.fs.open_read_at(&self.folder, Path::new(&name)).ok()?;
        let len = self.fs.look(&file).ok()?.stamp.size;
        let mut bytes = vec![0; usize::try_from(Some(len).filter(|len| *len <= SUMMARY_BYTES_MAX)?).ok()?];
        let read = self.fs.read_at(&file, &mut bytes, 0).ok()?;
        let text: Text = serde_json::from_slice(&bytes[..read]).ok()?;
        let same = text.id == self.content && text.chunk_bytes == self.cut.chunk_bytes();
        let origins = text.held.into_iter().filter_map(|held| Some((held.chunk, held.from?)));
        same.then(|| origins.collect())
    }
}

fn open_or_make(fs: &Fs, path: &Path) -> FsResult<File> {
    // That it is there already is as good.
    let _ = fs.make_folder(path);
    fs.open_folder(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn origin(port: u16) -> Option<Origin> {
        let peer = format!("127.0.0.1:{port}");
        Some(Origin { peer, user: "lab".into(), part: "owner".into() })
    }

    #[test]
    fn it_tells_what_is_here_and_remembers_where_from() {
        let folder = tempfile::tempdir().unwrap();
        let cut = Geometry::new(5_000, 1024).unwrap();
        let content = ContentId([7; 32]);
        let open = || Summary::open(folder.path(), "talk.mkv", content, cut, true).unwrap();
        let read = || -> Value {
            serde_json::from_slice(&std::fs::read(folder.path().join("talk.mkv.summary.json")).unwrap())
                .unwrap()
        };
        let mut summary = open();
        summary.write().unwrap();
        assert_eq!((&read()["have"], &read()["complete"]), (&0.into(), &false.into()));
        summary.add(3, b"abc", origin(1)).unwrap();
        summary.add(3, b"abc", None).unwrap();
        summary.add(1, b"x", None).unwrap();
        assert!(summary.is_dirty());
        summary.write().unwrap();
        assert!(!summary.is_dirty());
        let text = read();
        assert_eq!(text["chunk_bytes"], 1024);
        assert_eq!(text["held"][1]["id"], blake3::hash(b"abc").to_hex().as_str());
        assert_eq!(text["held"][1]["from"]["peer"], "127.0.0.1:1");
        assert_eq!(text["held"][0]["from"], Value::Null);
        assert_eq!(std::fs::read(folder.path().join("talk.mkv.chunks/3")).unwrap(), b"abc");

        let mut again = open();
        (0..5).for_each(|chunk| again.add(chunk, b"abc", None).unwrap());
        again.write().unwrap();
        assert_eq!((&read()["complete"], &read()["held"][3]["from"]["user"]), (&true.into(), &"lab".into()));
        let names = |path: &Path| std::fs::read_dir(path).unwrap().count();
        assert_eq!((names(folder.path()), names(&folder.path().join("talk.mkv.chunks"))), (2, 5));
    }

    #[test]
    fn that_of_another_file_or_cut_is_forgotten_and_long_names_are_cut() {
        let folder = tempfile::tempdir().unwrap();
        let name = "ü".repeat(127);
        let open = |byte, chunk_bytes| {
            let cut = Geometry::new(5_000, chunk_bytes).unwrap();
            Summary::open(folder.path(), &name, ContentId([byte; 32]), cut, false).unwrap()
        };
        let mut summary = open(1, 1024);
        summary.add(0, b"a", origin(1)).unwrap();
        summary.write().unwrap();
        assert_eq!(open(1, 1024).before.len(), 1);
        assert!(open(2, 1024).before.is_empty() && open(1, 4096).before.is_empty());
    }
}
