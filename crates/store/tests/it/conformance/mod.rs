//! What [`tryon_store::Store`] promises, one test a promise, for every backend.

mod account;
mod dispatch;
mod erasure;
mod idempotency;
mod job;
mod key;
mod node;
mod registration;
mod settle;
mod sweep;
mod user;
mod webhook;

macro_rules! cases {
    ($open:path; $($subject:ident { $($case:ident,)+ })+) => {
        $(mod $subject {
            $(
                #[tokio::test]
                async fn $case() {
                    let place = $open().await;
                    let store = place.open().await;
                    crate::conformance::$subject::$case(&**store).await;
                    assert_eq!(store.audit().await.unwrap(), []);
                }
            )+
        })+
    };
}

/// Runs the suite on a store at each place that `$open` makes; the ledger is audited after each test.
macro_rules! conformance {
    ($backend:ident) => {
        mod $backend {
            cases! { crate::place::Place::$backend;
                account {
                    an_account_starts_without_credits,
                    accounts_are_listed_oldest_first,
                    limits_are_replaced,
                    a_grant_goes_to_its_pool,
                    what_all_hold_is_added_up,
                }
                key {
                    a_key_opens_its_account,
                    a_revoked_key_opens_nothing,
                    an_expired_key_opens_nothing,
                    a_key_is_for_what_it_was_made_for,
                    keys_are_listed_oldest_first,
                    a_key_needs_an_account,
                }
                user {
                    a_login_is_one_persons,
                    a_session_is_its_users_until_it_is_over,
                    whoever_is_shut_out_is_so_everywhere,
                    an_identity_is_one_persons,
                    an_identity_opens_its_users_sessions,
                    what_was_changed_is_read_backwards,
                    the_ledger_is_read_backwards,
                    what_was_used_is_added_up_by_day,
                }
                job {
                    a_job_reads_back,
                    a_job_reserves_one_credit_a_sample,
                    without_credits_nothing_is_done,
                    reserved_credits_are_not_spent_twice,
                    too_many_jobs_are_refused_until_one_ends,
                    a_job_needs_an_account,
                    an_id_is_used_once,
                    a_job_without_samples_is_refused,
                    jobs_are_listed_newest_first_in_pages,
                    a_list_goes_on_after_ones_own_jobs_alone,
                    jobs_are_found_together,
                    the_oldest_job_is_prepared_first,
                    accounts_are_passed_over,
                    a_preparation_is_leased,
                    a_job_past_its_deadline_is_not_prepared,
                    preparation_ends_once,
                }
                idempotency {
                    a_submission_that_is_sent_again_is_one_job,
                    a_name_is_for_one_request_of_one_account,
                    a_name_is_known_for_a_day,
                }
                dispatch {
                    an_assignment_says_what_to_do,
                    samples_of_the_oldest_job_go_first,
                    accounts_are_served_by_turns,
                    what_is_ahead_is_what_is_served_before,
                    it_is_known_how_long_pictures_took,
                    what_waits_is_counted_for_each_provider,
                    turns_are_of_one_provider,
                    providers_that_share_a_node_are_served_by_turns,
                    who_asks_for_too_much_has_a_share_all_the_same,
                    the_node_that_is_expected_to_finish_first_is_next,
                    a_deferred_sample_keeps_its_age,
                    a_node_works_on_one_sample,
                    at_most_the_limit_is_given_out,
                    a_provider_is_served_by_itself_only,
                    only_ready_idle_nodes_are_given_work,
                    the_longest_idle_node_is_next,
                    unprepared_and_overdue_jobs_stay,
                    an_accepted_attempt_runs_and_extends_its_lease,
                    a_deferred_attempt_is_not_lost,
                    a_lost_attempt_is_queued_again,
                    an_attempt_is_lost_once,
                    lost_too_often_the_sample_fails,
                    who_is_not_current_changes_nothing,
                }
                settle {
                    the_last_sample_settles_the_job,
                    what_was_not_delivered_is_released,
                    without_an_image_nothing_is_charged,
                    the_subscription_is_used_first,
                    a_duplicate_changes_nothing,
                    an_image_of_an_earlier_attempt_counts,
                    an_image_for_a_queued_sample_counts,
                    a_failure_of_an_earlier_attempt_does_not_count,
                    an_attempt_that_never_was_is_unknown,
                    an_ended_job_is_released,
                    an_ended_job_keeps_what_was_delivered,
                    the_reason_of_the_end_is_the_jobs_error,
                    a_job_ends_once,
                    after_the_end_nothing_counts,
                    an_unprepared_job_can_be_ended,
                    a_reason_may_hold_any_character,
                }
                sweep {
                    leases_that_ran_out_are_listed_oldest_first,
                    jobs_past_their_deadline_are_listed_oldest_first,
                    inputs_of_ended_jobs_are_erasable_once,
                    outputs_are_erasable_after_their_time,
                    the_next_moment_is_known,
                    nothing_is_due_in_an_idle_store,
                }
                webhook {
                    a_job_that_ended_is_told_once,
                    however_a_job_ends_it_is_told,
                    the_message_that_is_due_longest_is_first,
                    a_message_is_leased_and_tried_again,
                    a_late_try_is_logged_and_changes_nothing,
                    what_was_delivered_stays_delivered,
                    an_address_that_is_gone_is_told_nothing_more,
                    a_message_is_sent_anew,
                    messages_are_listed_newest_first_in_pages,
                    an_erased_job_leaves_no_address,
                    a_message_is_forgotten_with_its_address,
                }
                erasure {
                    a_job_is_forgotten_but_for_what_it_cost,
                    an_erasure_that_is_asked_for_again_is_the_same,
                    a_job_of_somebody_else_is_not_erased,
                    what_a_crash_left_is_known_and_falls_due,
                    an_end_user_is_forgotten_with_every_job,
                    an_account_has_a_retention_of_its_own,
                }
                node {
                    the_list_follows_the_configuration,
                    a_node_that_moved_is_unknown,
                    a_probe_is_recorded,
                    faults_are_counted_in_a_row,
                    a_hold_is_replaced,
                    a_drained_node_is_given_nothing_more,
                    an_unconfigured_node_is_passed_over,
                    a_removed_node_leaves_its_sample_to_the_lease,
                }
                registration {
                    a_registered_node_is_given_work_until_its_lease_ends,
                    a_name_is_its_nodes_until_that_is_gone,
                    a_configured_name_is_never_given_away,
                    a_list_leaves_registered_nodes_alone,
                    a_node_that_leaves_frees_its_name_and_ends_its_work,
                    a_lost_node_is_forgotten_once_it_works_on_nothing,
                    a_node_is_found_by_its_name_and_by_its_work,
                }
            }
        }
    };
}

conformance!(sqlite);
conformance!(memory);
conformance!(postgres);
