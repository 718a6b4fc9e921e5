//! Hosts of one test's own: network namespaces on a bridge, each with an address that is not this machine's.
//!
//! Limits by address do not hold for loopback, so what they let through is seen only here. Making namespaces needs root
//! and the command `ip`; where that is missing, [`Hosts::new`] says so and the test ends as skipped.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fd::AsFd;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

use crate::child::{Child, Launch, skip};

/// Counts the networks of this process, so that tests that run side by side share no name.
static NETWORKS: AtomicU32 = AtomicU32::new(0);

/// Hosts 1 to `count` with the addresses 10.77.0.1, 10.77.0.2 and so on. Dropping it removes them.
#[derive(Debug)]
pub(crate) struct Hosts {
    name: String,
    count: u8,
    folder: TempDir,
}

impl Hosts {
    /// Makes so many hosts; `None`, after saying so, where this machine does not let us.
    pub(crate) fn new(count: u8) -> Option<Hosts> {
        let number = NETWORKS.fetch_add(1, Ordering::Relaxed);
        let name = format!("cct{}-{number}", std::process::id());
        let switch = format!("{name}-switch");
        let possible = ip(&["netns", "add", &switch]) && ip(&["-n", &switch, "link", "show"]);
        let hosts = Hosts { name, count, folder: TempDir::new().unwrap() };
        if !possible {
            skip("netns", "no hosts can be made here (root and the command ip are needed)");
            return None;
        }
        must(&["-n", &switch, "link", "add", "switch", "type", "bridge"]);
        must(&["-n", &switch, "link", "set", "switch", "up"]);
        for host in 1..=count {
            let (namespace, port) = (hosts.namespace(host), format!("port{host}"));
            must(&["netns", "add", &namespace]);
            let veth = ["link", "add", "eth0", "type", "veth", "peer", "name", &port, "netns", &switch];
            must(&[&["-n", &namespace], &veth[..]].concat());
            must(&["-n", &switch, "link", "set", &port, "master", "switch", "up"]);
            hosts.add_address(host, hosts.address(host));
            must(&["-n", &namespace, "link", "set", "eth0", "up"]);
            must(&["-n", &namespace, "link", "set", "lo", "up"]);
        }
        Some(hosts)
    }

    /// The address of a host.
    pub(crate) fn address(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, host)
    }

    /// Gives a host one more address of 10.77.0.0/16.
    pub(crate) fn add_address(&self, host: u8, address: Ipv4Addr) {
        let (namespace, address) = (self.namespace(host), format!("{address}/16"));
        let broadcast = ["broadcast", "10.77.255.255", "dev", "eth0"];
        must(&[&["-n", &namespace, "addr", "add", &address], &broadcast[..]].concat());
    }

    /// A process on a host, with default ports; `args` are the command and what belongs to it.
    pub(crate) fn launch<A: AsRef<OsStr>>(&self, host: u8, name: &str, args: &[A]) -> Launch {
        Launch::new(name)
            .args(args)
            .args(&["--name", name, "--state-dir"])
            .args(&[self.folder(&format!("state-{name}"))])
            .through(&["ip", "netns", "exec", &self.namespace(host)])
    }

    /// `share` of `path` on a host; returns once it is offered.
    pub(crate) fn share(&self, host: u8, name: &str, path: &Path) -> Child {
        let mut sharer = self.launch(host, name, &["share".as_ref(), path.as_os_str()]).json_chunks().start();
        sharer.wait_json("the first offer", |line| (line["t"] == "content").then_some(()));
        sharer
    }

    /// `get` of `what` into `folder` on a host, telling each chunk.
    pub(crate) fn get(&self, host: u8, name: &str, what: &str, folder: &Path) -> Launch {
        self.launch(host, name, &["get".as_ref(), what.as_ref(), "-o".as_ref(), folder.as_os_str()])
            .json_chunks()
    }

    /// A folder of the test, made if it is not there.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// The path of `name` in the test's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What `make` makes on a thread that is in a host's network. A socket stays there, whoever uses it later.
    pub(crate) fn inside<T: Send>(&self, host: u8, make: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/run/netns/{}", self.namespace(host))).unwrap();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                make()
            });
            thread.join().unwrap()
        })
    }

    /// The name of a host's namespace.
    pub(crate) fn namespace(&self, host: u8) -> String {
        format!("{}-{host}", self.name)
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in 1..=self.count {
            ip(&["netns", "del", &self.namespace(host)]);
        }
        ip(&["netns", "del", &format!("{}-switch", self.name)]);
    }
}

fn ip(words: &[&str]) -> bool {
    let mut command = Command::new("ip");
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn must(words: &[&str]) {
    assert!(ip(words), "ip {}", words.join(" "));
}

#[test]
fn a_host_finds_what_another_shares_and_a_socket_is_on_its_host() {
    let Some(hosts) = Hosts::new(2) else { return };
    let source = hosts.path("talk.mkv");
    crate::files::random_file(&source, crate::files::MIB, 77);
    let mut sharer = hosts.share(1, "sharer", &source);
    let folder = hosts.folder("got");
    hosts.get(2, "getter", "talk.mkv", &folder).run().expect(0);
    crate::files::assert_same(&source, &folder.join("talk.mkv"));
    let port = sharer.wait_json("its port", |line| line["tcp_port"].as_u64());
    let to = (hosts.address(1), u16::try_from(port).unwrap());
    let stream = hosts.inside(2, || std::net::TcpStream::connect(to).unwrap());
    assert_eq!(stream.local_addr().unwrap().ip(), hosts.address(2));
    sharer.interrupt().expect(0);
}
