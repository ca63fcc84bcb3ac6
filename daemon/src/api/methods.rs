//! One arm per method.

use codex_oauth_proto::api::{Empty, Method, account, config, daemon, model, probe, trace, turn};
use codex_oauth_proto::jsonrpc::Request;
use codex_oauth_proto::{ErrorCode, NextStep, WireError};
use serde_json::Value;

use super::{ApiSession, params};
use crate::secret::Secret;
use crate::service::{Progress, Question, TurnEvent};
use crate::session::draining;
use crate::shutdown::Phase;

/// Answers one request, and stays with it until its last notification.
pub(super) async fn handle(api: &ApiSession, request: Request) {
    let _in_use = api.server.idle.busy();
    let Request { id, method, params: given, .. } = request;
    let service = &api.server.service;
    let folder = api.session.account.as_deref();
    let result = match method.as_str() {
        account::Read::NAME => match params::<account::Read>(given) {
            Ok(params) => {
                encode(service.account(params.probe.into(), params.account.as_deref().or(folder)).await)
            }
            Err(error) => Err(error),
        },
        account::LoginStart::NAME => return login_start(api, id, given).await,
        account::LoginCancel::NAME => match params::<account::LoginCancel>(given) {
            Ok(params) => encode(service.login_cancel(&params.login_id).await.map(|()| Empty {})),
            Err(error) => Err(error),
        },
        account::LoginPaste::NAME => match params::<account::LoginPaste>(given) {
            Ok(params) => {
                let text = Secret::new(params.text.0);
                encode(service.login_paste(&params.login_id, text).await.map(|()| Empty {}))
            }
            Err(error) => Err(error),
        },
        account::Logout::NAME => match params::<account::Logout>(given) {
            Ok(params) => encode(service.logout(params.account.as_deref().or(folder)).await),
            Err(error) => Err(error),
        },
        account::AccountList::NAME => encode(service.accounts().await),
        account::AccountUse::NAME => match params::<account::AccountUse>(given) {
            Ok(params) => encode(service.use_account(&params.account).await.map(|()| Empty {})),
            Err(error) => Err(error),
        },
        account::AccountRemove::NAME => match params::<account::AccountRemove>(given) {
            Ok(params) => encode(service.remove_account(&params.account).await),
            Err(error) => Err(error),
        },
        account::AccountAdopt::NAME => match params::<account::AccountAdopt>(given) {
            Ok(params) => encode(service.adopt_account(&params).await.map(|()| Empty {})),
            Err(error) => Err(error),
        },
        account::Check::NAME => match params::<account::Check>(given) {
            Ok(params) => encode(service.check_account(params.account.as_deref().or(folder)).await),
            Err(error) => Err(error),
        },
        account::History::NAME => match params::<account::History>(given) {
            Ok(params) => encode(service.login_history(params.account.as_deref().or(folder)).await),
            Err(error) => Err(error),
        },
        account::RateLimitsRead::NAME => match params::<account::RateLimitsRead>(given) {
            Ok(params) if params.refresh => {
                encode(service.refresh_rate_limits(params.account.as_deref().or(folder)).await)
            }
            Ok(params) => encode(service.rate_limits(params.account.as_deref().or(folder)).await),
            Err(error) => Err(error),
        },
        config::Read::NAME => encode(Ok(api.server.config())),
        model::List::NAME => match params::<model::List>(given) {
            Ok(params) => encode(service.models(params.account.as_deref().or(folder)).await),
            Err(error) => Err(error),
        },
        turn::Start::NAME => return turn_start(api, id, given).await,
        turn::Interrupt::NAME => {
            encode(params::<turn::Interrupt>(given).and_then(|params| interrupt(api, &params.turn_id)))
        }
        turn::List::NAME => encode(service.kept_turns().await),
        turn::Read::NAME => match params::<turn::Read>(given) {
            Ok(params) => encode(service.kept_turn(&params.turn_id).await),
            Err(error) => Err(error),
        },
        trace::List::NAME => match params::<trace::List>(given) {
            Ok(params) => encode(service.traces(params).await),
            Err(error) => Err(error),
        },
        daemon::Status::NAME => encode(Ok(api.server.status(codex_oauth_proto::version::protocol().max.0))),
        probe::DaemonProbe::NAME => encode(service.probe_ways().await),
        daemon::LogFlush::NAME => {
            encode(Ok(daemon::LogFlushResult { written: api.server.log.flushed().await }))
        }
        daemon::Drain::NAME => encode(params::<daemon::Drain>(given).map(|params| drain(api, &params))),
        _ => Err(WireError::caller(
            ErrorCode::MethodNotFound,
            format!("could not find the method `{}`", crate::session::printable(&method)),
        )),
    };
    api.respond(id, result).await;
}

