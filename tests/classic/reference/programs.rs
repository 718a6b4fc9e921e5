//! The four programs of a classic peer as processes of their own, over one folder, in each form that folders have.
//!
//! A process is this test's binary again: [`Process::start`] tells it by its environment what to be.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::announcer::say;
use super::dialect::Dialect;
use super::downloader::Downloader;
use super::life::{LOOK, Life, PATIENCE};
use super::link::Link;
use super::loopback::shared_udp;
use super::names::{self, NameForm};
use super::python::Json;
use super::split;

/// What a process is to be: the form of its folder, its program, its address, whom it tells, its folder and the file.
const TOLD: &str = "CLASSIC_REFERENCE_PROGRAM";
/// Between two announcements.
const OFTEN: Duration = Duration::from_millis(200);

/// The forms that folders have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileSet {
    /// Dialect C: chunks beside the programs, and the list of them in `Available_Chunks.txt`.
    List,
    /// Dialect A with names like `forest.png_1`: chunks in `temp`, the dictionary with user names, files in `downloads`.
    Temp,
    /// Dialect B: chunks beside the programs, and no list.
    Plain,
}

/// The programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Announce,
    Discover,
    Upload,
    Download,
}

impl FileSet {
    pub(crate) const ALL: [FileSet; 3] = [FileSet::List, FileSet::Temp, FileSet::Plain];

    pub(crate) fn dialect(self) -> Dialect {
        match self {
            FileSet::List => Dialect::C,
            FileSet::Temp => Dialect::A,
            FileSet::Plain => Dialect::B,
        }
    }

    pub(crate) fn names(self) -> NameForm {
        if self == FileSet::Temp { NameForm::AfterExtension } else { NameForm::Bare }
    }

    /// The chunks of a file.
    pub(crate) fn split(self, file: &str, content: &[u8]) -> Vec<split::Chunk> {
        let mut chunks = self.dialect().split(file, content);
        for (index, chunk) in (1..).zip(&mut chunks) {
            chunk.name = self.names().name(file, index);
        }
        chunks
    }

    /// Where a joined file is.
    pub(crate) fn joined(self, dir: &Path, file: &str) -> PathBuf {
        if self == FileSet::Temp { dir.join("downloads").join(file) } else { dir.join(file) }
    }

    /// Puts chunks into a folder, as the announcer and the downloader do.
    pub(crate) fn put(self, dir: &Path, chunks: &[split::Chunk]) {
        fs::create_dir_all(self.chunk_dir(dir)).unwrap();
        split::write(&self.chunk_dir(dir), chunks);
        if self == FileSet::List {
            let mut listed = self.available(dir);
            listed.extend(
                chunks
                    .iter()
                    .map(|chunk| chunk.name.clone())
                    .filter(|name| !listed.contains(name))
                    .collect::<Vec<_>>(),
            );
            let text = Json::members([("chunks", Json::texts(listed.iter().map(String::as_str)))]).dumps();
            fs::write(dir.join("Available_Chunks.txt"), text).unwrap();
        }
    }

    fn chunk_dir(self, dir: &Path) -> PathBuf {
        if self == FileSet::Temp { dir.join("temp") } else { dir.to_owned() }
    }

    /// The names of the chunks in a folder.
    fn available(self, dir: &Path) -> Vec<String> {
        if self == FileSet::List {
            let text = fs::read(dir.join("Available_Chunks.txt")).unwrap_or_default();
            let list = Json::loads(&text).ok().and_then(|list| list.get("chunks")?.as_texts());
            return list.unwrap_or_default();
        }
        let entries = fs::read_dir(self.chunk_dir(dir)).into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        let is_chunk = |name: &String| {
            names::read(name).is_some_and(|(file, index)| self.names().name(&file, index) == *name)
        };
        names.filter(is_chunk).collect()
    }

    fn dictionary(self, dir: &Path) -> PathBuf {
        dir.join(if self == FileSet::Temp { "tags.txt" } else { "The_Content_Dictionary.txt" })
    }

    /// The holders of a chunk, as the dictionary says.
    fn holders(self, dir: &Path, name: &str) -> Vec<Ipv4Addr> {
        let text = fs::read(self.dictionary(dir)).unwrap_or_default();
        let Ok(known) = Json::loads(&text) else { return Vec::new() };
        let Some(Json::List(holders)) = known.get(name) else { return Vec::new() };
        let address =
            |holder: &Json| holder.get("ip").unwrap_or(holder).as_text().map(|ip| ip.parse().unwrap());
        holders.iter().filter_map(address).collect()
    }
}

