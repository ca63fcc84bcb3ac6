//! Connections: made when a request needs one, replaced when lost or when the daemon hands over.

use std::collections::BTreeMap;
use std::time::Instant;

use codex_oauth_proto::WireError;
use codex_oauth_proto::connect::{ConnectError, Session};
use codex_oauth_proto::hello::Resume;

use super::{Relay, Waiting};
use crate::answer;
use crate::connector::{Connector, Opening};
use crate::link::{Link, LinkId};
use crate::offline;
use crate::pending::{Kind, Request};

/// How often one request is given to a connection. A daemon that ends each time has a fault that repeating does not mend.
const MAX_TRIES: u32 = 3;

/// Connections at once: the current one, and those whose last answers are awaited after a hand-over. Each hand-over is
/// an upgrade, so more than one at a time is rare.
const MAX_LINKS: usize = 4;

/// Bytes that may wait for the daemon before the client is read no further. The kernel holds some 200 kB more.
const MAX_UNSENT_BYTES: usize = 1024 * 1024;

impl<C: Connector> Relay<C> {
    /// The connections, for the poll.
    pub(crate) fn links(&self) -> &[Link] {
        &self.links
    }

    /// Whether the daemon that takes new lines keeps up with the client.
    pub(crate) fn daemon_keeps_up(&self) -> bool {
        let current = self.links.iter().find(|link| self.current == Some(link.id));
        current.is_none_or(|link| link.outbox.len() <= MAX_UNSENT_BYTES)
    }

    /// Reads once from `link`, and takes what came.
    pub(crate) fn read_link(&mut self, link: LinkId, bytes: &mut [u8]) {
        if let Some(link) = self.link(link) {
            link.fill(bytes);
        }
        self.daemon_lines(link);
        if self.link(link).is_some_and(|link| link.ended) {
            self.lost(link);
        }
    }

    /// Writes what the connections take, and closes those that are done.
    pub(crate) fn flush_links(&mut self) {
        for link in &mut self.links {
            link.flush();
            if self.ending {
                link.finish();
            }
        }
        self.close_idle();
    }

    /// Gives requests to the current connection, which is made when there is none. Without one they are answered here.
    pub(super) fn carry(&mut self, batch: Vec<Waiting>) {
        // Only a hello says what is sent again, so that takes a new connection. One that is there then takes no new lines any
        // more, as after a hand-over.
        let repeats = batch.iter().any(|waiting| waiting.sent_as.is_some());
        self.current = self.current.filter(|_| !repeats);
        if self.current.is_none() && self.links.len() >= MAX_LINKS {
            self.lost(self.links[0].id);
            self.current = self.current.filter(|_| !repeats);
        }
        let mut opens = self.current.is_none();
        let link = match self.current.map_or_else(|| self.connect(&batch), Ok) {
            Ok(link) => link,
            Err(reason) => {
                for Waiting { request, .. } in batch {
                    self.output.push(unreached(&request, &reason));
                }
                return;
            }
        };
        for Waiting { sent_as, mut request, line } in batch {
            let is_sent = std::mem::take(&mut opens) && goes_along(&request);
            let n = sent_as.unwrap_or_else(|| self.number());
            let closing = (request.kind == Kind::Initialize).then(|| self.handshake.closing()).flatten();
            request.tries += 1;
            self.pending.insert(n, link, request);
            if !is_sent {
                self.push(link, Some(n), line);
            }
            if let Some(closing) = closing {
                self.push(link, None, closing);
            }
        }
        // What came right behind the welcome.
        self.daemon_lines(link);
    }

    /// The daemon of `link` hands over: it answers what it has read, and everything else goes to its successor.
    pub(super) fn moved(&mut self, link: LinkId) {
        if self.current != Some(link) {
            return;
        }
        self.current = None;
        let unsent = self.link(link).map(|link| link.outbox.take_unsent_requests()).unwrap_or_default();
        let mut batch = Vec::new();
        for (n, line) in unsent {
            if let Some(request) = self.pending.take(n) {
                self.again_or_answer(n, request, Some(line), &mut batch);
            }
        }
        if !batch.is_empty() {
            self.carry(batch);
        }
    }

    /// Lets go of connections that took part in a hand-over and have nothing more to bring.
    fn close_idle(&mut self) {
        let Self { links, pending, asked, current, .. } = self;
        links.retain(|link| {
            *current == Some(link.id)
                || link.wants_write()
                || pending.is_on(link.id)
                || asked.iter().any(|(on, _)| *on == link.id)
        });
    }

