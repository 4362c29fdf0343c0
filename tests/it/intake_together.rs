//! Room 3: deliveries that arrive at the same moment are made leads in one transaction, and each as if it were alone.

use crate::support::app::{Company, Person, company, database};
use crate::support::make_crm::source;
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use futures::future::join_all;
use penstock::kernel::error::AppError;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tokio::sync::oneshot;

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// In how many transactions leads of the company were last written.
async fn transactions(company: &Company) -> i64 {
    let tenant = company.tenant;
    let count = "SELECT count(DISTINCT xmin::text) AS number FROM leads WHERE tenant_id = $1";
    let found = database()
        .await
        .read(async |conn| {
            let query = diesel::sql_query(count).bind::<SqlUuid, _>(tenant);
            Ok(query.get_result::<Number>(conn).await?)
        })
        .await;
    found.unwrap().number
}

async fn lead(admin: &Person, id: &Value) -> Value {
    let path = format!("/v1/leads/{}", id.as_str().unwrap());
    admin.get(&path).await.expect(200)
}

async fn history(admin: &Person, id: &Value) -> Vec<Value> {
    let path = format!("/v1/leads/{}/timeline", id.as_str().unwrap());
    let told = admin.get(&path).await.expect(200);
    told["data"].as_array().unwrap().clone()
}

/// What the history of a lead says, without what is another each time.
fn told(history: &[Value]) -> Vec<(Value, Value)> {
    let told = history.iter().map(|event| {
        let changes = event["data"]["changes"].as_object();
        let members = changes.map(|changes| changes.keys().cloned().collect::<BTreeSet<_>>());
        (event["kind"].clone(), json!(members))
    });
    told.collect()
}

#[tokio::test]
async fn deliveries_of_many_at_once_share_a_commit_and_each_is_its_own_command() {
    let company = company().await;
    let admin = &company.administrator;
    let website = source(admin, json!({})).await;
    let body = |n: usize| {
        json!({ "name": format!("王{n}"), "company": format!("第{n}机械有限公司"), "phone": format!("1390013{n:04}"),
            "email": format!("w{n}@x{n}.example"), "job_title": "采购总监", "need": "生产线设备数据监控" })
    };
    let alone = website.deliver("alone", &body(999)).await.expect(201);
    let alone = history(admin, &alone["lead_id"]).await;
    let answers = (0..32).map(async |n| {
        let answer = website.deliver(&format!("d{n}"), &body(n)).await.expect(201);
        (n, answer)
    });
    let mut commands = BTreeSet::new();
    for (n, answer) in join_all(answers).await {
        let made = lead(admin, &answer["lead_id"]).await;
        assert_eq!(
            (
                &made["name"],
                &made["company"],
                &made["source_id"],
                &made["version"]
            ),
            (
                &body(n)["name"],
                &body(n)["company"],
                &json!(website.id),
                &json!(1)
            )
        );
        let path = format!("/v1/intakes/{}", answer["intake_id"].as_str().unwrap());
        let kept = admin.get(&path).await.expect(200);
        assert_eq!(
            (&kept["lead_id"], &kept["delivery_id"], &kept["body"]),
            (
                &answer["lead_id"],
                &json!(format!("d{n}")),
                &json!(body(n).to_string())
            )
        );
        let history = history(admin, &answer["lead_id"]).await;
        assert_eq!(told(&history), told(&alone), "{history:?}");
        let own = history.iter().map(|event| event["command_id"].as_str().unwrap());
        let own = own.map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(own.len(), 1, "{history:?}");
        commands.extend(own);
        assert!(
            history
                .iter()
                .all(|event| event["actor_kind"] == "source" && event["actor_id"] == json!(website.id)),
            "{history:?}"
        );
    }
    assert_eq!(commands.len(), 32);
    let transactions = transactions(&company).await;
    assert!(transactions < 33, "{transactions} transactions for 33 leads");
}

