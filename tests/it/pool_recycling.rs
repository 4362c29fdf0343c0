//! Rooms 2 and 3: what nobody tends goes to the pool, by rule, to the day, after a warning.

use crate::support::app::{account, id, move_clock, sandbox};
use crate::support::make_crm::lead;
use crate::support::make_deals::plain;
use crate::support::make_pipelines::published;
use crate::support::make_pool::{claim, release, rule, standing, times};
use serde_json::json;

#[tokio::test]
async fn an_account_that_nobody_tends_is_warned_of_and_goes_at_midnight_and_not_a_second_before() {
    // Noon on the 5th in Shanghai.
    let company = sandbox("2024-03-05T04:00:00Z").await;
    let admin = &company.administrator;
    let li = company.member("李", "sales_representative").await;
    rule(
        admin,
        "account",
        1,
        json!({ "no_follow_up_days": 3, "warning_days": 1 }),
    )
    .await;
    let own = account(&li, "恒信智联").await;
    let stands = standing(&li, "accounts", &own).await;
    assert_eq!(
        (
            &stands["pool_due_on"],
            &stands["pool_due_at"],
            &stands["days_left"],
            &stands["warn_on"],
            &stands["because"]
        ),
        (
            &json!("2024-03-09"),
            &json!("2024-03-08T16:00:00Z"),
            &json!(4),
            &json!("2024-03-08"),
            &json!("no_follow_up")
        )
    );
    let warned = "account.recycling_near";
    move_clock(&company, "2024-03-07T15:59:59Z").await;
    assert_eq!(times(&company, "accounts", &own, warned).await, 0);
    move_clock(&company, "2024-03-07T16:00:00Z").await;
    assert_eq!(times(&company, "accounts", &own, warned).await, 1);
    let stands = standing(&li, "accounts", &own).await;
    assert_eq!(
        (&stands["days_left"], &stands["is_warned"]),
        (&json!(1), &json!(true))
    );
    move_clock(&company, "2024-03-08T15:59:59Z").await;
    assert_eq!(times(&company, "accounts", &own, "account.recycled").await, 0);
    move_clock(&company, "2024-03-08T16:00:00Z").await;
    assert_eq!(times(&company, "accounts", &own, "account.recycled").await, 1);
    assert_eq!(times(&company, "accounts", &own, warned).await, 1);
    assert_eq!(
        li.get(&format!("/v1/accounts/{own}")).await.refused(404),
        "not_found"
    );
    let seen = &li.get("/v1/pool/accounts").await.expect(200)["data"][0];
    assert_eq!(
        (&seen["why"], &seen["last_owner_id"], &seen["since"]),
        (
            &json!("recycled"),
            &json!(li.id),
            &json!("2024-03-08T16:00:00.000000Z")
        )
    );
    assert_eq!(claim(&li, "accounts", &own).await.refused(409), "cooling_down");
    move_clock(&company, "2024-04-08T16:00:00Z").await;
    assert_eq!(times(&company, "accounts", &own, "account.recycled").await, 1);
}

#[tokio::test]
async fn a_follow_up_puts_it_off_whether_noted_or_shown_by_its_owners_change() {
    let company = sandbox("2024-03-05T04:00:00Z").await;
    let admin = &company.administrator;
    let li = company.member("李", "sales_representative").await;
    rule(
        admin,
        "account",
        1,
        json!({ "no_follow_up_days": 3, "warning_days": 1 }),
    )
    .await;
    rule(admin, "lead", 1, json!({ "no_follow_up_days": 3 })).await;
    let (own, lead) = (account(&li, "恒信智联").await, lead(&li, "王芳").await);
    move_clock(&company, "2024-03-07T16:00:00Z").await;
    let path = format!("/v1/accounts/{own}");
    let noted = li
        .post(&format!("{path}/follow-up"), json!({ "note": "电话沟通" }))
        .await
        .expect(200);
    assert_eq!(
        (
            &noted["pool_due_on"],
            &noted["is_warned"],
            &noted["last_follow_up_at"]
        ),
        (
            &json!("2024-03-12"),
            &json!(false),
            &json!("2024-03-07T16:00:00Z")
        )
    );
    li.post(&format!("/v1/leads/{lead}/work"), json!({}))
        .await
        .expect(200);
    assert_eq!(standing(&li, "leads", &lead).await["pool_due_on"], "2024-03-12");
    // What somebody else changes, or what says nothing of a follow-up, is none.
    admin
        .patch(&path, json!({ "follow_up_status": "A类" }))
        .await
        .expect(200);
    li.patch(&path, json!({ "description": "x" })).await.expect(200);
    move_clock(&company, "2024-03-10T04:00:00Z").await;
    assert_eq!(standing(&li, "accounts", &own).await["pool_due_on"], "2024-03-12");
    li.patch(&path, json!({ "next_follow_up_on": "2024-04-01" }))
        .await
        .expect(200);
    assert_eq!(standing(&li, "accounts", &own).await["pool_due_on"], "2024-03-14");
    let ahead = json!({ "note": "x", "at": "2024-03-11T00:00:00Z" });
    let refused = li.post(&format!("{path}/follow-up"), ahead).await;
    assert_eq!(refused.faults(), [("/at".to_owned(), "out_of_range".to_owned())]);
    move_clock(&company, "2024-03-13T16:00:00Z").await;
    assert_eq!(times(&company, "accounts", &own, "account.recycled").await, 1);
    assert_eq!(times(&company, "leads", &lead, "lead.recycled").await, 1);
}

