//! `wham/accounts/check` (WIRE §6).

use serde_json::json;

use crate::config::{Behaviour, Identity};
use crate::reply::Reply;

pub(super) fn check(behaviour: &Behaviour, who: &Identity) -> Reply {
    Reply::json(
        200,
        json!({
            "accounts": [{
                "id": who.account_id,
                "account_user_role": "account-owner",
                "can_access_with_session": true,
                "structure": "personal",
                "plan_type": who.plan,
                "name": null,
                "profile_picture_url": null,
                "is_deactivated": false,
                "is_fedramp_compliant_workspace": false,
                "sso_connection_name": null,
                "workspace_backend_origin": behaviour.workspace_backend_origin,
                "account_routing_override": behaviour.account_routing_override,
            }],
            "account_ordering": [who.account_id],
            "default_account_id": who.account_id,
        }),
    )
}
