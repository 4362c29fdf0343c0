//! Room 3: signed intake. What arrives is kept, read once into a lead, and never lost.

use crate::support::app::{Answer, Person, anonymous, company};
use crate::support::make_crm::{Source, now, source};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

async fn intake(admin: &Person, answer: &Value) -> Value {
    let path = format!("/v1/intakes/{}", answer["intake_id"].as_str().unwrap());
    admin.get(&path).await.expect(200)
}

async fn lead(admin: &Person, answer: &Value) -> Value {
    let path = format!("/v1/leads/{}", answer["lead_id"].as_str().unwrap());
    admin.get(&path).await.expect(200)
}

async fn total(admin: &Person, path: &str) -> Value {
    admin.get(&format!("{path}?with_total=true")).await.expect(200)["total"].clone()
}

#[tokio::test]
async fn a_signed_delivery_becomes_a_lead_that_nobody_owns_yet() {
    let company = company().await;
    let admin = &company.administrator;
    let website = source(admin, json!({})).await;
    let body = json!({ "name": "王芳", "company": "制造有限公司", "phone": "139 0013 9000", "email": "Wang@Example.com" });
    let answer = website.deliver("d1", &body).await.expect(201);
    assert_eq!(answer["status"], "accepted");
    let made = lead(admin, &answer).await;
    assert_eq!(
        (&made["owner_id"], &made["source_id"], &made["status"]),
        (&json!(null), &json!(website.id), &json!("new"))
    );
    assert_eq!(
        (&made["phone_e164"], &made["email"]),
        (&json!("+8613900139000"), &json!("wang@example.com"))
    );
    let kept = intake(admin, &answer).await;
    assert_eq!(
        (&kept["status"], &kept["lead_id"]),
        (&json!("accepted"), &answer["lead_id"])
    );
    assert_eq!(kept["body"], body.to_string());
}

#[tokio::test]
async fn a_public_library_can_sign_for_us() {
    let company = company().await;
    let website = source(&company.administrator, json!({})).await;
    let mut delivery = website.delivery("d1", &json!({ "name": "王芳" }));
    let signer = standardwebhooks::Webhook::new(&website.secret).unwrap();
    delivery.signatures = Some(signer.sign("d1", delivery.at, &delivery.body).unwrap());
    delivery.send().await.expect(201);
}

#[tokio::test]
async fn a_source_gives_its_leads_to_its_owner_and_keeps_to_its_mapping() {
    let company = company().await;
    let admin = &company.administrator;
    let li = company.member("李", "sales_representative").await;
    let mapping = json!({
        "name": { "pointer": "/person/name" }, "phone": { "pointer": "/person/phone" },
        "need": { "pointer": "/message", "default": "-" }, "region": { "constant": "华东" }
    });
    let website = source(
        admin,
        json!({ "mapping": mapping, "required_members": ["phone"], "default_owner_id": li.id }),
    )
    .await;
    let body = json!({ "person": { "name": "王芳", "phone": 13_900_139_000_u64 }, "owner_id": "ignored" });
    let answer = website.deliver("d1", &body).await.expect(201);
    let made = lead(&li, &answer).await;
    assert_eq!(
        (&made["name"], &made["need"], &made["region"], &made["owner_id"]),
        (&json!("王芳"), &json!("-"), &json!("华东"), &json!(li.id))
    );
    let without = website
        .deliver("d2", &json!({ "person": { "name": "王芳" } }))
        .await;
    assert_eq!(without.faults(), [("/phone".to_owned(), "required".to_owned())]);
    assert_eq!(without.status, 202);
}

