//! What becomes of an approval in time: deadlines, changes of what is approved, the ways out.

use crate::support::app::{Company, database, sandbox};
use crate::support::cast::{as_system, cast, execute, follows_from_its_acts};
use crate::support::make_approvals::{Ask, ask, process, published, step, waiting};
use diesel::sql_types::{Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use penstock::app::SUBJECTS;
use penstock::approval::definition::SubjectKind;
use penstock::approval::{service, timers};
use serde_json::{Value, json};
use uuid::Uuid;

#[tokio::test]
async fn a_deadline_asks_those_above_and_never_approves() {
    let company = sandbox("2024-03-04T01:00:00Z").await;
    let seller = company.member("李销售", "sales_representative").await;
    let manager = company.member("陈经理", "sales_lead").await;
    let director = company.member("王总监", "sales_director").await;
    let mut only = step("only", 1, "any", &[&manager]);
    only["deadline_seconds"] = json!(7200);
    only["reminder_seconds_before"] = json!(3600);
    only["escalation"] = json!({ "kind": "role", "role": "sales_director" });
    published(&company, process("late", json!([only]))).await;
    let request = ask(&company, &seller, &Ask::of("late")).await;
    let asked = seller.sees(&request).await;
    assert_eq!(asked["steps"][0]["due_at"], "2024-03-04T03:00:00Z");
    let step_id: Uuid = asked["steps"][0]["id"].as_str().unwrap().parse().unwrap();
    let details = json!({ "request_id": request });

    // Before its time a deadline does nothing.
    as_system(&company, async |tx, ctx| {
        timers::fire_deadline(tx, ctx, SUBJECTS, step_id, &details).await?;
        Ok(Value::Null)
    })
    .await;
    assert_eq!(waiting(&seller.sees(&request).await), [manager.id]);

    execute(
        &company,
        "UPDATE tenants SET sandbox_now = $2::timestamptz WHERE tenant_id = $1",
        "2024-03-04T03:00:00Z",
    )
    .await;
    as_system(&company, async |tx, ctx| {
        let mut late = ctx.clone();
        late.now = "2024-03-04T03:00:00Z".parse().unwrap();
        timers::fire_reminder(tx, &late, SUBJECTS, step_id, &details).await?;
        timers::fire_deadline(tx, &late, SUBJECTS, step_id, &details).await?;
        Ok(Value::Null)
    })
    .await;
    let late = seller.sees(&request).await;
    assert_eq!(late["state"], "pending");
    let mut asked = [manager.id, director.id];
    asked.sort();
    assert_eq!(waiting(&late), asked);
    let kinds = late["acts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|act| act["kind"].clone());
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        ["request", "open", "seat", "remind", "escalate"]
    );
    assert_eq!(director.approve(&request).await.expect(200)["state"], "approved");
    follows_from_its_acts(&company, &request).await;
}

#[tokio::test]
async fn the_timers_of_a_step_stand_while_it_is_open() {
    let company = sandbox("2024-03-04T01:00:00Z").await;
    let seller = company.member("李销售", "sales_representative").await;
    let manager = company.member("陈经理", "sales_lead").await;
    let mut only = step("only", 1, "any", &[&manager]);
    only["deadline_seconds"] = json!(7200);
    only["reminder_seconds_before"] = json!(3600);
    published(&company, process("timed", json!([only]))).await;
    let request = ask(&company, &seller, &Ask::of("timed")).await;
    assert_eq!(
        timers_of(&company).await,
        ["approval_deadline 03:00", "approval_reminder 02:00"]
    );
    manager.approve(&request).await.expect(200);
    assert_eq!(timers_of(&company).await, Vec::<String>::new());
}

async fn timers_of(company: &Company) -> Vec<String> {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        told: String,
    }
    let rows: Vec<Row> = database()
        .await
        .read(async |conn| {
            let query = diesel::sql_query(
                "SELECT kind || to_char(due_at, ' HH24:MI') AS told FROM timers WHERE tenant_id = $1 AND subject_kind = 'approval_step' ORDER BY kind",
            );
            Ok(query.bind::<SqlUuid, _>(company.tenant).load(conn).await?)
        })
        .await
        .unwrap();
    rows.into_iter().map(|row| row.told).collect()
}

#[tokio::test]
async fn a_change_of_what_was_approved_lapses_it_and_any_other_change_does_not() {
    let cast = cast().await;
    cast.together("any", None).await;
    let about = Ask::of("together");
    let request = ask(&cast.company, &cast.seller, &about).await;
    cast.legal.approve(&request).await.expect(200);
    let lapse = async |content: Value| {
        as_system(&cast.company, async |tx, ctx| {
            let kind = SubjectKind::Lead;
            let count =
                service::lapse_if_changed(tx, ctx, kind, about.subject, about.visit, &content).await?;
            Ok(json!(count))
        })
        .await
    };
    let mut content = about.snapshot();
    content["name"] = json!("王芳女士");
    content["amount"] = json!("100000.00");
    assert_eq!(lapse(content.clone()).await, 0);
    assert_eq!(cast.seller.sees(&request).await["state"], "approved");
    content["amount"] = json!("100000.01");
    assert_eq!(lapse(content).await, 1);
    assert_eq!(cast.seller.sees(&request).await["state"], "lapsed");
    follows_from_its_acts(&cast.company, &request).await;

    let standing = as_system(&cast.company, async |tx, _| {
        let conn = &mut &**tx;
        let visit = about.visit.unwrap();
        let found =
            service::standings(conn, cast.company.tenant, SubjectKind::Lead, about.subject, visit).await?;
        Ok(json!([
            found.len(),
            found[0].request_id,
            found[0].covers(&about.snapshot())
        ]))
    })
    .await;
    assert_eq!(standing, json!([1, request, true]));
}

#[tokio::test]
async fn what_is_called_off_is_withdrawn_and_asks_nobody_any_more() {
    let cast = cast().await;
    cast.together("any", None).await;
    let about = Ask::of("together");
    let request = ask(&cast.company, &cast.seller, &about).await;
    let count = as_system(&cast.company, async |tx, ctx| {
        let count = service::withdraw_all(tx, ctx, SubjectKind::Lead, &[about.subject], "商机已输单").await?;
        Ok(json!(count))
    })
    .await;
    assert_eq!(count, 1);
    let after = cast.seller.sees(&request).await;
    assert_eq!(
        (after["state"].clone(), waiting(&after).len()),
        (json!("withdrawn"), 0)
    );
    follows_from_its_acts(&cast.company, &request).await;
}