#[tokio::test]
async fn each_of_many_at_once_becomes_what_it_would_be_alone() {
    let company = company().await;
    let admin = &company.administrator;
    let li = company.member("李", "sales_representative").await;
    let website = source(admin, json!({ "default_owner_id": li.id })).await;
    let known = json!({ "name": "赵敏", "phone": "13700137000" });
    let known = website.deliver("known", &known).await.expect(201);
    let new = join_all((0..8).map(async |n| {
        let body = json!({ "name": format!("新{n}"), "email": format!("new{n}@n{n}.example") });
        website.deliver(&format!("new{n}"), &body).await.expect(201)
    }));
    let attached = join_all((0..4).map(async |n| {
        let body = json!({ "name": "赵敏", "phone": "+86 137 0013 7000", "need": format!("第{n}次") });
        website.deliver(&format!("again{n}"), &body).await.expect(200)
    }));
    let pairs = join_all((0..8).map(async |n| {
        let body = json!({ "name": "钱多多", "phone": format!("1360013600{}", n / 2) });
        website.deliver(&format!("pair{n}"), &body).await
    }));
    let twins = join_all((0..4).map(async |_| website.deliver("twin", &json!({ "name": "孙一" })).await));
    let faulty = join_all((0..4).map(async |n| {
        let body = json!({ "name": format!("周{n}"), "email": "no address" });
        website.deliver(&format!("faulty{n}"), &body).await.expect(202)
    }));
    let alike = join_all((0..2).map(async |n| {
        let body = json!({ "name": "吴晓波", "company": "江南纺织科技有限公司" });
        website.deliver(&format!("alike{n}"), &body).await.expect(201)
    }));
    let (new, attached, pairs, twins, faulty, alike) =
        futures::join!(new, attached, pairs, twins, faulty, alike);
    for answer in new.iter().chain(&alike) {
        let made = lead(admin, &answer["lead_id"]).await;
        assert_eq!(
            (&made["owner_id"], &made["status"]),
            (&json!(li.id), &json!("new"))
        );
    }
    assert!(
        attached
            .iter()
            .all(|answer| answer["lead_id"] == known["lead_id"])
    );
    for pair in pairs.chunks(2) {
        let [one, other] = pair else { panic!("{pair:?}") };
        let statuses = BTreeSet::from([one.status, other.status]);
        assert_eq!(
            statuses,
            BTreeSet::from([200, 201]),
            "{} {}",
            one.body,
            other.body
        );
        assert_eq!(one.body["lead_id"], other.body["lead_id"]);
    }
    assert_eq!(twins.iter().filter(|twin| twin.status == 201).count(), 1);
    assert!(
        twins
            .iter()
            .all(|twin| twin.body["lead_id"] == twins[0].body["lead_id"])
    );
    for answer in &faulty {
        assert_eq!(answer["errors"][0]["pointer"], "/email", "{answer}");
    }
    let reviews = admin.get("/v1/duplicate-reviews?status=open").await.expect(200);
    let reviews = reviews["data"].as_array().unwrap();
    let pair = alike
        .iter()
        .map(|answer| answer["lead_id"].clone())
        .collect::<Vec<_>>();
    let found = reviews.iter().filter(|review| {
        [&review["record_id"], &review["other_id"]]
            .into_iter()
            .all(|id| pair.contains(id))
    });
    assert_eq!(found.count(), 1, "{reviews:?}");
    let leads = admin.get("/v1/leads?with_total=true").await.expect(200);
    assert_eq!(leads["total"], json!(1 + 8 + 4 + 1 + 2));
}

#[tokio::test]
async fn a_phone_that_somebody_is_just_entering_keeps_no_other_delivery_waiting() {
    let company = company().await;
    let admin = &company.administrator;
    let website = source(admin, json!({})).await;
    let (tenant, phone) = (company.tenant, "+8613500135000");
    let (entered, is_entered) = oneshot::channel();
    let (release, released) = oneshot::channel::<()>();
    let holder = async {
        let db = database().await;
        let held = db.bookkeep(async |conn| {
            let key = "INSERT INTO identity_keys (tenant_id, record_kind, key_kind, key, record_id, standing) \
                       VALUES ($1, 'lead', 'phone', $2, gen_random_uuid(), 'exclusive')";
            let key = diesel::sql_query(key)
                .bind::<SqlUuid, _>(tenant)
                .bind::<Text, _>(phone);
            key.execute(conn).await?;
            entered.send(()).unwrap();
            released.await.map_err(AppError::internal)?;
            // It was not entered after all.
            Err::<(), _>(AppError::not_found())
        });
        assert!(held.await.is_err());
    };
    let senders = async {
        is_entered.await.unwrap();
        let body = |n: usize| match n {
            0 => json!({ "name": "郑和", "phone": phone }),
            _ => json!({ "name": format!("新{n}"), "phone": format!("1350013511{n}") }),
        };
        let others = async {
            join_all((1..8).map(async |n| {
                website.deliver(&format!("d{n}"), &body(n)).await.expect(201);
            }))
            .await;
            release.send(()).unwrap();
        };
        let held = body(0);
        let (waited, ()) = futures::join!(website.deliver("d0", &held), others);
        waited.expect(201);
    };
    futures::join!(holder, senders);
}
