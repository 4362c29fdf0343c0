//! Nobody widens what they reach: by a scope that would mean nothing, by the tree of teams, by whom they put in a team.

use crate::support::app::{Company, Person, account, company, id};
use crate::support::make_deals::{deal_in, plain};
use crate::support::make_identity::{behind_its_back, role, role_id, text, with_token};
use serde_json::{Value, json};

const NARROW: [&str; 3] = ["own", "team", "team_tree"];

#[tokio::test]
async fn what_nobody_owns_is_granted_over_everything_or_not_at_all() {
    let company = company().await;
    let admin = &company.administrator;
    let listed = admin.get("/v1/permissions").await.expect(200);
    let scopes_of = |name: &str| {
        let mut all = listed.as_array().unwrap().iter();
        all.find(|known| known["permission"] == name).unwrap()["scopes"].clone()
    };
    assert_eq!(scopes_of("lead.read"), json!(["own", "team", "team_tree", "all"]));
    for name in [
        "team.write",
        "user.write",
        "pipeline.migrate",
        "key.read",
        "intake.read",
        "company.write",
        "field.write",
        "catalog.write",
        "event.read",
    ] {
        assert_eq!(scopes_of(name), json!(["all"]), "{name}");
        for scope in NARROW {
            let body = json!({ "key": "narrow", "name": "x", "grants": { "lead.read": "own", name: scope } });
            let refused = admin.post("/v1/roles", body).await;
            assert_eq!(refused.refused(422), "invalid");
            assert_eq!(
                refused.faults(),
                [(format!("/grants/{name}"), "invalid".to_owned())]
            );
            let message = refused.body["errors"][0]["message"].as_str().unwrap();
            assert!(message.contains("all"), "{message}");
        }
    }
    let kept = role(&company, "kept", json!({ "lead.read": "team" })).await;
    let wider = json!({ "grants": { "lead.read": "team", "team.write": "team" } });
    let wider = admin.patch(&format!("/v1/roles/{kept}"), wider).await;
    assert_eq!(
        wider.faults(),
        [("/grants/team.write".to_owned(), "invalid".to_owned())]
    );
}

/// Gives a role, behind the API's back, what it could be given before.
async fn as_before(role: &str, permission: &str, scope: &str) {
    behind_its_back(format!(
        "UPDATE roles SET grants = grants || '{{\"{permission}\": \"{scope}\"}}' WHERE id = '{role}'"
    ))
    .await;
}

#[tokio::test]
async fn a_role_that_was_given_less_than_all_of_what_nobody_owns_gives_none_of_it() {
    let company = company().await;
    let admin = &company.administrator;
    let team = id(&admin
        .post("/v1/teams", json!({ "name": "一组" }))
        .await
        .expect(201));
    for scope in NARROW {
        let grants = json!({ "team.read": "all", "user.read": "all", "lead.read": "own" });
        let old = role(&company, &format!("old_{scope}"), grants).await;
        for permission in ["team.write", "user.write", "key.read"] {
            as_before(&old, permission, scope).await;
        }
        let person = company.member("员", &format!("old_{scope}")).await;
        let me = person.get("/v1/me").await.expect(200);
        assert_eq!(me["permissions"]["lead.read"], "own");
        assert_eq!(me["permissions"]["team.write"], Value::Null);
        let taken = json!({ "leader_id": person.id });
        let taken = person.patch(&format!("/v1/teams/{team}"), taken).await;
        assert_eq!(taken.refused(403), "forbidden");
        let new = json!({ "name": "新", "email": format!("{scope}@example.com") });
        assert_eq!(person.post("/v1/users", new).await.refused(403), "forbidden");
        assert_eq!(person.get("/v1/api-keys").await.refused(403), "forbidden");
        // A key within such a role reaches no further, whoever it acts for.
        let key = json!({ "name": "程序", "role_id": old });
        let key = admin.post("/v1/api-keys", key).await.expect(201);
        let program = with_token(admin, &text(&key, "key"));
        assert_eq!(program.get("/v1/api-keys").await.refused(403), "forbidden");
        // The rest of it can still be changed.
        let renamed = json!({ "name": "旧角色" });
        admin
            .patch(&format!("/v1/roles/{old}"), renamed)
            .await
            .expect(200);
    }
}

/// Somebody who may change the teams and people of the whole company, and reads deals by their team.
async fn organiser(company: &Company, scope: &str) -> Person {
    let grants = json!({
        "team.read": "all", "team.write": "all", "user.read": "all", "user.write": "all",
        "account.read": scope, "account.write": scope, "opportunity.read": scope, "opportunity.write": scope,
    });
    role(company, &format!("organiser_{scope}"), grants).await;
    company.member("组织", &format!("organiser_{scope}")).await
}

/// A seller who holds no more than an organiser.
async fn seller(company: &Company) -> Person {
    let grants = json!({
        "account.read": "own", "account.write": "own", "opportunity.read": "own", "opportunity.write": "own",
    });
    role(company, "seller", grants).await;
    company.member("李", "seller").await
}

async fn team(admin: &Person, body: Value) -> String {
    id(&admin.post("/v1/teams", body).await.expect(201))
}

