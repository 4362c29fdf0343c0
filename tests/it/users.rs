//! People: joining, their roles, leaving, handing over.

use crate::support::app::{Answer, PASSWORD, account, company, id};
use crate::support::make_identity::{
    behind_its_back, counted, refresh, role, role_id, sign_in, signed_in, text, with_token,
};
use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

#[tokio::test]
async fn a_colleague_joins_with_roles_and_signs_in() {
    let company = company().await;
    let admin = &company.administrator;
    let body = json!({ "name": "李伟", "email": "Li.Wei@Example.com", "password": PASSWORD, "role_keys": ["sales_representative"], "phone": "123" });
    let made = admin.post("/v1/users", body).await;
    let location = made.header("location").to_owned();
    let made = made.expect(201);
    assert_eq!(made["email"], "li.wei@example.com");
    assert_eq!(
        made["role_ids"],
        json!([role_id(&company, "sales_representative").await])
    );
    assert_eq!(made["is_active"], true);
    let mut read = admin.get(&location).await.expect(200);
    read["warnings"] = made["warnings"].clone();
    assert_eq!(
        read.as_object()
            .unwrap()
            .iter()
            .filter(|(_, value)| !value.is_null())
            .collect::<Vec<_>>()
            .len(),
        made.as_object()
            .unwrap()
            .iter()
            .filter(|(_, value)| !value.is_null())
            .collect::<Vec<_>>()
            .len(),
    );
    assert!(made.get("password").is_none() && made.get("password_hash").is_none());
}

#[tokio::test]
async fn what_a_new_user_cannot_be_is_refused_and_nothing_is_made() {
    let company = company().await;
    let admin = &company.administrator;
    let email = |n: u8| format!("x{n}@example.com");
    let cases = [
        (
            json!({ "name": "x", "email": email(1), "password": "short" }),
            422,
            "/password",
        ),
        (
            json!({ "name": "x", "email": email(2), "role_ids": [Uuid::now_v7()] }),
            422,
            "/role_ids/0",
        ),
        (
            json!({ "name": "x", "email": email(3), "role_keys": ["nobody"] }),
            422,
            "/role_keys/0",
        ),
        (
            json!({ "name": "x", "email": email(4), "team_id": Uuid::now_v7() }),
            422,
            "/team_id",
        ),
        (json!({ "name": "x", "email": "no address" }), 422, "/email"),
        (
            json!({ "name": "x", "email": admin.email.to_uppercase() }),
            409,
            "/email",
        ),
    ];
    for (body, status, pointer) in cases {
        let answer = admin.post("/v1/users", body.clone()).await;
        assert_eq!(answer.status, status, "{body} {}", answer.body);
        assert_eq!(answer.faults()[0].0, pointer, "{body}");
    }
    assert_eq!(
        admin.get("/v1/users?with_total=true").await.expect(200)["total"],
        1
    );
}

#[tokio::test]
async fn of_parallel_users_with_the_same_email_one_is_made() {
    let company = company().await;
    let body = json!({ "name": "王", "email": "wang@example.com" });
    let answers = join_all((0..8).map(|_| company.administrator.post("/v1/users", body.clone()))).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 1);
    assert!(
        answers
            .iter()
            .filter(|answer| answer.status != 201)
            .all(|answer| answer.refused(409) == "duplicate")
    );
}

#[tokio::test]
async fn a_representative_manages_no_people() {
    let company = company().await;
    let rep = company.member("李", "sales_representative").await;
    let admin = company.administrator.id;
    let roles = json!({ "role_ids": [role_id(&company, "administrator").await] });
    assert_eq!(
        rep.put(&format!("/v1/users/{}/roles", rep.id), roles)
            .await
            .refused(403),
        "forbidden"
    );
    assert_eq!(
        rep.post("/v1/users", json!({ "name": "x", "email": "x@example.com" }))
            .await
            .refused(403),
        "forbidden"
    );
    assert_eq!(
        rep.post(&format!("/v1/users/{admin}/deactivate"), json!({}))
            .await
            .refused(403),
        "forbidden"
    );
    assert_eq!(
        rep.post(
            &format!("/v1/users/{admin}/set-password"),
            json!({ "password": PASSWORD })
        )
        .await
        .refused(403),
        "forbidden"
    );
}

