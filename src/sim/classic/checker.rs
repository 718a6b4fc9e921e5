//! A checker of what one end of a classic connection writes: requests are complete and one at a time, and answers come in
//! the segments, and with the pauses, that the field's receivers need.

use std::time::Duration;

use crate::types::Time;
use crate::wire::classic::request::{Request, RequestDecoder};
use crate::wire::classic::{Dialect, REQUEST_BYTES_MAX, SEGMENT_PAUSE, SIZE_PAUSE};

/// What one end has said so far.
#[derive(Debug)]
pub(in crate::sim) struct ClassicChecker {
    decoder: RequestDecoder,
    requests: u32,
    last: Option<Request>,
    /// Answers of which the end is known, and was written.
    answers: u32,
    /// Of the answer under way: when its first, second and third piece were written, and their lengths.
    pieces: Vec<(Time, usize)>,
    /// Of D's answer under way: its header line.
    line: Vec<u8>,
    /// Of D's answer under way: bytes that its header promised and that are still to be written.
    promised: u64,
}

impl Default for ClassicChecker {
    fn default() -> ClassicChecker {
        ClassicChecker {
            decoder: RequestDecoder::new(Dialect::C.tcp_port()),
            requests: 0,
            last: None,
            answers: 0,
            pieces: Vec::new(),
            line: Vec::new(),
            promised: 0,
        }
    }
}

impl ClassicChecker {
    /// What asks closes the connection. `half_closed`: it has closed its writing half before.
    pub(in crate::sim) fn closes(&self, half_closed: bool) -> Result<(), String> {
        match &self.last {
            None => Err("closes a connection on which it asked nothing".to_owned()),
            Some(asked) if asked.dialect.half_closes_after_request() && !half_closed => {
                Err("does not close its writing half behind its request".to_owned())
            }
            Some(_) => Ok(()),
        }
    }

    /// What asks has written; gives the requests that it completes. `other` is what answers.
    pub(in crate::sim) fn asks(
        &mut self,
        bytes: &[u8],
        other: &ClassicChecker,
    ) -> Result<Vec<Request>, String> {
        if self.requests != other.answers {
            return Err(format!("asks again after {} requests and {} answers", self.requests, other.answers));
        }
        match self.decoder.push(bytes) {
            Ok((used, Some(request))) if used == bytes.len() && used < REQUEST_BYTES_MAX => {
                self.requests += 1;
                self.last = Some(request.clone());
                Ok(vec![request])
            }
            Ok(_) => Err("writes something else than one whole request at once".to_owned()),
            Err(error) => Err(format!("asks what nobody understands: {error}")),
        }
    }

    /// What answers has written. `other` is what asked.
    pub(in crate::sim) fn answers(
        &mut self,
        now: Time,
        bytes: &[u8],
        other: &ClassicChecker,
    ) -> Result<(), String> {
        let Some(asked) = other.last.as_ref().filter(|_| other.requests > self.answers) else {
            return Err("answers what nobody asked".to_owned());
        };
        let dialect = asked.dialect;
        if self.pieces.len() < 3 {
            self.pieces.push((now, bytes.len()));
        }
        if dialect == Dialect::D {
            self.line_and_data(bytes)?;
        }
        let early = |from: usize, to: usize, pause: Duration| {
            let [from, to] = [self.pieces.get(from), self.pieces.get(to)];
            from.zip(to).is_some_and(|((from, _), (to, _))| to.since(*from) < pause)
        };
        let complaint = match dialect {
            Dialect::ASize if self.pieces[0].1 != 1 => Some("does not write the status alone"),
            Dialect::ASize if early(0, 1, SEGMENT_PAUSE) => Some("writes the size too soon"),
            Dialect::ASize if early(0, 2, SIZE_PAUSE) => Some("writes data too soon behind the size"),
            Dialect::D if early(0, 1, SEGMENT_PAUSE) => Some("writes data too soon behind the header"),
            _ => None,
        };
        if dialect == Dialect::D && self.promised == 0 {
            self.answers += 1;
            self.pieces.clear();
            self.line.clear();
        }
        complaint.map_or(Ok(()), |what| Err(what.to_owned()))
    }

    /// The header line comes alone; then what it promised.
    fn line_and_data(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.promised > 0 {
            let left = self.promised.checked_sub(bytes.len() as u64);
            self.promised = left.ok_or_else(|| "writes more than its header said".to_owned())?;
            return Ok(());
        }
        self.line.extend_from_slice(bytes);
        let text = std::str::from_utf8(&self.line).unwrap_or_default();
        match text.strip_suffix('\n').map(str::parse) {
            Some(Ok(size)) if size > 0 => {
                self.promised = size;
                Ok(())
            }
            None if text == "ERROR: Chunk not found" => Ok(()),
            _ => Err(format!("writes {text:?} for a header line")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An asker that has written `request`, and its answerer.
    fn asked(request: &str) -> (ClassicChecker, ClassicChecker) {
        let (mut asker, answerer) = (ClassicChecker::default(), ClassicChecker::default());
        assert_eq!(asker.asks(request.as_bytes(), &answerer).unwrap().len(), 1);
        (asker, answerer)
    }

    #[test]
    fn requests_are_whole_and_one_at_a_time() {
        let (mut asker, mut answerer) = asked(r#"{"chunk": "forest_1.png"}"#);
        let again = br#"{"chunk": "forest_2.png"}"#;
        assert!(asker.asks(again, &answerer).is_err());
        answerer.answers(Time::ZERO, b"2\n", &asker).unwrap();
        assert!(asker.asks(again, &answerer).is_err());
        answerer.answers(Time::from_millis(50), b"ab", &asker).unwrap();
        assert!(asker.asks(again, &answerer).is_ok());
        assert!(ClassicChecker::default().asks(&again[..9], &answerer).is_err());
        assert!(asker.closes(false).is_ok() && ClassicChecker::default().closes(true).is_err());
        let (raw, _) = asked(r#"{"filename": "forest_1"}"#);
        assert!(raw.closes(true).is_ok() && raw.closes(false).is_err());
    }

    #[test]
    fn answers_come_in_their_pieces() {
        let millis = Time::from_millis;
        let answer = |pieces: &[(u64, &[u8])]| {
            let (asker, mut answerer) = asked(r#"{"filename": "forest_1.png"}"#);
            let mut pieces = pieces.iter();
            pieces.try_for_each(|(at, bytes)| answerer.answers(millis(*at), bytes, &asker))
        };
        assert_eq!(answer(&[(0, b"1"), (50, b"2"), (1_250, b"ab"), (1_250, b"c")]), Ok(()));
        assert!(answer(&[(0, b"12")]).is_err());
        assert!(answer(&[(0, b"1"), (49, b"2")]).is_err());
        assert!(answer(&[(0, b"1"), (50, b"2"), (1_199, b"ab")]).is_err());
        let (asker, mut answerer) = asked(r#"{"chunk": "forest_1.png"}"#);
        assert!(answerer.answers(millis(0), b"2\nab", &asker).is_err());
        assert!(ClassicChecker::default().answers(millis(0), b"a", &ClassicChecker::default()).is_err());
    }
}