#[tokio::test]
async fn an_open_deal_keeps_an_account_and_its_end_begins_the_days_anew() {
    let company = sandbox("2024-03-05T04:00:00Z").await;
    let admin = &company.administrator;
    rule(
        admin,
        "account",
        1,
        json!({ "no_follow_up_days": 30, "no_opportunity_days": 5, "warning_days": 2 }),
    )
    .await;
    let own = account(admin, "恒信智联").await;
    assert_eq!(
        standing(admin, "accounts", &own).await["because"],
        "no_opportunity"
    );
    let pipeline = published(admin, plain()).await;
    let body = json!({ "name": "采购", "account_id": own, "pipeline_id": pipeline });
    let deal = id(&admin.post("/v1/opportunities", body).await.expect(201));
    let stands = standing(admin, "accounts", &own).await;
    assert_eq!(
        (&stands["is_held_by_deal"], &stands["pool_due_on"]),
        (&json!(true), &json!(null))
    );
    move_clock(&company, "2024-04-20T04:00:00Z").await;
    assert_eq!(times(&company, "accounts", &own, "account.recycled").await, 0);
    assert_eq!(
        times(&company, "accounts", &own, "account.recycling_near").await,
        0
    );
    admin
        .delete(&format!("/v1/opportunities/{deal}"))
        .await
        .expect(200);
    assert_eq!(
        standing(admin, "accounts", &own).await["pool_due_on"],
        "2024-04-26"
    );
    move_clock(&company, "2024-04-25T15:59:59Z").await;
    assert_eq!(times(&company, "accounts", &own, "account.recycled").await, 0);
    move_clock(&company, "2024-04-25T16:00:00Z").await;
    assert_eq!(times(&company, "accounts", &own, "account.recycled").await, 1);
    assert_eq!(
        times(&company, "accounts", &own, "account.recycling_near").await,
        1
    );
}

#[tokio::test]
async fn the_first_rule_that_applies_decides_and_a_changed_one_changes_the_days() {
    let company = sandbox("2024-03-05T04:00:00Z").await;
    let admin = &company.administrator;
    let made = async |body| id(&admin.post("/v1/accounts", body).await.expect(201));
    let key = made(json!({ "name": "大客户", "segment": "key" })).await;
    let graded = made(json!({ "name": "乙", "grade": "b" })).await;
    let other = made(json!({ "name": "丙" })).await;
    rule(admin, "account", 30, json!({ "no_follow_up_days": 90 })).await;
    let second = rule(
        admin,
        "account",
        20,
        json!({ "grade": "b", "no_follow_up_days": 30 }),
    )
    .await;
    rule(admin, "account", 10, json!({ "segment": "key" })).await;
    let due = async |account: &str| standing(admin, "accounts", account).await["pool_due_on"].clone();
    assert_eq!(due(&key).await, json!(null));
    assert_eq!(due(&graded).await, "2024-04-05");
    assert_eq!(due(&other).await, "2024-06-04");
    admin
        .patch(&format!("/v1/accounts/{other}"), json!({ "grade": "b" }))
        .await
        .expect(200);
    assert_eq!(due(&other).await, "2024-04-05");
    // What is stored follows: records made before the rules go when these say.
    admin
        .patch(
            &format!("/v1/pool-rules/{second}"),
            json!({ "no_follow_up_days": 10 }),
        )
        .await
        .expect(200);
    assert_eq!(due(&graded).await, "2024-03-16");
    move_clock(&company, "2024-03-15T16:00:00Z").await;
    for (account, recycled) in [(&key, 0), (&graded, 1), (&other, 1)] {
        assert_eq!(
            times(&company, "accounts", account, "account.recycled").await,
            recycled
        );
    }
    let archived = rule(admin, "account", 5, json!({ "no_follow_up_days": 1 })).await;
    admin
        .delete(&format!("/v1/pool-rules/{archived}"))
        .await
        .expect(200);
    move_clock(&company, "2024-04-15T16:00:00Z").await;
    assert_eq!(times(&company, "accounts", &key, "account.recycled").await, 0);
}

