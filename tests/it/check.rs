//! `check`: clean on a database as the service leaves it, and a finding for each breach that is planted.

use crate::support::make_events::{Own, make_company};
use diesel_async::SimpleAsyncConnection;
use penstock::approval::shipped;
use penstock::check::{self, Finding};
use penstock::event::sequencer;
use penstock::platform::events::{Event, content_hash, to_hex};
use penstock::platform::reply::Reply;
use serde_json::json;
use uuid::Uuid;

/// Ids of what `furnish` makes.
struct Ids {
    opportunity: Uuid,
    account: Uuid,
    entered: Uuid,
    advanced: Uuid,
    request: Uuid,
    seat: Uuid,
    pipeline: Uuid,
    process: Uuid,
}

/// A deal that advanced through a gate, and an approval that one person granted.
async fn furnish(own: &Own) -> Ids {
    let ids = Ids {
        opportunity: Uuid::now_v7(),
        account: Uuid::now_v7(),
        entered: Uuid::now_v7(),
        advanced: Uuid::now_v7(),
        request: Uuid::now_v7(),
        seat: Uuid::now_v7(),
        pipeline: Uuid::now_v7(),
        process: Uuid::now_v7(),
    };
    let statements = deal(own, &ids) + &approval(own, &ids);
    let ctx = own.ctx().await;
    let made = own.db.write(&ctx, async |tx| {
        tx.batch_execute(&statements).await?;
        let made = [
            ("account", ids.account),
            ("pipeline", ids.pipeline),
            ("approval_process", ids.process),
        ];
        for (kind, id) in made {
            tx.record(Event::new(format!("{kind}.created"), kind, id, json!({})));
        }
        tx.record(Event::new(
            "opportunity.created",
            "opportunity",
            ids.opportunity,
            json!({}),
        ));
        Ok(Reply::no_content())
    });
    made.await.unwrap();
    ids
}

fn deal(own: &Own, ids: &Ids) -> String {
    let (tenant, user) = (own.tenant, own.administrator);
    let [version, one, two] = [0; 3].map(|_| Uuid::now_v7());
    let Ids {
        pipeline,
        opportunity,
        account,
        entered,
        advanced,
        ..
    } = ids;
    let document = json!({ "stages": [{ "key": "one", "gate": { "kind": "check" } }, { "key": "two" }] });
    let hash = to_hex(&content_hash(&document));
    format!(
        "INSERT INTO accounts (tenant_id, id, name, owner_id, currency, created_at, updated_at) VALUES ('{tenant}', '{account}', '甲', '{user}', 'CNY', now(), now()); \
         INSERT INTO pipelines (tenant_id, id, key, name, created_at, updated_at) VALUES ('{tenant}', '{pipeline}', 'p', 'p', now(), now()); \
         INSERT INTO pipeline_versions (tenant_id, id, pipeline_id, number, state, document, document_hash, published_at, created_at, updated_at) \
            VALUES ('{tenant}', '{version}', '{pipeline}', 1, 'published', '{document}', decode('{hash}', 'hex'), now(), now(), now()); \
         INSERT INTO stages (tenant_id, id, pipeline_id, key, created_at) VALUES ('{tenant}', '{one}', '{pipeline}', 'one', now()), ('{tenant}', '{two}', '{pipeline}', 'two', now()); \
         INSERT INTO version_stages (tenant_id, version_id, stage_id, position, name, probability) VALUES ('{tenant}', '{version}', '{one}', 1, 'one', 0.1), ('{tenant}', '{version}', '{two}', 2, 'two', 0.5); \
         INSERT INTO opportunities (tenant_id, id, name, account_id, owner_id, pipeline_id, pipeline_version_id, stage_id, visit_id, stage_entered_at, currency, probability_default, created_at, updated_at) \
            VALUES ('{tenant}', '{opportunity}', '甲', '{account}', '{user}', '{pipeline}', '{version}', '{two}', '{advanced}', now(), 'CNY', 0.5, now(), now()); \
         INSERT INTO cycles (tenant_id, opportunity_id, number, started_at) VALUES ('{tenant}', '{opportunity}', 1, now()); \
         INSERT INTO transitions (tenant_id, id, opportunity_id, cycle, ordinal, kind, pipeline_version_id, from_stage_id, to_stage_id, from_status, to_status, visit_id, actor_kind, at, recorded_at, evidence) VALUES \
            ('{tenant}', '{entered}', '{opportunity}', 1, 1, 'enter', '{version}', NULL, '{one}', NULL, 'open', '{entered}', 'user', now(), now(), NULL), \
            ('{tenant}', '{advanced}', '{opportunity}', 1, 2, 'advance', '{version}', '{one}', '{two}', 'open', 'open', '{advanced}', 'user', now(), now(), '{{\"state\": \"open\"}}'); "
    )
}

