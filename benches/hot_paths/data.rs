//! The data set: one company with 200 people in a tree of teams, 5 pipelines of 8 gated stages, 10,000 accounts and
//! 100,000 deals with their whole history. People, pipelines and the lead source are made as their administrator would;
//! the mass by set-based SQL. Everything about deal `n` follows from `n`, in Rust and in SQL alike.

use crate::Failure;
use crate::http;
use crate::server::Server;
use penstock::identity::bootstrap::{self, NewCompany, NewPerson};
use penstock::identity::passwords;
use penstock::kernel::ctx::{ActorKind, Ctx};
use penstock::platform::auth::load_company;
use penstock::platform::clock;
use penstock::platform::db::Db;
use penstock::platform::events;
use penstock::platform::reply::Reply;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_postgres::Client;
use uuid::Uuid;

pub const OPPORTUNITIES: i64 = 100_000;
pub const ACCOUNTS: i64 = 10_000;
pub const USERS: i64 = 200;
pub const PIPELINES: i64 = 5;
pub const STAGES: i64 = 8;
/// Stages of all pipelines: deal `n` stands in the one of number `n % LANES`.
pub const LANES: i64 = PIPELINES * STAGES;
pub const PASSWORD: &str = "a benchmark's passphrase, on loopback only";

/// The kinds of records whose ids follow from a number.
const USER: u32 = 1;
const TEAM: u32 = 2;
const ACCOUNT: u32 = 3;
const OPPORTUNITY: u32 = 4;
/// Accounts that are added to measure how it is with very many.
pub const LARGE: u32 = 5;
/// The transition of ordinal 1; the next ordinals follow.
const TRANSITION: u32 = 16;
/// The event that tells of a record of a kind: its number is that kind's and this.
const EVENT: u32 = 64;

/// The id of record `n` of a kind.
fn id(kind: u32, n: i64) -> Uuid {
    let text = format!("018f0000-{kind:04x}-7000-8000-{n:012x}");
    Uuid::parse_str(&text).unwrap_or_default()
}

/// The same in SQL; `kind` and `n` are SQL too.
pub fn id_sql(kind: &str, n: &str) -> String {
    format!(
        "('018f0000-' || lpad(to_hex({kind}), 4, '0') || '-7000-8000-' || lpad(to_hex({n}), 12, '0'))::uuid"
    )
}

/// A person who signs in.
pub fn email(n: i64) -> String {
    format!("user{n}@bench.example")
}

/// The sales director, who sees every deal.
pub const DIRECTOR: i64 = 0;
/// A sales representative, who sees their own deals: those with `n % USERS` of this.
pub const REPRESENTATIVE: i64 = 150;

/// The position of deal `n` in its pipeline, from 0.
pub fn position(n: i64) -> i64 {
    n % LANES / PIPELINES
}

pub fn opportunity(n: i64) -> Uuid {
    id(OPPORTUNITY, n)
}

/// What was made, as far as it does not follow from numbers.
pub struct DataSet {
    pub tenant: Uuid,
    /// The stage of each lane.
    pub stages: Vec<Uuid>,
    /// The pipelines, and the version of each that is published.
    pipelines: Vec<Uuid>,
    versions: Vec<Uuid>,
    /// Where deliveries of leads go, and the key with which they are signed.
    pub intake_path: String,
    pub intake_secret: String,
}

impl DataSet {
    /// The stage in which deal `n` began the benchmark, moved on by `moves`.
    pub fn stage(&self, n: i64, moves: i64) -> Uuid {
        let lane = n % LANES + moves * PIPELINES;
        let lane = usize::try_from(lane).unwrap_or_default();
        self.stages.get(lane).copied().unwrap_or_default()
    }

