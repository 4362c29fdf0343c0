//! Approval requests: who decides, in what order, and what ends them.

use crate::support::app::{Company, Person, company, database, sandbox};
use crate::support::make_approvals::{Ask, ask, process, published, step, steps, terms, try_ask, waiting};
use diesel::sql_types::{Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use futures::future::join_all;
use penstock::app::SUBJECTS;
use penstock::approval::definition::SubjectKind;
use penstock::approval::{queries, service, state};
use penstock::kernel::error::AppResult;
use penstock::platform::db::{Db, Tx};
use penstock::platform::reply::Reply;
use serde_json::{Value, json};
use uuid::Uuid;

/// Runs a statement over the company (`$1`) with a text (`$2`).
async fn execute(company: &Company, statement: &str, text: &str) {
    let db = database().await;
    let ctx = terms(company, company.administrator.id).await;
    db.write(&ctx, async |tx| {
        diesel::sql_query(statement)
            .bind::<SqlUuid, _>(company.tenant)
            .bind::<Text, _>(text)
            .execute(&mut **tx)
            .await?;
        Ok(Reply::no_content())
    })
    .await
    .unwrap();
}

async fn as_system(
    company: &Company,
    work: impl AsyncFn(&mut Tx, &penstock::kernel::ctx::Ctx) -> AppResult<Value>,
) -> Value {
    let db: Db = database().await;
    let ctx = terms(company, Uuid::nil()).await;
    let reply = db
        .write(&ctx, async |tx| {
            let value = work(tx, &ctx).await?;
            Reply::ok(&value)
        })
        .await
        .unwrap();
    serde_json::from_slice(&reply.body).unwrap()
}

/// What is stored must be what follows from the recorded acts alone.
async fn follows_from_its_acts(company: &Company, request: &str) {
    let db = database().await;
    let id = request.parse().unwrap();
    let (loaded, acts) = db
        .snapshot(async |conn| {
            let conn = &mut &*conn;
            let loaded = queries::load(conn, company.tenant, id).await?;
            Ok((loaded, queries::acts(conn, company.tenant, id).await?))
        })
        .await
        .unwrap();
    let acts = acts
        .into_iter()
        .map(|act| act.read().unwrap())
        .collect::<Vec<_>>();
    let replayed = state::replay(&loaded.process, loaded.state.parties, &loaded.state.steps, &acts);
    assert_eq!(replayed, loaded.state);
}

struct Cast {
    company: Company,
    seller: Person,
    manager: Person,
    legal: Person,
    head: Person,
}

async fn cast() -> Cast {
    let company = company().await;
    Cast {
        seller: company.member("李销售", "sales_representative").await,
        manager: company.member("陈经理", "sales_lead").await,
        legal: company.member("周法务", "legal").await,
        head: company.member("吴总", "general_manager").await,
        company,
    }
}

impl Cast {
    async fn three_in_turn(&self) {
        let steps = json!([
            step("manager", 1, "any", &[&self.manager]),
            step("legal", 2, "any", &[&self.legal]),
            step("head", 3, "any", &[&self.head]),
        ]);
        published(&self.company, process("in_turn", steps)).await;
    }

    /// A process of one step that asks manager, legal and head.
    async fn together(&self, mode: &str, quorum: Option<i32>) {
        let mut only = step("all", 1, mode, &[&self.manager, &self.legal, &self.head]);
        only["quorum"] = json!(quorum);
        published(&self.company, process("together", json!([only]))).await;
    }
}

#[tokio::test]
async fn three_people_decide_in_turn_and_the_last_one_grants() {
    let cast = cast().await;
    cast.three_in_turn().await;
    let request = ask(&cast.company, &cast.seller, &Ask::of("in_turn")).await;
    let asked = cast.seller.sees(&request).await;
    assert_eq!(asked["state"], "pending");
    assert_eq!(asked["comment"], "请审批");
    assert_eq!(asked["amount"], "100000.00");
    assert_eq!(waiting(&asked), [cast.manager.id]);
    assert_eq!(asked["waiting_for"][0]["name"], "陈经理");

    assert_eq!(
        cast.head.approve(&request).await.refused(403),
        "not_your_decision"
    );
    let first = cast.manager.approve(&request).await.expect(200);
    assert_eq!(waiting(&first), [cast.legal.id]);
    assert_eq!(first["steps"][0]["seats"][0]["opinion"], "同意");
    cast.legal.approve(&request).await.expect(200);
    let granted = cast.head.approve(&request).await.expect(200);
    assert_eq!(granted["state"], "approved");
    assert!(granted["closed_at"].is_string());
    let approved = |key: &str| (key.to_owned(), "approved".to_owned());
    assert_eq!(steps(&granted), ["manager", "legal", "head"].map(approved));
    assert_eq!(cast.head.approve(&request).await.refused(409), "request_closed");
    follows_from_its_acts(&cast.company, &request).await;
}

#[tokio::test]
async fn of_any_the_first_decision_decides_and_of_all_one_rejection_rejects() {
    let any = cast().await;
    any.together("any", None).await;
    let request = ask(&any.company, &any.seller, &Ask::of("together")).await;
    assert_eq!(any.legal.approve(&request).await.expect(200)["state"], "approved");

    let all = cast().await;
    all.together("all", None).await;
    let request = ask(&all.company, &all.seller, &Ask::of("together")).await;
    assert_eq!(all.legal.approve(&request).await.expect(200)["state"], "pending");
    let refused = all.manager.act(&request, "reject", json!({})).await;
    assert_eq!(refused.faults(), [("/opinion".to_owned(), "required".to_owned())]);
    let blank = all
        .manager
        .act(&request, "reject", json!({ "opinion": "  " }))
        .await;
    assert_eq!(blank.refused(422), "invalid");
    let rejected = all
        .manager
        .act(&request, "reject", json!({ "opinion": "付款条件不可接受" }))
        .await
        .expect(200);
    assert_eq!(rejected["state"], "rejected");
    assert_eq!(waiting(&rejected), Vec::<Uuid>::new());
    follows_from_its_acts(&all.company, &request).await;
}

#[tokio::test]
async fn a_quorum_grants_when_reached_and_rejects_when_out_of_reach() {
    let cast = cast().await;
    cast.together("quorum", Some(2)).await;
    let request = ask(&cast.company, &cast.seller, &Ask::of("together")).await;
    cast.manager.approve(&request).await.expect(200);
    let granted = cast.head.approve(&request).await.expect(200);
    assert_eq!(granted["state"], "approved");

    let request = ask(&cast.company, &cast.seller, &Ask::of("together")).await;
    let no = json!({ "opinion": "不同意" });
    let first = cast.manager.act(&request, "reject", no.clone()).await.expect(200);
    assert_eq!(first["state"], "pending");
    let second = cast.head.act(&request, "reject", no).await.expect(200);
    assert_eq!(second["state"], "rejected");
}

#[tokio::test]
async fn a_decision_and_a_withdrawal_at_once_leave_one_outcome() {
    let cast = cast().await;
    cast.together("any", None).await;
    for _ in 0..8 {
        let request = ask(&cast.company, &cast.seller, &Ask::of("together")).await;
        let (decided, withdrawn) = futures::join!(
            cast.manager.approve(&request),
            cast.seller.act(&request, "withdraw", json!({}))
        );
        let state = cast.seller.sees(&request).await["state"].clone();
        match (decided.status, withdrawn.status) {
            (200, 409) => assert_eq!(state, "approved"),
            (409, 200) => assert_eq!(state, "withdrawn"),
            other => panic!("{other:?}"),
        }
        follows_from_its_acts(&cast.company, &request).await;
    }
}

#[tokio::test]
async fn sixteen_approvals_of_one_seat_at_once_count_once() {
    let cast = cast().await;
    cast.together("quorum", Some(2)).await;
    let request = ask(&cast.company, &cast.seller, &Ask::of("together")).await;
    let answers = join_all((0..16).map(|_| cast.manager.approve(&request))).await;
    let taken = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(taken, 1);
    assert!(answers.iter().all(|answer| [200, 409].contains(&answer.status)));
    let after = cast.seller.sees(&request).await;
    assert_eq!(after["state"], "pending");
    let acts = after["acts"].as_array().unwrap();
    assert_eq!(acts.iter().filter(|act| act["kind"] == "approve").count(), 1);
    follows_from_its_acts(&cast.company, &request).await;
}

#[tokio::test]
async fn whoever_asks_or_owns_never_decides_nor_through_a_delegate() {
    let cast = cast().await;
    let both = step("both", 1, "all", &[&cast.seller, &cast.manager, &cast.legal]);
    published(&cast.company, process("duties", json!([both]))).await;
    let about = Ask {
        owner: Some(cast.legal.id),
        ..Ask::of("duties")
    };
    let request = ask(&cast.company, &cast.seller, &about).await;
    assert_eq!(waiting(&cast.seller.sees(&request).await), [cast.manager.id]);
    assert_eq!(
        cast.seller.approve(&request).await.refused(403),
        "not_your_decision"
    );
    for excluded in [&cast.seller, &cast.legal] {
        let delegated = cast
            .manager
            .act(&request, "delegate", json!({ "to_user_id": excluded.id }))
            .await;
        assert_eq!(
            delegated.faults(),
            [("/to_user_id".to_owned(), "invalid".to_owned())]
        );
        let added = cast
            .manager
            .act(&request, "add-approver", json!({ "user_id": excluded.id }))
            .await;
        assert_eq!(added.faults(), [("/user_id".to_owned(), "invalid".to_owned())]);
    }
}

#[tokio::test]
async fn an_approver_hands_their_seat_on_or_asks_one_more_person() {
    let cast = cast().await;
    let only = step("only", 1, "all", &[&cast.manager]);
    published(&cast.company, process("hand_on", json!([only]))).await;
    let request = ask(&cast.company, &cast.seller, &Ask::of("hand_on")).await;
    let handed = cast
        .manager
        .act(
            &request,
            "delegate",
            json!({ "to_user_id": cast.legal.id, "comment": "请代为审批" }),
        )
        .await
        .expect(200);
    assert_eq!(waiting(&handed), [cast.legal.id]);
    assert_eq!(
        cast.manager.approve(&request).await.refused(403),
        "not_your_decision"
    );
    cast.legal
        .act(&request, "add-approver", json!({ "user_id": cast.head.id }))
        .await
        .expect(200);
    cast.legal.approve(&request).await.expect(200);
    let unknown = cast
        .head
        .act(&request, "approve", json!({ "step_key": "nothing" }))
        .await;
    assert_eq!(
        unknown.faults(),
        [("/step_key".to_owned(), "not_found".to_owned())]
    );
    let granted = cast.head.approve(&request).await.expect(200);
    assert_eq!(granted["state"], "approved");
    follows_from_its_acts(&cast.company, &request).await;
}

#[tokio::test]
async fn an_approver_who_is_deactivated_is_replaced_never_skipped() {
    let cast = cast().await;
    let only = step("only", 1, "any", &[&cast.manager]);
    published(&cast.company, process("leaves", json!([only]))).await;
    let to_successor = ask(&cast.company, &cast.seller, &Ask::of("leaves")).await;
    let from_successor = ask(&cast.company, &cast.legal, &Ask::of("leaves")).await;
    let admin = &cast.company.administrator;
    let leaves = format!("/v1/users/{}/deactivate", cast.manager.id);
    admin
        .post(&leaves, json!({ "successor_id": cast.legal.id }))
        .await
        .expect(200);
    assert_eq!(waiting(&admin.sees(&to_successor).await), [cast.legal.id]);
    // The successor asked here, and may not decide: it goes to the administrator.
    assert_eq!(waiting(&admin.sees(&from_successor).await), [admin.id]);
    assert_eq!(
        cast.legal.approve(&to_successor).await.expect(200)["state"],
        "approved"
    );
    follows_from_its_acts(&cast.company, &to_successor).await;
    follows_from_its_acts(&cast.company, &from_successor).await;
}

#[tokio::test]
async fn what_was_returned_is_asked_again_as_a_new_request_linked_to_it() {
    let cast = cast().await;
    cast.together("any", None).await;
    let about = Ask::of("together");
    let first = ask(&cast.company, &cast.seller, &about).await;
    let twice = try_ask(&cast.company, &cast.seller, &about).await.unwrap_err();
    assert_eq!(twice.code().as_str(), "approval_pending");
    let returned = cast
        .legal
        .act(&first, "return", json!({ "comment": "请补充违约条款" }))
        .await
        .expect(200);
    assert_eq!(returned["state"], "returned");
    let second = ask(&cast.company, &cast.seller, &about).await;
    assert_eq!(cast.seller.sees(&second).await["previous_id"], json!(first));
    assert_eq!(cast.legal.approve(&second).await.expect(200)["state"], "approved");
    let granted = try_ask(&cast.company, &cast.seller, &about).await.unwrap_err();
    assert_eq!(granted.code().as_str(), "approval_pending");
}

#[tokio::test]
async fn of_several_who_ask_at_once_one_request_is_made() {
    let cast = cast().await;
    cast.together("any", None).await;
    let about = Ask::of("together");
    let answers = join_all((0..8).map(|_| try_ask(&cast.company, &cast.seller, &about))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
    assert!(
        refused
            .map(|error| error.code().as_str())
            .all(|code| code == "approval_pending")
    );
}

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
        service::fire_deadline(tx, ctx, SUBJECTS, step_id, &details).await?;
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
        service::fire_reminder(tx, &late, SUBJECTS, step_id, &details).await?;
        service::fire_deadline(tx, &late, SUBJECTS, step_id, &details).await?;
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
        timers(&company).await,
        ["approval_deadline 03:00", "approval_reminder 02:00"]
    );
    manager.approve(&request).await.expect(200);
    assert_eq!(timers(&company).await, Vec::<String>::new());
}