fn approval(own: &Own, ids: &Ids) -> String {
    let (tenant, user) = (own.tenant, own.administrator);
    let [version, step, asked, opened, seated, decided] = [0; 6].map(|_| Uuid::now_v7());
    let Ids {
        process,
        opportunity,
        request,
        seat,
        ..
    } = ids;
    let document = serde_json::to_value(&shipped::processes().unwrap()[0]).unwrap();
    let hash = to_hex(&content_hash(&json!({})));
    let key = document["steps"][0]["key"].as_str().unwrap().to_owned();
    format!(
        "INSERT INTO approval_processes (tenant_id, id, key, name, subject_kind, created_at, updated_at) VALUES ('{tenant}', '{process}', 'p', 'p', 'opportunity', now(), now()); \
         INSERT INTO approval_process_versions (tenant_id, id, process_id, number, state, document, created_at, updated_at) VALUES ('{tenant}', '{version}', '{process}', 1, 'published', '{document}', now(), now()); \
         INSERT INTO approval_requests (tenant_id, id, process_id, process_version_id, subject_kind, subject_id, requester_id, state, snapshot, content_hash, requested_at, closed_at, created_at, updated_at) \
            VALUES ('{tenant}', '{request}', '{process}', '{version}', 'opportunity', '{opportunity}', '{user}', 'approved', '{{}}', decode('{hash}', 'hex'), now(), now(), now(), now()); \
         INSERT INTO approval_steps (tenant_id, id, request_id, position, key, name, mode, state) VALUES ('{tenant}', '{step}', '{request}', 1, '{key}', 'p', 'any', 'approved'); \
         INSERT INTO approval_seats (tenant_id, id, request_id, step_id, user_id, origin, decision, decided_at, decided_by) VALUES ('{tenant}', '{seat}', '{request}', '{step}', '{user}', 'process', 'approve', now(), '{user}'); \
         INSERT INTO approval_acts (tenant_id, id, request_id, step_id, seat_id, to_seat_id, kind, actor_id, to_user_id, origin, acted_at) VALUES \
            ('{tenant}', '{asked}', '{request}', NULL, NULL, NULL, 'request', '{user}', NULL, NULL, now()), \
            ('{tenant}', '{opened}', '{request}', '{step}', NULL, NULL, 'open', NULL, NULL, NULL, now()), \
            ('{tenant}', '{seated}', '{request}', '{step}', NULL, '{seat}', 'seat', NULL, '{user}', 'process', now()), \
            ('{tenant}', '{decided}', '{request}', '{step}', '{seat}', NULL, 'approve', '{user}', NULL, NULL, now()); "
    )
}

