//! Roles and teams.

use crate::support::app::{company, id};
use crate::support::make_identity::{role, role_id};
use futures::future::join;
use serde_json::json;

#[tokio::test]
async fn a_role_grants_known_permissions_and_no_more_than_its_maker_holds() {
    let company = company().await;
    let admin = &company.administrator;
    let unknown =
        json!({ "key": "x", "name": "x", "grants": { "account.read": "own", "account.fly": "all" } });
    assert_eq!(
        admin.post("/v1/roles", unknown).await.faults(),
        [("/grants/account.fly".to_owned(), "not_found".to_owned())]
    );
    role(
        &company,
        "keeper",
        json!({ "role.read": "all", "role.write": "all", "lead.read": "team" }),
    )
    .await;
    let keeper = company.member("员", "keeper").await;
    let make =
        |scope: &str| json!({ "key": format!("r_{scope}"), "name": "x", "grants": { "lead.read": scope } });
    keeper.post("/v1/roles", make("own")).await.expect(201);
    keeper.post("/v1/roles", make("team")).await.expect(201);
    assert_eq!(
        keeper.post("/v1/roles", make("team_tree")).await.refused(403),
        "grant_exceeds_own"
    );
}

#[tokio::test]
async fn shipped_roles_are_frozen_own_roles_are_anothers_to_change_and_used_ones_stay() {
    let company = company().await;
    let admin = &company.administrator;
    let shipped = format!("/v1/roles/{}", role_id(&company, "finance").await);
    assert_eq!(
        admin.patch(&shipped, json!({ "name": "x" })).await.refused(409),
        "frozen"
    );
    assert_eq!(admin.delete(&shipped).await.refused(409), "frozen");
    let grants = json!({ "role.read": "all", "role.write": "all" });
    let keepers = format!("/v1/roles/{}", role(&company, "keeper", grants).await);
    let keeper = company.member("员", "keeper").await;
    assert_eq!(
        keeper.patch(&keepers, json!({ "name": "x" })).await.refused(403),
        "own_roles"
    );
    assert_eq!(admin.delete(&keepers).await.refused(409), "in_use");
    admin
        .put(
            &format!("/v1/users/{}/roles", keeper.id),
            json!({ "role_ids": [] }),
        )
        .await
        .expect(200);
    admin.delete(&keepers).await.expect(200);
    let archived = json!({ "role_keys": ["keeper"], "name": "x", "email": "x@example.com" });
    assert_eq!(
        admin.post("/v1/users", archived).await.faults()[0].0,
        "/role_keys/0"
    );
    let second = json!({ "key": "keeper", "name": "x" });
    assert_eq!(admin.post("/v1/roles", second).await.refused(409), "duplicate");
}

#[tokio::test]
async fn the_permissions_there_are_can_be_read_with_their_meaning() {
    let company = company().await;
    let all = company.administrator.get("/v1/permissions").await.expect(200);
    assert_eq!(all[0]["permission"], "account.read");
    assert_eq!(all[0]["meaning"], "Read accounts");
}

#[tokio::test]
async fn teams_stay_a_tree_even_when_two_change_at_once() {
    let company = company().await;
    let admin = &company.administrator;
    let team = async |name: &str, parent: Option<&str>| {
        id(&admin
            .post("/v1/teams", json!({ "name": name, "parent_id": parent }))
            .await
            .expect(201))
    };
    let top = team("大区", None).await;
    let middle = team("省区", Some(&top)).await;
    let bottom = team("一组", Some(&middle)).await;
    let path = |team: &str| format!("/v1/teams/{team}");
    for parent in [&bottom, &middle, &top] {
        let ring = admin.patch(&path(&top), json!({ "parent_id": parent })).await;
        assert_eq!(ring.faults(), [("/parent_id".to_owned(), "invalid".to_owned())]);
    }
    let (one, other) = (team("甲", None).await, team("乙", None).await);
    let (first, second) = (path(&one), path(&other));
    let answers = join(
        admin.patch(&first, json!({ "parent_id": other })),
        admin.patch(&second, json!({ "parent_id": one })),
    )
    .await;
    let mut statuses = [answers.0.status, answers.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 422]);
}

#[tokio::test]
async fn a_team_with_members_or_teams_below_is_not_archived() {
    let company = company().await;
    let admin = &company.administrator;
    let top = id(&admin
        .post("/v1/teams", json!({ "name": "大区" }))
        .await
        .expect(201));
    let below = json!({ "name": "一组", "parent_id": top });
    let below = id(&admin.post("/v1/teams", below).await.expect(201));
    let person = company.member("李", "read_only").await;
    let user = format!("/v1/users/{}", person.id);
    admin.patch(&user, json!({ "team_id": below })).await.expect(200);
    assert_eq!(
        admin.delete(&format!("/v1/teams/{top}")).await.refused(409),
        "in_use"
    );
    assert_eq!(
        admin.delete(&format!("/v1/teams/{below}")).await.refused(409),
        "in_use"
    );
    admin.patch(&user, json!({ "team_id": null })).await.expect(200);
    admin.delete(&format!("/v1/teams/{below}")).await.expect(200);
    admin.delete(&format!("/v1/teams/{top}")).await.expect(200);
    assert_eq!(
        admin.patch(&user, json!({ "team_id": below })).await.faults(),
        [("/team_id".to_owned(), "not_found".to_owned())]
    );
    let orphan = admin.post(&format!("/v1/teams/{below}/restore"), json!({})).await;
    assert_eq!(orphan.refused(409), "conflict");
    admin
        .post(&format!("/v1/users/{}/deactivate", person.id), json!({}))
        .await
        .expect(200);
    let leader = json!({ "name": "二组", "leader_id": person.id });
    assert_eq!(admin.post("/v1/teams", leader).await.faults()[0].0, "/leader_id");
}
