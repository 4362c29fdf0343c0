//! Who sees approval requests, and who may do what in them.

use crate::support::app::company;
use crate::support::cast::cast;
use crate::support::make_approvals::{Ask, ask};
use serde_json::json;

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
    for (states, count) in [("state=approved", 0), ("state=pending&state=approved", 1)] {
        let path = format!("/v1/approval-requests?with_total=true&{states}");
        assert_eq!(
            cast.seller.get(&path).await.expect(200)["total"],
            count,
            "{states}"
        );
    }
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
async fn every_act_needs_its_seat_or_its_permission() {
    let cast = cast().await;
    let reader = cast.company.member("审计", "read_only").await;
    cast.together("any", None).await;
    let request = ask(&cast.company, &cast.seller, &Ask::of("together")).await;
    assert_eq!(reader.sees(&request).await["state"], "pending");
    let someone = json!(cast.head.id);
    let cases = [
        ("approve", json!({}), "not_your_decision"),
        ("reject", json!({ "opinion": "不" }), "not_your_decision"),
        ("return", json!({ "comment": "改" }), "not_your_decision"),
        ("delegate", json!({ "to_user_id": someone }), "not_your_decision"),
        ("add-approver", json!({ "user_id": someone }), "not_your_decision"),
        ("withdraw", json!({}), "forbidden"),
        ("comment", json!({ "comment": "看" }), "forbidden"),
        ("remind", json!({}), "forbidden"),
    ];
    for (verb, body, code) in cases {
        assert_eq!(
            reader.act(&request, verb, body).await.refused(403),
            code,
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
