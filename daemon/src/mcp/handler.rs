//! The SDK's handler: each tool is one call of the service.

use std::future::Future;
use std::sync::Arc;

use codex_oauth_proto::people::{self, words};
use codex_oauth_proto::{BUILD, Surface, WireError};
use parking_lot::Mutex;
use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorCode, ErrorData,
    Implementation, ListToolsResult, PaginatedRequestParams, ProgressToken, ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, model::RequestId};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::calls::{Calls, Cancellation};
use super::progress::Progress;
use super::render;
use super::tools::{Name, NoArguments, QueryArguments, StatusArguments, arguments};
use crate::debug::{self, Tag};
use crate::server::Server;
use crate::service::{self, Abandoned, Outcome, PROGRESS_EVERY, Question, Turn, TurnEvent};
use crate::session::Session;
use crate::shutdown::Phase;
use crate::state::Key;

/// What the model is told about this server. Clients cut it at 2 KB.
const INSTRUCTIONS: &str = "Ask OpenAI Codex on the user's ChatGPT plan with codex_query. If it says that nobody is \
    signed in, call codex_login and give the user the link; codex_status tells when it is done.";

/// A question's call.
pub(super) struct Call {
    /// The request's number.
    pub(super) n: u64,
    /// Under what the client wants to hear of its progress.
    pub(super) progress: Option<ProgressToken>,
    /// Cancelled when the client calls it off, or the connection is over.
    pub(super) called_off: CancellationToken,
}

/// One session's handler.
pub(super) struct Handler {
    pub(super) server: Arc<Server>,
    pub(super) session: Arc<Session>,
    pub(super) calls: Calls,
    /// Cancelled when a call is left to the next daemon.
    pub(super) leaving: CancellationToken,
    places: Semaphore,
    /// The login whose link the client was last asked to show.
    pub(super) offered: Mutex<Option<String>>,
}

impl Handler {
    pub(super) fn new(server: Arc<Server>, session: Arc<Session>) -> Self {
        let calls = Calls::new(&session.hello);
        let places = Semaphore::new(server.limits.calls_per_session);
        Self { server, session, calls, leaving: CancellationToken::new(), places, offered: Mutex::default() }
    }

    /// A question: the call that neither needs the SDK nor waits for it.
    pub(super) async fn question(&self, arguments: QueryArguments, call: Call) -> CallToolResult {
        // In a box: what follows moves it.
        let answer = Box::pin(self.query(self.of_folder(arguments.into()), &call));
        match self.carried_out(Some(call.n), Name::Query, answer).await {
            Ok(content) => CallToolResult::success(content),
            Err(error) => failure(&error),
        }
    }

    /// Carries a call out, within the bound of the session, and tells whoever listens.
    async fn carried_out<T>(
        &self,
        n: Option<u64>,
        tool: Name,
        call: impl Future<Output = Result<T, WireError>>,
    ) -> Result<T, WireError> {
        let _in_use = self.server.idle.busy();
        let Ok(_place) = self.places.try_acquire() else {
            return Err(service::overloaded("calls of this session", self.server.limits.calls_per_session));
        };
        let told = async {
            let (began, n) = (Instant::now(), n.unwrap_or_default());
            debug::tell(Tag::Mcp, || format!("Request {n}: {}", tool.as_str()));
            let called = call.await;
            debug::tell(Tag::Mcp, || {
                let how = match &called {
                    Ok(_) => "answered".to_owned(),
                    Err(error) => format!("failed ({})", debug::word(error.code)),
                };
                format!("Request {n}: {} {how} after {}", tool.as_str(), debug::ms(began.elapsed()))
            });
            called
        };
        let called = debug::scope(self.session.listener(), told).await;
        if let Err(error) = &called
            && error.code == codex_oauth_proto::ErrorCode::Draining
            && self.server.shutdown.phase() != Phase::Serving
            && let Some(n) = n
        {
            self.leave_to_successor(n);
        }
        called
    }

