//! What people complained about in programs of this kind (25 pains, ranked by how many threads name them), staged in a whole
//! house: what the tool's result says, which check of `doctor` names it, and that its next step, when followed, works.
//!
//! [`table`] lists them by the number of the pain; [`OTHERS`] are those that cannot be staged here, and why. 0 stands for
//! faults beyond the list.

mod house;
mod login;
mod machine;
mod network;
mod places;
mod turns;

use std::collections::BTreeSet;

/// A test for each row: its pain's number, the module of the stage, its name.
macro_rules! table {
    ($($pain:literal $module:ident $name:ident)*) => {
        const STAGED: &[u8] = &[$($pain),*];
        $(
            #[test]
            fn $name() {
                $module::$name();
            }
        )*
    };
}

table! {
    1 login a_refresh_token_that_another_program_spent
    1 login a_login_that_was_revoked
    2 turns an_answer_whose_window_was_closed
    3 turns a_model_that_is_gone
    4 machine a_daemon_program_that_is_not_there
    5 login a_machine_without_a_browser
    7 turns an_account_that_does_not_exist
    8 turns a_stream_that_breaks_off
    9 network a_proxy_that_is_gone
    9 network a_shell_with_another_proxy
    9 network an_authority_that_nobody_here_trusts
    10 network a_block_page_of_cloudflare
    10 network a_block_page_in_front_of_the_issuer
    11 machine a_shim_whose_window_is_gone
    12 turns a_parameter_that_the_backend_refuses
    13 login ports_that_another_program_has
    14 turns a_client_that_stops_waiting
    15 turns a_plan_that_is_nearly_used_up
    16 machine a_socket_that_nobody_listens_at
    16 machine a_daemon_that_may_not_be_started
    17 login a_workspace_that_is_not_allowed
    17 login a_workspace_that_was_closed
    18 turns an_answer_that_is_longer_than_claude_code_takes_by_itself
    19 turns a_wait_of_which_nothing_is_seen
    20 turns too_many_requests
    20 turns a_plan_that_is_used_up
    21 login device_codes_that_are_switched_off
    23 login a_credential_file_that_is_torn
    23 machine a_disk_that_is_full
    23 machine a_disk_that_is_too_full_to_keep_answers
    23 machine a_home_that_is_read_only
    25 login a_login_of_another_machine
    25 login a_login_that_cannot_be_renewed_any_more
    25 machine another_credential_store
    0 machine a_file_in_the_place_of_the_socket
    0 machine a_file_in_the_place_of_the_logins_folder
    0 machine a_stranger_that_listens_at_the_socket
    0 places a_folder_of_the_login_that_may_not_be_written
    0 places a_configuration_on_a_full_disk
    0 places a_report_on_a_full_disk
    0 places a_folder_of_records_that_was_closed_for_a_while
    0 places a_home_that_nobody_can_find
    0 places a_login_of_another_workspace_than_the_configured_one
    0 machine a_daemon_that_is_frozen
    0 machine a_runtime_folder_that_others_may_enter
    0 machine a_runtime_folder_of_somebody_else
    0 network an_address_at_which_nobody_listens
    0 network a_clock_that_is_wrong
    0 machine an_older_daemon
    0 machine two_installations
    0 machine a_setting_that_cannot_be_read
}

/// Pains without a stage.
const OTHERS: &[(u8, &str)] = &[
    (6, "threads are not part of this version: every question stands alone"),
    (22, "nothing is wrong to be found: each answer's cost line tells the cached tokens"),
    (24, "no keyring is used: the login is a file"),
];

#[test]
fn every_pain_is_staged_or_has_a_reason_why_not() {
    let told: BTreeSet<u8> = STAGED.iter().copied().chain(OTHERS.iter().map(|(pain, _)| *pain)).collect();
    let missing: Vec<u8> = (1..=25).filter(|pain| !told.contains(pain)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(OTHERS.iter().all(|(pain, why)| !STAGED.contains(pain) && !why.is_empty()));
}