    /// Ids that belong to deal `n`, each with the SQL by which pgbench finds it from its variable `n`.
    pub fn known(&self, n: i64) -> Vec<(Uuid, String)> {
        let number = ":n::bigint";
        let one_of = |ids: &[Uuid], place: String| {
            let ids = ids.iter().map(Uuid::to_string).collect::<Vec<_>>().join(",");
            format!("('{{{ids}}}'::uuid[])[({place} + 1)::int]")
        };
        let stage = |moves: i64| {
            one_of(
                &self.stages,
                format!("{number} % {LANES} + {}", moves * PIPELINES),
            )
        };
        let of_pipeline = |ids: &[Uuid]| {
            let lane = usize::try_from(n % PIPELINES).unwrap_or_default();
            let id = ids.get(lane).copied().unwrap_or_default();
            (id, one_of(ids, format!("{number} % {PIPELINES}")))
        };
        let visit = id_sql(
            &format!("({TRANSITION} + {number} % {LANES} / {PIPELINES})::int"),
            number,
        );
        vec![
            (opportunity(n), id_sql(&OPPORTUNITY.to_string(), number)),
            (
                id(ACCOUNT, n % ACCOUNTS),
                id_sql(&ACCOUNT.to_string(), &format!("{number} % {ACCOUNTS}")),
            ),
            (
                id(USER, n % USERS),
                id_sql(&USER.to_string(), &format!("{number} % {USERS}")),
            ),
            (
                id(TRANSITION + u32::try_from(position(n)).unwrap_or_default(), n),
                visit,
            ),
            (self.stage(n, 0), stage(0)),
            (self.stage(n, 1), stage(1)),
            of_pipeline(&self.pipelines),
            of_pipeline(&self.versions),
        ]
    }
}

/// Makes the company with its people. The database is migrated.
pub async fn people(url: &str) -> Result<Uuid, Failure> {
    let db = Db::new(url, 2)?;
    let new = NewCompany {
        name: "基准测试有限公司".to_owned(),
        slug: "bench".to_owned(),
        time_zone: "Asia/Shanghai".to_owned(),
        currency: "CNY".to_owned(),
        locale: "zh-CN".to_owned(),
        sandbox_now: None,
        administrator: NewPerson {
            name: "管理员".to_owned(),
            email: "admin@bench.example".to_owned(),
            password: PASSWORD.to_owned(),
        },
    };
    let told = |error: penstock::kernel::error::AppError| format!("{error:?}");
    let tenant = bootstrap::make_company(&db, &new, penstock::app::SHIPS)
        .await
        .map_err(told)?
        .tenant;
    let company = load_company(&db, tenant)
        .await
        .map_err(told)?
        .ok_or("no company")?;
    let now = clock::real_now();
    let ctx = Ctx::system(Arc::new(company), tenant, ActorKind::System, now, now);
    let hash = passwords::hash(PASSWORD).await.map_err(told)?;
    db.write(&ctx, async |tx| {
        for n in 0..USERS {
            let name = format!("员工{n}");
            bootstrap::insert_user(tx, &ctx, id(USER, n), &name, &email(n), Some(&hash)).await?;
        }
        Ok(Reply::no_content())
    })
    .await
    .map_err(told)?;
    Ok(tenant)
}

/// Puts the people into a tree: a head office, 4 regions, 5 teams in each with 9 or 10 people; gives them their roles.
pub async fn teams(client: &Client, tenant: Uuid) -> Result<(), Failure> {
    let team = |n: &str| id_sql(&TEAM.to_string(), n);
    let user = |n: &str| id_sql(&USER.to_string(), n);
    let role =
        "CASE WHEN n = 0 THEN 'sales_director' WHEN n < 25 THEN 'sales_lead' ELSE 'sales_representative' END";
    let statements = [
        format!(
            "INSERT INTO teams (tenant_id, id, name, parent_id, leader_id, created_at, updated_at) \
             SELECT '{tenant}', {}, '团队' || n, CASE WHEN n = 0 THEN NULL WHEN n < 5 THEN {} ELSE {} END, {}, now(), now() \
             FROM generate_series(0, 24) n",
            team("n"),
            team("0"),
            team("n % 4 + 1"),
            user("n")
        ),
        format!(
            "UPDATE users u SET team_id = {} FROM generate_series(0, {USERS} - 1) n WHERE u.tenant_id = '{tenant}' AND u.id = {}",
            team("CASE WHEN n < 25 THEN n ELSE 5 + n % 20 END"),
            user("n")
        ),
        format!(
            "INSERT INTO user_roles (tenant_id, user_id, role_id) \
             SELECT '{tenant}', {}, r.id FROM generate_series(0, {USERS} - 1) n JOIN roles r ON r.tenant_id = '{tenant}' AND r.key = {role}",
            user("n")
        ),
    ];
    for statement in statements {
        client.batch_execute(&statement).await?;
    }
    Ok(())
}

