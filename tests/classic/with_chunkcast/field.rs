//! One test's corner of the field: its file, its folders, its addresses, and how chunkcast joins in there.

use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::child::{Child, Launch, PATIENCE};
use crate::reference::announcer::{Announcer, Wording};
use crate::reference::dialect::Dialect;
use crate::reference::life::{LOOK, Life};
use crate::reference::loopback::{BROADCAST, own_address};
use crate::reference::manner::Manner;
use crate::reference::split::Chunk;
use crate::reference::uploader::Uploader;

/// How often the peers of a test announce: often enough for no test to wait long.
pub(super) const OFTEN: Duration = Duration::from_millis(200);

/// A file that no other test's peers know, and folders.
#[derive(Debug)]
pub(super) struct Field {
    folder: TempDir,
    /// The file's name up to its extension. All processes of this machine hear each other, so no two tests share one.
    pub(super) stem: String,
    /// Its bytes.
    pub(super) content: Vec<u8>,
}

/// A peer of the field: announces and serves.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) uploader: Uploader,
    _announcer: Announcer,
}

impl Field {
    /// With a file of so many bytes.
    pub(super) fn new(bytes: usize) -> Field {
        let folder = tempfile::Builder::new().prefix("chunkcast-classic-").tempdir().unwrap();
        let stem = format!("forest-{}", own_address().to_string().replace('.', "-"));
        let mut content = vec![0; bytes];
        fastrand::Rng::with_seed(bytes as u64).fill(&mut content);
        Field { folder, stem, content }
    }

    /// The file's name.
    pub(super) fn file(&self) -> String {
        format!("{}.png", self.stem)
    }

    /// Its chunks as a dialect cuts and calls them.
    pub(super) fn chunks(&self, dialect: Dialect) -> Vec<Chunk> {
        dialect.split(&self.file(), &self.content)
    }

    /// A folder of this test, made when missing.
    pub(super) fn folder(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// The file, written into a folder of this test.
    pub(super) fn written(&self, folder: &str) -> PathBuf {
        let path = self.folder(folder).join(self.file());
        fs::write(&path, &self.content).unwrap();
        path
    }

    /// Waits until a file that a program writes is as wanted.
    #[track_caller]
    pub(super) fn wait_file(&self, path: &Path, wanted: impl Fn(&str) -> bool, writer: &Child) {
        let (life, deadline) = (Life::default(), Instant::now() + PATIENCE);
        loop {
            let text = fs::read_to_string(path).unwrap_or_default();
            if wanted(&text) {
                return;
            }
            assert!(Instant::now() < deadline, "{}: {path:?} is {text}", writer.name);
            life.pause(LOOK);
        }
    }

    /// Whether the file in this folder is the one.
    #[track_caller]
    pub(super) fn assert_got(&self, folder: &Path) {
        let got = fs::read(folder.join(self.file())).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
        assert!(got == self.content, "{} bytes of {} came otherwise", got.len(), self.content.len());
    }

    /// chunkcast at an address; `args` are the command and what belongs to it.
    pub(super) fn launch<A: AsRef<OsStr>>(&self, at: Ipv4Addr, args: &[A]) -> Launch {
        let (at, broadcast) = (at.to_string(), BROADCAST.to_string());
        Launch::new(&at)
            .args(args)
            .args(&["--json=chunks", "--announce-interval", "200ms", "--name", "carol"])
            .args(&["--bind", &at, "--broadcast", &broadcast])
            .args(&["--state-dir".as_ref(), self.folder(&format!("state-{at}")).as_os_str()])
    }

    /// `get --classic` of the file into a folder, at an address.
    pub(super) fn get(&self, at: Ipv4Addr, into: &Path) -> Launch {
        let args = ["get", "--classic", "--wait=30s"];
        self.launch(at, &args).args(&[self.file().as_ref(), "-o".as_ref(), into.as_os_str()])
    }

    /// `share --classic` of the file, at an address; returns once it is offered.
    pub(super) fn share(&self, at: Ipv4Addr) -> Child {
        self.share_with(at, &[])
    }

    /// The same, with more flags.
    pub(super) fn share_with(&self, at: Ipv4Addr, flags: &[&str]) -> Child {
        let path = self.written(&format!("shared-{at}"));
        let args = ["share".as_ref(), "--classic".as_ref(), path.as_os_str()];
        let mut sharer = self.launch(at, &args).args(flags).start();
        sharer.wait_json("the first offer", |line| (line["t"] == "content").then_some(()));
        sharer
    }

    /// A peer of the field with these chunks, who tells `to` of them by unicast.
    pub(super) fn holder(dialect: Dialect, chunks: &[Chunk], manner: Manner, to: Ipv4Addr) -> Holder {
        Field::holder_at(own_address(), dialect, chunks, manner, to)
    }

    /// The same, at an address of its own choice.
    pub(super) fn holder_at(
        at: Ipv4Addr,
        dialect: Dialect,
        chunks: &[Chunk],
        manner: Manner,
        to: Ipv4Addr,
    ) -> Holder {
        let uploader = Uploader::start(dialect, SocketAddrV4::new(at, dialect.tcp_port()), chunks, manner);
        let ears: Vec<SocketAddrV4> =
            dialect.udp_ports().iter().map(|port| SocketAddrV4::new(to, *port)).collect();
        let announcer = Announcer::start(Wording::of(dialect), chunks, at, &ears, OFTEN);
        Holder { uploader, _announcer: announcer }
    }
}
