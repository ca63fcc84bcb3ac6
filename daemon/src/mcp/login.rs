//! A login, offered the way the client can show it.
//!
//! The tool returns at once in every case. A client that declares URL elicitation shows the link itself: as a request of
//! ours in the older protocol era, as required input in the newer one, where servers send no requests (MCP.md §1).

use std::collections::BTreeMap;
use std::time::Duration;

use codex_oauth_proto::api::account::{LoginCompleted, LoginStartParams, LoginStartResult};
use codex_oauth_proto::{WireError, people};
use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CustomNotification, ElicitRequest,
    ElicitRequestParams, InputRequest, InputRequiredResult, ProtocolVersion, ServerNotification,
    ServerRequest,
};
use rmcp::service::{Peer, RequestContext};
use serde_json::json;

use super::handler::Handler;
use super::render;
use crate::service::CodexService;
use crate::task;

/// How long a person's "I am done" may be ahead of the browser's redirect.
const ALMOST_DONE: Duration = Duration::from_secs(2);

impl Handler {
    /// The call of `codex_login`.
    pub(super) async fn login(
        &self,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, WireError> {
        let service = &self.server.service;
        if let Some(login_id) = request.request_state {
            return self.login_answered(&login_id).await;
        }
        let login = service
            .login_start(
                LoginStartParams { open_browser: true, device: None, account: self.session.account.clone() },
                self.session.env(),
            )
            .await?;
        let shows_urls = context
            .client_capabilities()
            .and_then(|capabilities| capabilities.elicitation)
            .is_some_and(|elicitation| elicitation.url.is_some());
        let modern =
            context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
        if shows_urls && modern {
            let requests =
                BTreeMap::from([("login".to_owned(), InputRequest::Elicitation(elicitation(&login)))]);
            return Ok(CallToolResponse::InputRequired(InputRequiredResult::new(
                Some(requests),
                Some(login.login_id),
            )));
        }
        // Whoever asks again for the same login has the question on the screen already.
        let asked = self.offered.lock().replace(login.login_id.clone()).as_ref() == Some(&login.login_id);
        if shows_urls && !asked {
            let offer = offer(context.peer.clone(), service.clone(), login.clone());
            let over = self.session.over.clone();
            let _detached = task::spawn(&self.server.tracker, "login offer", async move {
                tokio::select! {
                    () = over.cancelled() => {}
                    () = offer => {}
                }
            });
        }
        Ok(CallToolResult::success(render::login(&login)).into())
    }

    /// The client has shown the link and its person has answered; what counts is how the login stands.
    async fn login_answered(&self, login_id: &str) -> Result<CallToolResponse, WireError> {
        let service = &self.server.service;
        let ended = tokio::time::timeout(ALMOST_DONE, service.login_ended(login_id)).await;
        match ended {
            Ok(LoginCompleted { error: Some(error), .. }) => Err(error),
            Ok(LoginCompleted { account, note, .. }) => {
                let text = render::signed_in_as(account.as_ref(), note.as_deref());
                Ok(CallToolResult::success(text).into())
            }
            Err(_) => {
                let login = service
                    .login_start(
                        LoginStartParams {
                            account: self.session.account.clone(),
                            ..LoginStartParams::default()
                        },
                        self.session.env(),
                    )
                    .await?;
                Ok(CallToolResult::success(render::login(&login)).into())
            }
        }
    }
}

/// Asks the client to show the link; takes the question back when the login has ended, however it was answered.
async fn offer(peer: Peer<RoleServer>, service: CodexService, login: LoginStartResult) {
    let ended = service.login_ended(&login.login_id);
    let asked = async {
        // Accepted, declined or not understood: the login goes on until its end.
        let _answer = peer.send_request(ServerRequest::ElicitRequest(elicitation(&login))).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ended = ended => {}
        () = asked => {}
    }
    let params = json!({"elicitationId": login.login_id});
    let complete = CustomNotification::new("notifications/elicitation/complete", Some(params));
    // The client may be gone.
    let _gone = peer.send_notification(ServerNotification::CustomNotification(complete)).await;
}

fn elicitation(login: &LoginStartResult) -> ElicitRequest {
    let mut message = "Sign in to Codex with your ChatGPT account".to_owned();
    if let Some(code) = &login.device {
        message = format!("{message}; or, in a browser anywhere, {}", people::login::device(code));
    }
    ElicitRequest::new(ElicitRequestParams::UrlElicitationParams {
        meta: None,
        message,
        url: login.auth_url.clone(),
        elicitation_id: login.login_id.clone(),
    })
}
