//! The Responses request: our own fields only (WIRE §7.2, "a request that needs nothing of Codex").
//!
//! A *lite* model (`use_responses_lite` in the catalogue) is asked in the form that the catalogue prescribes for it
//! (WIRE §7.1, §7.2): a header, no `tools`, `reasoning.context`, and the instructions as a `developer` message; its
//! backend serves no hosted tools and the official client sends it no `instructions`.
//!
//! Absent: `temperature`, `max_output_tokens` and their kind, which the backend refuses (WIRE §7.5).

use std::fmt;

use serde::Serialize;

/// Sent when the backend insists on instructions and the caller gave none.
pub(super) const MINIMAL_INSTRUCTIONS: &str = "You are a helpful assistant. Answer the user's request.";

/// Room for a body beside its texts.
const FRAME_BYTES: usize = 512;

/// One turn, as the service asks for it.
#[derive(Clone, Copy)]
pub struct ResponsesRequest<'a> {
    /// Slug of the model, e.g. `gpt-6.1-sol`.
    pub model: &'a str,
    /// The system prompt; not empty.
    pub instructions: Option<&'a str>,
    /// The conversation, oldest first; the last one is the question.
    pub input: &'a [InputMessage<'a>],
    /// Reasoning effort (`low`, `medium`, …); `None`: the model's default.
    pub effort: Option<&'a str>,
    /// `low`, `medium` or `high`; `None`: the model's default.
    pub verbosity: Option<&'a str>,
    /// Stable for a conversation: sent as `session-id` and as `prompt_cache_key`, as the official client does.
    pub session_id: &'a str,
}

impl fmt::Debug for ResponsesRequest<'_> {
    /// Sizes instead of texts: a prompt must not reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponsesRequest")
            .field("model", &self.model)
            .field("instructions_bytes", &self.instructions.map(str::len))
            .field("input", &self.input)
            .field("effort", &self.effort)
            .field("verbosity", &self.verbosity)
            .field("session_id", &self.session_id)
            .finish()
    }
}

/// One message of the conversation.
#[derive(Clone, Copy)]
pub struct InputMessage<'a> {
    /// Who said it.
    pub role: Role,
    /// What was said.
    pub text: &'a str,
}

impl fmt::Debug for InputMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({} bytes)", self.role, self.text.len())
    }
}

/// Speaker of a message. There is no `system`: the backend refuses it (WIRE §7.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions inside the conversation.
    Developer,
    /// The person or program that asks.
    User,
    /// The model.
    Assistant,
}

/// How this request has to be written for its model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Form {
    /// The model speaks Responses Lite.
    pub(super) lite: bool,
    /// The backend has asked for `instructions` for this model.
    pub(super) needs_instructions: bool,
}

