//! Windows: nothing is pasted. A console that would show a code is refused, and keeping it from doing so takes calls that
//! this program does not make.

use codex_oauth_proto::{ErrorCode, NextStep, Retry, WireError};

use crate::interrupt::Interrupt;

/// Never made.
#[derive(Debug)]
pub(in crate::commands::login) enum Prompt {}

impl Prompt {
    /// Always refused; the next step is a way that works.
    pub(in crate::commands::login) fn new(_interrupt: &Interrupt) -> Result<Self, WireError> {
        let message =
            "could not take what is pasted: the console would show it; `codex-oauth login --device` works";
        Err(WireError::daemon(ErrorCode::LoginFailed, Retry::Never, message).next(NextStep::Login))
    }

    pub(in crate::commands::login) fn open(&mut self) -> Result<(), WireError> {
        match *self {}
    }

    pub(in crate::commands::login) fn stop(&mut self, _interrupt: &Interrupt) -> Result<(), WireError> {
        match *self {}
    }

    pub(in crate::commands::login) fn went_on(&mut self, _interrupt: &Interrupt) -> Result<bool, WireError> {
        match *self {}
    }

    pub(in crate::commands::login) fn is_open(&self) -> bool {
        match *self {}
    }

    pub(in crate::commands::login) fn close(&mut self) -> bool {
        match *self {}
    }

    pub(in crate::commands::login) fn line(&mut self) -> Option<String> {
        match *self {}
    }
}