#[tokio::test]
async fn what_is_overdue_when_a_rule_is_made_has_its_whole_warning_first() {
    let company = sandbox("2024-03-05T04:00:00Z").await;
    let admin = &company.administrator;
    let own = lead(admin, "王芳").await;
    move_clock(&company, "2024-06-10T04:00:00Z").await;
    rule(
        admin,
        "lead",
        1,
        json!({ "no_follow_up_days": 30, "warning_days": 5 }),
    )
    .await;
    let stands = standing(admin, "leads", &own).await;
    assert_eq!(
        (&stands["warn_on"], &stands["pool_due_on"], &stands["days_left"]),
        (&json!("2024-06-11"), &json!("2024-06-16"), &json!(6))
    );
    move_clock(&company, "2024-06-15T15:59:59Z").await;
    assert_eq!(times(&company, "leads", &own, "lead.recycling_near").await, 1);
    assert_eq!(times(&company, "leads", &own, "lead.recycled").await, 0);
    move_clock(&company, "2024-06-15T16:00:00Z").await;
    assert_eq!(times(&company, "leads", &own, "lead.recycled").await, 1);
}

#[tokio::test]
async fn days_are_the_companys_also_when_its_clocks_change() {
    let company = sandbox("2024-03-28T12:00:00Z").await;
    let admin = &company.administrator;
    admin
        .patch("/v1/company", json!({ "time_zone": "Europe/Berlin" }))
        .await
        .expect(200);
    rule(admin, "lead", 1, json!({ "no_follow_up_days": 3 })).await;
    let own = lead(admin, "王芳").await;
    let stands = standing(admin, "leads", &own).await;
    // Midnight of the 1st, an hour earlier than in winter.
    assert_eq!(
        (&stands["pool_due_on"], &stands["pool_due_at"]),
        (&json!("2024-04-01"), &json!("2024-03-31T22:00:00Z"))
    );
    move_clock(&company, "2024-03-31T21:59:59Z").await;
    assert_eq!(times(&company, "leads", &own, "lead.recycled").await, 0);
    move_clock(&company, "2024-03-31T22:00:00Z").await;
    assert_eq!(times(&company, "leads", &own, "lead.recycled").await, 1);
}

#[tokio::test]
async fn a_new_owner_begins_anew_and_taking_a_release_back_does_not() {
    let company = sandbox("2024-03-05T04:00:00Z").await;
    let admin = &company.administrator;
    let li = company.member("李", "sales_representative").await;
    let wang = company.member("王", "sales_representative").await;
    rule(admin, "lead", 1, json!({ "no_follow_up_days": 10 })).await;
    let own = lead(&li, "王芳").await;
    move_clock(&company, "2024-03-10T04:00:00Z").await;
    release(&li, "leads", &own).await.expect(200);
    li.post(&format!("/v1/pool/leads/{own}/undo"), json!({}))
        .await
        .expect(200);
    assert_eq!(standing(&li, "leads", &own).await["pool_due_on"], "2024-03-16");
    release(&li, "leads", &own).await.expect(200);
    claim(&wang, "leads", &own).await.expect(200);
    assert_eq!(standing(&wang, "leads", &own).await["pool_due_on"], "2024-03-21");
    admin
        .post(
            &format!("/v1/users/{}/hand-over", wang.id),
            json!({ "to_user_id": li.id }),
        )
        .await
        .expect(200);
    move_clock(&company, "2024-03-12T04:00:00Z").await;
    let handed = standing(&li, "leads", &own).await;
    assert_eq!(handed["owned_since"], "2024-03-10T04:00:00Z");
    assert_eq!(handed["pool_due_on"], "2024-03-21");
}

