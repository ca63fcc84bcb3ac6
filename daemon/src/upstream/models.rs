//! The live model list (WIRE §9.5), as much of it as is used.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// The account's models, in the backend's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Models {
    /// Every model, also hidden ones.
    pub models: Vec<ModelInfo>,
}

/// One model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelInfo {
    /// The name to ask for, e.g. `gpt-6.1-sol`.
    pub slug: String,
    /// For people.
    pub display_name: String,
    /// For people.
    pub description: String,
    /// Effort used when none is given.
    pub default_effort: Option<String>,
    /// Efforts that may be given.
    pub efforts: Vec<String>,
    /// Whether it belongs into a list for people.
    pub visibility: Visibility,
    /// Lower is better.
    pub priority: i64,
    /// Tokens.
    pub context_window: Option<u64>,
    /// Speaks Responses Lite (`use_responses_lite`).
    pub lite: bool,
}

/// Whether a model belongs into a list for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Visibility {
    /// `list`.
    List,
    /// `hide`, or a word that is not known yet.
    #[default]
    Hide,
}

impl Models {
    /// The listed model with the lowest priority; the first one of equals.
    pub fn default_model(&self) -> Option<&ModelInfo> {
        self.listed().min_by_key(|model| model.priority)
    }

    /// Models for people.
    pub fn listed(&self) -> impl Iterator<Item = &ModelInfo> {
        self.models.iter().filter(|model| model.visibility == Visibility::List)
    }

    /// The model of that name, hidden or not.
    pub fn find(&self, slug: &str) -> Option<&ModelInfo> {
        self.models.iter().find(|model| model.slug == slug)
    }

    /// Reads the endpoint's reply; a model that cannot be read does not hide the others.
    pub(super) fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        let wire: Wire = serde_json::from_slice(body)?;
        let readable = |entry| match entry {
            Entry::Model(model) => Some(ModelInfo::from(*model)),
            Entry::Other(_) => None,
        };
        Ok(Self { models: wire.models.into_iter().filter_map(readable).collect() })
    }
}

#[derive(Deserialize)]
struct Wire {
    models: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Model(Box<WireModel>),
    Other(IgnoredAny),
}

#[derive(Deserialize)]
struct WireModel {
    slug: String,
    display_name: Option<String>,
    description: Option<String>,
    default_reasoning_level: Option<String>,
    supported_reasoning_levels: Option<Vec<WireEffort>>,
    visibility: Option<String>,
    priority: Option<i64>,
    context_window: Option<u64>,
    use_responses_lite: Option<bool>,
}

#[derive(Deserialize)]
struct WireEffort {
    effort: String,
}

impl From<WireModel> for ModelInfo {
    fn from(wire: WireModel) -> Self {
        Self {
            display_name: wire.display_name.unwrap_or_else(|| wire.slug.clone()),
            slug: wire.slug,
            description: wire.description.unwrap_or_default(),
            default_effort: wire.default_reasoning_level,
            efforts: wire
                .supported_reasoning_levels
                .unwrap_or_default()
                .into_iter()
                .map(|level| level.effort)
                .collect(),
            visibility: if wire.visibility.as_deref() == Some("list") {
                Visibility::List
            } else {
                Visibility::Hide
            },
            // Without a place in the order it comes last.
            priority: wire.priority.unwrap_or(i64::MAX),
            context_window: wire.context_window,
            lite: wire.use_responses_lite.unwrap_or(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLY: &str = r#"{"models":[
        {"slug":"hidden","visibility":"hide","priority":0},
        {"slug":"gpt-5.5","display_name":"GPT-5.5","description":"d","default_reasoning_level":"medium",
         "supported_reasoning_levels":[{"effort":"low","description":"x"},{"effort":"high","description":"y"}],
         "visibility":"list","priority":13,"context_window":272000,"use_responses_lite":false,"unknown":{"a":[1]}},
        {"slug":"gpt-6.1-sol","visibility":"list","priority":1,"use_responses_lite":true,"description":null},
        {"slug":7},
        {"slug":"unordered","visibility":"list"}]}"#;

    #[test]
    fn the_list_is_read_and_what_is_not_known_is_skipped() {
        let models = Models::parse(REPLY.as_bytes()).expect("JSON");
        let slugs: Vec<&str> = models.models.iter().map(|model| model.slug.as_str()).collect();
        assert_eq!(slugs, ["hidden", "gpt-5.5", "gpt-6.1-sol", "unordered"]);
        let model = models.find("gpt-5.5").expect("in the list");
        assert_eq!(model.efforts, ["low", "high"]);
        assert_eq!((model.context_window, model.lite), (Some(272_000), false));
        assert!(models.find("gpt-6.1-sol").expect("in the list").lite);
    }

    #[test]
    fn the_default_is_the_listed_model_with_the_lowest_priority() {
        let models = Models::parse(REPLY.as_bytes()).expect("JSON");
        assert_eq!(models.default_model().map(|model| model.slug.as_str()), Some("gpt-6.1-sol"));
        assert_eq!(Models::default().default_model(), None);
    }

    #[test]
    fn a_reply_without_a_list_is_an_error() {
        for body in ["", "[]", "{}", r#"{"models":{}}"#] {
            assert!(Models::parse(body.as_bytes()).is_err(), "{body}");
        }
    }
}
