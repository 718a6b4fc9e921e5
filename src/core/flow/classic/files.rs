//! Which files classic peers offer, and who offers which chunk of one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::core::classic::fetches::Route;
use crate::core::classic::files::{FileKey, Files};
use crate::core::door::ClassicContent;
use crate::core::peer::Peer;
use crate::wire::classic::{ChunkName, ChunkRule, Dialect};

/// Files on offer that are named when a wanted one is not among them.
const FILES_TOLD_MAX: usize = 256;

/// A chunk as one peer offers it.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    pub(super) ip: IpAddr,
    pub(super) name: ChunkName,
    pub(super) dialects: BTreeSet<Dialect>,
    /// Its size in bytes, where announced.
    pub(super) size: Option<u64>,
}

/// Who offers which chunk of a file, by the chunk's number.
pub(super) type Offers = BTreeMap<u32, Vec<Offer>>;

impl Peer {
    /// What classic peers offer, in the order of names.
    pub(in crate::core) fn classic_contents(&self) -> Vec<ClassicContent> {
        let mut files = Files::default();
        self.classic.holders.all().for_each(|(_, name, _)| files.add(name));
        let mut contents: Vec<ClassicContent> =
            files.all().iter().map(|file| self.classic_content(file)).collect();
        contents.sort_by(|a, b| a.file.cmp(&b.file));
        contents
    }

    fn classic_content(&self, file: &FileKey) -> ClassicContent {
        let mut chunks: BTreeMap<u32, Vec<IpAddr>> = BTreeMap::new();
        let mut dialects = BTreeSet::new();
        let mut sizes = BTreeMap::new();
        for (ip, name, held) in self.classic.holders.of_stem(file.stem()) {
            if !file.takes(name) {
                continue;
            }
            let holders = chunks.entry(name.index()).or_default();
            if !holders.contains(&ip) {
                holders.push(ip);
            }
            dialects.extend(held.dialects.iter().copied());
            sizes.extend(held.size.map(|size| (name.index(), size)));
        }
        let size = if sizes.len() == chunks.len() { ChunkRule::Fixed.whole(&sizes) } else { None };
        ClassicContent {
            file: file.merged_name(&file.file_name()),
            chunks,
            dialects: dialects.into_iter().collect(),
            size,
        }
    }

    /// The names of the files on offer.
    pub(super) fn classic_files(&self) -> Vec<String> {
        let mut files = Files::default();
        self.classic.holders.all().for_each(|(_, name, _)| files.add(name));
        let names: BTreeSet<String> =
            files.all().iter().map(|file| file.merged_name(&file.file_name())).collect();
        names.into_iter().take(FILES_TOLD_MAX).collect()
    }

    /// The files that names with one of these stems stand for: those that are announced, and those that are kept here.
    pub(super) fn files_of_stems(&self, stems: &[&str]) -> Files {
        let mut files = Files::default();
        for stem in stems {
            self.classic.holders.of_stem(stem).for_each(|(_, name, _)| files.add(name));
        }
        let kept = self.classic.shelf.kept().map(|(name, _)| name);
        kept.filter(|name| stems.contains(&name.stem())).for_each(|name| files.add(name));
        files
    }

    /// Who offers which chunk of a file that is cut by this rule.
    pub(super) fn offers_of(&self, file: &FileKey, rule: ChunkRule) -> Offers {
        let mut offers = Offers::new();
        for (ip, name, held) in self.classic.holders.of_stem(file.stem()) {
            let dialects = held.dialects_of(rule);
            if file.takes(name) && rule.may_have(name.index()) && !dialects.is_empty() {
                let offer = Offer { ip, name: name.clone(), dialects, size: held.size };
                offers.entry(name.index()).or_default().push(offer);
            }
        }
        offers
    }

    /// The ways to ask a peer for a chunk, the likeliest first; only one where that is known to lead there.
    pub(super) fn routes_to(&self, offer: &Offer) -> Vec<Route> {
        let dial_port = self.config.classic.as_ref().and_then(|classic| classic.dial_port);
        let json = offer.dialects.contains(&Dialect::BJson);
        let mut routes: Vec<Route> = Vec::new();
        for dialect in offer.dialects.iter().copied() {
            let port = dial_port.unwrap_or(dialect.tcp_port());
            let same =
                |route: &Route| route.port == port && route.dialect.request_key() == dialect.request_key();
            if !routes.iter().any(same) {
                let may_be_json = json && dialect == Dialect::B;
                routes.push(Route { dialect, port, may_be_json });
            }
        }
        let proven = self.classic.holders.proven(offer.ip);
        let known = routes.iter().copied().find(|route| {
            proven == Some(route.dialect) || (route.may_be_json && proven == Some(Dialect::BJson))
        });
        known.map_or(routes, |route| vec![route])
    }
}