#[tokio::test]
async fn nobody_gives_what_they_do_not_hold_nor_changes_their_own_roles() {
    let company = company().await;
    let admin = &company.administrator;
    let clerk_role = role(
        &company,
        "clerk",
        json!({ "user.read": "all", "user.write": "all", "lead.read": "own" }),
    )
    .await;
    role(&company, "beginner", json!({ "lead.read": "own" })).await;
    let clerk = signed_in(&company, "职员", "clerk").await;
    let rep = company.member("李", "beginner").await;
    let give = |role: &str| json!({ "role_ids": [role] });
    let path = format!("/v1/users/{}/roles", rep.id);
    let administrator = role_id(&company, "administrator").await;
    assert_eq!(
        clerk.put(&path, give(&administrator)).await.refused(403),
        "grant_exceeds_own"
    );
    clerk.put(&path, give(&clerk_role)).await.expect(200);
    let own = format!("/v1/users/{}/roles", clerk.id);
    assert_eq!(
        clerk.put(&own, json!({ "role_ids": [] })).await.refused(403),
        "own_roles"
    );
    let password = json!({ "password": "a wholly new passphrase" });
    let taken_over = clerk
        .post(&format!("/v1/users/{}/set-password", admin.id), password.clone())
        .await;
    assert_eq!(taken_over.refused(403), "grant_exceeds_own");
    clerk
        .post(&format!("/v1/users/{}/set-password", rep.id), password)
        .await
        .expect(200);
    sign_in(&rep.email, "a wholly new passphrase").await.expect(200);
}

#[tokio::test]
async fn nobody_commands_over_people_who_hold_more_than_they_do() {
    let company = company().await;
    let admin = &company.administrator;
    let grants = json!({ "user.read": "all", "user.write": "all", "account.read": "own" });
    role(&company, "clerk", grants).await;
    let clerk = company.member("人事", "clerk").await;
    let director = company.member("总监", "sales_director").await;
    let held = account(&director, "甲公司").await;
    let path = |verb: &str| format!("/v1/users/{}{verb}", director.id);
    let commands = [
        ("/hand-over", json!({ "to_user_id": clerk.id })),
        ("/deactivate", json!({ "successor_id": clerk.id })),
        ("/set-password", json!({ "password": "a wholly new passphrase" })),
    ];
    for (verb, body) in commands {
        let refused = clerk.post(&path(verb), body).await;
        assert_eq!(refused.refused(403), "grant_exceeds_own", "{verb}");
    }
    let stripped = clerk.put(&path("/roles"), json!({ "role_ids": [] })).await;
    assert_eq!(stripped.refused(403), "grant_exceeds_own");
    let posing = json!({ "delegate_id": clerk.id });
    assert_eq!(
        clerk.patch(&path(""), posing).await.refused(403),
        "grant_exceeds_own"
    );
    let read = admin.get(&format!("/v1/accounts/{held}")).await.expect(200);
    assert_eq!(read["owner_id"], json!(director.id));
    let colleague = company.member("同事", "clerk").await;
    let title = json!({ "job_title": "专员" });
    let theirs = format!("/v1/users/{}", colleague.id);
    clerk.patch(&theirs, title).await.expect(200);
    clerk
        .post(&format!("{theirs}/deactivate"), json!({}))
        .await
        .expect(200);
}

