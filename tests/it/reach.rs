//! What a right does not reach, though it comes close: by taking part, by a key, by a role or a password of the wrong kind.

use crate::support::app::{Person, account, company, id};
use crate::support::cast::{cast, follows_from_its_acts};
use crate::support::make_approvals::{Ask, ask, process, published, step};
use crate::support::make_crm::lead;
use crate::support::make_deals::{deal_in, path, plain};
use crate::support::make_identity::{role_id, text, with_token};
use crate::support::make_pool::{claim, pooled_lead, quotas, release};
use crate::support::make_transfers::{CSV, counts, import};
use serde_json::{Value, json};

/// Lets somebody take part in a record with `edit`.
async fn let_edit(owner: &Person, record: &str, helper: &Person) {
    let body = json!({ "user_id": helper.id, "access": "edit" });
    owner
        .post(&format!("{record}/participants"), body)
        .await
        .expect(201);
}

#[tokio::test]
async fn whoever_takes_part_in_what_is_in_the_pool_takes_it_only_by_claiming_it() {
    let company = company().await;
    let admin = &company.administrator;
    quotas(&company, None, None, 30).await;
    let li = company.member("李", "sales_representative").await;
    let wang = company.member("王", "sales_representative").await;
    let own = account(&li, "恒信智联").await;
    let here = format!("/v1/accounts/{own}");
    let_edit(&li, &here, &li).await;
    let_edit(&li, &here, &wang).await;
    release(&li, "accounts", &own).await.expect(200);
    for somebody in [&li, &wang] {
        let taken = json!({ "owner_id": somebody.id });
        assert_eq!(
            somebody.patch(&here, taken.clone()).await.refused(403),
            "forbidden"
        );
        let items = json!([{ "method": "update", "id": own, "body": taken }]);
        let many = json!({ "mode": "each", "items": items });
        let many = somebody.post("/v1/accounts/batch", many).await.expect(200);
        assert_eq!(many["results"][0]["status"], 403);
    }
    wang.patch(&here, json!({ "region": "华东" })).await.expect(200);
    assert_eq!(claim(&li, "accounts", &own).await.refused(409), "cooling_down");
    claim(&wang, "accounts", &own).await.expect(200);

    let theirs = pooled_lead(admin, "张伟").await;
    let lead = format!("/v1/leads/{theirs}");
    let_edit(admin, &lead, &wang).await;
    let taken = json!({ "owner_id": wang.id });
    assert_eq!(wang.patch(&lead, taken.clone()).await.refused(403), "forbidden");
    // Whoever may give from the pool gives by a plain change too.
    release(&wang, "accounts", &own).await.expect(200);
    assert_eq!(
        admin.patch(&here, taken).await.expect(200)["owner_id"],
        json!(wang.id)
    );
}

#[tokio::test]
async fn an_import_takes_nothing_from_the_pool() {
    let company = company().await;
    let li = company.member("李", "sales_representative").await;
    let options = json!({ "resource": "account", "system": "old", "mode": "upsert" });
    let table = format!("account id,account,owner\nA1,恒信智联,{}\n", li.email);
    let job = import(&li, CSV, table.clone(), options.clone()).await;
    assert_eq!(counts(&job), [1, 0, 0, 0]);
    let own = id(&li.get("/v1/accounts").await.expect(200)["data"][0]);
    let here = format!("/v1/accounts/{own}");
    let_edit(&li, &here, &li).await;
    release(&li, "accounts", &own).await.expect(200);
    assert_eq!(counts(&import(&li, CSV, table, options).await), [0, 0, 0, 1]);
    assert!(li.get(&here).await.expect(200)["owner_id"].is_null());
}

