//! What is offered to classic peers: shared files, by their last name and the chunks they are cut into, and chunks that
//! are kept.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::io::ChunkBytes;
use crate::types::ContentId;
use crate::wire::classic::{ChunkName, ChunkRule, Dialect, NameForm};

/// All that is offered.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    /// By the file's name. Of several files of one name the first is served.
    files: BTreeMap<String, BTreeMap<ContentId, Shared>>,
    /// (stem, file name), of the same files.
    stems: BTreeSet<(String, String)>,
    /// Bytes of the chunks that are kept.
    kept: BTreeMap<ChunkName, u64>,
    /// How kept chunks were cut, where they came to this process.
    cuts: BTreeMap<ChunkName, ChunkRule>,
    /// The extensions of the files of kept chunks whose names tell none, where this process fetched or joined them.
    extensions: BTreeMap<ChunkName, String>,
}

#[derive(Debug)]
struct Shared {
    size: u64,
    /// The whole names under which it is shared.
    names: BTreeSet<String>,
}

impl Catalogue {
    /// A file is shared. True when its chunks are offered from now on and were not before.
    pub(super) fn add_file(&mut self, name: &str, content: ContentId, size: u64) -> bool {
        let file = last_component(name);
        let Some(stem) = stem_of(file).filter(|_| size > 0) else { return false };
        let contents = self.files.entry(file.to_owned()).or_default();
        let new = contents.is_empty();
        let shared = contents.entry(content).or_insert(Shared { size, names: BTreeSet::new() });
        shared.names.insert(name.to_owned());
        self.stems.insert((stem, file.to_owned()));
        new
    }

    /// A file is no longer shared under this name. True when something was offered because of it.
    pub(super) fn remove_file(&mut self, name: &str, content: &ContentId) -> bool {
        let file = last_component(name);
        let Some(contents) = self.files.get_mut(file) else { return false };
        let Some(shared) = contents.get_mut(content) else { return false };
        let removed = shared.names.remove(name);
        if shared.names.is_empty() {
            contents.remove(content);
        }
        if contents.is_empty() {
            self.files.remove(file);
            if let Some(stem) = stem_of(file) {
                self.stems.remove(&(stem, file.to_owned()));
            }
        }
        removed
    }

    /// These chunks are kept, and no others. True when that is news.
    pub(super) fn set_kept(&mut self, chunks: Vec<(ChunkName, u64)>) -> bool {
        let kept: BTreeMap<ChunkName, u64> = chunks.into_iter().filter(|(_, bytes)| *bytes > 0).collect();
        let news = kept != self.kept;
        self.kept = kept;
        self.cuts.retain(|name, _| self.kept.contains_key(name));
        self.extensions.retain(|name, _| self.kept.contains_key(name));
        news
    }

    /// One more chunk is kept, cut like this where that is known.
    pub(super) fn keep(&mut self, name: ChunkName, bytes: u64, rule: Option<ChunkRule>) {
        if let Some(rule) = rule {
            self.cuts.insert(name.clone(), rule);
        }
        self.extensions.remove(&name);
        self.kept.insert(name, bytes);
    }

