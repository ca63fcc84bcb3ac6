//! `GET wham/usage`: what of the plan is used (WIRE §9.4).

use serde::Deserialize;

use super::rate_limits::{Credits, MAIN_LIMIT, RateLimit, Window, WireCredits, window};

/// What the usage endpoint says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// `plus`, `pro` …
    pub plan: Option<String>,
    /// The plan's own limit first, then those of features.
    pub limits: Vec<UsageLimit>,
    /// Why requests are refused, e.g. `rate_limit_reached`.
    pub reached_type: Option<String>,
    /// A spending limit set by an administrator is reached.
    pub spend_limit_reached: bool,
}

/// One limit and whether it lets requests through.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UsageLimit {
    /// The numbers.
    pub limit: RateLimit,
    /// Requests are accepted.
    pub allowed: bool,
}

impl Usage {
    /// Reads the endpoint's reply.
    pub(super) fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice::<Wire>(body).map(Self::from)
    }

    /// Whether a request that met the limit `limit_id` would be let through now. Bought credits lift the plan's limit.
    pub(super) fn lifts(&self, limit_id: &str) -> bool {
        let Some(known) = self.limits.iter().find(|known| known.limit.limit_id == limit_id) else {
            return false;
        };
        let credits = known.limit.credits.as_ref();
        let paid = credits.is_some_and(|credits| credits.has_credits || credits.unlimited);
        (known.allowed || paid) && !self.spend_limit_reached
    }
}

#[derive(Deserialize)]
struct Wire {
    plan_type: Option<String>,
    rate_limit: Option<WireLimit>,
    credits: Option<WireCredits>,
    spend_control: Option<WireSpend>,
    additional_rate_limits: Option<Vec<WireAdditional>>,
    rate_limit_reached_type: Option<WireReached>,
}

#[derive(Deserialize)]
struct WireLimit {
    allowed: Option<bool>,
    #[serde(default)]
    limit_reached: bool,
    primary_window: Option<WireWindow>,
    secondary_window: Option<WireWindow>,
}

#[derive(Deserialize)]
struct WireWindow {
    used_percent: Option<f64>,
    limit_window_seconds: Option<u64>,
    reset_at: Option<u64>,
}

#[derive(Deserialize)]
struct WireSpend {
    #[serde(default)]
    reached: bool,
}

#[derive(Deserialize)]
struct WireAdditional {
    limit_name: Option<String>,
    metered_feature: Option<String>,
    rate_limit: Option<WireLimit>,
}

#[derive(Deserialize)]
struct WireReached {
    r#type: Option<String>,
}

impl From<Wire> for Usage {
    fn from(wire: Wire) -> Self {
        let plan = wire.plan_type;
        let credits = wire.credits.map(Credits::from);
        let main = wire.rate_limit.map(|limit| {
            let mut main = limit.named(MAIN_LIMIT.to_owned(), None, plan.clone());
            main.limit.credits = credits;
            main
        });
        let additional = wire.additional_rate_limits.unwrap_or_default().into_iter().filter_map(|extra| {
            let id = extra.metered_feature.or_else(|| extra.limit_name.clone())?.replace('-', "_");
            Some(extra.rate_limit?.named(id, extra.limit_name, plan.clone()))
        });
        Self {
            limits: main.into_iter().chain(additional).collect(),
            reached_type: wire.rate_limit_reached_type.and_then(|reached| reached.r#type),
            spend_limit_reached: wire.spend_control.is_some_and(|spend| spend.reached),
            plan,
        }
    }
}

impl WireLimit {
    fn named(self, limit_id: String, name: Option<String>, plan: Option<String>) -> UsageLimit {
        let of = |wire: Option<WireWindow>| -> Option<Window> {
            let wire = wire?;
            window(wire.used_percent, wire.limit_window_seconds.map(|seconds| seconds / 60), wire.reset_at)
        };
        UsageLimit {
            allowed: self.allowed.unwrap_or(true) && !self.limit_reached,
            limit: RateLimit {
                limit_id,
                name,
                primary: of(self.primary_window),
                secondary: of(self.secondary_window),
                credits: None,
                plan,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLY: &str = r#"{"plan_type":"plus",
        "rate_limit":{"allowed":true,"limit_reached":false,
         "primary_window":{"used_percent":12,"limit_window_seconds":18000,"reset_after_seconds":100,"reset_at":1795339857},
         "secondary_window":{"used_percent":40,"limit_window_seconds":604800,"reset_after_seconds":1000,"reset_at":1795340757}},
        "credits":{"has_credits":false,"unlimited":false,"balance":null},
        "spend_control":{"reached":false,"individual_limit":null},
        "additional_rate_limits":[{"limit_name":"Other","metered_feature":"codex-other","rate_limit":{"allowed":false,"limit_reached":true}}],
        "rate_limit_reached_type":{"type":"rate_limit_reached"}}"#;

    #[test]
    fn the_reply_of_the_endpoint_is_read() {
        let usage = Usage::parse(REPLY.as_bytes()).expect("JSON");
        assert_eq!(usage.plan.as_deref(), Some("plus"));
        assert_eq!(usage.reached_type.as_deref(), Some("rate_limit_reached"));
        let main = &usage.limits[0];
        assert_eq!((main.limit.limit_id.as_str(), main.allowed), ("codex", true));
        assert_eq!(main.limit.primary.and_then(|window| window.window_minutes), Some(300));
        assert_eq!(main.limit.secondary.and_then(|window| window.window_minutes), Some(10_080));
        assert_eq!(usage.limits[1].limit.limit_id, "codex_other");
        assert!(usage.lifts("codex"));
        assert!(!usage.lifts("codex_other") && !usage.lifts("unknown"));
    }

    #[test]
    fn credits_lift_a_reached_limit_and_a_spending_limit_does_not() {
        let reached = REPLY.replace(r#""limit_reached":false"#, r#""limit_reached":true"#);
        assert!(!Usage::parse(reached.as_bytes()).expect("JSON").lifts("codex"));
        let paid = reached.replace(r#""has_credits":false"#, r#""has_credits":true"#);
        assert!(Usage::parse(paid.as_bytes()).expect("JSON").lifts("codex"));
        let capped = paid.replace(r#""reached":false"#, r#""reached":true"#);
        assert!(!Usage::parse(capped.as_bytes()).expect("JSON").lifts("codex"));
    }

    #[test]
    fn nulls_and_missing_fields_are_no_error() {
        assert_eq!(Usage::parse(b"{}").expect("JSON"), Usage::default());
        let nulls = br#"{"plan_type":null,"rate_limit":null,"credits":null,"additional_rate_limits":null}"#;
        assert_eq!(Usage::parse(nulls).expect("JSON"), Usage::default());
    }
}