#[tokio::test]
async fn nobody_brings_another_team_within_their_reach() {
    let company = company().await;
    let admin = &company.administrator;
    let organiser = organiser(&company, "team_tree").await;
    let own = team(admin, json!({ "name": "组织组" })).await;
    let foreign = team(admin, json!({ "name": "外组" })).await;
    let seller = seller(&company).await;
    for (person, team) in [(&organiser, &own), (&seller, &foreign)] {
        let path = format!("/v1/users/{}", person.id);
        admin.patch(&path, json!({ "team_id": team })).await.expect(200);
    }
    let deal = deal_in(&company, &seller, plain()).await;
    let deal = format!("/v1/opportunities/{}", id(&deal));
    let path = format!("/v1/teams/{foreign}");
    for change in [json!({ "leader_id": organiser.id }), json!({ "parent_id": own })] {
        assert_eq!(
            organiser.patch(&path, change.clone()).await.refused(403),
            "own_roles"
        );
        let items = json!([{ "method": "update", "id": foreign, "body": change }]);
        let many = json!({ "mode": "each", "items": items });
        let many = organiser.post("/v1/teams/batch", many).await.expect(200);
        assert_eq!(many["results"][0]["status"], 403);
    }
    let led = json!({ "name": "新组", "leader_id": organiser.id });
    assert_eq!(organiser.post("/v1/teams", led).await.refused(403), "own_roles");
    let joins = json!({ "team_id": own });
    let joined = organiser.patch(&format!("/v1/users/{}", seller.id), joins).await;
    assert_eq!(joined.refused(403), "own_roles");
    organiser.get(&deal).await.refused(404);

    // What widens nothing is theirs to do.
    let other = team(&organiser, json!({ "name": "三组", "leader_id": seller.id })).await;
    organiser
        .patch(&path, json!({ "parent_id": other }))
        .await
        .expect(200);
    let below = team(&organiser, json!({ "name": "下组", "parent_id": own })).await;
    let leaves = format!("/v1/teams/{below}");
    organiser
        .patch(&leaves, json!({ "parent_id": other }))
        .await
        .expect(200);
    let back = organiser.patch(&leaves, json!({ "parent_id": own })).await;
    assert_eq!(back.refused(403), "own_roles");
}

#[tokio::test]
async fn a_led_team_that_was_archived_is_brought_back_by_somebody_else() {
    let company = company().await;
    let admin = &company.administrator;
    let organiser = organiser(&company, "own").await;
    let led = team(admin, json!({ "name": "旧组", "leader_id": organiser.id })).await;
    organiser.delete(&format!("/v1/teams/{led}")).await.expect(200);
    let restore = format!("/v1/teams/{led}/restore");
    assert_eq!(
        organiser.post(&restore, json!({})).await.refused(403),
        "own_roles"
    );
    admin.post(&restore, json!({})).await.expect(200);
}

#[tokio::test]
async fn whoever_takes_over_does_not_come_to_lead_a_team_by_it() {
    let company = company().await;
    let admin = &company.administrator;
    let organiser = organiser(&company, "team").await;
    let leader = company.member("组长", "organiser_team").await;
    let colleague = company.member("同事", "organiser_team").await;
    let led = team(admin, json!({ "name": "一组", "leader_id": leader.id })).await;
    let hand_over = format!("/v1/users/{}/hand-over", leader.id);
    let to = |person: &Person| json!({ "to_user_id": person.id });
    let taken = organiser.post(&hand_over, to(&organiser)).await;
    assert_eq!(taken.refused(403), "own_roles");
    let leaves = format!("/v1/users/{}/deactivate", leader.id);
    let taken = organiser
        .post(&leaves, json!({ "successor_id": organiser.id }))
        .await;
    assert_eq!(taken.refused(403), "own_roles");
    organiser.post(&hand_over, to(&colleague)).await.expect(200);
    let led = admin.get(&format!("/v1/teams/{led}")).await.expect(200);
    assert_eq!(led["leader_id"], json!(colleague.id));
}

#[tokio::test]
async fn by_a_team_alone_nobody_draws_colleagues_of_teams_below_into_it() {
    let company = company().await;
    let admin = &company.administrator;
    let organiser = organiser(&company, "team").await;
    let own = team(admin, json!({ "name": "上组" })).await;
    let below = team(admin, json!({ "name": "下组", "parent_id": own })).await;
    let seller = seller(&company).await;
    for (person, team) in [(&organiser, &own), (&seller, &below)] {
        let path = format!("/v1/users/{}", person.id);
        admin.patch(&path, json!({ "team_id": team })).await.expect(200);
    }
    let held = account(&seller, "恒信智联").await;
    let joins = json!({ "team_id": own });
    let joined = organiser.patch(&format!("/v1/users/{}", seller.id), joins).await;
    assert_eq!(joined.refused(403), "own_roles");
    organiser.get(&format!("/v1/accounts/{held}")).await.refused(404);
}

#[tokio::test]
async fn whoever_holds_everything_builds_the_tree_around_themselves() {
    let company = company().await;
    let admin = &company.administrator;
    let own = team(admin, json!({ "name": "总部", "leader_id": admin.id })).await;
    let other = team(admin, json!({ "name": "一组" })).await;
    let path = format!("/v1/teams/{other}");
    admin.patch(&path, json!({ "parent_id": own })).await.expect(200);
    admin
        .patch(&path, json!({ "leader_id": admin.id }))
        .await
        .expect(200);
    // Rights over people and teams alone show nobody's records.
    let grants = json!({ "team.read": "all", "team.write": "all", "user.read": "all", "user.write": "all" });
    role(&company, "clerk", grants).await;
    let clerk = company.member("人事", "clerk").await;
    let led = json!({ "leader_id": clerk.id });
    clerk.patch(&path, led).await.expect(200);
    assert_eq!(role_id(&company, "clerk").await.len(), 36);
}
