//! Which model answers.

use codex_oauth_proto::api::model::{ListResult, Model};
use codex_oauth_proto::{ErrorCode, NextStep, Retry, WireError};

use super::turn::Question;
use super::{CodexService, Inner};
use crate::auth::Wanted;
use crate::grant::Grant;
use crate::upstream::{ErrorKind, Models, UpstreamError, Visibility};

/// How many near names are offered for an unknown one.
const NEAREST: usize = 3;

impl CodexService {
    /// The account's models.
    pub(crate) async fn models(&self, choice: Wanted<'_>) -> Result<ListResult, WireError> {
        let tokens = self.inner.of(choice).await?.tokens;
        let grant = match tokens.grant().await {
            Ok(grant) => grant,
            Err(error) => return Err(self.inner.without_token(&error, choice).await),
        };
        let models = match self.inner.upstream.models(&grant).await {
            Err(error) if matches!(error.kind, ErrorKind::Unauthorized { .. }) => {
                let grant = tokens.recover(&grant).await.map_err(|error| error.to_wire())?;
                self.inner.upstream.models(&grant).await
            }
            other => other,
        };
        let models = models.map_err(|error| error.to_wire())?;
        let default = models.default_model().map(|model| model.slug.clone());
        let shown = models.models.iter().map(|model| Model {
            id: model.slug.clone(),
            display_name: model.display_name.clone(),
            description: model.description.clone(),
            default_reasoning_effort: model.default_effort.clone(),
            reasoning_efforts: model.efforts.clone(),
            context_window: model.context_window,
            hidden: model.visibility != Visibility::List,
            is_default: Some(&model.slug) == default.as_ref(),
        });
        Ok(ListResult { models: shown.collect(), default })
    }
}

impl Inner {
    /// The model's slug: the one asked for if the account has it, else the account's default.
    ///
    /// Without a list a named model is tried as it is: the backend knows best.
    pub(super) async fn choose_model(
        &self,
        grant: &Grant,
        question: &Question,
        notes: &mut Vec<String>,
    ) -> Result<String, Choice> {
        let models = match (self.upstream.models(grant).await, &question.model) {
            (Ok(models), _) => models,
            (Err(error), _) if matches!(error.kind, ErrorKind::Unauthorized { .. }) => {
                return Err(Choice::Upstream(Box::new(error)));
            }
            (Err(error), Some(named)) => {
                notes.push(format!(
                    "the model list could not be read ({}); `{named}` was tried as it is",
                    error.kind
                ));
                return Ok(named.clone());
            }
            (Err(error), None) => return Err(Choice::Upstream(Box::new(error))),
        };
        let chosen = match &question.model {
            Some(named) => models.find(named).ok_or_else(|| Choice::Wire(unknown(named, &models)))?,
            None => models.default_model().ok_or_else(|| Choice::Wire(no_models()))?,
        };
        if let Some(effort) = &question.effort
            && !chosen.efforts.is_empty()
            && !chosen.efforts.contains(effort)
        {
            return Err(Choice::Wire(unknown_effort(effort, &chosen.slug, &chosen.efforts)));
        }
        Ok(chosen.slug.clone())
    }
}

/// Why no model was chosen.
pub(super) enum Choice {
    /// The list could not be had.
    Upstream(Box<UpstreamError>),
    /// The question cannot be asked like this.
    Wire(WireError),
}

fn unknown(named: &str, models: &Models) -> WireError {
    let mut near: Vec<&str> = models.listed().map(|model| model.slug.as_str()).collect();
    near.sort_by_key(|slug| distance(named, slug));
    near.truncate(NEAREST);
    let named = crate::session::printable(named);
    let message = format!(
        "could not use the model `{named}`: this account has none of that name; nearest: {}",
        near.join(", ")
    );
    WireError::caller(ErrorCode::ModelNotAvailable, message).next(NextStep::ListModels)
}

fn unknown_effort(effort: &str, slug: &str, efforts: &[String]) -> WireError {
    let effort = crate::session::printable(effort);
    let message =
        format!("could not use the reasoning effort `{effort}`: {slug} knows {}", efforts.join(", "));
    WireError::caller(ErrorCode::InvalidArguments, message).next(NextStep::FixArguments)
}

fn no_models() -> WireError {
    let message = "could not choose a model: the backend offers this account none";
    WireError::upstream(ErrorCode::ModelNotAvailable, Retry::Never, message).next(NextStep::CheckPlan)
}

/// Levenshtein: how many characters lie between what was typed and a name.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    // A name is short; what was typed may not be.
    for (i, ca) in a.chars().take(100).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, cb) in b.iter().enumerate() {
            let cost = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (a, b, edits) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("abc", "abd", 1),
            ("gpt-6.1", "gpt-6.1-sol", 4),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
    }
}