/// A running process. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    /// Starts a program at an address, over a folder; the announcer tells `to`, and the file is what it cuts, or what the
    /// downloader asks for.
    pub(crate) fn start(
        set: FileSet,
        program: Program,
        (at, to): (Ipv4Addr, Ipv4Addr),
        dir: &Path,
        file: &Path,
    ) -> Process {
        let told = format!("{set:?}\n{program:?}\n{at}\n{to}\n{}\n{}", dir.display(), file.display());
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "reference::programs::is_a_program_where_it_is_told_so", "--nocapture"]);
        Process(command.env(TOLD, told).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What such a process is.
struct Running {
    set: FileSet,
    at: Ipv4Addr,
    to: Ipv4Addr,
    dir: PathBuf,
    file: PathBuf,
    life: Arc<Life>,
}

#[test]
fn is_a_program_where_it_is_told_so() {
    let Ok(told) = std::env::var(TOLD) else { return };
    let words: Vec<&str> = told.lines().collect();
    let [set, program, at, to, dir, file] = words[..] else { panic!("{told}") };
    let set = FileSet::ALL.into_iter().find(|known| format!("{known:?}") == set).unwrap();
    let (at, to) = (at.parse().unwrap(), to.parse().unwrap());
    let running = Running { set, at, to, dir: dir.into(), file: file.into(), life: Arc::default() };
    match program {
        "Announce" => running.announce(),
        "Discover" => running.discover(),
        "Upload" => running.upload(),
        "Download" => running.download(),
        other => panic!("{other}"),
    }
}

impl Running {
    fn announce(&self) {
        let content = fs::read(&self.file).unwrap();
        self.set.put(&self.dir, &self.set.split(&self.file.file_name().unwrap().to_string_lossy(), &content));
        let to = SocketAddrV4::new(self.to, self.set.dialect().udp_ports()[0]);
        loop {
            let names = self.set.available(&self.dir);
            let names = Json::texts(names.iter().map(String::as_str));
            let said = match self.set {
                FileSet::Temp => Json::members([("username", Json::text("alice")), ("files", names)]),
                FileSet::List | FileSet::Plain => Json::members([("chunks", names)]),
            };
            say(said.dumps().as_bytes(), self.at, to);
            self.life.pause(OFTEN);
        }
    }

    /// Never forgets, and writes the whole file with each datagram.
    fn discover(&self) {
        let socket = shared_udp(SocketAddrV4::new(self.at, self.set.dialect().udp_ports()[0]));
        let mut known: BTreeMap<String, Vec<Json>> = BTreeMap::new();
        let mut bytes = vec![0; 1024];
        loop {
            let (len, from) = socket.recv_from(&mut bytes).unwrap();
            let said = Json::loads(&bytes[..len]).unwrap();
            let key = if self.set == FileSet::Temp { "files" } else { "chunks" };
            let ip = Json::text(&from.ip().to_string());
            let holder = match said.get("username") {
                Some(user) => Json::members([("username", user.clone()), ("ip", ip)]),
                None => ip,
            };
            for name in said.get(key).unwrap().as_texts().unwrap() {
                let holders = known.entry(name).or_default();
                if !holders.contains(&holder) {
                    holders.push(holder.clone());
                }
            }
            let all = known.iter().map(|(name, holders)| (name.clone(), Json::List(holders.clone())));
            fs::write(self.set.dictionary(&self.dir), Json::Members(all.collect()).dumps()).unwrap();
        }
    }

    /// Looks at each request whether the chunk is there, and dies of one that is none.
    fn upload(&self) {
        let dialect = self.set.dialect();
        let listener = TcpListener::bind((self.at, dialect.tcp_port())).unwrap();
        loop {
            let (stream, from) = listener.accept().unwrap();
            let mut link = Link::new(stream, from.ip(), Arc::clone(&self.life), PATIENCE);
            let name = dialect.requested(&link.recv(1024).unwrap()).unwrap();
            if self.set.available(&self.dir).contains(&name) {
                link.send(&fs::read(self.set.chunk_dir(&self.dir).join(&name)).unwrap()).unwrap();
            }
        }
    }

    /// Asks for five chunks of whoever the dictionary names, until it has them, and joins them.
    fn download(&self) {
        let file = self.file.to_string_lossy();
        let port = self.set.dialect().tcp_port();
        let downloader =
            Downloader { names: self.set.names(), ..Downloader::new(self.set.dialect(), self.at) };
        let mut content = Vec::new();
        for index in 1..=split::CHUNKS {
            let name = self.set.names().name(&file, index);
            let bytes = loop {
                let holders = self.set.holders(&self.dir, &name).into_iter();
                let got =
                    holders.filter_map(|ip| downloader.chunk(SocketAddrV4::new(ip, port), &name).ok()).next();
                match got {
                    Some(bytes) => break bytes,
                    None => self.life.pause(LOOK),
                }
            };
            content.extend(&bytes);
            self.set.put(&self.dir, &[split::Chunk { name, bytes }]);
        }
        let joined = self.set.joined(&self.dir, &file);
        fs::create_dir_all(joined.parent().unwrap()).unwrap();
        fs::write(joined, content).unwrap();
    }
}