async fn login_start(api: &ApiSession, id: Option<Value>, given: Value) {
    let started = match params::<account::LoginStart>(given) {
        Ok(params) => api.server.service.login_start(chosen(params, api), api.session.env()).await,
        Err(error) => Err(error),
    };
    let mut login = match started {
        Ok(started) => started,
        Err(error) => return api.respond(id, Err(error)).await,
    };
    api.respond(id, encode(Ok(login.clone()))).await;
    loop {
        let changed = tokio::select! {
            () = api.session.over.cancelled() => return,
            changed = api.server.service.login_changed(&login) => changed,
        };
        match changed {
            Ok(changed) => {
                let told = account::LoginUpdated { login: changed };
                api.notify(account::LOGIN_UPDATED, &told).await;
                login = told.login;
            }
            Err(ended) => return api.notify(account::LOGIN_COMPLETED, &ended).await,
        }
    }
}

fn chosen(mut params: account::LoginStartParams, api: &ApiSession) -> account::LoginStartParams {
    params.account = params.account.or_else(|| api.session.account.clone());
    params
}

async fn turn_start(api: &ApiSession, id: Option<Value>, given: Value) {
    // A session of this role is not told of a successor: it is turned away, and may ask that one.
    let serving = api.server.takes_new();
    let started = params::<turn::Start>(given)
        .and_then(|given| if serving { Question::try_from(given) } else { Err(draining()) })
        .map(|mut question| {
            question.account = question.account.or_else(|| api.session.account.clone());
            question
        })
        .and_then(|question| api.server.service.start_turn(question, None));
    let mut started = match started {
        Ok(started) => started,
        Err(error) => return api.respond(id, Err(error)).await,
    };
    let turn_id = started.id().to_string();
    api.respond(id, encode(Ok(turn::StartResult { turn_id: turn_id.clone() }))).await;
    loop {
        let event = tokio::select! {
            // Nobody listens any more. Dropping `started` detaches the turn; it is not called off.
            () = api.session.over.cancelled() => return,
            event = started.next() => event,
        };
        let Some(event) = event else { return };
        match event {
            TurnEvent::Delta(delta) => {
                let delta = turn::Delta { turn_id: turn_id.clone(), delta };
                api.notify(turn::DELTA, &delta).await;
            }
            TurnEvent::Progress(now) => {
                let Progress { message, elapsed_ms } = *now;
                let progress = turn::Progress { turn_id: turn_id.clone(), message, elapsed_ms };
                api.notify(turn::PROGRESS, &progress).await;
            }
            // Only a client that asks again has to know.
            TurnEvent::Sent(_) => {}
            TurnEvent::Ended(outcome) => api.notify(turn::COMPLETED, &outcome.to_api(turn_id.clone())).await,
        }
    }
}

fn interrupt(api: &ApiSession, turn_id: &str) -> Result<Empty, WireError> {
    if api.server.service.interrupt(turn_id) {
        return Ok(Empty {});
    }
    let message =
        format!("could not interrupt the turn `{}`: it is not running", crate::session::printable(turn_id));
    Err(WireError::caller(ErrorCode::InvalidArguments, message).next(NextStep::FixArguments))
}

fn drain(api: &ApiSession, params: &daemon::DrainParams) -> Empty {
    tracing::info!(
        reason = crate::session::printable(&params.reason),
        pid = api.session.hello.pid,
        "asked to drain"
    );
    api.server.shutdown.advance(Phase::Draining);
    Empty {}
}

fn encode<T: serde::Serialize>(result: Result<T, WireError>) -> Result<Value, WireError> {
    result.and_then(|value| {
        serde_json::to_value(value).map_err(|error| crate::service::internal("encode an answer", &error))
    })
}