#[tokio::test]
async fn each_planted_breach_is_named_and_a_whole_database_is_clean() {
    let own = Own::new(None).await;
    let ids = furnish(&own).await;
    let (foreign, _) = make_company(&own.db, None).await;
    let sequencer = sequencer::spawn(&own.url).unwrap();
    own.until("SELECT count(*) AS number FROM event_queue", 0).await;
    sequencer.stop().await;
    let mut known = check::run(&own.url).await.unwrap();
    assert_eq!(known, []);

    let Ids {
        opportunity,
        entered,
        advanced,
        request,
        seat,
        account,
        ..
    } = &ids;
    let tenant = own.tenant;
    let a_position = |offset: i64| {
        format!("(SELECT event_id FROM event_positions WHERE tenant_id = '{tenant}' AND seq = {offset})")
    };
    let (lead, intake) = (Uuid::now_v7(), Uuid::now_v7());
    // What is done behind the application's back; the invariant; a part of the sentence.
    let breaches: Vec<(String, u8, &str)> = vec![
        (
            format!(
                "UPDATE event_subjects SET subject_id = (SELECT id FROM users WHERE tenant_id = '{foreign}') WHERE tenant_id = '{tenant}' AND subject_kind = 'user'"
            ),
            1,
            "which is of company",
        ),
        (
            format!(
                "UPDATE cycles SET owner_id = (SELECT id FROM users WHERE tenant_id = '{foreign}') WHERE tenant_id = '{tenant}'"
            ),
            1,
            "which is not among the users of its company",
        ),
        (
            format!(
                "UPDATE pipeline_versions SET document = jsonb_set(document, '{{name}}', '\"x\"') WHERE tenant_id = '{tenant}'"
            ),
            3,
            "not the one that was published",
        ),
        (
            format!("UPDATE opportunities SET visit_id = '{entered}' WHERE id = '{opportunity}'"),
            2,
            "its visit is not what its last transition",
        ),
        (
            format!("UPDATE opportunities SET status = 'won' WHERE id = '{opportunity}'"),
            2,
            "it is won, its cycle 1 is open",
        ),
        (
            format!("UPDATE transitions SET ordinal = 3 WHERE id = '{advanced}'"),
            2,
            "its 2 transitions are numbered 1 to 3",
        ),
        (
            format!("UPDATE transitions SET from_status = 'lost' WHERE id = '{advanced}'"),
            2,
            "leaves another stage or status",
        ),
        (
            format!("UPDATE cycles SET number = 2 WHERE opportunity_id = '{opportunity}'"),
            2,
            "its cycle 1 has no row",
        ),
        (
            format!("UPDATE transitions SET evidence = NULL WHERE id = '{advanced}'"),
            3,
            "left the gated stage one with its gate not on record",
        ),
        (
            format!("UPDATE transitions SET evidence = '{{\"state\": \"closed\"}}' WHERE id = '{advanced}'"),
            3,
            "left the gated stage one with its gate closed",
        ),
        (
            format!("UPDATE transitions SET kind = 'regress', reason = 'x' WHERE id = '{advanced}'"),
            3,
            "is a regress that does not lead back",
        ),
        (
            format!("UPDATE approval_requests SET state = 'rejected' WHERE id = '{request}'"),
            4,
            "it is rejected, but approved follows",
        ),
        (
            format!("UPDATE approval_seats SET decision = 'reject' WHERE id = '{seat}'"),
            4,
            "is not what follows from its acts",
        ),
        (
            format!("DELETE FROM approval_acts WHERE request_id = '{request}' AND kind = 'approve'"),
            4,
            "but pending follows",
        ),
        (
            format!(
                "INSERT INTO leads (tenant_id, id, name, status, converted_at, created_at, updated_at) VALUES ('{tenant}', '{lead}', '王', 'converted', now(), now(), now())"
            ),
            6,
            "it is converted and names no account",
        ),
        (
            format!(
                "ALTER TABLE intakes DROP CONSTRAINT intakes_lead_check; INSERT INTO intakes (tenant_id, id, source_id, delivery_id, body, status, received_at, created_at, updated_at) VALUES ('{tenant}', '{intake}', '{lead}', 'd', '', 'accepted', now(), now(), now())"
            ),
            6,
            "it is accepted and has no lead",
        ),
        (
            format!(
                "INSERT INTO lead_sources (tenant_id, id, key, name, parent_id, created_at, updated_at) VALUES ('{tenant}', '{lead}', 'circle', 'x', '{lead}', now(), now())"
            ),
            1,
            "it stands below itself",
        ),
        (
            format!(
                "INSERT INTO intakes (tenant_id, id, source_id, delivery_id, body, status, raw_expired_at, received_at, created_at, updated_at) VALUES ('{tenant}', gen_random_uuid(), '{lead}', 'e', '', 'rejected', now(), now(), now(), now())"
            ),
            6,
            "its raw delivery is gone",
        ),
        (
            format!("UPDATE lead_sources SET previous_secret_until = now() WHERE tenant_id = '{tenant}'"),
            6,
            "an end and no secret",
        ),
        (
            format!("UPDATE tenants SET working_days = '{{}}' WHERE tenant_id = '{tenant}'"),
            6,
            "nothing is worked in its week",
        ),
        (
            format!(
                "UPDATE event_payloads SET data = '{{\"name\": \"乙\"}}' WHERE event_id = {}",
                a_position(1)
            ),
            6,
            "its payload is not the one that it was written with",
        ),
        (
            format!(
                "UPDATE events SET (command_id, occurred_at, recorded_at) = (SELECT command_id, occurred_at, recorded_at FROM events WHERE kind = 'opportunity.created'), subject_kind = 'opportunity', subject_id = '{opportunity}' WHERE id = {}",
                a_position(3)
            ),
            6,
            "has 2 events of it",
        ),
        (
            format!("DELETE FROM event_payloads WHERE event_id = {}", a_position(2)),
            6,
            "it has no payload row",
        ),
        (
            format!("DELETE FROM event_subjects WHERE subject_id = '{opportunity}'"),
            6,
            "no event tells of it",
        ),
        (
            format!("DELETE FROM event_positions WHERE tenant_id = '{foreign}' AND seq = 2"),
            6,
            "position 2 is missing",
        ),
        (
            format!("DELETE FROM event_positions WHERE tenant_id = '{foreign}' AND seq = 3"),
            6,
            "it has no place and does not wait for one",
        ),
        (
            format!(
                "INSERT INTO event_queue (tenant_id, event_id) VALUES ('{tenant}', {})",
                a_position(4)
            ),
            6,
            "it waits for a place that it has",
        ),
    ];
    let breaches = breaches.into_iter();
    let breaches = breaches
        .chain(pool_breaches(tenant, *account))
        .chain(told_breaches(tenant, &ids));
    for (statement, invariant, sentence) in breaches {
        own.tamper(&format!(
            "SET LOCAL session_replication_role = replica; {statement}"
        ))
        .await;
        let found = check::run(&own.url).await.unwrap();
        let fresh = found
            .iter()
            .filter(|finding| !known.contains(finding))
            .collect::<Vec<_>>();
        let is_it =
            |finding: &&Finding| finding.invariant == invariant && finding.sentence.contains(sentence);
        assert!(fresh.iter().any(is_it), "{statement}\nfound {fresh:#?}");
        known = found;
    }
}