    /// Kept chunks are of a file of this name, or were joined into it.
    pub(super) fn join<'n>(&mut self, file: &str, chunks: impl IntoIterator<Item = &'n ChunkName>) {
        let name = ChunkName::of_file(file, 1, NameForm::Full);
        let Some(extension) = name.as_ref().ok().and_then(ChunkName::extension) else { return };
        let bare = chunks.into_iter().filter(|name| name.extension().is_none());
        let kept = bare.filter(|name| self.kept.contains_key(*name));
        self.extensions.extend(kept.map(|name| (name.clone(), extension.to_owned())));
    }

    /// Whether the only kept chunk that a name could stand for is known to be of a file with another extension.
    pub(super) fn is_of_another(&self, name: &ChunkName) -> bool {
        let Some(extension) = name.extension() else { return false };
        let named = |file: &str, forms: &[NameForm]| -> Vec<ChunkName> {
            forms.iter().filter_map(|form| ChunkName::of_file(file, name.index(), *form).ok()).collect()
        };
        let own = [NameForm::Full, NameForm::Inner, NameForm::FullTemp, NameForm::InnerTemp];
        let bare = named(name.stem(), &[NameForm::Stem, NameForm::FullTemp]);
        let mut known = bare.iter().filter_map(|bare| self.extensions.get(bare)).peekable();
        known.peek().is_some()
            && known.all(|known| known != extension)
            && !named(&name.file_name(), &own).iter().any(|own| self.kept.contains_key(own))
    }

    /// A chunk is kept no longer.
    pub(super) fn drop_kept(&mut self, name: &ChunkName) {
        self.kept.remove(name);
        self.cuts.remove(name);
        self.extensions.remove(name);
    }

    /// The chunks that are kept, with their bytes.
    pub(super) fn kept(&self) -> impl Iterator<Item = (&ChunkName, u64)> {
        self.kept.iter().map(|(name, bytes)| (name, *bytes))
    }

    /// Whether a kept chunk may be one of a file that was cut by this rule.
    pub(super) fn may_be_cut_by(&self, name: &ChunkName, rule: ChunkRule) -> bool {
        self.cuts.get(name).is_none_or(|cut| *cut == rule)
    }

    /// The shared file that a chunk is of: of the whole name, or else of the stem.
    pub(super) fn find(&self, name: &ChunkName) -> Option<(ContentId, u64)> {
        let file = name.file_name();
        let whole = self.files.get(&file);
        // A stem may look as if it had an extension: `a.tar` of `a.tar.gz`.
        let of_stem = || self.stems.range((file.clone(), String::new())..).next();
        let by_stem =
            || of_stem().filter(|(stem, _)| *stem == file).and_then(|(_, file)| self.files.get(file));
        let (content, shared) = whole.or_else(by_stem)?.first_key_value()?;
        Some((*content, shared.size))
    }

    /// The names of one form under which all is announced in a dialect. `told`: the extension that others tell of a file
    /// with this stem, for chunks that are kept without one and of which this process does not know it.
    pub(super) fn names(
        &self,
        dialect: Dialect,
        form: NameForm,
        told: impl Fn(&str) -> Option<String>,
    ) -> BTreeSet<ChunkName> {
        let mut names: BTreeSet<ChunkName> = BTreeSet::new();
        for file in self.files.keys() {
            // Of two files whose chunks are called the same, only the one that is served is announced.
            let first = self.files.get(file).and_then(|contents| contents.keys().next());
            let names_of = self.names_of(file, form, dialect.chunk_rule()).into_iter();
            names.extend(
                names_of.filter(|name| self.find(name).map(|(content, _)| content).as_ref() == first),
            );
        }
        let beyond: BTreeSet<String> =
            self.kept.keys().filter(|name| name.index() > 5).map(ChunkName::file_name).collect();
        for name in self.kept.keys() {
            let fits = match dialect.chunk_rule() {
                ChunkRule::Fifths => !beyond.contains(&name.file_name()),
                ChunkRule::Fixed => true,
            };
            if fits && self.may_be_cut_by(name, dialect.chunk_rule()) {
                let is_bare = name.extension().is_none() && form == NameForm::Full;
                let extension = || self.extensions.get(name).cloned().or_else(|| told(name.stem()));
                let extension = is_bare.then(extension).flatten();
                let file = extension.map_or_else(|| name.file_name(), |ext| format!("{}.{ext}", name.stem()));
                let announced = ChunkName::of_file(&file, name.index(), form);
                names.extend(announced.ok().filter(|name| self.find(name).is_none()));
            }
        }
        names
    }

    /// Where the bytes of a chunk are that is announced under this name in a dialect that cuts by this rule.
    pub(super) fn bytes_of(&self, name: &ChunkName, rule: ChunkRule) -> ChunkBytes {
        let shared = self.find(name).and_then(|(content, size)| {
            let range = rule.range(size, name.index())?;
            let bytes = range.end.checked_sub(range.start)?;
            Some(ChunkBytes::Shared { content, offset: range.start, bytes })
        });
        shared.unwrap_or(ChunkBytes::Kept)
    }

    /// The names of the chunks of a shared file.
    pub(super) fn names_of(&self, name: &str, form: NameForm, rule: ChunkRule) -> Vec<ChunkName> {
        let file = last_component(name);
        let Some(size) = self.files.get(file).and_then(|contents| Some(contents.first_key_value()?.1.size))
        else {
            return Vec::new();
        };
        let count = rule.count(size).unwrap_or(0);
        (1..=count).map_while(|index| ChunkName::of_file(file, index, form).ok()).collect()
    }

    /// Panics when what is indexed is not what is there.
    pub(super) fn check(&self) {
        assert_eq!(self.stems.len(), self.files.len(), "each file has one stem");
        assert!(self.files.values().flat_map(BTreeMap::values).all(|shared| !shared.names.is_empty()));
        let known = self.cuts.keys().chain(self.extensions.keys());
        assert!(
            known.into_iter().all(|name| self.kept.contains_key(name)),
            "what is known is of kept chunks"
        );
    }
}