#[tokio::test]
async fn nobody_joins_another_team_by_themselves_whose_rights_go_by_it() {
    let company = company().await;
    let admin = &company.administrator;
    let team = json!({ "name": "一组", "leader_id": admin.id });
    let team = id(&admin.post("/v1/teams", team).await.expect(201));
    let joins = json!({ "team_id": team });
    let grants =
        json!({ "user.read": "all", "user.write": "all", "team.read": "all", "account.read": "team" });
    role(&company, "clerk", grants).await;
    let clerk = company.member("人事", "clerk").await;
    let own = format!("/v1/users/{}", clerk.id);
    assert_eq!(clerk.patch(&own, joins.clone()).await.refused(403), "own_roles");
    clerk
        .patch(&own, json!({ "job_title": "专员" }))
        .await
        .expect(200);
    admin.patch(&own, joins.clone()).await.expect(200);
    let own = format!("/v1/users/{}", admin.id);
    admin.patch(&own, joins).await.expect(200);
}

#[tokio::test]
async fn a_changed_role_is_felt_on_the_next_request() {
    let company = company().await;
    let admin = &company.administrator;
    let person = signed_in(&company, "李", "sales_representative").await;
    account(&person, "科技有限公司").await;
    let path = format!("/v1/users/{}/roles", person.id);
    let read_only = json!({ "role_ids": [role_id(&company, "read_only").await] });
    let changed = admin.put(&path, read_only).await;
    assert_eq!(changed.header("etag"), "\"2\"");
    assert_eq!(
        person
            .post("/v1/accounts", json!({ "name": "x" }))
            .await
            .refused(403),
        "forbidden"
    );
    let role = role(&company, "writer", json!({ "account.read": "own" })).await;
    admin.put(&path, json!({ "role_ids": [role] })).await.expect(200);
    assert_eq!(
        person
            .post("/v1/accounts", json!({ "name": "x" }))
            .await
            .refused(403),
        "forbidden"
    );
    let grants = json!({ "grants": { "account.read": "own", "account.write": "own" } });
    admin
        .patch(&format!("/v1/roles/{role}"), grants)
        .await
        .expect(200);
    account(&person, "制造有限公司").await;
}

#[tokio::test]
async fn the_last_administrator_neither_leaves_nor_loses_the_role() {
    let company = company().await;
    let admin = &company.administrator;
    let clerk = company.member("职员", "administrator").await;
    let demote = |user: Uuid| format!("/v1/users/{user}/roles");
    admin
        .put(&demote(clerk.id), json!({ "role_ids": [] }))
        .await
        .expect(200);
    let leave = format!("/v1/users/{}/deactivate", admin.id);
    assert_eq!(
        admin.post(&leave, json!({})).await.refused(409),
        "last_administrator"
    );
    let everything = admin.get("/v1/me").await.expect(200)["permissions"].clone();
    role(&company, "clerk", everything).await;
    let helper = company.member("助理", "clerk").await;
    assert_eq!(
        helper
            .put(&demote(admin.id), json!({ "role_ids": [] }))
            .await
            .refused(409),
        "last_administrator"
    );
    admin.get("/v1/me").await.expect(200);
}

#[tokio::test]
async fn of_two_administrators_who_remove_each_other_at_once_one_stays() {
    for _ in 0..4 {
        let company = company().await;
        let one = &company.administrator;
        let other = company.member("乙", "administrator").await;
        let leave = |user: Uuid| format!("/v1/users/{user}/deactivate");
        let (first, second) = (leave(other.id), leave(one.id));
        let answers =
            futures::future::join(one.post(&first, json!({})), other.post(&second, json!({}))).await;
        let mut statuses = [answers.0.status, answers.1.status];
        statuses.sort_unstable();
        assert!(statuses[0] == 200 && statuses[1] >= 400, "{statuses:?}");
        let left = format!(
            "SELECT count(*) AS count FROM users WHERE tenant_id = '{}' AND is_active",
            company.tenant
        );
        assert_eq!(counted(left).await, 1);
    }
}

