//! Who sits in an approval: separation of duties, delegation, and people who come, leave and hand over.

use crate::support::app::{Answer, Company, Person, account, company, id};
use crate::support::cast::{Cast, cast, follows_from_its_acts};
use crate::support::make_approvals::{Ask, ask, process, published, step, waiting};
use crate::support::make_identity::{role_id, with_token};
use serde_json::{Value, json};
use uuid::Uuid;

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
    // Theirs are two of three voices: the administrator has one in their place, and there is nobody else.
    let mut voices = [cast.manager.id, cast.company.administrator.id];
    voices.sort();
    assert_eq!(waiting(&cast.seller.sees(&request).await), voices);
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
async fn an_absence_that_was_entered_by_itself_is_one_for_approvals_too() {
    let cast = cast().await;
    let only = step("only", 1, "any", &[&cast.manager]);
    published(&cast.company, process("away", json!([only]))).await;
    let admin = &cast.company.administrator;
    let stand_in = json!({ "delegate_id": cast.legal.id });
    let manager = format!("/v1/users/{}", cast.manager.id);
    admin.patch(&manager, stand_in).await.expect(200);
    let absence = json!({ "owner_id": cast.manager.id, "starts_at": "2000-01-01T00:00:00Z", "ends_at": "2100-01-01T00:00:00Z" });
    let absence = id(&admin.post("/v1/user-absences", absence).await.expect(201));
    let during = ask(&cast.company, &cast.seller, &Ask::of("away")).await;
    assert_eq!(waiting(&admin.sees(&during).await), [cast.legal.id]);
    admin
        .delete(&format!("/v1/user-absences/{absence}"))
        .await
        .expect(200);
    let after = ask(&cast.company, &cast.seller, &Ask::of("away")).await;
    assert_eq!(waiting(&admin.sees(&after).await), [cast.manager.id]);
}

#[tokio::test]
async fn whoever_leaves_before_their_step_opens_is_replaced_by_their_successor() {
    let cast = cast().await;
    let steps = json!([
        step("manager", 1, "any", &[&cast.manager]),
        step("both", 2, "all", &[&cast.legal, &cast.head])
    ]);
    published(&cast.company, process("later", steps)).await;
    let request = ask(&cast.company, &cast.seller, &Ask::of("later")).await;
    let admin = &cast.company.administrator;
    let leaves = format!("/v1/users/{}/deactivate", cast.legal.id);
    admin
        .post(&leaves, json!({ "successor_id": admin.id }))
        .await
        .expect(200);
    let after = cast.manager.approve(&request).await.expect(200);
    let mut both = [cast.head.id, admin.id];
    both.sort();
    assert_eq!(waiting(&after), both);
    let after = cast.head.approve(&request).await.expect(200);
    assert_eq!(after["state"], "pending");
    assert_eq!(admin.approve(&request).await.expect(200)["state"], "approved");
    follows_from_its_acts(&cast.company, &request).await;
}