fn last_component(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The stem of a file whose name can be that of chunks.
fn stem_of(file: &str) -> Option<String> {
    let name = ChunkName::of_file(file, 1, NameForm::Full).ok()?;
    (name.file_name() == file).then(|| name.stem().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ContentId = ContentId([1; 32]);
    const B: ContentId = ContentId([2; 32]);

    fn found(catalogue: &Catalogue, name: &str) -> Option<ContentId> {
        catalogue.find(&ChunkName::parse(name).unwrap()).map(|(content, _)| content)
    }

    #[test]
    fn a_shared_file_is_found_by_every_form_of_its_chunks_names() {
        let mut catalogue = Catalogue::default();
        assert!(catalogue.add_file("pictures/forest.png", A, 60_001));
        assert!(!catalogue.add_file("again/forest.png", A, 60_001));
        catalogue.add_file("a.tar.gz", B, 9);
        for form in ["forest_1", "forest.png_1", "forest_1.png", "forest.png_1_temp", "forest_1.png_temp"] {
            assert_eq!(found(&catalogue, form), Some(A), "{form}");
        }
        assert_eq!(found(&catalogue, "a.tar_2"), Some(B));
        assert_eq!(found(&catalogue, "forest.jpg_1"), None);
        assert!(catalogue.remove_file("pictures/forest.png", &A));
        assert_eq!(found(&catalogue, "forest_1"), Some(A));
        catalogue.remove_file("again/forest.png", &A);
        assert_eq!(found(&catalogue, "forest_1"), None);
        catalogue.check();
    }

    #[test]
    fn what_is_announced_is_found_under_that_name() {
        let mut catalogue = Catalogue::default();
        catalogue.add_file("forest.png", A, 60_001);
        catalogue.add_file("forest.jpg", B, 13);
        catalogue.add_file("README", A, 6);
        catalogue.add_file("empty", B, 0);
        catalogue.keep(ChunkName::parse("sea_2").unwrap(), 7, Some(ChunkRule::Fifths));
        for dialect in Dialect::ALL {
            let names = catalogue.names(dialect, dialect.name_form(), |_| None);
            for name in &names {
                let kept = name.stem() == "sea";
                assert!(kept || catalogue.find(name).is_some(), "{name}");
            }
            let readme = names.iter().filter(|name| name.stem() == "README").count();
            let sea = names.iter().filter(|name| name.stem() == "sea").count();
            let (three, kept) = if dialect == Dialect::D { (1, 0) } else { (3, 1) };
            assert_eq!((readme, sea), (three, kept), "{dialect}");
        }
        catalogue.check();
    }

    #[test]
    fn chunks_of_the_other_cut_are_not_announced() {
        let mut catalogue = Catalogue::default();
        let names = (1..=6).map(|index| (ChunkName::parse(&format!("forest_{index}.png")).unwrap(), 102_400));
        assert!(catalogue.set_kept(names.collect()));
        assert!(catalogue.names(Dialect::A, NameForm::Stem, |_| None).is_empty());
        assert_eq!(catalogue.names(Dialect::D, NameForm::Inner, |_| None).len(), 6);
    }

    #[test]
    fn a_chunk_without_an_extension_takes_over_the_one_that_its_file_has_or_that_others_tell() {
        let mut catalogue = Catalogue::default();
        let sea = ChunkName::parse("sea_2").unwrap();
        catalogue.keep(sea.clone(), 7, Some(ChunkRule::Fifths));
        let told = |stem: &str| (stem == "sea").then(|| "png".to_owned());
        let announced = |catalogue: &Catalogue, form, told: &dyn Fn(&str) -> Option<String>| {
            let names = catalogue.names(Dialect::A, form, told);
            names.iter().map(ChunkName::to_string).collect::<Vec<_>>()
        };
        assert_eq!(announced(&catalogue, NameForm::Stem, &told), ["sea_2"]);
        assert_eq!(announced(&catalogue, NameForm::Full, &told), ["sea.png_2"]);
        assert_eq!(announced(&catalogue, NameForm::Full, &|_| None), ["sea_2"]);
        catalogue.join("sea.jpg", [&sea]);
        assert_eq!(announced(&catalogue, NameForm::Full, &|_| None), ["sea.jpg_2"]);
        assert_eq!(announced(&catalogue, NameForm::Full, &told), ["sea.jpg_2"]);
        let is_of_another =
            |catalogue: &Catalogue, name| catalogue.is_of_another(&ChunkName::parse(name).unwrap());
        for (name, other) in
            [("sea.png_2", true), ("sea.jpg_2", false), ("sea_2", false), ("sea.png_1", false)]
        {
            assert_eq!(is_of_another(&catalogue, name), other, "{name}");
        }
        // One of its own may be kept beside it.
        catalogue.keep(ChunkName::parse("sea_2.png").unwrap(), 7, None);
        assert!(!is_of_another(&catalogue, "sea.png_2"));
        assert!(is_of_another(&catalogue, "sea.gif_2"));
        catalogue.drop_kept(&sea);
        assert!(!is_of_another(&catalogue, "sea.gif_2"));
        catalogue.check();
    }
}
