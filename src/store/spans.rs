//! What is sent from here: the open file behind a span, and bytes of it.

use crate::core::{Fault, FaultKind, SpanFault, SpanSource};
use crate::store::fs::{File, FsResult};
use crate::store::{Store, fault};
use crate::types::{ContentId, Geometry};

impl Store {
    /// The open file that holds a content or kept chunk, after a look that it still is what was hashed or promised; a
    /// part, for the chunks that are had. Offsets in it are those of the content.
    pub fn span(&mut self, source: SpanSource) -> Result<&std::fs::File, SpanFault> {
        self.span_file(source)?.of_kernel().ok_or(SpanFault::Unreadable)
    }

    fn span_file(&mut self, source: SpanSource) -> Result<&File, SpanFault> {
        let content = match &source {
            SpanSource::Content(content) => content,
            SpanSource::Kept(conn) => return self.classic.as_ref().ok_or(SpanFault::Gone)?.span(*conn),
        };
        // Until it is published and replied to, a content that is downloaded is served from its part.
        if self.downloads.part(content).is_some() {
            return self.downloads.span(content);
        }
        let at = self.library.find(content)?;
        self.library.served.opened(at).ok_or(SpanFault::Gone)
    }

    /// The open file that [`Store::span`] gave for this source, without another look at it. What is sent by it must have
    /// been promised after that look, and in the same turn.
    pub fn span_again(&mut self, source: SpanSource) -> Result<&std::fs::File, SpanFault> {
        let content = match &source {
            SpanSource::Content(content) => content,
            SpanSource::Kept(_) => return self.span(source),
        };
        let is_part = self.downloads.part(content).is_some();
        if !is_part && self.library.served.opened_of(content).is_none() {
            // A part that got its final name meanwhile is opened under that.
            return self.span(source);
        }
        let file = match self.downloads.part(content) {
            Some(part) => &*part.file,
            None => self.library.served.opened_of(content).ok_or(SpanFault::Gone)?,
        };
        file.of_kernel().ok_or(SpanFault::Unreadable)
    }

    /// Reads a chunk that is here into `into`, whose length it then has.
    pub fn read_chunk(
        &mut self,
        content: &ContentId,
        cut: &Geometry,
        chunk: u32,
        into: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let no =
            |why: String| fault::fault(FaultKind::Io, format!("chunk {chunk} cannot be read again: {why}"));
        let (offset, len) = cut.chunk_span(chunk).ok_or_else(|| no("there is no such chunk".to_owned()))?;
        into.resize(len as usize, 0);
        match self
            .read_span(SpanSource::Content(*content), into, offset)
            .map_err(|why| no(why.to_string()))?
        {
            Ok(read) if read == into.len() => Ok(()),
            Ok(_) => Err(no("the file is shorter".to_owned())),
            Err(errno) => Err(no(fault::spoken(errno))),
        }
    }

    /// Reads what [`Store::span`] gives, until `into` is full or the file ends; gives how much was read.
    pub(crate) fn read_span(
        &mut self,
        source: SpanSource,
        into: &mut [u8],
        offset: u64,
    ) -> Result<FsResult<usize>, SpanFault> {
        let fs = self.library.fs.clone();
        Ok(fs.read_at(self.span_file(source)?, into, offset))
    }
}