/// One pipeline: eight stages, each left through a gate with three sub-goals.
fn pipeline(number: i64) -> Value {
    let stages = (0..STAGES).map(|stage| {
        json!({
            "key": format!("stage_{stage}"),
            "name": format!("阶段{}", stage + 1),
            "probability": format!("0.{}000", stage + 1),
            "gate": { "kind": "all", "of": [
                { "kind": "check", "key": "need_confirmed", "label": "需求已确认" },
                { "kind": "check", "key": "budget_confirmed", "label": "预算已确认" },
                { "kind": "field", "key": "amount_known", "label": "已填写金额", "expression": "amount > 0" }
            ] }
        })
    });
    json!({ "key": format!("pipeline_{number}"), "name": format!("流程{number}"), "stages": stages.collect::<Vec<_>>() })
}

/// Publishes the pipelines and opens the lead source, through the API.
pub async fn processes(server: &Server, client: &Client, tenant: Uuid) -> Result<DataSet, Failure> {
    let token = server.sign_in("admin@bench.example", PASSWORD).await?;
    let bearer = http::bearer(&token);
    let mut connection = server.connect().await?;
    let mut stages = vec![Uuid::nil(); usize::try_from(LANES)?];
    let (mut pipelines, mut versions) = (Vec::new(), Vec::new());
    for number in 0..PIPELINES {
        let body = json!({ "document": pipeline(number) }).to_string();
        let made = connection
            .ask(&http::request("POST", "/v1/pipelines", &bearer, &body), 201)
            .await?;
        let id = made["id"].as_str().ok_or("no pipeline id")?.to_owned();
        let path = format!("/v1/pipelines/{id}/versions/1/publish");
        connection
            .ask(&http::request("POST", &path, &bearer, ""), 200)
            .await?;
        let rows = client
            .query(
                "SELECT s.position, s.stage_id, s.version_id FROM version_stages s JOIN pipelines p ON p.tenant_id = $1 AND p.published_version_id = s.version_id \
                 WHERE s.tenant_id = $1 AND p.id = $2",
                &[&tenant, &Uuid::parse_str(&id)?],
            )
            .await?;
        pipelines.push(Uuid::parse_str(&id)?);
        versions.push(rows.first().ok_or("a pipeline without stages")?.get(2));
        for row in rows {
            let lane = i64::from(row.get::<_, i32>(0)) * PIPELINES + number;
            stages[usize::try_from(lane)?] = row.get(1);
        }
    }
    let body = json!({ "key": "website", "name": "官网表单", "channel": "web", "is_intake_open": true });
    let source = connection
        .ask(
            &http::request("POST", "/v1/lead-sources", &bearer, &body.to_string()),
            201,
        )
        .await?;
    let id = source["id"].as_str().ok_or("no source id")?.to_owned();
    let path = format!("/v1/lead-sources/{id}/rotate-secret");
    let secret = connection
        .ask(&http::request("POST", &path, &bearer, ""), 200)
        .await?;
    let text = |member: &str| secret[member].as_str().unwrap_or_default().to_owned();
    Ok(DataSet {
        tenant,
        stages,
        pipelines,
        versions,
        intake_path: text("intake_path"),
        intake_secret: text("secret"),
    })
}

