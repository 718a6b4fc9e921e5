//! The bodies of control frames.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{AGENT_BYTES_MAX, BYE_BYTES_MAX, kind};
use crate::types::ContentId;
use crate::types::manifest::{
    ChainingValue, ManifestPage, PAGE_VALUES_MAX, PROOF_LEFT_MAX, PROOF_TAIL_BYTES_MAX, SizeProof,
};
use crate::wire::message::{
    CataloguePage, CatalogueRequest, Frame, Hello, NAME_BYTES_MAX, Offer, PORT_MIN, RefuseReason, clipped,
};

/// Why a body is not what its kind demands.
type Why = &'static str;

const SHORT: Why = "too short";

/// Reads the body of a control frame whose length is one its kind may have.
pub(super) fn decode(kind: u8, body: &[u8]) -> Result<Frame, Why> {
    let mut body = Body(body);
    let frame = match kind {
        kind::HELLO => Frame::Hello(hello(body.json()?)?),
        kind::CATALOGUE_REQUEST => Frame::CatalogueRequest(catalogue_request(body.json()?)?),
        kind::CATALOGUE_PAGE => Frame::CataloguePage(catalogue_page(body.json()?)?),
        kind::OPEN => {
            let (channel, content) = (body.u32()?, ContentId(body.array()?));
            let (size, chunk_bytes) = (body.u64()?, body.u32()?);
            if chunk_bytes == 0 && size != 0 {
                return Err("a size without a chunk size");
            }
            Frame::Open { channel, content, size, chunk_bytes }
        }
        kind::REFUSE => Frame::Refuse { content: ContentId(body.array()?), reason: body.reason()? },
        kind::WITHDRAW => Frame::Withdraw { channel: body.u32()?, reason: body.reason()? },
        kind::MANIFEST_REQUEST => Frame::ManifestRequest { channel: body.u32()?, first: body.u32()? },
        kind::MANIFEST_PAGE => Frame::ManifestPage(manifest_page(&mut body)?),
        kind::HAVE_MAP => Frame::HaveMap { channel: body.u32()?, bits: body.rest().to_vec() },
        kind::HAVE => {
            let (channel, first, count) = (body.u32()?, body.u32()?, body.u32()?);
            if count == 0 || first.checked_add(count).is_none() {
                return Err("a range that is none");
            }
            Frame::Have { channel, first, count }
        }
        kind::REQUEST => Frame::Request { channel: body.u32()?, chunk: body.u32()? },
        kind::CANCEL => Frame::Cancel { channel: body.u32()?, chunk: body.u32()? },
        kind::REVOKE => Frame::Revoke { channel: body.u32()?, chunk: body.u32()? },
        kind::REJECT => Frame::Reject { channel: body.u32()?, chunk: body.u32()?, reason: body.reason()? },
        kind::BAD => Frame::Bad { channel: body.u32()?, chunk: body.u32()? },
        kind::OFFER => Frame::Offer(offer(body.json()?)?),
        kind::OFFER_ANSWER => Frame::OfferAnswer(body.json()?),
        kind::OFFER_OUTCOME => Frame::OfferOutcome(body.json()?),
        kind::PING => Frame::Ping,
        kind::PONG => Frame::Pong,
        kind::SHOW => Frame::Show { channel: body.u32()? },
        kind::IDLE => Frame::Idle { channel: body.u32()? },
        kind::BYE => Frame::Bye { reason: body.text()? },
        _ => return Err("not a control frame"),
    };
    if body.0.is_empty() { Ok(frame) } else { Err("too long") }
}

/// Appends the kind of a frame, and its body.
pub(super) fn encode(frame: &Frame, out: &mut Vec<u8>) {
    match frame {
        Frame::Hello(hello) => {
            let mut hello = hello.clone();
            hello.user = clipped(&hello.user, NAME_BYTES_MAX).to_owned();
            hello.agent = clipped(&hello.agent, AGENT_BYTES_MAX).to_owned();
            put_json(kind::HELLO, &hello, out);
        }
        Frame::CatalogueRequest(request) => put_json(kind::CATALOGUE_REQUEST, request, out),
        Frame::CataloguePage(page) => put_json(kind::CATALOGUE_PAGE, page, out),
        Frame::Open { channel, content, size, chunk_bytes } => {
            put(kind::OPEN, &[*channel], out);
            out.extend_from_slice(&content.0);
            out.extend_from_slice(&size.to_be_bytes());
            put_u32s(&[*chunk_bytes], out);
        }
        Frame::Refuse { content, reason } => {
            put(kind::REFUSE, &[], out);
            out.extend_from_slice(&content.0);
            out.push(*reason as u8);
        }
        Frame::Withdraw { channel, reason } => {
            put(kind::WITHDRAW, &[*channel], out);
            out.push(*reason as u8);
        }
        Frame::ManifestRequest { channel, first } => put(kind::MANIFEST_REQUEST, &[*channel, *first], out),
        Frame::ManifestPage(page) => put_manifest_page(page, out),
        Frame::HaveMap { channel, bits } => {
            put(kind::HAVE_MAP, &[*channel], out);
            out.extend_from_slice(bits);
        }
        Frame::Have { channel, first, count } => put(kind::HAVE, &[*channel, *first, *count], out),
        Frame::Request { channel, chunk } => put(kind::REQUEST, &[*channel, *chunk], out),
        Frame::Cancel { channel, chunk } => put(kind::CANCEL, &[*channel, *chunk], out),
        Frame::Revoke { channel, chunk } => put(kind::REVOKE, &[*channel, *chunk], out),
        Frame::Reject { channel, chunk, reason } => {
            put(kind::REJECT, &[*channel, *chunk], out);
            out.push(*reason as u8);
        }
        Frame::Bad { channel, chunk } => put(kind::BAD, &[*channel, *chunk], out),
        Frame::Offer(offer) => put_json(kind::OFFER, offer, out),
        Frame::OfferAnswer(answer) => put_json(kind::OFFER_ANSWER, answer, out),
        Frame::OfferOutcome(outcome) => put_json(kind::OFFER_OUTCOME, outcome, out),
        Frame::Ping => put(kind::PING, &[], out),
        Frame::Pong => put(kind::PONG, &[], out),
        Frame::Show { channel } => put(kind::SHOW, &[*channel], out),
        Frame::Idle { channel } => put(kind::IDLE, &[*channel], out),
        Frame::Bye { reason } => {
            put(kind::BYE, &[], out);
            out.extend_from_slice(clipped(reason, BYE_BYTES_MAX).as_bytes());
        }
    }
}