    /// `link` is over. Each of its requests is answered here, or sent again at once.
    fn lost(&mut self, link: LinkId) {
        let Some(at) = self.links.iter().position(|found| found.id == link) else { return };
        let mut lost = self.links.remove(at);
        self.current = self.current.filter(|current| *current != link);
        self.connector.lost();
        for (_, id) in self.asked.extract_if(.., |(on, _)| *on == link) {
            self.output.push(answer::cancelled(&id));
        }
        // What was said of its requests is known only if everything that came was read.
        let told = lost.announces && lost.ended;
        let mut unsent: BTreeMap<u64, Vec<u8>> = lost.outbox.take_unsent_requests().into_iter().collect();
        let mut again = Vec::new();
        for (n, mut request) in self.pending.take_link(link) {
            let line = unsent.remove(&n);
            if line.is_none() {
                request.known = true;
                request.sent |= !told;
            }
            self.again_or_answer(n, request, line, &mut again);
        }
        if !again.is_empty() {
            self.carry(again);
        }
    }

    fn again_or_answer(
        &mut self,
        n: u64,
        request: Request,
        unsent: Option<Vec<u8>>,
        again: &mut Vec<Waiting>,
    ) {
        match self.after_loss(&request, unsent) {
            Ok(line) => {
                again.push(Waiting { sent_as: request.known.then_some(n), request, line });
            }
            Err(answer) => self.output.push(answer),
        }
    }

    /// The line to send again, or the answer. `unsent` is the line if no byte of it was written.
    fn after_loss(&self, request: &Request, unsent: Option<Vec<u8>>) -> Result<Vec<u8>, Vec<u8>> {
        match request.kind {
            Kind::Listen if unsent.is_none() => Err(answer::failure(request, &answer::connection_lost())),
            _ if self.ending => Err(unreached(request, &answer::connection_lost())),
            _ if request.tries >= MAX_TRIES => {
                Err(unreached(request, &answer::daemon_keeps_ending(request.tries)))
            }
            _ => unsent
                .or_else(|| request.copy.clone())
                .ok_or_else(|| unreached(request, &answer::connection_lost())),
        }
    }

    /// Makes the connection that `batch` is for, and repeats the handshake on it.
    fn connect(&mut self, batch: &[Waiting]) -> Result<LinkId, WireError> {
        let resume = batch
            .iter()
            .filter_map(|Waiting { sent_as, request, .. }| {
                Some(Resume { n: (*sent_as)?, id: request.id.clone(), sent: request.sent })
            })
            .collect();
        let first =
            batch.first().filter(|waiting| goes_along(&waiting.request)).map(|waiting| waiting.line.clone());
        let session = self.open(&Opening { nonce: self.nonce.clone(), next: self.next, resume, first })?;
        let id = self.newest.following();
        let mut link = Link::new(id, session).map_err(|error| ConnectError::Io(error).to_wire())?;
        // An `initialize` that has no answer yet is sent again itself.
        if !batch.iter().any(|waiting| waiting.request.kind == Kind::Initialize) {
            let replay = format!("codex-oauth-mcp:{}:{}", self.nonce, id.number()).into();
            if let Some(line) = self.handshake.replay(&replay) {
                link.outbox.push(Some(self.number()), line);
            }
            if let Some(line) = self.handshake.closing() {
                link.outbox.push(None, line);
            }
        }
        self.links.push(link);
        self.newest = id;
        self.current = Some(id);
        Ok(id)
    }

    fn open(&mut self, opening: &Opening) -> Result<Session, WireError> {
        let began = Instant::now();
        if let Some((reason, _)) = self.refused.as_ref().filter(|(_, until)| began < *until) {
            return Err(reason.clone());
        }
        let opened = self.connector.open(opening);
        let ended = Instant::now();
        self.refused = match &opened {
            Err(reason) if ended - began > self.limits.slow_refusal => {
                Some((reason.clone(), ended + self.limits.refusal_holds))
            }
            _ => None,
        };
        opened
    }

    fn number(&mut self) -> u64 {
        let n = self.next;
        self.next += 1;
        n
    }
}

/// The answer to a request that no daemon can be given any more. A call that was sent may have been carried out.
fn unreached(request: &Request, reason: &WireError) -> Vec<u8> {
    if request.is_sent_call() {
        return answer::failure(request, &answer::outcome_unknown());
    }
    offline::answer(request, reason)
}

/// Whether the first request for a new connection is sent together with the hello. Only what may be said twice.
fn goes_along(request: &Request) -> bool {
    request.kind == Kind::Initialize && request.copy.is_some()
}