    async fn call(
        &self,
        tool: Name,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, WireError> {
        let service = &self.server.service;
        let folder = self.session.account.as_deref();
        let takes_none = |given| arguments::<NoArguments>(tool, given).map(drop);
        match tool {
            Name::Query => {
                let arguments = arguments::<QueryArguments>(tool, request.arguments)?;
                // The transport knows every request by its number.
                let n = request_number(&context.id)
                    .ok_or_else(|| service::internal("number a request", &context.id))?;
                let call =
                    Call { n, progress: context.meta.get_progress_token(), called_off: context.ct.clone() };
                self.query(self.of_folder(arguments.into()), &call).await.map(complete)
            }
            Name::Status => {
                let arguments = arguments::<StatusArguments>(tool, request.arguments)?;
                self.status(arguments, context).await.map(complete)
            }
            Name::Login => {
                takes_none(request.arguments.clone())?;
                self.login(request, context).await
            }
            Name::Clear => {
                takes_none(request.arguments)?;
                self.clear().await.map(complete)
            }
            Name::Models => {
                takes_none(request.arguments)?;
                service.models(folder).await.map(|list| complete(render::models(&list)))
            }
        }
    }

    /// Signs out, and tells who stays signed in: whoever asks for this may think of one account only.
    async fn clear(&self) -> Result<Vec<ContentBlock>, WireError> {
        let service = &self.server.service;
        let report = service.logout(self.session.account.as_deref()).await?;
        // It is done, whether the others can be listed or not.
        let others = service.accounts().await.map(|listed| listed.accounts).unwrap_or_default();
        Ok(render::logout(&report, &others))
    }

    /// The account of the session's folder, unless the call names one.
    fn of_folder(&self, question: Question) -> Question {
        let account = question.account.or_else(|| self.session.account.clone());
        Question { account, ..question }
    }

    /// Leaves a call unanswered of which nothing was carried out: its shim then asks the next daemon, which finds no trace of
    /// it. The connection ends when that daemon can be found and the other calls of this session have their answers.
    fn leave_to_successor(&self, n: u64) {
        // From here on nothing goes out for it.
        drop(self.calls.close(n));
        tracing::info!(n, "left a call to the next daemon");
        self.leaving.cancel();
    }

    /// Asks, or finds the turn that this request or question has already.
    async fn query(&self, question: Question, call: &Call) -> Result<Vec<ContentBlock>, WireError> {
        let service = &self.server.service;
        let hello = &self.session.hello;
        let key = Key { nonce: hello.nonce.clone(), n: call.n };
        let (turn, asked_before) = match hello.resume.iter().find(|resumed| resumed.n == call.n) {
            Some(resumed) => (service.resume(question.clone(), key, resumed.sent).await?, false),
            None => service.ask(question.clone(), key).await?,
        };
        let mut outcome = self.follow(turn, &question, call).await?;
        if asked_before {
            outcome.notes.push(service::ASKED_BEFORE.to_owned());
        }
        answer(outcome)
    }

    /// How the login stands; at the end of a pending one, if that is asked for.
    async fn status(
        &self,
        arguments: StatusArguments,
        context: &RequestContext<RoleServer>,
    ) -> Result<Vec<ContentBlock>, WireError> {
        let folder = self.session.account.as_deref();
        let service = &self.server.service;
        let mut account = service.account(service::Probing::None, folder).await?;
        let awaited = account.pending_login.clone().filter(|_| arguments.wait_for_login);
        if let Some(login) = awaited {
            let began = Instant::now();
            let mut progress = self.progress(context.meta.get_progress_token());
            let mut ended = std::pin::pin!(service.login_ended(&login.login_id));
            let mut tick = tokio::time::interval(PROGRESS_EVERY);
            loop {
                tokio::select! {
                    biased;
                    _ended = &mut ended => break,
                    () = context.ct.cancelled() => break,
                    () = sleep_until(began + self.server.limits.login_wait) => break,
                    _ = tick.tick() => {
                        let waited = began.elapsed();
                        let of = login.account.as_deref().unwrap_or(&account.account_name);
                        let login = service.login_pending(of).unwrap_or_else(|| login.clone());
                        let what = people::login::waiting(&login, words::unix_now());
                        let message = format!("{what}, {}", words::duration(waited));
                        progress.set(message, service::millis(waited));
                    }
                    () = progress.show() => {}
                }
            }
            account = service.account(service::Probing::None, folder).await?;
        }
        let limits = service.rate_limits(folder).await?;
        Ok(render::status(
            &self.session.warnings,
            &account,
            &limits,
            &self.server.status(codex_oauth_proto::version::protocol().max.0),
        ))
    }

    fn progress(&self, token: Option<ProgressToken>) -> Progress {
        Progress::new(Arc::clone(&self.session), self.server.tracker.clone(), token)
    }

    /// The connection is lost. Whether its client is gone too, and will not ask by the same number again.
    fn is_released(&self, turn: &Turn) -> bool {
        let gone = self.session.writer.is_peer_gone();
        if gone {
            self.server.service.release(turn.id());
        }
        gone
    }

    /// Waits for a turn's end and shows its progress. When the request is called off the turn is too, unless the client
    /// only stopped waiting.
    async fn follow(&self, mut turn: Turn, question: &Question, call: &Call) -> Result<Outcome, WireError> {
        let n = call.n;
        let mut progress = self.progress(call.progress.clone());
        let mut is_told = false;
        loop {
            tokio::select! {
                biased;
                event = turn.next() => match event {
                    // Nobody here is told of it.
                    Some(TurnEvent::Delta(_)) => {}
                    Some(TurnEvent::Progress(now)) => progress.set(now.message, now.elapsed_ms),
                    Some(TurnEvent::Sent(knows)) => {
                        let told = self.session.writer.write_for_good(format!("@sent {n}").into_bytes()).await;
                        if told.is_err() && !self.is_released(&turn) {
                            return Err(service::interrupted());
                        }
                        is_told = true;
                        // A turn that was sent before waits for no word.
                        let _sent_before = knows.send(());
                    }
                    Some(TurnEvent::Ended(outcome)) => {
                        let turn = Abandoned::new(&turn, &self.session.hello.nonce, question);
                        // The client stopped waiting in the same instant: the answer is for whoever asks again.
                        if self.calls.cancellation(n) == Some(Cancellation::Detach) {
                            self.server.service.abandon(turn);
                        } else if outcome.error.is_none() {
                            self.calls.answered(n, turn);
                        }
                        return Ok(*outcome);
                    }
                    None => return Err(service::internal("follow a turn", &"its task ended without a word")),
                },
                () = call.called_off.cancelled() => {
                    match self.calls.cancellation(n) {
                        Some(Cancellation::Interrupt) => {
                            self.server.service.interrupt(turn.id());
                        }
                        Some(Cancellation::Detach) => {
                            let turn = Abandoned::new(&turn, &self.session.hello.nonce, question);
                            self.server.service.abandon(turn);
                        }
                        // Sent, and its client knows it: whoever comes back for it joins it, or finds how it ended.
                        None if is_told => {}
                        None => {
                            self.is_released(&turn);
                        }
                    }
                    // A request that was called off is not answered, so this text is for nobody.
                    return Err(service::interrupted());
                }
                () = progress.show() => {}
            }
        }
    }
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::default();
        // `listChanged` is not declared: a subscription would pin the daemon for a list that changes with the build only.
        info.capabilities = ServerCapabilities::builder().enable_tools().build();
        info.server_info = Implementation::new("codex-oauth", BUILD).with_title("Codex");
        info.instructions = Some(INSTRUCTIONS.to_owned());
        info
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        // `message::write` puts the list in.
        Ok(ListToolsResult::with_all_items(Vec::new()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = Name::of(&request.name) else {
            let message = format!("Unknown tool: {}", crate::session::printable(&request.name));
            return Err(ErrorData::new(ErrorCode::INVALID_PARAMS, message, None));
        };
        // In a box: the SDK moves what it serves with several times.
        let call = Box::pin(self.call(tool, request, &context));
        let called = self.carried_out(request_number(&context.id), tool, call).await;
        Ok(called.unwrap_or_else(|error| failure(&error).into()))
    }

    async fn on_custom_request(
        &self,
        request: rmcp::model::CustomRequest,
        _context: RequestContext<RoleServer>,
    ) -> Result<rmcp::model::CustomResult, ErrorData> {
        let method = crate::session::printable(&request.method);
        // The SDK takes a known method with parameters that do not fit for an unknown one.
        if matches!(request.method.as_str(), "initialize" | "tools/call" | "tools/list" | "server/discover") {
            let message = format!("could not read the parameters of {method}");
            return Err(ErrorData::new(ErrorCode::INVALID_PARAMS, message, None));
        }
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, method, None))
    }
}

/// An answer verbatim, then what it cost in one line. What had come before a failure is shown before the reason.
fn answer(outcome: Outcome) -> Result<Vec<ContentBlock>, WireError> {
    let Outcome { answer, error, notes, summary, .. } = outcome;
    match (answer, error) {
        (Some(answer), None) => Ok(render::answer(answer, &notes, summary.as_deref())),
        (Some(partial), Some(mut error)) if !partial.is_empty() => {
            error.message = format!("{}\nWhat had come of the answer:\n{partial}", error.message);
            Err(error)
        }
        (_, Some(error)) => Err(error),
        (None, None) => Err(service::internal("end a turn", &"it has neither an answer nor an error")),
    }
}

fn request_number(id: &RequestId) -> Option<u64> {
    match id {
        RequestId::Number(n) => u64::try_from(*n).ok(),
        RequestId::String(_) => None,
    }
}

fn complete(content: Vec<ContentBlock>) -> CallToolResponse {
    CallToolResult::success(content).into()
}

fn failure(error: &WireError) -> CallToolResult {
    debug_assert!(people::errors::is_known(error), "not in the catalogue: {error:?}");
    CallToolResult::error(vec![ContentBlock::text(error.render(Surface::ClaudeCode))])
}