async fn timers(company: &Company) -> Vec<String> {
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
async fn conditions_read_the_amount_in_the_companys_currency_and_ask_when_it_cannot_be_told() {
    let cast = cast().await;
    let mut above = step("head", 2, "any", &[&cast.head]);
    above["condition"] = json!("amount > 200000");
    let steps_of = json!([step("legal", 1, "any", &[&cast.legal]), above]);
    published(&cast.company, process("by_amount", steps_of)).await;
    cast.company
        .administrator
        .post(
            "/v1/exchange-rates",
            json!({ "currency": "USD", "rate_on": "2020-01-01", "rate": "7.1" }),
        )
        .await
        .expect(201);
    let cases = [
        ("200000", None, "skipped"),
        ("220000", None, "waiting"),
        ("30000", Some("USD"), "waiting"),
        ("28000", Some("USD"), "skipped"),
        ("1", Some("EUR"), "waiting"),
    ];
    for (amount, currency, head) in cases {
        let about = Ask {
            amount,
            currency,
            ..Ask::of("by_amount")
        };
        let request = ask(&cast.company, &cast.seller, &about).await;
        let asked = cast.seller.sees(&request).await;
        assert_eq!(steps(&asked)[1].1, head, "{amount} {currency:?}");
        let granted = cast.legal.approve(&request).await.expect(200);
        let state = if head == "skipped" { "approved" } else { "pending" };
        assert_eq!(granted["state"], state, "{amount} {currency:?}");
        follows_from_its_acts(&cast.company, &request).await;
    }
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
        let count = service::withdraw_all(tx, ctx, SubjectKind::Lead, about.subject, "商机已输单").await?;
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

#[tokio::test]
async fn only_those_concerned_see_a_request_and_nobody_of_another_company() {
    let cast = cast().await;
    cast.together("any", None).await;
    let request = ask(&cast.company, &cast.seller, &Ask::of("together")).await;
    let other_seller = cast.company.member("赵销售", "sales_representative").await;
    let path = format!("/v1/approval-requests/{request}");
    assert_eq!(other_seller.get(&path).await.refused(404), "not_found");
    assert_eq!(other_seller.approve(&request).await.refused(404), "not_found");
    let stranger = company().await.administrator;
    assert_eq!(stranger.get(&path).await.refused(404), "not_found");
    assert_eq!(stranger.approve(&request).await.refused(404), "not_found");

    let list = "/v1/approval-requests?with_total=true";
    for (person, count) in [
        (&cast.seller, 1),
        (&cast.manager, 1),
        (&other_seller, 0),
        (&stranger, 0),
    ] {
        assert_eq!(person.get(list).await.expect(200)["total"], count);
    }
    let mine = "/v1/approval-requests?waiting_for_me=true&state=pending&subject_kind=lead";
    assert_eq!(
        cast.legal.get(mine).await.expect(200)["data"][0]["id"],
        json!(request)
    );
    assert_eq!(cast.seller.get(mine).await.expect(200)["data"], json!([]));
    let refused = cast.seller.get("/v1/approval-requests?state=open&stat=1").await;
    assert_eq!(refused.refused(400), "bad_parameter");
    assert_eq!(refused.faults().len(), 2);
}

#[tokio::test]
async fn lists_are_paged_without_repeating_or_skipping() {
    let cast = cast().await;
    cast.together("any", None).await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(ask(&cast.company, &cast.seller, &Ask::of("together")).await);
    }
    made.reverse();
    let mut seen = Vec::new();
    let mut path = "/v1/approval-requests?limit=2".to_owned();
    loop {
        let page = cast.seller.get(&path).await.expect(200);
        seen.extend(
            page["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(crate::support::app::id),
        );
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/v1/approval-requests?limit=2&cursor={next}");
    }
    assert_eq!(seen, made);
    let foreign = cast.legal.get(&path).await;
    assert_eq!(foreign.refused(400), "bad_parameter");
}

#[tokio::test]
async fn every_act_needs_its_permission() {
    let cast = cast().await;
    let reader = cast.company.member("审计", "read_only").await;
    cast.together("any", None).await;
    let request = ask(&cast.company, &cast.seller, &Ask::of("together")).await;
    assert_eq!(reader.sees(&request).await["state"], "pending");
    let someone = json!(cast.head.id);
    let cases = [
        ("approve", json!({})),
        ("reject", json!({ "opinion": "不" })),
        ("return", json!({ "comment": "改" })),
        ("delegate", json!({ "to_user_id": someone })),
        ("add-approver", json!({ "user_id": someone })),
        ("withdraw", json!({})),
        ("comment", json!({ "comment": "看" })),
        ("remind", json!({})),
    ];
    for (verb, body) in cases {
        assert_eq!(
            reader.act(&request, verb, body).await.refused(403),
            "forbidden",
            "{verb}"
        );
    }
    assert_eq!(
        cast.manager
            .act(&request, "withdraw", json!({}))
            .await
            .refused(403),
        "not_your_decision"
    );
    let reminded = cast.seller.act(&request, "remind", json!({})).await.expect(200);
    let kinds = reminded["acts"].as_array().unwrap().iter();
    assert_eq!(kinds.filter(|act| act["kind"] == "remind").count(), 3);
    cast.legal
        .act(&request, "comment", json!({ "comment": "附件已更新" }))
        .await
        .expect(200);
    let stale = cast
        .legal
        .request(
            reqwest::Method::POST,
            &format!("/v1/approval-requests/{request}/approve"),
        )
        .await
        .header("if-match", "\"1\"")
        .json(&json!({}));
    assert_eq!(crate::support::app::Answer::of(stale).await.refused(412), "stale");
}
