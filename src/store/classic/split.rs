//! What the commands do beside the peer: a file cut into chunk files for others to serve, names noted, log lines.

use std::path::Path;
use std::sync::Arc;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::core::{Fault, FaultKind};
use crate::store::classic::available::Available;
use crate::store::classic::kept::{file_name, is_unchanged, open_chunk};
use crate::store::classic::record_file::open_or_make_folder;
use crate::store::fs::{File, Fs, FsResult};
use crate::store::hash::SLICE_BYTES;
use crate::store::temp::Temp;
use crate::store::{ClassicRecords, fault};
use crate::types::name::quoted;
use crate::wire::classic::{ChunkName, ChunkRule, NameForm};

/// Cuts a file into chunk files in a folder, and tells their names in order. Chunk files that are right already are
/// left alone; each other one is replaced as a whole.
pub fn split(
    file: &Path,
    chunk_dir: &Path,
    form: NameForm,
    rule: ChunkRule,
) -> Result<Vec<ChunkName>, Fault> {
    split_with(&Fs::new(), file, chunk_dir, form, rule)
}

pub(crate) fn split_with(
    fs: &Fs,
    file: &Path,
    chunk_dir: &Path,
    form: NameForm,
    rule: ChunkRule,
) -> Result<Vec<ChunkName>, Fault> {
    let reading = |errno| fault::reading("read", file, errno);
    let refused = |why: &str| {
        let text = format!("{} cannot be announced: {why}", fault::shown(file));
        fault::fault(FaultKind::NameRefused, text)
    };
    let open = fs.open_read(file).map_err(reading)?;
    let look = fs.look(&open).map_err(reading)?;
    if look.kind != FileType::RegularFile {
        return Err(refused("it is no file; name a file"));
    }
    let size = look.stamp.size;
    if size == 0 {
        return Err(refused("it is empty, and no dialect has chunks without bytes; name another file"));
    }
    let Some(name) = file.file_name().and_then(|name| name.to_str()) else {
        return Err(refused("its name is no text; rename it"));
    };
    let Some(count) = rule.count(size) else {
        return Err(refused("it has more chunks than can be numbered; name a smaller file"));
    };
    let folder = open_or_make_folder(fs, chunk_dir)
        .map_err(|errno| fault::keeping("use the folder", chunk_dir, errno))?;
    let cutter = Cutter { fs, from: &open, folder: &Arc::new(folder) };
    let mut names = Vec::new();
    for index in 1..=count {
        let chunk = ChunkName::of_file(name, index, form)
            .map_err(|error| refused(&format!("as a chunk, {error}; rename it")))?;
        let Some(range) = rule.range(size, index) else { break };
        cutter
            .cut(&chunk, range.start, range.end)
            .map_err(|errno| fault::keeping("write", &chunk_dir.join(chunk.to_string()), errno))?;
        names.push(chunk);
    }
    if !fs.look(&open).is_ok_and(|now| is_unchanged(&now.stamp, &look.stamp)) {
        return Err(fault::fault(
            FaultKind::Io,
            format!("{} was changed by somebody else meanwhile; announce it again", fault::shown(file)),
        ));
    }
    Ok(names)
}

/// Adds names to the record of available chunks.
pub fn note_available(records: &ClassicRecords, names: &[ChunkName]) -> Result<(), Fault> {
    let Some(path) = &records.available else { return Ok(()) };
    let mut available = Available::open(&Fs::new(), path)?;
    available.add(names);
    while available.has_work() {
        available.step()?;
        std::thread::yield_now();
    }
    Ok(())
}

/// Appends a line, which has no line end, to a file in a folder: with one write, so that lines of several processes do
/// not mix.
pub fn append_line(dir: &Path, file_name: &str, line: &str) -> Result<(), Fault> {
    // A fault plan is about chunks and files; the logs are not part of it.
    let fs = Fs::default();
    let path = dir.join(file_name);
    if !crate::store::target::is_one_component(file_name) {
        let text = format!("{} is no name for a log; choose another", quoted(file_name));
        return Err(fault::fault(FaultKind::NameRefused, text));
    }
    let appended = open_or_make_folder(&fs, dir).and_then(|folder| {
        let file = fs.open_append_at(&folder, file_name)?;
        if fs.look(&file)?.kind != FileType::RegularFile {
            return Err(Errno::NXIO);
        }
        fs.append(&file, format!("{line}\n").as_bytes())
    });
    appended.map_err(|errno| fault::keeping("write", &path, errno))
}

/// Copies ranges of a file into chunk files.
struct Cutter<'a> {
    fs: &'a Fs,
    from: &'a File,
    folder: &'a Arc<File>,
}

impl Cutter<'_> {
    /// Makes the chunk file of these bytes, unless it is there.
    fn cut(&self, name: &ChunkName, begin: u64, end: u64) -> FsResult<()> {
        let text = file_name(name)?;
        if self.is_there(name, begin, end) {
            return Ok(());
        }
        let mut temp = Temp::make(self.fs, self.folder)?;
        let mut slice = vec![0; slice_len(begin, end)];
        let mut at = begin;
        while at < end {
            let len = slice_len(at, end);
            if self.fs.read_at(self.from, &mut slice[..len], at)? < len {
                return Err(Errno::IO);
            }
            temp.append(&slice[..len])?;
            at += len as u64;
        }
        temp.name_over(&text)
    }

    /// Whether the chunk file is there and has these bytes.
    fn is_there(&self, name: &ChunkName, begin: u64, end: u64) -> bool {
        let Ok((file, stamp)) = open_chunk(self.fs, self.folder, name) else { return false };
        if stamp.size != end - begin {
            return false;
        }
        let len = slice_len(begin, end);
        let (mut there, mut wanted) = (vec![0; len], vec![0; len]);
        let mut at = begin;
        while at < end {
            let len = slice_len(at, end);
            let read = self.fs.read_at(&file, &mut there[..len], at - begin);
            let wants = self.fs.read_at(self.from, &mut wanted[..len], at);
            if (read, wants) != (Ok(len), Ok(len)) || there[..len] != wanted[..len] {
                return false;
            }
            at += len as u64;
        }
        true
    }
}

fn slice_len(begin: u64, end: u64) -> usize {
    usize::try_from(end - begin).unwrap_or(SLICE_BYTES).min(SLICE_BYTES)
}