#[tokio::test]
async fn who_leaves_is_signed_out_at_once_and_comes_back_with_reactivation() {
    let company = company().await;
    let admin = &company.administrator;
    let person = signed_in(&company, "李", "administrator").await;
    let tokens = sign_in(&person.email, PASSWORD).await.expect(200);
    let key = person
        .post("/v1/api-keys", json!({ "name": "k" }))
        .await
        .expect(201);
    let program = with_token(&person, &text(&key, "key"));
    program.get("/v1/me").await.expect(200);
    let path = format!("/v1/users/{}", person.id);
    let left = admin
        .post(&format!("{path}/deactivate"), json!({}))
        .await
        .expect(200);
    assert_eq!(left["is_active"], false);
    assert_eq!(person.get("/v1/me").await.refused(401), "unauthenticated");
    assert_eq!(program.get("/v1/me").await.refused(401), "unauthenticated");
    assert_eq!(
        refresh(&text(&tokens, "refresh_token")).await.refused(401),
        "unauthenticated"
    );
    assert_eq!(
        sign_in(&person.email, PASSWORD).await.refused(401),
        "unauthenticated"
    );
    assert_eq!(
        admin
            .post(&format!("{path}/deactivate"), json!({}))
            .await
            .refused(409),
        "conflict"
    );
    let owner = json!({ "name": "x", "owner_id": person.id });
    assert_eq!(
        admin.post("/v1/accounts", owner).await.faults(),
        [("/owner_id".to_owned(), "not_found".to_owned())]
    );
    admin
        .post(&format!("{path}/reactivate"), json!({}))
        .await
        .expect(200);
    sign_in(&person.email, PASSWORD).await.expect(200);
    assert_eq!(program.get("/v1/me").await.refused(401), "unauthenticated");
}

#[tokio::test]
async fn leaving_with_records_needs_a_successor_who_gets_everything() {
    let company = company().await;
    let admin = &company.administrator;
    let leaver = company.member("李", "sales_representative").await;
    let successor = company.member("王", "sales_representative").await;
    let accounts = [account(&leaver, "甲公司").await, account(&leaver, "乙公司").await];
    let lead = id(&leaver
        .post("/v1/leads", json!({ "name": "线索" }))
        .await
        .expect(201));
    let team = json!({ "name": "一组", "leader_id": leaver.id });
    let team = id(&admin.post("/v1/teams", team).await.expect(201));
    let path = format!("/v1/users/{}/deactivate", leaver.id);
    let refused = admin.post(&path, json!({})).await;
    assert_eq!(refused.refused(409), "successor_required");
    assert_eq!(
        refused.body["counts"],
        json!({ "accounts": 2, "leads": 1, "teams": 1 })
    );
    leaver.get("/v1/me").await.expect(200);
    for bad in [json!(leaver.id), json!(Uuid::now_v7())] {
        let answer = admin.post(&path, json!({ "successor_id": bad })).await;
        assert_eq!(answer.faults()[0].0, "/successor_id");
    }
    admin
        .post(&path, json!({ "successor_id": successor.id }))
        .await
        .expect(200);
    for account in &accounts {
        let read = successor
            .get(&format!("/v1/accounts/{account}"))
            .await
            .expect(200);
        assert_eq!(read["owner_id"], json!(successor.id));
        assert_eq!(read["version"], 2);
    }
    assert_eq!(
        successor.get(&format!("/v1/leads/{lead}")).await.expect(200)["owner_id"],
        json!(successor.id)
    );
    assert_eq!(
        admin.get(&format!("/v1/teams/{team}")).await.expect(200)["leader_id"],
        json!(successor.id)
    );
    let tenant = company.tenant;
    let commands = format!(
        "SELECT count(DISTINCT command_id) * 100 + count(*) AS count FROM events WHERE tenant_id = '{tenant}' AND kind LIKE '%.handed_over'"
    );
    // Two accounts, a lead, a team; the user's own event is that of the deactivation, which tells of the hand-over too.
    assert_eq!(counted(commands).await, 104);
    let noted = format!(
        "SELECT count(*) AS count FROM handovers WHERE tenant_id = '{tenant}' AND counts = '{{\"accounts\": 2, \"leads\": 1, \"teams\": 1}}'"
    );
    assert_eq!(counted(noted).await, 1);
}