#[tokio::test]
async fn many_that_are_due_on_one_day_all_go_once() {
    let company = sandbox("2024-03-05T04:00:00Z").await;
    let admin = &company.administrator;
    rule(
        admin,
        "lead",
        1,
        json!({ "no_follow_up_days": 1, "warning_days": 0 }),
    )
    .await;
    let items = (0..120).map(|_| json!({ "method": "create", "body": { "name": "王芳" } }));
    let batch = json!({ "mode": "each", "items": items.collect::<Vec<_>>() });
    assert_eq!(
        admin.post("/v1/leads/batch", batch).await.expect(200)["failed"],
        0
    );
    move_clock(&company, "2024-03-06T16:00:00Z").await;
    let pool = admin.get("/v1/pool/leads?with_total=true").await.expect(200);
    assert_eq!(pool["total"], 120);
}

#[tokio::test]
async fn the_faults_of_a_rule_are_named_at_once() {
    let company = sandbox("2024-03-05T04:00:00Z").await;
    let admin = &company.administrator;
    let body = json!({ "record_kind": "lead", "name": "x", "position": 1, "grade": "a", "segment": "smb",
        "no_opportunity_days": 5, "no_follow_up_days": 3, "warning_days": 3 });
    let refused = admin.post("/v1/pool-rules", body).await;
    let faults = refused.faults();
    let pointers = faults
        .iter()
        .map(|(pointer, _)| pointer.as_str())
        .collect::<Vec<_>>();
    assert_eq!(
        pointers,
        ["/grade", "/no_opportunity_days", "/segment", "/warning_days"]
    );
    let li = company.member("李", "sales_representative").await;
    let body = json!({ "record_kind": "lead", "name": "x", "position": 1 });
    assert_eq!(li.post("/v1/pool-rules", body).await.refused(403), "forbidden");
}

#[tokio::test]
async fn whoever_has_a_record_back_has_it_since_then_also_when_no_rule_looked_meanwhile() {
    let company = sandbox("2024-03-05T04:00:00Z").await;
    let admin = &company.administrator;
    let li = company.member("李", "sales_representative").await;
    let wang = company.member("王", "sales_representative").await;
    let days = json!({ "no_follow_up_days": 10 });
    let first = rule(admin, "lead", 1, days.clone()).await;
    let own = lead(&li, "王芳").await;
    admin.delete(&format!("/v1/pool-rules/{first}")).await.expect(200);
    move_clock(&company, "2024-03-10T04:00:00Z").await;
    for person in [&wang, &li] {
        let owner = json!({ "owner_id": person.id });
        admin.patch(&format!("/v1/leads/{own}"), owner).await.expect(200);
    }
    rule(admin, "lead", 1, days).await;
    move_clock(&company, "2024-03-10T05:00:00Z").await;
    assert_eq!(standing(&li, "leads", &own).await["pool_due_on"], "2024-03-21");
}

#[tokio::test]
async fn a_record_owned_before_there_was_a_rule_is_its_owners_since_they_got_it_whatever_changed_meanwhile() {
    let company = sandbox("2024-03-05T04:00:00Z").await;
    let admin = &company.administrator;
    let li = company.member("李", "sales_representative").await;
    let of_account = json!({ "name": "华信科技", "owner_id": li.id });
    let of_account = id(&admin.post("/v1/accounts", of_account).await.expect(201));
    let of_lead = lead(&li, "王芳").await;
    let records = [("accounts", of_account), ("leads", of_lead)];
    move_clock(&company, "2024-03-08T04:00:00Z").await;
    for (kind, record) in &records {
        let path = format!("/v1/{kind}/{record}");
        li.patch(&path, json!({ "description": "规模扩大" }))
            .await
            .expect(200);
        assert_eq!(
            standing(&li, kind, record).await["owned_since"],
            "2024-03-05T04:00:00Z"
        );
    }
    let days = json!({ "no_follow_up_days": 10, "warning_days": 0 });
    for kind in ["account", "lead"] {
        rule(admin, kind, 1, days.clone()).await;
    }
    move_clock(&company, "2024-03-10T04:00:00Z").await;
    for (kind, record) in &records {
        let stands = standing(&li, kind, record).await;
        assert_eq!(
            (&stands["owned_since"], &stands["pool_due_on"]),
            (&json!("2024-03-05T04:00:00Z"), &json!("2024-03-16"))
        );
    }
}