fn hello(hello: Hello) -> Result<Hello, Why> {
    if hello.v == 0 {
        return Err("version 0");
    }
    if hello.port < PORT_MIN {
        return Err("a port below 1024");
    }
    if hello.user.len() > NAME_BYTES_MAX || hello.agent.len() > AGENT_BYTES_MAX {
        return Err("a text too long");
    }
    Ok(hello)
}

fn catalogue_request(request: CatalogueRequest) -> Result<CatalogueRequest, Why> {
    let after_is_legal = request.after.as_ref().is_none_or(|(_, name)| name.len() <= NAME_BYTES_MAX);
    if request.wanted.is_legal() && after_is_legal { Ok(request) } else { Err("not to be looked for") }
}

fn catalogue_page(page: CataloguePage) -> Result<CataloguePage, Why> {
    if page.entries.iter().all(|entry| entry.is_legal()) { Ok(page) } else { Err("an entry that is none") }
}

fn offer(offer: Offer) -> Result<Offer, Why> {
    if offer.is_legal() { Ok(offer) } else { Err("a name of no length it may have") }
}

fn manifest_page(body: &mut Body<'_>) -> Result<ManifestPage, Why> {
    let (channel, size, chunk_bytes, first) = (body.u32()?, body.u64()?, body.u32()?, body.u32()?);
    let count = usize::from(body.u16()?);
    if count > PAGE_VALUES_MAX {
        return Err("too many values");
    }
    let proof = if first == 0 { Some(size_proof(body)?) } else { None };
    Ok(ManifestPage { channel, size, chunk_bytes, first, values: body.values(count)?, proof })
}

fn size_proof(body: &mut Body<'_>) -> Result<SizeProof, Why> {
    let (tail_bytes, left) = (usize::from(body.u16()?), usize::from(body.u8()?));
    if tail_bytes > PROOF_TAIL_BYTES_MAX || left > PROOF_LEFT_MAX {
        return Err("a size proof too long");
    }
    Ok(SizeProof { tail: body.take(tail_bytes)?.to_vec(), left: body.values(left)? })
}

/// A proof belongs into page 0, and nowhere else: without one page 0 gets that of the empty content.
fn put_manifest_page(page: &ManifestPage, out: &mut Vec<u8>) {
    put(kind::MANIFEST_PAGE, &[page.channel], out);
    out.extend_from_slice(&page.size.to_be_bytes());
    put_u32s(&[page.chunk_bytes, page.first], out);
    put_u16(page.values.len(), out);
    if page.first == 0 {
        let empty = SizeProof::default();
        let proof = page.proof.as_ref().unwrap_or(&empty);
        put_u16(proof.tail.len(), out);
        out.push(u8::try_from(proof.left.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(&proof.tail);
        out.extend_from_slice(proof.left.as_flattened());
    }
    out.extend_from_slice(page.values.as_flattened());
}

/// Appends a kind, and the numbers that its body begins with.
fn put(kind: u8, numbers: &[u32], out: &mut Vec<u8>) {
    out.push(kind);
    put_u32s(numbers, out);
}

fn put_u32s(numbers: &[u32], out: &mut Vec<u8>) {
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_be_bytes()));
}

/// Appends a count; one that does not fit is a mistake of the caller's, which the other side refuses.
fn put_u16(count: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes());
}

fn put_json(kind: u8, message: &impl Serialize, out: &mut Vec<u8>) {
    out.push(kind);
    // Writing messages of plain strings and numbers into memory cannot fail.
    let _ = serde_json::to_writer(out, message);
}

/// What is left of a body.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], Why> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Why> {
        self.take(N)?.try_into().map_err(|_| SHORT)
    }

    fn u8(&mut self) -> Result<u8, Why> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    fn u16(&mut self) -> Result<u16, Why> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, Why> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, Why> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    fn values(&mut self, count: usize) -> Result<Vec<ChainingValue>, Why> {
        let (values, _) = self.take(count.saturating_mul(size_of::<ChainingValue>()))?.as_chunks();
        Ok(values.to_vec())
    }

    fn reason(&mut self) -> Result<RefuseReason, Why> {
        RefuseReason::from_byte(self.u8()?).ok_or("an unknown reason")
    }

    fn text(&mut self) -> Result<String, Why> {
        Ok(std::str::from_utf8(self.rest()).map_err(|_| "not UTF-8")?.to_owned())
    }

    fn json<T: DeserializeOwned>(&mut self) -> Result<T, Why> {
        serde_json::from_slice(self.rest()).map_err(|_| "not the JSON object of its kind")
    }
}