#[tokio::test]
async fn a_hand_over_can_be_previewed_and_done_without_leaving() {
    let company = company().await;
    let admin = &company.administrator;
    let from = company.member("李", "sales_representative").await;
    let to = company.member("王", "sales_representative").await;
    let account = account(&from, "甲公司").await;
    let path = format!("/v1/users/{}/hand-over", from.id);
    let body = json!({ "to_user_id": to.id });
    let preview = admin
        .request(Method::POST, &path)
        .await
        .header("prefer", "dry-run")
        .json(&body);
    let preview = Answer::of(preview).await;
    assert_eq!(preview.header("preference-applied"), "dry-run");
    assert_eq!(preview.expect(200)["counts"], json!({ "accounts": 1 }));
    from.get(&format!("/v1/accounts/{account}")).await.expect(200);
    assert_eq!(
        admin.post(&path, body).await.expect(200)["counts"],
        json!({ "accounts": 1 })
    );
    assert_eq!(
        from.get(&format!("/v1/accounts/{account}")).await.refused(404),
        "not_found"
    );
    to.get(&format!("/v1/accounts/{account}")).await.expect(200);
    from.get("/v1/me").await.expect(200);
    let own = json!({ "to_user_id": from.id });
    assert_eq!(admin.post(&path, own).await.faults()[0].0, "/to_user_id");
}

#[tokio::test]
async fn one_changes_about_oneself_what_is_ones_own_to_change() {
    let company = company().await;
    let rep = company.member("李", "sales_representative").await;
    let other = company.member("王", "sales_representative").await;
    let patch = json!({ "locale": "zh-CN", "away_from": "2024-03-01T00:00:00Z", "away_until": "2024-03-08T00:00:00Z", "delegate_id": other.id });
    let me = rep.patch("/v1/me", patch).await.expect(200);
    assert_eq!(me["locale"], "zh-CN");
    assert_eq!(me["delegate_id"], json!(other.id));
    assert_eq!(
        rep.patch("/v1/me", json!({ "email": "x@example.com", "team_id": null }))
            .await
            .refused(422),
        "invalid"
    );
    let faults = rep
        .patch(
            "/v1/me",
            json!({ "away_until": "2024-02-01T00:00:00Z", "delegate_id": rep.id }),
        )
        .await
        .faults();
    assert_eq!(faults.len(), 2);
    let admin = &company.administrator;
    admin
        .post(&format!("/v1/users/{}/deactivate", other.id), json!({}))
        .await
        .expect(200);
    assert_eq!(rep.get("/v1/me").await.expect(200)["delegate_id"], json!(null));
}

#[tokio::test]
async fn people_of_another_company_cannot_be_touched_or_told_from_nobody() {
    let (one, other) = (company().await, company().await);
    let theirs = other.member("王", "read_only").await;
    let admin = &one.administrator;
    let path = |verb: &str| format!("/v1/users/{}/{verb}", theirs.id);
    for answer in [
        admin.put(&path("roles"), json!({ "role_ids": [] })).await,
        admin.post(&path("deactivate"), json!({})).await,
        admin.post(&path("reactivate"), json!({})).await,
        admin
            .post(&path("set-password"), json!({ "password": PASSWORD }))
            .await,
        admin
            .post(&path("hand-over"), json!({ "to_user_id": admin.id }))
            .await,
    ] {
        assert_eq!(answer.refused(404), "not_found");
    }
    let own = one.member("李", "read_only").await;
    let foreign_role = role_id(&other, "administrator").await;
    let given = admin
        .put(
            &format!("/v1/users/{}/roles", own.id),
            json!({ "role_ids": [foreign_role] }),
        )
        .await;
    assert_eq!(
        given.faults(),
        [("/role_ids/0".to_owned(), "not_found".to_owned())]
    );
    let heir = admin
        .post(
            &format!("/v1/users/{}/deactivate", own.id),
            json!({ "successor_id": theirs.id }),
        )
        .await;
    assert_eq!(
        heir.faults(),
        [("/successor_id".to_owned(), "not_found".to_owned())]
    );
    behind_its_back(String::from("SELECT 1")).await;
    theirs.get("/v1/me").await.expect(200);
}