/// Fills the company with accounts and deals; every deal has come its whole way by transitions, and both ticks of its
/// present gate are made.
pub async fn mass(client: &Client, tenant: Uuid) -> Result<(), Failure> {
    let account = |n: &str| id_sql(&ACCOUNT.to_string(), n);
    let user = |n: &str| id_sql(&USER.to_string(), n);
    let deal = |n: &str| id_sql(&OPPORTUNITY.to_string(), n);
    let visit = |ordinal: &str, n: &str| id_sql(&format!("({TRANSITION} - 1 + {ordinal})::int"), n);
    // Everybody entered their present stage three days ago, after five days in each one before.
    let entered = "(date_trunc('day', now()) - interval '3 days')";
    let began = format!("({entered} - l.position * interval '5 days')");
    let most = OPPORTUNITIES - 1;
    let lanes = format!("JOIN bench_lanes l ON l.lane = n % {LANES}");
    let statements = [
        format!(
            "CREATE TEMPORARY TABLE bench_lanes AS SELECT s.position * {PIPELINES} + right(p.key, 1)::int AS lane, s.position, p.id AS pipeline_id, \
             s.version_id, s.stage_id, s.probability, s.expected_dwell_seconds FROM version_stages s JOIN pipelines p ON p.tenant_id = s.tenant_id AND p.published_version_id = s.version_id \
             WHERE s.tenant_id = '{tenant}'"
        ),
        accounts(tenant, ACCOUNT, "'客户' || n || '有限公司'", ACCOUNTS),
        format!(
            "INSERT INTO opportunities (tenant_id, id, name, account_id, owner_id, pipeline_id, pipeline_version_id, stage_id, visit_id, stage_entered_at, stage_due_at, \
             amount, currency, expected_close_on, probability_default, next_step, version, created_at, updated_at) \
             SELECT '{tenant}', {}, '客户管理系统采购' || n, {}, {}, l.pipeline_id, l.version_id, l.stage_id, {}, {entered}, {entered} + make_interval(secs => l.expected_dwell_seconds), \
             10000 + n::bigint * 7919 % 999983, 'CNY', current_date + (n % 90)::int, l.probability, '发送报价', 1, {began}, {entered} \
             FROM generate_series(0, {most}) n {lanes}",
            deal("n"),
            account(&format!("n % {ACCOUNTS}")),
            user(&format!("n % {USERS}")),
            visit("l.position + 1", "n"),
        ),
        format!(
            "INSERT INTO transitions (tenant_id, id, opportunity_id, cycle, ordinal, kind, pipeline_version_id, from_stage_id, to_stage_id, from_status, to_status, \
             visit_id, actor_kind, actor_id, at, recorded_at, dwell_seconds, evidence) \
             SELECT '{tenant}', {visit}, {}, 1, o, CASE WHEN o = 1 THEN 'enter' ELSE 'advance' END, l.version_id, f.stage_id, t.stage_id, \
             CASE WHEN o > 1 THEN 'open' END, 'open', {visit}, 'user', {}, {began} + (o - 1) * interval '5 days', {began} + (o - 1) * interval '5 days', \
             CASE WHEN o > 1 THEN 5 * 86400 END, CASE WHEN o > 1 THEN '{{\"state\": \"open\"}}'::jsonb END \
             FROM generate_series(0, {most}) n {lanes} CROSS JOIN LATERAL generate_series(1, l.position + 1) o \
             JOIN bench_lanes t ON t.version_id = l.version_id AND t.position = o - 1 \
             LEFT JOIN bench_lanes f ON f.version_id = l.version_id AND f.position = o - 2",
            deal("n"),
            user(&format!("n % {USERS}")),
            visit = visit("o", "n"),
        ),
        format!(
            "INSERT INTO cycles (tenant_id, opportunity_id, number, started_at) SELECT tenant_id, id, 1, created_at FROM opportunities WHERE tenant_id = '{tenant}'"
        ),
        ticks(tenant),
        events(tenant, TEAM, "team", "teams", None),
        events(tenant, ACCOUNT, "account", "accounts", None),
        events(
            tenant,
            OPPORTUNITY,
            "opportunity",
            "opportunities",
            Some(("account", "account_id")),
        ),
        "VACUUM ANALYZE".to_owned(),
        "CHECKPOINT".to_owned(),
    ];
    for statement in statements {
        client.batch_execute(&statement).await?;
        // The checks of foreign keys are planned once a session: by what the tables have become, not for empty ones.
        client.batch_execute("ANALYZE").await?;
    }
    Ok(())
}

/// Makes accounts, of ids of a kind and names in SQL over `n`; everybody owns some.
pub fn accounts(tenant: Uuid, kind: u32, name: &str, count: i64) -> String {
    format!(
        "INSERT INTO accounts (tenant_id, id, name, industry, employees, region, owner_id, created_at, updated_at) \
         SELECT '{tenant}', {}, {name}, (ARRAY['信息技术', '制造业', '医疗', '教育', '零售'])[n % 5 + 1], 10 + n % 5000, \
         (ARRAY['华东', '华南', '华北'])[n % 3 + 1], {}, now() - interval '90 days', now() - interval '90 days' FROM generate_series(0, {count} - 1) n",
        id_sql(&kind.to_string(), "n"),
        id_sql(&USER.to_string(), &format!("n % {USERS}"))
    )
}