/// What deals and approvals say otherwise than what tells of them.
fn told_breaches(tenant: Uuid, ids: &Ids) -> Vec<(String, u8, &'static str)> {
    let Ids {
        opportunity,
        entered,
        request,
        ..
    } = ids;
    let criterion = Uuid::now_v7();
    let answered = json!({ "visit_id": entered, "criterion_id": criterion, "after": { "answer": true } });
    vec![
        (
            format!("UPDATE opportunities SET amount = 12.5 WHERE id = '{opportunity}'"),
            2,
            "its amount 12.5 is told by none of its events",
        ),
        (
            format!(
                "UPDATE opportunities SET status = 'won', cycle = 1 WHERE id = '{opportunity}'; \
                 UPDATE cycles SET number = 1, outcome = 'won', ended_at = now(), amount = 12.5, currency = 'EUR', lines = '[]' WHERE opportunity_id = '{opportunity}'"
            ),
            2,
            "its amount is 12.5 CNY, its cycle 1 ended with 12.5 EUR",
        ),
        (
            format!(
                "UPDATE cycles SET lines = '[{{\"quantity\": \"1\", \"unit_price\": \"2\", \"discount\": \"0\"}}]' WHERE opportunity_id = '{opportunity}'"
            ),
            2,
            "its 0 lines are not the 1 that its cycle 1 ended with",
        ),
        (
            format!(
                "INSERT INTO criterion_answers (tenant_id, visit_id, criterion_id, opportunity_id, answer, answered_at) VALUES ('{tenant}', '{entered}', '{criterion}', '{opportunity}', 'false', now()); \
                 WITH told AS (UPDATE events SET kind = 'criterion.answered' WHERE tenant_id = '{tenant}' AND kind = 'opportunity.created' RETURNING id) \
                 UPDATE event_payloads SET data = '{answered}' WHERE event_id IN (SELECT id FROM told)"
            ),
            2,
            "is not one that its events tell",
        ),
        (
            format!(
                r#"UPDATE approval_requests SET snapshot = '{{"amount": "5.00"}}' WHERE id = '{request}'"#
            ),
            4,
            "its snapshot is not the one that its hash was taken of",
        ),
    ]
}

fn pool_breaches(tenant: Uuid, account: Uuid) -> Vec<(String, u8, &'static str)> {
    vec![
        (
            format!(
                "INSERT INTO pool_stays (tenant_id, id, record_kind, record_id, why, since) VALUES ('{tenant}', gen_random_uuid(), 'account', '{account}', 'released', now())"
            ),
            9,
            "it is in the pool, but has an owner",
        ),
        (
            format!(
                "DELETE FROM pool_stays WHERE tenant_id = '{tenant}'; UPDATE accounts SET owner_id = NULL WHERE id = '{account}'"
            ),
            9,
            "nobody owns it, but it is not in the pool",
        ),
        (
            format!(
                "INSERT INTO pool_clocks (tenant_id, record_kind, record_id, owner_id, owned_since, rule_id, due_on, look_on) VALUES ('{tenant}', 'account', '{account}', '{account}', now(), '{account}', now(), now())"
            ),
            9,
            "its days run, but nobody owns it",
        ),
    ]
}

#[tokio::test]
async fn an_emptied_payload_is_no_breach() {
    let own = Own::new(None).await;
    let sequencer = sequencer::spawn(&own.url).unwrap();
    own.until("SELECT count(*) AS number FROM event_queue", 0).await;
    sequencer.stop().await;
    own.tamper("UPDATE event_payloads SET data = NULL, sensitive = NULL")
        .await;
    assert_eq!(check::run(&own.url).await.unwrap(), []);
}