#[tokio::test]
async fn a_key_changes_nothing_of_the_person_it_acts_for() {
    let company = company().await;
    let admin = &company.administrator;
    let other = company.member("王", "sales_lead").await;
    let role = role_id(&company, "integrator").await;
    for limit in [json!({ "role_id": role }), json!({})] {
        let mut body = json!({ "name": "官网" });
        body.as_object_mut()
            .unwrap()
            .extend(limit.as_object().unwrap().clone());
        let made = admin.post("/v1/api-keys", body).await.expect(201);
        let program = with_token(admin, &text(&made, "key"));
        let away = json!({ "delegate_id": other.id, "away_from": "2020-01-01T00:00:00Z" });
        assert_eq!(program.patch("/v1/me", away).await.refused(409), "conflict");
    }
    let me = admin.get("/v1/me").await.expect(200);
    assert_eq!(
        (&me["delegate_id"], &me["away_from"]),
        (&Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn whoever_may_edit_a_record_of_somebody_elses_neither_archives_nor_restores_it() {
    let company = company().await;
    let li = company.member("李", "sales_representative").await;
    let wang = company.member("王", "sales_representative").await;
    let deal = deal_in(&company, &li, plain()).await;
    let records = [
        format!("/v1/opportunities/{}", id(&deal)),
        format!("/v1/accounts/{}", account(&li, "恒信智联").await),
        format!("/v1/leads/{}", lead(&li, "张伟").await),
    ];
    for here in &records {
        let_edit(&li, here, &wang).await;
        wang.patch(here, json!({ "tags": ["重点"] })).await.expect(200);
        assert_eq!(wang.delete(here).await.refused(403), "forbidden");
        li.delete(here).await.expect(200);
        let restore = format!("{here}/restore");
        assert_eq!(wang.post(&restore, json!({})).await.refused(403), "forbidden");
        li.post(&restore, json!({})).await.expect(200);
    }
    let chain = path(&deal, "decision-chain-members");
    let body = json!({ "title": "总经理", "role": "decision_maker", "influence": "0.6" });
    let part = id(&wang.post(&chain, body).await.expect(201));
    wang.delete(&format!("{chain}/{part}")).await.expect(200);
}

#[tokio::test]
async fn the_role_of_keys_is_given_to_nobody() {
    let company = company().await;
    let admin = &company.administrator;
    let li = company.member("李", "sales_representative").await;
    let role = role_id(&company, "integrator").await;
    let kept = role_id(&company, "sales_lead").await;
    let given = json!({ "role_ids": [kept, role] });
    let given = admin.put(&format!("/v1/users/{}/roles", li.id), given).await;
    assert_eq!(given.faults(), [("/role_ids/1".to_owned(), "invalid".to_owned())]);
    let new = json!({ "name": "程序", "email": "program@example.com", "role_ids": [role], "role_keys": ["integrator"] });
    let made = admin.post("/v1/users", new).await;
    assert_eq!(made.refused(422), "invalid");
    assert_eq!(
        made.faults(),
        [
            ("/role_ids/0".to_owned(), "invalid".to_owned()),
            ("/role_keys/0".to_owned(), "invalid".to_owned())
        ]
    );
}

#[tokio::test]
async fn a_password_that_is_guessed_first_is_refused_wherever_one_is_set() {
    let company = company().await;
    let admin = &company.administrator;
    let weak = |pointer: &str| [(pointer.to_owned(), "weak_password".to_owned())];
    let email = "wangfang.sales@hengxin.example";
    for password in [
        "1q2w3e4r5t6y7u8i",
        "passw0rdpassw0rd",
        email,
        "测试企业测试企业测试企业2024",
    ] {
        let body = json!({ "name": "王芳", "email": email, "password": password });
        let made = admin.post("/v1/users", body).await;
        assert_eq!(made.faults(), weak("/password"), "{password}");
    }
    let made = admin
        .post("/v1/users", json!({ "name": "王芳", "email": email }))
        .await
        .expect(201);
    let set = format!("/v1/users/{}/set-password", id(&made));
    let set = admin.post(&set, json!({ "password": format!("{email}!") })).await;
    assert_eq!(set.faults(), weak("/password"));
}

#[tokio::test]
async fn what_somebody_asked_who_has_left_is_withdrawn_by_the_owner_or_the_successor() {
    let cast = cast().await;
    let (company, admin) = (&cast.company, &cast.company.administrator);
    let heir = company.member("吴总监", "sales_director").await;
    let other = company.member("郑总监", "sales_director").await;
    published(
        company,
        process("left", json!([step("only", 1, "any", &[&cast.legal])])),
    )
    .await;
    let about = Ask {
        owner: Some(cast.manager.id),
        ..Ask::of("left")
    };
    let owned = ask(company, &cast.seller, &about).await;
    let unowned = ask(company, &cast.seller, &Ask::of("left")).await;
    let early = cast.manager.act(&owned, "withdraw", json!({})).await;
    assert_eq!(early.refused(403), "not_your_decision");
    admin
        .post(
            &format!("/v1/users/{}/deactivate", cast.seller.id),
            json!({ "successor_id": heir.id }),
        )
        .await
        .expect(200);
    for request in [&owned, &unowned] {
        let foreign = other.act(request, "withdraw", json!({})).await;
        assert_eq!(foreign.refused(403), "not_your_decision");
    }
    for (who, request) in [(&cast.manager, &owned), (&heir, &unowned)] {
        let withdrawn = who.act(request, "withdraw", json!({})).await.expect(200);
        assert_eq!(withdrawn["state"], "withdrawn");
        follows_from_its_acts(company, request).await;
    }
}

#[tokio::test]
async fn why_a_deal_is_restarted_is_kept_with_the_move() {
    let company = company().await;
    let admin = &company.administrator;
    let deal = deal_in(&company, admin, plain()).await;
    let reason = json!({ "key": "gone", "name": "客户取消" });
    admin.post("/v1/loss-reasons", reason).await.expect(201);
    let lose = json!({ "loss_reason_key": "gone", "reason": "取消" });
    admin.post(&path(&deal, "lose"), lose).await.expect(200);
    let restart = path(&deal, "restart");
    for (body, fault) in [
        (json!({ "reason": "" }), ("/reason", "too_short")),
        (json!({ "reason": "长".repeat(2001) }), ("/reason", "too_long")),
        (json!({ "why": "x" }), ("/why", "unknown_field")),
    ] {
        let refused = admin.post(&restart, body).await;
        assert_eq!(refused.faults(), [(fault.0.to_owned(), fault.1.to_owned())]);
    }
    let said = "客户明年再来";
    admin.post(&restart, json!({ "reason": said })).await.expect(200);
    let moves = admin.get(&path(&deal, "transitions")).await.expect(200);
    let moves = moves["data"].as_array().unwrap();
    let restarted = moves.iter().find(|one| one["kind"] == "restart").unwrap();
    assert_eq!(restarted["reason"], said);
    let timeline = admin.get(&path(&deal, "timeline")).await.expect(200);
    let events = timeline["data"].as_array().unwrap();
    let event = events
        .iter()
        .find(|event| event["kind"] == "opportunity.restarted");
    assert!(event.unwrap().to_string().contains(said));
}

#[tokio::test]
async fn a_parameter_that_takes_one_value_is_given_once() {
    let company = company().await;
    let refused = company.administrator.get("/v1/accounts?limit=1&limit=2").await;
    assert_eq!(refused.refused(400), "bad_parameter");
    assert_eq!(refused.faults(), [("?limit".to_owned(), "repeated".to_owned())]);
}