/// Tells of every record of a table, as if it had been brought in from elsewhere; `also`: whose timeline it belongs on
/// besides. The server's sequencer gives the events their places.
fn events(tenant: Uuid, kind: u32, singular: &str, table: &str, also: Option<(&str, &str)>) -> String {
    let event = format!(
        "overlay(t.id::text placing lpad(to_hex({}), 4, '0') from 10 for 4)::uuid",
        EVENT + kind
    );
    let also = also.map_or_else(String::new, |(kind, member)| {
        format!(" UNION ALL SELECT tenant_id, '{kind}', {member}, event_id FROM told")
    });
    let (data, digest) = payload(singular);
    format!(
        "WITH told AS MATERIALIZED (SELECT {event} AS event_id, t.* FROM {table} t WHERE t.tenant_id = '{tenant}'), \
         written AS (INSERT INTO events (tenant_id, id, command_id, kind, subject_kind, subject_id, actor_kind, occurred_at, recorded_at, payload_digest) \
             SELECT tenant_id, event_id, event_id, '{singular}.imported', '{singular}', id, 'system', created_at, created_at, {digest} FROM told), \
         payloads AS (INSERT INTO event_payloads (tenant_id, event_id, data) SELECT tenant_id, event_id, {data} FROM told), \
         queued AS (INSERT INTO event_queue (tenant_id, event_id) SELECT tenant_id, event_id FROM told) \
         INSERT INTO event_subjects (tenant_id, subject_kind, subject_id, event_id) \
         SELECT tenant_id, '{singular}', id, event_id FROM told{also}"
    )
}

/// SQL of what an event says, and of its digest: of a deal its amount, of others nothing.
fn payload(singular: &str) -> (String, String) {
    if singular == "opportunity" {
        let data = "jsonb_build_object('changes', jsonb_build_object('amount', jsonb_build_object('before', NULL, 'after', amount::text)))";
        let canonical = r#"format('{"changes":{"amount":{"after":"%s""before":null}}}{}', amount)"#;
        return (
            data.to_owned(),
            format!("sha256(convert_to({canonical}, 'UTF8'))"),
        );
    }
    let data = json!({ "changes": {} });
    let digest = events::to_hex(&events::digest(&data, &json!({})));
    (format!("'{data}'::jsonb"), format!("decode('{digest}', 'hex')"))
}

/// Waits until every event has its place, and every record is known to search and by its keys.
pub async fn placed(client: &Client) -> Result<(), Failure> {
    let waiting = "SELECT EXISTS (SELECT 1 FROM event_queue) \
         OR (SELECT count(*) FROM search_entries) < (SELECT (SELECT count(*) FROM accounts) + (SELECT count(*) FROM opportunities)) \
         OR (SELECT count(*) FROM identity_names) < (SELECT count(*) FROM accounts)";
    while client.query_one(waiting, &[]).await?.get::<_, bool>(0) {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    client.batch_execute("VACUUM ANALYZE").await?;
    Ok(client.batch_execute("CHECKPOINT").await?)
}

/// How many records requests (and pgbench's transactions) have written.
pub const WRITTEN: &str = "SELECT count(*) FROM transitions WHERE id::text NOT LIKE '018f0000-%' UNION ALL SELECT count(*) FROM leads";

/// Makes the ticks of every present visit that has none.
pub fn ticks(tenant: Uuid) -> String {
    format!(
        "INSERT INTO criterion_answers (tenant_id, visit_id, criterion_id, opportunity_id, answer, answered_by, answered_at) \
         SELECT o.tenant_id, o.visit_id, c.id, o.id, 'true', o.owner_id, greatest(o.stage_entered_at, now() - interval '1 hour') \
         FROM opportunities o JOIN criteria c ON c.tenant_id = o.tenant_id AND c.stage_id = o.stage_id \
         WHERE o.tenant_id = '{tenant}' AND c.key IN ('need_confirmed', 'budget_confirmed') ON CONFLICT DO NOTHING"
    )
}

/// Takes back what moved the deals since they were made: for the database on which pgbench moves them.
pub fn undo_moves(tenant: Uuid) -> String {
    format!(
        "WITH gone AS (DELETE FROM transitions t USING opportunities o WHERE t.tenant_id = '{tenant}' AND o.tenant_id = '{tenant}' AND o.id = t.opportunity_id \
             AND t.id::text NOT LIKE '018f0000-%' RETURNING t.opportunity_id, t.from_stage_id) \
         UPDATE opportunities o SET stage_id = gone.from_stage_id, visit_id = b.id, stage_entered_at = b.at, \
             stage_due_at = b.at + make_interval(secs => s.expected_dwell_seconds), version = 1, \
             probability_default = s.probability \
         FROM gone JOIN transitions b ON b.tenant_id = '{tenant}' AND b.opportunity_id = gone.opportunity_id AND b.id::text LIKE '018f0000-%' \
             AND b.to_stage_id = gone.from_stage_id JOIN version_stages s ON s.tenant_id = '{tenant}' AND s.version_id = b.pipeline_version_id AND s.stage_id = b.to_stage_id \
         WHERE o.tenant_id = '{tenant}' AND o.id = gone.opportunity_id"
    )
}
