//! Room 5: what a deal went through stays readable, step by step, with its evidence.

use crate::support::app::{CREATED, company, id};
use crate::support::make_deals::{advance, criterion, deal, deal_in, gated, path, plain};
use crate::support::make_pipelines::published;
use serde_json::{Value, json};

fn entry<'a>(timeline: &'a Value, kind: &str) -> &'a Value {
    let entries = timeline["data"].as_array().unwrap();
    entries.iter().find(|entry| entry["kind"] == kind).unwrap()
}

#[actix_web::test]
async fn the_timeline_shows_every_move_with_the_gate_as_it_stood() {
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, gated()).await;
    let made = deal(admin, &pipeline, Some("220000.00")).await;
    let tick = json!({ "answer": true });
    admin.put(&path(&made, "criteria/intent"), tick).await.expect(200);
    let decider = json!({ "role": "decision_maker", "title": "总经理", "influence": "0.6" });
    let chain = path(&made, "decision-chain-members");
    admin.post(&chain, decider).await.expect(CREATED);
    advance(admin, &made).await.expect(200);

    let timeline = admin.get(&path(&made, "timeline")).await.expect(200);
    let advanced = entry(&timeline, "opportunity.advanced");
    assert_eq!(advanced["evidence"]["state"], "open");
    for key in ["intent", "amount_known", "decider"] {
        let met = criterion(&advanced["evidence"]["tree"], key).unwrap();
        assert_eq!(met["state"], "met", "{key}");
    }
    assert_eq!(entry(&timeline, "opportunity.created")["evidence"], Value::Null);
}

#[actix_web::test]
async fn moves_and_cycles_are_read_page_by_page_in_order() {
    let company = company().await;
    let admin = &company.administrator;
    let mut made = deal_in(&company, admin, plain()).await;
    for _ in 0..3 {
        made = advance(admin, &made).await.expect(200);
    }
    for (list, place, expected) in [
        ("transitions", "ordinal", vec![1, 2, 3, 4]),
        ("cycles", "number", vec![1]),
    ] {
        let (mut seen, mut next) = (Vec::new(), String::new());
        loop {
            let page = admin
                .get(&format!("{}?limit=3{next}", path(&made, list)))
                .await
                .expect(200);
            seen.extend(
                page["data"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|row| row[place].as_i64().unwrap()),
            );
            match page["next_cursor"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => break,
            }
        }
        assert_eq!(seen, expected, "{list}");
    }
}

#[actix_web::test]
async fn a_cursor_of_one_deal_opens_no_other() {
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, plain()).await;
    let (mut one, other) = (
        deal(admin, &pipeline, None).await,
        deal(admin, &pipeline, None).await,
    );
    one = advance(admin, &one).await.expect(200);
    let page = admin.get(&format!("{}?limit=1", path(&one, "transitions"))).await;
    let cursor = page.expect(200)["next_cursor"].as_str().unwrap().to_owned();
    assert_ne!(id(&one), id(&other));
    let asked = format!("{}?cursor={cursor}", path(&other, "transitions"));
    assert_eq!(admin.get(&asked).await.refused(400), "bad_parameter");
}