/// Until it waits for these people alone, or five seconds have passed.
async fn comes_to_wait_for(reader: &Person, request: &str, people: &[Uuid]) {
    let mut seen = Vec::new();
    for _ in 0..50 {
        seen = waiting(&reader.sees(request).await);
        if seen == people {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("it waits for {seen:?}, not for {people:?}");
}

/// A request of the only administrator whose second step found nobody: the one whom it names has left.
async fn unattended(cast: &Cast, owner: Option<Uuid>) -> String {
    let admin = &cast.company.administrator;
    let steps = json!([
        step("manager", 1, "any", &[&cast.manager]),
        step("legal", 2, "any", &[&cast.legal])
    ]);
    published(&cast.company, process("unattended", steps)).await;
    let about = Ask {
        owner,
        ..Ask::of("unattended")
    };
    let request = ask(&cast.company, admin, &about).await;
    let leaves = format!("/v1/users/{}/deactivate", cast.legal.id);
    admin.post(&leaves, json!({})).await.expect(200);
    let after = cast.manager.approve(&request).await.expect(200);
    assert_eq!(
        after["state"], "pending",
        "nobody was found, and nothing is approved by it"
    );
    assert_eq!(waiting(&after), Vec::<Uuid>::new());
    request
}

#[tokio::test]
async fn a_step_that_found_nobody_is_filled_when_somebody_becomes_administrator() {
    let cast = cast().await;
    let admin = &cast.company.administrator;
    let request = unattended(&cast, None).await;
    let roles = json!({ "role_ids": [role_id(&cast.company, "administrator").await] });
    let path = format!("/v1/users/{}/roles", cast.head.id);
    admin.put(&path, roles).await.expect(200);
    comes_to_wait_for(admin, &request, &[cast.head.id]).await;
    let granted = cast.head.approve(&request).await.expect(200);
    assert_eq!(granted["state"], "approved");
    follows_from_its_acts(&cast.company, &request).await;
}

#[tokio::test]
async fn a_step_that_found_nobody_is_filled_when_the_one_it_names_comes_back() {
    let cast = cast().await;
    let admin = &cast.company.administrator;
    let request = unattended(&cast, None).await;
    let back = format!("/v1/users/{}/reactivate", cast.legal.id);
    admin.post(&back, json!({})).await.expect(200);
    comes_to_wait_for(admin, &request, &[cast.legal.id]).await;
    follows_from_its_acts(&cast.company, &request).await;
}

#[tokio::test]
async fn a_step_that_found_nobody_is_filled_when_an_administrator_joins() {
    let cast = cast().await;
    let admin = &cast.company.administrator;
    let request = unattended(&cast, None).await;
    let body = json!({ "name": "钱", "email": "qian@example.com", "role_keys": ["administrator"] });
    let joined = id(&admin.post("/v1/users", body).await.expect(201));
    comes_to_wait_for(admin, &request, &[joined.parse().unwrap()]).await;
}

#[tokio::test]
async fn a_step_that_found_nobody_is_filled_when_the_owners_team_gets_a_leader() {
    let cast = cast().await;
    let admin = &cast.company.administrator;
    let team = id(&admin
        .post("/v1/teams", json!({ "name": "一组" }))
        .await
        .expect(201));
    let member = format!("/v1/users/{}", cast.seller.id);
    admin.patch(&member, json!({ "team_id": team })).await.expect(200);
    let request = unattended(&cast, Some(cast.seller.id)).await;
    let team = format!("/v1/teams/{team}");
    admin
        .patch(&team, json!({ "leader_id": cast.head.id }))
        .await
        .expect(200);
    comes_to_wait_for(admin, &request, &[cast.head.id]).await;
    follows_from_its_acts(&cast.company, &request).await;
}

#[tokio::test]
async fn an_administrator_appointed_while_the_step_opens_is_found_all_the_same() {
    for _ in 0..4 {
        let cast = cast().await;
        let admin = &cast.company.administrator;
        let steps = json!([
            step("manager", 1, "any", &[&cast.manager]),
            step("legal", 2, "any", &[&cast.legal])
        ]);
        published(&cast.company, process("at_once", steps)).await;
        let request = ask(&cast.company, admin, &Ask::of("at_once")).await;
        let leaves = format!("/v1/users/{}/deactivate", cast.legal.id);
        admin.post(&leaves, json!({})).await.expect(200);
        let roles = json!({ "role_ids": [role_id(&cast.company, "administrator").await] });
        let path = format!("/v1/users/{}/roles", cast.head.id);
        let (approved, appointed) = futures::join!(cast.manager.approve(&request), admin.put(&path, roles));
        approved.expect(200);
        appointed.expect(200);
        comes_to_wait_for(admin, &request, &[cast.head.id]).await;
    }
}

#[tokio::test]
async fn where_all_decide_one_who_stands_in_for_another_is_not_two_of_them() {
    let cast = cast().await;
    let admin = &cast.company.administrator;
    let absence = json!({ "away_from": "2020-01-01T00:00:00Z", "away_until": "2100-01-01T00:00:00Z", "delegate_id": cast.head.id });
    let path = format!("/v1/users/{}", cast.legal.id);
    admin.patch(&path, absence).await.expect(200);
    let both = step("both", 1, "all", &[&cast.legal, &cast.head]);
    published(&cast.company, process("voices", json!([both]))).await;
    let request = ask(&cast.company, &cast.seller, &Ask::of("voices")).await;
    let mut expected = [cast.head.id, admin.id];
    expected.sort();
    assert_eq!(waiting(&cast.seller.sees(&request).await), expected);
    let after = cast.head.approve(&request).await.expect(200);
    assert_eq!(after["state"], "pending");
    assert_eq!(admin.approve(&request).await.expect(200)["state"], "approved");
    follows_from_its_acts(&cast.company, &request).await;
}

#[tokio::test]
async fn whoever_stands_in_for_an_absent_approver_is_never_the_one_who_asked() {
    let cast = cast().await;
    let admin = &cast.company.administrator;
    let absence = |delegate: &Person| json!({ "away_from": "2020-01-01T00:00:00Z", "away_until": "2100-01-01T00:00:00Z", "delegate_id": delegate.id });
    for (absent, delegate) in [(&cast.manager, &cast.seller), (&cast.head, &cast.legal)] {
        let path = format!("/v1/users/{}", absent.id);
        admin.patch(&path, absence(delegate)).await.expect(200);
    }
    let steps = json!([
        step("manager", 1, "any", &[&cast.manager]),
        step("head", 1, "any", &[&cast.head])
    ]);
    published(&cast.company, process("absent", steps)).await;
    let request = ask(&cast.company, &cast.seller, &Ask::of("absent")).await;
    let mut expected = [cast.manager.id, cast.legal.id];
    expected.sort();
    assert_eq!(waiting(&cast.seller.sees(&request).await), expected);
    assert_eq!(
        cast.seller.approve(&request).await.refused(403),
        "not_your_decision"
    );
    assert_eq!(
        cast.head
            .get(&format!("/v1/approval-requests/{request}"))
            .await
            .status,
        200
    );
    assert_eq!(
        cast.head.approve(&request).await.refused(403),
        "not_your_decision"
    );
}

#[tokio::test]
async fn a_seat_is_the_right_to_decide_whatever_ones_roles() {
    let cast = cast().await;
    let reader = cast.company.member("审计", "read_only").await;
    let only = step("only", 1, "any", &[&reader]);
    published(&cast.company, process("by_reader", json!([only]))).await;
    let request = ask(&cast.company, &cast.seller, &Ask::of("by_reader")).await;
    let words = json!({ "comment": "正在核对" });
    reader.act(&request, "comment", words).await.expect(200);
    assert_eq!(reader.approve(&request).await.expect(200)["state"], "approved");
}

#[tokio::test]
async fn a_key_decides_only_where_its_role_says_so() {
    let cast = cast().await;
    let admin = &cast.company.administrator;
    let only = step("only", 1, "any", &[admin]);
    published(&cast.company, process("by_key", json!([only]))).await;
    let request = ask(&cast.company, &cast.seller, &Ask::of("by_key")).await;
    let reading = role_id(&cast.company, "read_only").await;
    let deciding = role_id(&cast.company, "legal").await;
    let mut keys = Vec::new();
    for role in [reading, deciding] {
        let body = json!({ "name": "程序", "role_id": role });
        let made = admin.post("/v1/api-keys", body).await.expect(201);
        keys.push(with_token(admin, made["key"].as_str().unwrap()));
    }
    assert_eq!(keys[0].approve(&request).await.refused(403), "forbidden");
    assert_eq!(keys[1].approve(&request).await.expect(200)["state"], "approved");
}

async fn hand_over(company: &Company, from: &Person, to: &Person) -> Value {
    let path = format!("/v1/users/{}/hand-over", from.id);
    let body = json!({ "to_user_id": to.id });
    company.administrator.post(&path, body).await.expect(200)
}

#[tokio::test]
async fn approvals_waiting_for_somebody_are_handed_over_without_their_leaving() {
    let cast = cast().await;
    let all = step("all", 1, "all", &[&cast.manager, &cast.head]);
    published(&cast.company, process("handed", json!([all]))).await;
    let given = ask(&cast.company, &cast.seller, &Ask::of("handed")).await;
    let asked_by_successor = ask(&cast.company, &cast.legal, &Ask::of("handed")).await;
    let decided = ask(&cast.company, &cast.seller, &Ask::of("handed")).await;
    cast.manager.approve(&decided).await.expect(200);

    let done = hand_over(&cast.company, &cast.manager, &cast.legal).await;
    assert_eq!(done["counts"], json!({ "approval-requests": 1 }));
    let mut now = [cast.legal.id, cast.head.id];
    now.sort();
    assert_eq!(waiting(&cast.seller.sees(&given).await), now);
    // Who asked may not decide: the seat stays where it was, since its holder is still there.
    let mut still = [cast.manager.id, cast.head.id];
    still.sort();
    assert_eq!(waiting(&cast.legal.sees(&asked_by_successor).await), still);
    assert_eq!(waiting(&cast.seller.sees(&decided).await), [cast.head.id]);
    assert_eq!(
        cast.manager.approve(&given).await.refused(403),
        "not_your_decision"
    );
    cast.legal.approve(&given).await.expect(200);
    cast.head.approve(&given).await.expect(200);
    follows_from_its_acts(&cast.company, &given).await;
}

#[tokio::test]
async fn leads_and_accounts_are_handed_over_with_everything_that_hangs_on_them() {
    let company = company().await;
    let admin = &company.administrator;
    let from = company.member("李", "sales_representative").await;
    let to = company.member("王", "sales_representative").await;
    let account = account(&from, "甲公司").await;
    let contact = json!({ "name": "张经理", "account_id": account });
    let contact = id(&from.post("/v1/contacts", contact).await.expect(201));
    let lead = id(&from
        .post("/v1/leads", json!({ "name": "线索" }))
        .await
        .expect(201));
    let done = hand_over(&company, &from, &to).await;
    assert_eq!(
        done["counts"],
        json!({ "accounts": 1, "contacts": 1, "leads": 1 })
    );
    let contact = to.get(&format!("/v1/contacts/{contact}")).await.expect(200);
    assert_eq!(contact["account_id"], json!(account));
    let lead = to.get(&format!("/v1/leads/{lead}")).await.expect(200);
    assert_eq!(
        (&lead["status"], &lead["owner_id"]),
        (&json!("new"), &json!(to.id))
    );
    let dry = admin
        .request(reqwest::Method::POST, &format!("/v1/users/{}/hand-over", to.id))
        .await
        .header("prefer", "dry-run")
        .json(&json!({ "to_user_id": from.id }));
    Answer::of(dry).await.expect(200);
    to.get(&format!("/v1/accounts/{account}")).await.expect(200);
}