/// The JSON body of `request`.
pub(super) fn body(request: &ResponsesRequest<'_>, form: Form) -> Result<Vec<u8>, serde_json::Error> {
    let instructions = request.instructions.filter(|text| !text.is_empty());
    let as_field = !form.lite || form.needs_instructions;
    let field = match instructions {
        None if form.needs_instructions => Some(MINIMAL_INSTRUCTIONS),
        given => given.filter(|_| as_field),
    };
    let developer =
        instructions.filter(|_| !as_field).map(|text| InputMessage { role: Role::Developer, text });
    let texts = request.input.iter().map(|message| message.text.len()).sum::<usize>();
    let room = FRAME_BYTES + texts + instructions.map_or(0, str::len);
    let mut json = Json(Vec::with_capacity(room));
    json.literal(r#"{"model":"#).value(request.model)?;
    json.literal(r#","stream":true,"store":false"#);
    if let Some(text) = field {
        json.literal(r#","instructions":"#).value(text)?;
    }
    json.literal(r#","input":["#);
    for (nth, message) in developer.iter().chain(request.input).enumerate() {
        let kind = if message.role == Role::Assistant { "output_text" } else { "input_text" };
        json.literal(if nth == 0 { "" } else { "," });
        json.literal(r#"{"type":"message","role":"#).value(&message.role)?;
        json.literal(r#","content":[{"type":""#).literal(kind).literal(r#"","text":"#).value(message.text)?;
        json.literal("}]}");
    }
    json.literal(if form.lite { "]" } else { r#"],"tools":[]"# });
    json.literal(r#","tool_choice":"auto","parallel_tool_calls":false"#);
    let reasoning = Reasoning { effort: request.effort, context: form.lite.then_some("all_turns") };
    if reasoning.effort.is_some() || reasoning.context.is_some() {
        json.literal(r#","reasoning":"#).value(&reasoning)?;
    }
    json.literal(r#","include":["reasoning.encrypted_content"],"prompt_cache_key":"#)
        .value(request.session_id)?;
    if let Some(verbosity) = request.verbosity {
        json.literal(r#","text":{"verbosity":"#).value(verbosity)?.literal("}");
    }
    json.literal("}");
    Ok(json.0)
}

/// JSON in the making. Most of a request is the same each time: a serializer would look through thirty constant words for
/// what to escape, three quarters of what a short request costs.
struct Json(Vec<u8>);

impl Json {
    /// JSON as it is.
    fn literal(&mut self, json: &str) -> &mut Self {
        self.0.extend_from_slice(json.as_bytes());
        self
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<&mut Self, serde_json::Error> {
        serde_json::to_writer(&mut self.0, value)?;
        Ok(self)
    }
}

#[derive(Serialize)]
struct Reasoning<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> ResponsesRequest<'static> {
        ResponsesRequest {
            model: "gpt-5.5",
            instructions: Some("Be brief."),
            input: &[InputMessage { role: Role::User, text: "say \"hi\"" }],
            effort: Some("low"),
            verbosity: Some("low"),
            session_id: "s-1",
        }
    }

    fn json(request: &ResponsesRequest<'_>, form: Form) -> String {
        String::from_utf8(body(request, form).expect("JSON")).expect("UTF-8")
    }

    #[test]
    fn the_body_is_exactly_the_form_that_needs_nothing_of_codex() {
        assert_eq!(
            json(&request(), Form::default()),
            concat!(
                r#"{"model":"gpt-5.5","stream":true,"store":false,"instructions":"Be brief.","#,
                r#""input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"say \"hi\""}]}],"#,
                r#""tools":[],"tool_choice":"auto","parallel_tool_calls":false,"reasoning":{"effort":"low"},"#,
                r#""include":["reasoning.encrypted_content"],"prompt_cache_key":"s-1","text":{"verbosity":"low"}}"#,
            )
        );
    }

    #[test]
    fn what_was_not_given_is_not_sent() {
        let bare = ResponsesRequest { instructions: None, effort: None, verbosity: None, ..request() };
        let sent = json(&bare, Form::default());
        for absent in ["instructions", "\"reasoning\"", "\"text\":{", "temperature", "max_output_tokens"] {
            assert!(!sent.contains(absent), "{absent} in {sent}");
        }
    }

    #[test]
    fn a_lite_model_gets_its_instructions_as_a_developer_message_and_no_tools() {
        assert_eq!(
            json(&request(), Form { lite: true, needs_instructions: false }),
            concat!(
                r#"{"model":"gpt-5.5","stream":true,"store":false,"#,
                r#""input":[{"type":"message","role":"developer","content":[{"type":"input_text","text":"Be brief."}]},"#,
                r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"say \"hi\""}]}],"#,
                r#""tool_choice":"auto","parallel_tool_calls":false,"#,
                r#""reasoning":{"effort":"low","context":"all_turns"},"#,
                r#""include":["reasoning.encrypted_content"],"prompt_cache_key":"s-1","text":{"verbosity":"low"}}"#,
            )
        );
    }

    #[test]
    fn demanded_instructions_are_always_in_their_field() {
        for lite in [false, true] {
            let form = Form { lite, needs_instructions: true };
            let own = json(&request(), form);
            assert!(own.contains(r#""instructions":"Be brief.""#) && !own.contains("developer"), "{own}");
            let bare = ResponsesRequest { instructions: None, ..request() };
            assert!(json(&bare, form).contains(MINIMAL_INSTRUCTIONS));
        }
    }

    #[test]
    fn an_earlier_answer_is_output_text() {
        let history =
            ResponsesRequest { input: &[InputMessage { role: Role::Assistant, text: "hello" }], ..request() };
        let sent = json(&history, Form::default());
        assert!(sent.contains(r#""role":"assistant","content":[{"type":"output_text","text":"hello"}]"#));
    }

    #[test]
    fn a_debug_line_never_carries_a_prompt() {
        let debug = format!("{:?}", request());
        assert!(!debug.contains("Be brief") && !debug.contains("hi\\\""), "{debug}");
    }
}
