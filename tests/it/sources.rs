//! Room 3: sources, their secrets and mappings, what waits and is replayed, campaigns.

use crate::support::app::{Company, Person, company, database, id};
use crate::support::cast::execute;
use crate::support::make_crm::{Source, source};
use penstock::time::maintenance;
use serde_json::{Value, json};

async fn total(admin: &Person, path: &str) -> Value {
    admin.get(&format!("{path}?with_total=true")).await.expect(200)["total"].clone()
}

/// As if everything had arrived eight days earlier, and the server had tidied up since.
async fn eight_days_pass(company: &Company) {
    let earlier = "UPDATE intakes SET received_at = received_at - $2::interval WHERE tenant_id = $1";
    execute(company, earlier, "8 days").await;
    maintenance::expire(&database().await).await.unwrap();
}

async fn rotate(admin: &Person, source: &Source, body: Value) -> Value {
    let path = format!("/v1/lead-sources/{}/rotate-secret", source.id);
    admin.post(&path, body).await.expect(200)
}

fn with_secret(source: &Source, rotated: &Value) -> Source {
    Source {
        id: source.id.clone(),
        path: source.path.clone(),
        secret: rotated["secret"].as_str().unwrap().to_owned(),
    }
}

#[tokio::test]
async fn the_secret_before_stays_good_beside_the_new_one_and_the_answers_say_which() {
    let company = company().await;
    let admin = &company.administrator;
    let first = source(admin, json!({})).await;
    let shown = admin
        .get(&format!("/v1/lead-sources/{}", first.id))
        .await
        .expect(200);
    assert_eq!(shown["previous_secret_until"], json!(null));
    let rotated = rotate(admin, &first, json!({})).await;
    let until: chrono::DateTime<chrono::Utc> = rotated["previous_secret_until"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let hours = (until - penstock::platform::clock::real_now()).num_minutes();
    assert!((23 * 60..=24 * 60).contains(&hours), "{hours}");
    let second = with_secret(&first, &rotated);
    let by_old = first.deliver("d1", &json!({ "name": "王芳" })).await.expect(201);
    assert_eq!(by_old["warnings"][0]["code"], "previous_secret");
    let repeated = first.deliver("d1", &json!({ "name": "王芳" })).await.expect(200);
    assert_eq!(repeated["warnings"][0]["code"], "previous_secret");
    let by_new = second.deliver("d2", &json!({ "name": "王芳" })).await.expect(201);
    assert_eq!(by_new.get("warnings"), None);

    // A third secret: the second stays beside it, the first is gone.
    let third = with_secret(
        &first,
        &rotate(admin, &first, json!({ "overlap_hours": 168 })).await,
    );
    assert_eq!(
        first.deliver("d3", &json!({ "name": "x" })).await.refused(401),
        "bad_signature"
    );
    second.deliver("d3", &json!({ "name": "x" })).await.expect(201);
    third.deliver("d4", &json!({ "name": "x" })).await.expect(201);

    // The time is over.
    let over = "UPDATE lead_sources SET previous_secret_until = now() - $2::interval, version = version + 1 WHERE tenant_id = $1";
    execute(&company, over, "1 second").await;
    assert_eq!(
        second.deliver("d5", &json!({ "name": "x" })).await.refused(401),
        "bad_signature"
    );
    third.deliver("d5", &json!({ "name": "x" })).await.expect(201);
    maintenance::expire(&database().await).await.unwrap();
    let shown = admin
        .get(&format!("/v1/lead-sources/{}", first.id))
        .await
        .expect(200);
    assert_eq!(shown["previous_secret_until"], json!(null));

    let path = format!("/v1/lead-sources/{}/rotate-secret", first.id);
    for hours in [-1, 169] {
        let refused = admin.post(&path, json!({ "overlap_hours": hours })).await;
        assert_eq!(
            refused.faults(),
            [("/overlap_hours".to_owned(), "out_of_range".to_owned())]
        );
    }
}

#[tokio::test]
async fn a_delivery_id_is_remembered_for_seven_days_and_its_bytes_for_longer() {
    let company = company().await;
    let admin = &company.administrator;
    let website = source(admin, json!({})).await;
    let body = json!({ "name": "王芳", "phone": "139 0013 9000" });
    let made = website.deliver("d1", &body).await.expect(201);
    let waiting = website.deliver("d2", &json!({ "need": "x" })).await.expect(202);
    eight_days_pass(&company).await;

    // The same bytes under the same id are the same delivery still.
    let again = website.deliver("d1", &body).await.expect(200);
    assert_eq!(
        (&again["lead_id"], &again["intake_id"]),
        (&made["lead_id"], &made["intake_id"])
    );
    // Other bytes about the same phone are noted on the lead that has it …
    let touched = website
        .deliver("d1", &json!({ "name": "王女士", "phone": "+86 13900139000" }))
        .await
        .expect(200);
    assert_eq!(touched["lead_id"], made["lead_id"]);
    assert_ne!(touched["intake_id"], made["intake_id"]);
    assert_eq!(total(admin, "/v1/leads").await, 1);
    // … and what waits is remembered as long as it waits.
    let still = website.deliver("d2", &json!({ "need": "y" })).await.expect(202);
    assert_eq!(still["intake_id"], waiting["intake_id"]);
    // A sender that begins to count anew brings something new.
    eight_days_pass(&company).await;
    let other = website
        .deliver("d1", &json!({ "name": "张伟" }))
        .await
        .expect(201);
    assert_ne!(other["lead_id"], made["lead_id"]);
}

#[tokio::test]
async fn a_sender_that_retries_for_a_day_makes_one_lead() {
    let company = company().await;
    let admin = &company.administrator;
    let website = source(admin, json!({})).await;
    let body = json!({ "name": "王芳" });
    for hour in 0..24 {
        let answer = website.deliver("same", &body).await;
        answer.expect(if hour == 0 { 201 } else { 200 });
        let earlier = "UPDATE intakes SET received_at = received_at - $2::interval WHERE tenant_id = $1";
        execute(&company, earlier, "1 hour").await;
        if hour % 8 == 0 {
            maintenance::expire(&database().await).await.unwrap();
        }
    }
    assert_eq!(total(admin, "/v1/leads").await, 1);
    assert_eq!(total(admin, "/v1/intakes").await, 1);
}

#[tokio::test]
async fn raw_deliveries_expire_when_the_company_says_and_what_waits_does_not() {
    let company = company().await;
    let admin = &company.administrator;
    let website = source(admin, json!({})).await;
    let accepted = website
        .deliver("d1", &json!({ "name": "王芳" }))
        .await
        .expect(201);
    let waiting = website.deliver("d2", &json!({ "need": "x" })).await.expect(202);
    let read = async |answer: &Value| {
        let path = format!("/v1/intakes/{}", answer["intake_id"].as_str().unwrap());
        admin.get(&path).await.expect(200)
    };
    eight_days_pass(&company).await;
    assert_ne!(
        read(&accepted).await["body"],
        "",
        "90 days, unless the company says otherwise"
    );
    admin
        .patch("/v1/company", json!({ "raw_intake_days": 7 }))
        .await
        .expect(200);
    eight_days_pass(&company).await;
    let expired = read(&accepted).await;
    assert_eq!(
        (&expired["body"], &expired["lead_id"]),
        (&json!(""), &accepted["lead_id"])
    );
    assert!(expired["raw_expired_at"].is_string());
    let kept = read(&waiting).await;
    assert_eq!(
        (&kept["body"], &kept["raw_expired_at"]),
        (&json!("{\"need\":\"x\"}"), &json!(null))
    );
    let refused = admin.patch("/v1/company", json!({ "raw_intake_days": 6 })).await;
    assert_eq!(refused.faults()[0].0, "/raw_intake_days");
}

#[tokio::test]
async fn after_a_mapping_was_put_right_all_that_waited_is_replayed_at_once() {
    let company = company().await;
    let admin = &company.administrator;
    let website = source(admin, json!({})).await;
    let mut waiting = Vec::new();
    for (delivery, body) in [
        ("d1", json!({ "who": "王芳" })),
        ("d2", json!({ "who": "张伟" })),
        ("d3", json!({ "whom": "李娜" })),
        ("d4", json!({ "who": "刘洋" })),
    ] {
        let answer = website.deliver(delivery, &body).await.expect(202);
        waiting.push(answer["intake_id"].clone());
    }
    let mapping = json!({ "mapping": { "name": { "pointer": "/who" } } });
    let path = format!("/v1/lead-sources/{}", website.id);
    admin.patch(&path, mapping).await.expect(200);

    let filter = json!({ "source_id": website.id, "fault_code": "required" });
    let first = admin
        .post("/v1/intakes/replay", json!({ "filter": filter, "limit": 3 }))
        .await
        .expect(200);
    assert_eq!((&first["succeeded"], &first["failed"]), (&json!(2), &json!(1)));
    assert_eq!(first["next_after"], waiting[2]);
    let results = first["results"].as_array().unwrap();
    assert_eq!(
        results.iter().map(|one| &one["intake_id"]).collect::<Vec<_>>(),
        waiting[..3].iter().collect::<Vec<_>>()
    );
    assert_eq!(
        (&results[0]["status"], &results[0]["errors"]),
        (&json!(200), &json!([]))
    );
    assert_eq!(
        (&results[2]["status"], &results[2]["errors"][0]["pointer"]),
        (&json!(422), &json!("/name"))
    );
    let mut rest = filter.clone();
    rest["after"] = first["next_after"].clone();
    let second = admin
        .post("/v1/intakes/replay", json!({ "filter": rest }))
        .await
        .expect(200);
    assert_eq!(
        (&second["succeeded"], &second["next_after"]),
        (&json!(1), &json!(null))
    );
    assert_eq!(total(admin, "/v1/leads").await, 3);

    // By their ids: one that still waits, one that is accepted, one that is not there.
    let stranger = crate::support::app::company().await;
    let elsewhere = source(&stranger.administrator, json!({})).await;
    let foreign = elsewhere.deliver("d1", &json!({ "who": "x" })).await.expect(202);
    let ids = json!([waiting[2], waiting[0], foreign["intake_id"]]);
    let named = admin
        .post("/v1/intakes/replay", json!({ "ids": ids }))
        .await
        .expect(200);
    let mut statuses = named["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["status"].as_u64().unwrap())
        .collect::<Vec<_>>();
    statuses.sort_unstable();
    assert_eq!(statuses, [404, 409, 422]);
    assert_eq!(total(&stranger.administrator, "/v1/leads").await, 0);

    for odd in [
        json!({}),
        json!({ "ids": ids, "filter": {} }),
        json!({ "ids": [] }),
        json!({ "ids": ids, "limit": 5 }),
    ] {
        assert_eq!(
            admin.post("/v1/intakes/replay", odd).await.refused(422),
            "invalid"
        );
    }
    let li = company.member("李", "sales_representative").await;
    let refused = li.post("/v1/intakes/replay", json!({ "filter": {} })).await;
    assert_eq!(refused.refused(403), "forbidden");
}

#[tokio::test]
async fn what_is_replayed_twice_at_once_makes_one_lead_each() {
    let company = company().await;
    let admin = &company.administrator;
    let website = source(admin, json!({})).await;
    for number in 0..10 {
        website
            .deliver(&format!("d{number}"), &json!({ "who": format!("王{number}") }))
            .await
            .expect(202);
    }
    let mapping = json!({ "mapping": { "name": { "pointer": "/who" } } });
    let path = format!("/v1/lead-sources/{}", website.id);
    admin.patch(&path, mapping).await.expect(200);
    let replays = (0..4).map(|_| admin.post("/v1/intakes/replay", json!({ "filter": {} })));
    let answers = futures::future::join_all(replays).await;
    let succeeded = answers
        .into_iter()
        .map(|answer| answer.expect(200)["succeeded"].as_u64().unwrap())
        .sum::<u64>();
    assert_eq!(succeeded, 10);
    assert_eq!(total(admin, "/v1/leads").await, 10);
}

#[tokio::test]
async fn a_draft_is_tried_on_a_sample_and_says_where_each_member_comes_from() {
    let company = company().await;
    let admin = &company.administrator;
    let li = company.member("李", "sales_representative").await;
    let website = source(admin, json!({ "default_owner_id": li.id })).await;
    let path = format!("/v1/lead-sources/{}/try-mapping", website.id);
    let draft = json!({
        "sample": { "who": "王芳", "message": "" },
        "mapping": {
            "name": { "pointer": "/who" }, "need": { "pointer": "/message", "default": "未填写" }, "region": { "constant": "华东" },
            "email": { "pointer": "/mail" }
        },
        "required_members": ["need"]
    });
    let tried = admin.post(&path, draft.clone()).await.expect(200);
    let origins = tried["origins"]
        .as_array()
        .unwrap()
        .iter()
        .map(|origin| {
            (
                origin["member"].as_str().unwrap(),
                origin["from"].as_str().unwrap(),
            )
        })
        .collect::<Vec<_>>();
    let expected = [
        ("name", "sample"),
        ("need", "default"),
        ("region", "constant"),
        ("owner_id", "source"),
        ("source_id", "source"),
    ];
    assert_eq!(origins, expected);
    assert_eq!(tried["origins"][0]["pointer"], "/who");
    assert_eq!(
        (&tried["lead"]["need"], &tried["lead"]["owner_id"]),
        (&json!("未填写"), &json!(li.id))
    );
    assert_eq!(tried["errors"], json!([]));
    let mut strict = draft.clone();
    strict["required_members"] = json!(["email"]);
    let lacking = admin.post(&path, strict).await.expect(200);
    assert_eq!(lacking["errors"][0]["pointer"], "/email");
    assert_eq!(lacking["origins"][0]["member"], "name");
    let mut both = draft.clone();
    both["mapping"]["phone"] = json!({ "constant": "139" });
    both["mapping"]["name"] = json!({ "pointer": "/nobody" });
    let both = admin.post(&path, both).await.expect(200);
    assert_eq!(both["errors"][0]["pointer"], "/name");
    assert_eq!(both["warnings"][0]["code"], "phone_not_readable");
    assert_eq!(both["warnings"].as_array().unwrap().len(), 1);
    let mut odd = draft;
    odd["required_members"] = json!(["colour"]);
    assert_eq!(admin.post(&path, odd).await.faults()[0].0, "/required_members/0");
    assert_eq!(total(admin, "/v1/leads").await, 0);
    assert_eq!(total(admin, "/v1/intakes").await, 0);
    let unchanged = admin
        .get(&format!("/v1/lead-sources/{}", website.id))
        .await
        .expect(200);
    assert_eq!(unchanged["mapping"], json!({}));
}

#[tokio::test]
async fn a_source_archived_while_its_deliveries_arrive_loses_nothing_that_was_acknowledged() {
    let company = company().await;
    let admin = &company.administrator;
    let website = source(admin, json!({})).await;
    let path = format!("/v1/lead-sources/{}", website.id);
    let bodies = (0..40)
        .map(|number| json!({ "name": format!("王{number}") }))
        .collect::<Vec<_>>();
    let deliveries = bodies.iter().enumerate().map(async |(number, body)| {
        tokio::time::sleep(std::time::Duration::from_millis(number as u64 * 3)).await;
        website.deliver(&format!("d{number}"), body).await
    });
    let archive = async {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        admin.delete(&path).await.expect(200);
    };
    let (answers, ()) = futures::join!(futures::future::join_all(deliveries), archive);
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    for answer in &answers {
        assert!(
            answer.status == 201 || answer.refused(404) == "not_found",
            "{}",
            answer.body
        );
    }
    assert_eq!(total(admin, "/v1/leads").await, made);
    assert_eq!(total(admin, "/v1/intakes").await, made);
    // What waits at an archived source is kept, and goes on once the source is restored.
    admin
        .post(&format!("{path}/restore"), json!({}))
        .await
        .expect(200);
    let waiting = website.deliver("late", &json!({ "who": "x" })).await.expect(202);
    admin.delete(&path).await.expect(200);
    let replay = format!("/v1/intakes/{}/replay", waiting["intake_id"].as_str().unwrap());
    let corrected = json!({ "body": { "name": "王芳" } });
    let refused = admin.post(&replay, corrected.clone()).await;
    assert_eq!(refused.refused(409), "archived");
    admin
        .post(&format!("{path}/restore"), json!({}))
        .await
        .expect(200);
    admin.post(&replay, corrected).await.expect(200);
}

#[tokio::test]
async fn channels_stand_in_a_tree_and_are_of_a_kind() {
    let company = company().await;
    let admin = &company.administrator;
    let make = async |key: &str, more: Value| {
        let mut body = json!({ "key": key, "name": key });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        admin.post("/v1/lead-sources", body).await
    };
    let online = make("online", json!({ "kind": "online" })).await.expect(201);
    let search = make("search", json!({ "channel": "seo", "parent_id": id(&online) }))
        .await
        .expect(201);
    assert_eq!(
        (&search["kind"], &search["is_intake_open"], &search["has_secret"]),
        (&json!("online"), &json!(false), &json!(false))
    );
    for (channel, kind) in [
        ("exhibition", "offline"),
        ("service_desk", "internal"),
        ("cross_sell", "internal"),
        ("webinar", "online"),
    ] {
        let made = make(channel, json!({ "channel": channel })).await.expect(201);
        assert_eq!(made["kind"], kind);
    }
    // A kind that was given stays; one that was not follows the channel.
    let path = format!("/v1/lead-sources/{}", id(&search));
    assert_eq!(
        admin
            .patch(&path, json!({ "channel": "hotline" }))
            .await
            .expect(200)["kind"],
        "offline"
    );
    assert_eq!(
        admin
            .patch(&path, json!({ "kind": "internal" }))
            .await
            .expect(200)["kind"],
        "internal"
    );
    assert_eq!(
        admin.patch(&path, json!({ "channel": "ads" })).await.expect(200)["kind"],
        "internal"
    );
    assert_eq!(
        admin.patch(&path, json!({ "kind": null })).await.expect(200)["kind"],
        "online"
    );
    let circle = admin
        .patch(
            &format!("/v1/lead-sources/{}", id(&online)),
            json!({ "parent_id": id(&search) }),
        )
        .await;
    assert_eq!(circle.faults(), [("/parent_id".to_owned(), "invalid".to_owned())]);
    // An archived one keeps its children and gets no new ones.
    admin
        .delete(&format!("/v1/lead-sources/{}", id(&online)))
        .await
        .expect(200);
    assert_eq!(
        admin.get(&path).await.expect(200)["parent_id"],
        json!(id(&online))
    );
    let orphan = make("orphan", json!({ "parent_id": id(&online) })).await;
    assert_eq!(
        orphan.faults(),
        [("/parent_id".to_owned(), "not_found".to_owned())]
    );
    assert_eq!(
        make("odd", json!({ "channel": "telepathy" })).await.faults()[0].0,
        "/channel"
    );
}

#[tokio::test]
async fn leads_name_the_campaign_that_won_them_until_it_is_archived() {
    let company = company().await;
    let admin = &company.administrator;
    let website = source(admin, json!({ "mapping": { "name": { "pointer": "/who" }, "campaign_key": { "pointer": "/utm_campaign" } } })).await;
    let spring = json!({ "key": "spring_2024", "name": "春季", "source_id": website.id, "starts_on": "2024-03-01", "ends_on": "2024-05-31", "budget": "50000" });
    let mut early = spring.clone();
    early["ends_on"] = json!("2024-02-01");
    let refused = admin.post("/v1/campaigns", early).await;
    assert_eq!(
        refused.faults(),
        [("/ends_on".to_owned(), "out_of_range".to_owned())]
    );
    let spring = admin.post("/v1/campaigns", spring).await.expect(201);
    assert_eq!(
        (&spring["budget"], &spring["currency"]),
        (&json!("50000.00"), &json!("CNY"))
    );
    for (day, amount, currency) in [("2024-03-01", "1200.50", "CNY"), ("2024-03-02", "80", "USD")] {
        let cost =
            json!({ "campaign_id": id(&spring), "cost_on": day, "amount": amount, "currency": currency });
        admin.post("/v1/campaign-costs", cost).await.expect(201);
    }
    let costs = admin
        .get(&format!("/v1/campaign-costs?campaign_id={}", id(&spring)))
        .await
        .expect(200);
    assert_eq!(costs["data"].as_array().unwrap().len(), 2);

    let delivered = website
        .deliver("d1", &json!({ "who": "王芳", "utm_campaign": "spring_2024" }))
        .await
        .expect(201);
    let path = format!("/v1/leads/{}", delivered["lead_id"].as_str().unwrap());
    assert_eq!(
        admin.get(&path).await.expect(200)["campaign_id"],
        json!(id(&spring))
    );
    let untouched = admin.patch(&path, json!({ "need": "x" })).await.expect(200);
    assert_eq!(untouched["campaign_id"], json!(id(&spring)));
    let without = admin
        .patch(&path, json!({ "campaign_key": null }))
        .await
        .expect(200);
    assert_eq!(without["campaign_id"], json!(null));
    let made = admin
        .post(
            "/v1/leads",
            json!({ "name": "张伟", "campaign_key": "spring_2024" }),
        )
        .await
        .expect(201);
    assert_eq!(made["campaign_id"], json!(id(&spring)));
    let won = async |query: &str| {
        let path = format!("/v1/leads?{query}");
        admin.get(&path).await.expect(200)["data"].clone()
    };
    let by_campaign = won(&format!("campaign_id={}&expand=campaign", id(&spring))).await;
    assert_eq!(by_campaign.as_array().unwrap().len(), 1);
    assert_eq!(by_campaign[0]["name"], "张伟");
    assert_eq!(by_campaign[0]["campaign"]["key"], "spring_2024");
    assert_eq!(won("campaign_id=none").await[0]["name"], "王芳");
    let tree = json!({ "filter": { "member": "campaign.key", "eq": "spring_2024" } });
    let found = admin.post("/v1/leads/search", tree).await.expect(200);
    assert_eq!(found["data"][0]["id"], made["id"]);

    admin
        .delete(&format!("/v1/campaigns/{}", id(&spring)))
        .await
        .expect(200);
    let late = admin
        .post(
            "/v1/leads",
            json!({ "name": "李娜", "campaign_key": "spring_2024" }),
        )
        .await;
    assert_eq!(
        late.faults(),
        [("/campaign_key".to_owned(), "not_found".to_owned())]
    );
    let waiting = website
        .deliver("d2", &json!({ "who": "刘洋", "utm_campaign": "spring_2024" }))
        .await;
    assert_eq!(waiting.status, 202);
    assert_eq!(
        waiting.faults(),
        [("/campaign_key".to_owned(), "not_found".to_owned())]
    );
    // The leads that it won stay its own.
    assert_eq!(
        admin.get(&format!("/v1/leads/{}", id(&made))).await.expect(200)["campaign_id"],
        json!(id(&spring))
    );
}
