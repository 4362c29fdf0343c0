//! Approval requests: who decides, in what order, and what ends them.

use crate::support::cast::{cast, follows_from_its_acts};
use crate::support::make_approvals::{Ask, ask, process, published, step, steps, try_ask, waiting};
use futures::future::join_all;
use serde_json::json;
use uuid::Uuid;

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
async fn what_is_pending_or_granted_for_something_else_does_not_stand_in_the_way_of_asking() {
    let cast = cast().await;
    cast.together("any", None).await;
    for is_granted in [false, true] {
        let about = Ask::of("together");
        let first = ask(&cast.company, &cast.seller, &about).await;
        if is_granted {
            cast.legal.approve(&first).await.expect(200);
        }
        let dearer = Ask {
            amount: "120000",
            ..about
        };
        let second = ask(&cast.company, &cast.seller, &dearer).await;
        assert_eq!(cast.seller.sees(&first).await["state"], "lapsed");
        let asked = cast.seller.sees(&second).await;
        assert_eq!(
            (&asked["state"], &asked["previous_id"]),
            (&json!("pending"), &json!(first))
        );
        follows_from_its_acts(&cast.company, &first).await;
    }
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