#[tokio::test]
async fn sixteen_deliveries_of_one_id_at_once_make_one_lead() {
    let company = company().await;
    let admin = &company.administrator;
    let website = source(admin, json!({})).await;
    let body = json!({ "name": "王芳" });
    let answers = futures::future::join_all((0..16).map(|_| website.deliver("same", &body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for answer in &answers {
        assert!(answer.status == 201 || answer.status == 200, "{}", answer.body);
        assert_eq!(answer.body["lead_id"], answers[0].body["lead_id"]);
        assert_eq!(answer.body["intake_id"], answers[0].body["intake_id"]);
    }
    assert_eq!(total(admin, "/v1/leads").await, 1);
    assert_eq!(total(admin, "/v1/intakes").await, 1);
    // Later, too, and with another body.
    let again = website
        .deliver("same", &json!({ "name": "别人" }))
        .await
        .expect(200);
    assert_eq!(again["lead_id"], answers[0].body["lead_id"]);
}

#[tokio::test]
async fn deliveries_that_do_not_verify_are_refused_alike_and_not_kept() {
    let company = company().await;
    let admin = &company.administrator;
    let website = source(admin, json!({})).await;
    let body = json!({ "name": "王芳" });
    let with = |change: fn(&mut crate::support::make_crm::Delivery)| {
        let mut delivery = website.delivery("d1", &body);
        change(&mut delivery);
        delivery.send()
    };
    let refused = [
        with(|delivery| delivery.at = now() - 302).await,
        with(|delivery| delivery.at = now() + 302).await,
        with(|delivery| delivery.secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD".to_owned()).await,
        with(|delivery| delivery.signatures = Some(String::new())).await,
        with(|delivery| delivery.signatures = Some("v1,AAAA".to_owned())).await,
        with(|delivery| {
            delivery.signatures = Some(delivery.signature());
            delivery.body.push(b' ');
        })
        .await,
        with(|delivery| {
            delivery.signatures = Some(delivery.signature());
            delivery.id = "d2".to_owned();
        })
        .await,
        with(|delivery| {
            delivery.signatures = Some(format!("{}{}", "v1,AAAA ".repeat(1000), delivery.signature()));
        })
        .await,
    ];
    for answer in &refused {
        assert_eq!(answer.refused(401), "bad_signature");
        assert_eq!(answer.body["detail"], refused[0].body["detail"]);
    }
    let unsigned = Answer::of(anonymous(Method::POST, &website.path).await.json(&body)).await;
    assert_eq!(unsigned.refused(401), "bad_signature");
    assert_eq!(total(admin, "/v1/intakes").await, 0);

    let two = with(|delivery| delivery.signatures = Some(format!("v1,AAAA {}", delivery.signature()))).await;
    two.expect(201);
}

#[tokio::test]
async fn what_cannot_be_read_is_kept_with_its_reasons() {
    let company = company().await;
    let admin = &company.administrator;
    let website = source(admin, json!({})).await;
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("broken", b"{\"name\":".to_vec(), "malformed"),
        ("nul", b"{\"name\":\"a\\u0000b\"}".to_vec(), "malformed"),
        ("raw-nul", b"{\"name\":\"a\0b\"}".to_vec(), "malformed"),
        ("no-utf8", vec![0xff, 0xfe, b'x'], "malformed"),
        ("empty", Vec::new(), "malformed"),
        ("list", b"[1]".to_vec(), "wrong_type"),
    ];
    for (id, body, code) in cases {
        let answer = website.raw(id, body.clone()).send().await;
        assert_eq!(answer.faults(), [(String::new(), code.to_owned())], "{id}");
        let answer = answer.expect(202);
        assert_eq!(answer["status"], "rejected");
        let kept = intake(admin, &answer).await;
        assert_eq!(
            kept["body"],
            String::from_utf8_lossy(&body).replace('\0', "\u{fffd}")
        );
        assert_eq!(kept["faults"][0]["code"], code);
        let again = website.raw(id, body).send().await.expect(202);
        assert_eq!(again["intake_id"], answer["intake_id"]);
        assert_eq!(again["errors"], answer["errors"]);
    }
    let faulty =
        json!({ "email": "x", "owner_id": admin.id, "tenant_id": company.tenant, "budget_amount": "1e3" });
    let answer = website.deliver("faulty", &faulty).await;
    let found = answer.faults();
    let expected = [
        ("/budget_amount", "wrong_form"),
        ("/email", "wrong_format"),
        ("/name", "required"),
        ("/owner_id", "unknown_field"),
        ("/tenant_id", "unknown_field"),
    ];
    let found = found
        .iter()
        .map(|(pointer, code)| (pointer.as_str(), code.as_str()))
        .collect::<Vec<_>>();
    assert_eq!(found, expected);
    assert_eq!(total(admin, "/v1/leads").await, 0);
    let rejected = admin
        .get("/v1/intakes?status=rejected&with_total=true")
        .await
        .expect(200);
    assert_eq!(rejected["total"], 7);
}

#[tokio::test]
async fn what_is_written_in_another_encoding_is_kept_as_it_came_and_replayed_as_it_reads() {
    let company = company().await;
    let admin = &company.administrator;
    let website = source(admin, json!({})).await;
    let sent =
        json!({ "name": "王芳", "company": "江南纺织有限公司", "need": "希望统一管理客户资料" }).to_string();
    let (bytes, ..) = encoding_rs::GBK.encode(&sent);
    let answer = website.raw("gbk", bytes.to_vec()).send().await;
    assert_eq!(answer.faults(), [(String::new(), "malformed".to_owned())]);
    let kept = intake(admin, &answer.expect(202)).await;
    assert_eq!(kept["body"], sent);
    let base64 = kept["body_base64"].as_str().unwrap();
    assert_eq!(STANDARD.decode(base64).unwrap(), bytes.as_ref());
    let replay = format!("/v1/intakes/{}/replay", kept["id"].as_str().unwrap());
    let lead = admin.post(&replay, json!({})).await.expect(200)["lead_id"].clone();
    let lead = format!("/v1/leads/{}", lead.as_str().unwrap());
    assert_eq!(admin.get(&lead).await.expect(200)["company"], "江南纺织有限公司");
}

#[tokio::test]
async fn a_rejected_intake_is_corrected_and_replayed_once() {
    let company = company().await;
    let admin = &company.administrator;
    let website = source(admin, json!({})).await;
    let rejected = website
        .deliver("d1", &json!({ "company": "制造有限公司" }))
        .await
        .expect(202);
    let path = format!("/v1/intakes/{}/replay", rejected["intake_id"].as_str().unwrap());
    let again = admin.post(&path, json!({})).await;
    assert_eq!(again.faults(), [("/name".to_owned(), "required".to_owned())]);
    let bare = Answer::of(admin.request(Method::POST, &path).await).await;
    assert_eq!(bare.refused(422), "invalid");

    let corrected = json!({ "body": { "name": "王芳", "company": "制造有限公司" } });
    let answers = futures::future::join_all((0..4).map(|_| admin.post(&path, corrected.clone()))).await;
    let accepted = answers
        .iter()
        .filter(|answer| answer.status == 200)
        .collect::<Vec<_>>();
    assert_eq!(accepted.len(), 1);
    assert!(
        answers
            .iter()
            .all(|answer| answer.status == 200 || answer.refused(409) == "conflict")
    );
    let accepted = &accepted[0].body;
    assert_eq!(
        (&accepted["status"], &accepted["version"]),
        (&json!("accepted"), &json!(2))
    );
    assert_eq!(accepted["body"], json!({ "company": "制造有限公司" }).to_string());
    assert!(accepted["corrected_body"].as_str().unwrap().contains("王芳"));
    let made = lead(admin, accepted).await;
    assert_eq!(
        (&made["owner_id"], &made["source_id"]),
        (&json!(null), &json!(website.id))
    );
    let later = website.deliver("d1", &json!({ "name": "x" })).await.expect(200);
    assert_eq!(later["lead_id"], accepted["lead_id"]);
}

#[tokio::test]
async fn a_changed_mapping_reads_a_waiting_intake_anew() {
    let company = company().await;
    let admin = &company.administrator;
    let website = source(admin, json!({})).await;
    let rejected = website.deliver("d1", &json!({ "who": "王芳" })).await.expect(202);
    let mapping = json!({ "mapping": { "name": { "pointer": "/who" } } });
    admin
        .patch(&format!("/v1/lead-sources/{}", website.id), mapping)
        .await
        .expect(200);
    let path = format!("/v1/intakes/{}/replay", rejected["intake_id"].as_str().unwrap());
    let accepted = admin.post(&path, json!({})).await.expect(200);
    assert_eq!(lead(admin, &accepted).await["name"], "王芳");
    // And the next delivery is read by it at once.
    website.deliver("d2", &json!({ "who": "张伟" })).await.expect(201);
}

#[tokio::test]
async fn a_closed_archived_or_unknown_source_is_not_there() {
    let company = company().await;
    let admin = &company.administrator;
    let website = source(admin, json!({})).await;
    let path = format!("/v1/lead-sources/{}", website.id);
    let body = json!({ "name": "王芳" });
    website.deliver("d1", &body).await.expect(201);
    admin
        .patch(&path, json!({ "is_intake_open": false }))
        .await
        .expect(200);
    assert_eq!(website.deliver("d2", &body).await.refused(404), "not_found");
    admin
        .patch(&path, json!({ "is_intake_open": true }))
        .await
        .expect(200);
    website.deliver("d2", &body).await.expect(201);
    admin.delete(&path).await.expect(200);
    assert_eq!(website.deliver("d3", &body).await.refused(404), "not_found");
    for address in [
        "/v1/intake/x",
        "/v1/intake/x.y",
        &format!("/v1/intake/{}", website.id),
    ] {
        let unknown = Source {
            id: website.id.clone(),
            path: address.to_owned(),
            secret: website.secret.clone(),
        };
        assert_eq!(unknown.deliver("d1", &body).await.refused(404), "not_found");
    }
}

#[tokio::test]
async fn a_new_secret_stops_the_one_before_at_once_where_that_is_asked() {
    let company = company().await;
    let admin = &company.administrator;
    let mut website = source(admin, json!({})).await;
    let body = json!({ "name": "王芳" });
    website.deliver("d1", &body).await.expect(201);
    let path = format!("/v1/lead-sources/{}", website.id);
    let rotated = admin
        .post(&format!("{path}/rotate-secret"), json!({ "overlap_hours": 0 }))
        .await
        .expect(200);
    assert_eq!(rotated["previous_secret_until"], json!(null));
    assert_eq!(website.deliver("d2", &body).await.refused(401), "bad_signature");
    website.secret = rotated["secret"].as_str().unwrap().to_owned();
    website.deliver("d2", &body).await.expect(201);
    let shown = admin.get(&path).await.expect(200);
    assert_eq!(
        (&shown["intake_path"], &shown["has_secret"]),
        (&rotated["intake_path"], &json!(true))
    );
    assert!(!shown.to_string().contains("whsec_"));
}

#[tokio::test]
async fn a_delivery_over_the_limit_is_refused_before_it_is_read() {
    let company = company().await;
    let website = source(&company.administrator, json!({})).await;
    let large = website.raw("d1", vec![b' '; 256 * 1024 + 1]).send().await;
    assert_eq!(large.refused(413), "too_large");
    let huge = website.raw("d1", vec![b' '; 2 * 1024 * 1024]).send().await;
    assert_eq!(huge.refused(413), "too_large");
}

#[tokio::test]
async fn a_mapping_can_be_tried_before_it_is_kept() {
    let company = company().await;
    let admin = &company.administrator;
    let website = source(admin, json!({ "required_members": ["company"] })).await;
    let path = format!("/v1/lead-sources/{}/try-mapping", website.id);
    let mapping = json!({ "name": { "pointer": "/who" }, "phone": { "constant": "139" }, "company": { "pointer": "/firm" } });
    let sample = json!({ "who": "王芳", "firm": "制造有限公司" });
    let tried = admin
        .post(&path, json!({ "sample": sample, "mapping": mapping }))
        .await
        .expect(200);
    assert_eq!(
        (&tried["lead"]["name"], &tried["errors"]),
        (&json!("王芳"), &json!([]))
    );
    assert_eq!(tried["warnings"][0]["code"], "phone_not_readable");
    let lacking = admin
        .post(&path, json!({ "sample": { "who": "王芳" }, "mapping": mapping }))
        .await;
    assert_eq!(lacking.faults(), [("/company".to_owned(), "required".to_owned())]);
    // All at once, also what only the database knows; and so the delivery's answer.
    let both = [
        ("/campaign_key".to_owned(), "not_found".to_owned()),
        ("/email".to_owned(), "wrong_format".to_owned()),
    ];
    let faulty = json!({ "name": "王芳", "company": "x", "email": "x", "campaign_key": "no_such" });
    for answer in [
        admin.post(&path, json!({ "sample": faulty })).await,
        website.deliver("d1", &faulty).await,
    ] {
        let mut faults = answer.faults();
        faults.sort();
        assert_eq!(faults, both);
    }
    let unknown = admin
        .post(
            &path,
            json!({ "sample": sample, "mapping": { "owner_id": { "constant": "x" } } }),
        )
        .await;
    assert_eq!(
        unknown.faults(),
        [("/mapping/owner_id".to_owned(), "unknown_value".to_owned())]
    );
    assert_eq!(total(admin, "/v1/leads").await, 0);
    let kept = admin
        .patch(
            &format!("/v1/lead-sources/{}", website.id),
            json!({ "mapping": { "status": { "constant": "x" } } }),
        )
        .await;
    assert_eq!(
        kept.faults(),
        [("/mapping/status".to_owned(), "unknown_value".to_owned())]
    );
}

#[tokio::test]
async fn intakes_and_secrets_are_for_those_who_set_sources_up() {
    let (one, other) = (company().await, company().await);
    let li = one.member("李", "sales_representative").await;
    let website = source(&one.administrator, json!({})).await;
    let rejected = website.deliver("d1", &json!({})).await.expect(202);
    let intake = format!("/v1/intakes/{}", rejected["intake_id"].as_str().unwrap());
    let path = format!("/v1/lead-sources/{}", website.id);
    for refused in [
        li.get(&intake).await,
        li.get("/v1/intakes").await,
        li.post(&format!("{intake}/replay"), json!({})).await,
        li.post(&format!("{path}/rotate-secret"), json!({})).await,
        li.post(&format!("{path}/try-mapping"), json!({ "sample": {} }))
            .await,
    ] {
        assert_eq!(refused.refused(403), "forbidden");
    }
    let stranger = &other.administrator;
    for refused in [
        stranger.get(&intake).await,
        stranger.post(&format!("{intake}/replay"), json!({})).await,
        stranger.post(&format!("{path}/rotate-secret"), json!({})).await,
        stranger
            .post(&format!("{path}/try-mapping"), json!({ "sample": {} }))
            .await,
    ] {
        assert_eq!(refused.refused(404), "not_found");
    }
    assert_eq!(total(stranger, "/v1/intakes").await, 0);
}
