//! Room 17: the working calendar, and the deadlines that go by it.

use crate::support::app::{Answer, Company, Person, id, move_clock, sandbox};
use crate::support::make_approvals::{Ask, ask, process, published, step};
use reqwest::Method;
use serde_json::{Value, json};

/// The National Day of 2024 as it was announced: a week off, a Sunday and a Saturday worked for it.
fn national_day() -> Value {
    let holidays =
        (1..=7).map(|day| json!({ "day": format!("2024-10-{day:02}"), "kind": "holiday", "name": "国庆节" }));
    let made_up = ["2024-09-29", "2024-10-12"]
        .map(|day| json!({ "day": day, "kind": "working_day", "name": "国庆节调休" }));
    let items = holidays
        .chain(made_up)
        .map(|body| json!({ "method": "create", "body": body }));
    json!({ "mode": "all_or_nothing", "items": items.collect::<Vec<_>>() })
}

async fn with_holidays(now: &str) -> Company {
    let company = sandbox(now).await;
    let batch = company
        .administrator
        .post("/v1/calendar-days/batch", national_day())
        .await;
    assert_eq!(batch.expect(200)["succeeded"], 9);
    company
}

async fn due(person: &Person, from: &str, span: &str) -> Value {
    let path = format!("/v1/calendar/deadline?from={from}&{span}");
    person.get(&path).await.expect(200)["due_at"].clone()
}

#[tokio::test]
async fn a_year_of_holidays_is_brought_in_at_once_and_deadlines_go_by_it() {
    let company = with_holidays("2024-09-01T00:00:00Z").await;
    let admin = &company.administrator;
    // 30 September, 17:00 in Shanghai; the week after is off.
    assert_eq!(
        due(admin, "2024-09-30T09:00:00Z", "working_minutes=120").await,
        "2024-10-08T02:00:00Z"
    );
    assert_eq!(
        due(admin, "2024-09-30T02:30:00Z", "working_days=1").await,
        "2024-10-08T02:30:00Z"
    );
    assert_eq!(
        due(admin, "2024-09-30T09:00:00Z", "clock_minutes=1440").await,
        "2024-10-01T09:00:00Z"
    );
    // The Saturday after is worked.
    assert_eq!(
        due(admin, "2024-10-11T02:30:00Z", "working_days=1").await,
        "2024-10-12T02:30:00Z"
    );
    let explained = admin
        .get("/v1/calendar/deadline?from=2024-10-03T02:00:00Z&working_minutes=30")
        .await
        .expect(200);
    assert_eq!(
        (
            &explained["begins_in_working_time"],
            &explained["counts_from"],
            &explained["working_minutes"]
        ),
        (&json!(false), &json!("2024-10-08T01:00:00Z"), &json!(30))
    );
    let twice = admin
        .post(
            "/v1/calendar-days",
            json!({ "day": "2024-10-01", "kind": "working_day" }),
        )
        .await;
    assert_eq!(twice.refused(409), "duplicate");
    // A holiday that is taken back is a day like any other of its week.
    let listed = admin
        .get("/v1/calendar-days?day_after=2024-10-06&day_before=2024-10-08")
        .await
        .expect(200);
    let path = format!("/v1/calendar-days/{}", id(&listed["data"][0]));
    admin.delete(&path).await.expect(200);
    assert_eq!(
        due(admin, "2024-09-30T09:00:00Z", "working_minutes=120").await,
        "2024-10-07T02:00:00Z"
    );
}

#[tokio::test]
async fn the_week_is_the_companys_and_felt_by_the_next_deadline() {
    let company = sandbox("2024-03-01T00:00:00Z").await;
    let admin = &company.administrator;
    let shipped = admin.get("/v1/working-week").await;
    assert_eq!(shipped.header("etag"), "\"1\"");
    let shipped = shipped.expect(200);
    assert_eq!(
        shipped["standard_hours"][0],
        json!({ "begins": "09:00", "ends": "12:00" })
    );
    assert_eq!(shipped["days"].as_array().unwrap().len(), 5);
    let week = json!({
        "standard_hours": [{ "begins": "13:00", "ends": "17:00" }, { "begins": "08:00", "ends": "12:00" }],
        "days": [{ "day": 6, "hours": [{ "begins": "10:00", "ends": "12:00" }] }, { "day": 1 }]
    });
    let set = put(admin, "/v1/working-week", &week).await.expect(200);
    assert_eq!(
        set["standard_hours"][0],
        json!({ "begins": "08:00", "ends": "12:00" })
    );
    assert_eq!(set["days"][0], json!({ "day": 1, "hours": null }));
    assert_eq!(
        admin.get("/v1/company").await.expect(200)["working_days"],
        json!([1, 6])
    );
    // Friday 1 March: Saturday 10–12 counts, then Monday from 8.
    assert_eq!(
        due(admin, "2024-03-01T02:00:00Z", "working_minutes=180").await,
        "2024-03-04T01:00:00Z"
    );
    // A make-up day has the standard hours, or its own.
    for (day, hours) in [
        ("2024-03-02", json!([{ "begins": "20:00", "ends": "24:00" }])),
        ("2024-03-03", json!(null)),
    ] {
        let made_up = json!({ "day": day, "kind": "working_day", "hours": hours });
        admin.post("/v1/calendar-days", made_up).await.expect(201);
    }
    assert_eq!(
        due(admin, "2024-03-01T02:00:00Z", "working_minutes=300").await,
        "2024-03-03T01:00:00Z"
    );
    let stale = admin
        .request(Method::PUT, "/v1/working-week")
        .await
        .header("if-match", "\"1\"")
        .json(&week);
    assert_eq!(Answer::of(stale).await.refused(412), "stale");
}

async fn put(person: &Person, path: &str, body: &Value) -> Answer {
    Answer::of(person.request(Method::PUT, path).await.json(body)).await
}

#[tokio::test]
async fn a_week_without_working_time_is_refused_with_everything_wrong_in_it() {
    let company = sandbox("2024-03-01T00:00:00Z").await;
    let admin = &company.administrator;
    let office = json!([{ "begins": "09:00", "ends": "18:00" }]);
    let empty = json!({ "standard_hours": office, "days": [] });
    assert_eq!(
        put(admin, "/v1/working-week", &empty).await.faults()[0].0,
        "/days"
    );
    let idle = json!({ "standard_hours": office, "days": [{ "day": 1, "hours": [] }] });
    assert_eq!(
        put(admin, "/v1/working-week", &idle).await.faults()[0].0,
        "/days/0/hours"
    );
    let odd = json!({
        "standard_hours": [{ "begins": "09:00", "ends": "09:00" }],
        "days": [
            { "day": 1, "hours": [{ "begins": "09:00", "ends": "12:00" }, { "begins": "11:00", "ends": "13:00" }] },
            { "day": 1 }
        ]
    });
    let pointers = put(admin, "/v1/working-week", &odd).await.faults();
    assert_eq!(
        pointers
            .iter()
            .map(|(pointer, _)| pointer.as_str())
            .collect::<Vec<_>>(),
        ["/days/0/hours/1/begins", "/days/1/day", "/standard_hours/0/ends"]
    );
    let holiday =
        json!({ "day": "1999-12-31", "kind": "holiday", "hours": [{ "begins": "12:00", "ends": "09:00" }] });
    let refused = admin.post("/v1/calendar-days", holiday).await.faults();
    let pointers = refused
        .iter()
        .map(|(pointer, _)| pointer.as_str())
        .collect::<Vec<_>>();
    assert_eq!(pointers, ["/day", "/hours", "/hours/0/ends"]);
    for query in [
        "working_days=1&working_minutes=1",
        "from=1999-01-01T00:00:00Z&working_days=1",
        "working_days=-1",
    ] {
        let refused = admin.get(&format!("/v1/calendar/deadline?{query}")).await;
        assert_eq!(refused.refused(400), "bad_parameter", "{query}");
    }
}

#[tokio::test]
async fn everybody_reads_the_calendar_and_who_keeps_the_settings_changes_it() {
    let company = sandbox("2024-03-01T00:00:00Z").await;
    let other = sandbox("2024-03-01T00:00:00Z").await;
    let li = company.member("李", "sales_representative").await;
    let day = json!({ "day": "2024-03-08", "kind": "holiday" });
    let made = company
        .administrator
        .post("/v1/calendar-days", day.clone())
        .await
        .expect(201);
    assert_eq!(
        li.get("/v1/calendar-days").await.expect(200)["data"][0]["day"],
        "2024-03-08"
    );
    li.get("/v1/working-week").await.expect(200);
    assert_eq!(
        due(&li, "2024-03-07T10:00:00Z", "working_minutes=1").await,
        "2024-03-11T01:01:00Z"
    );
    assert_eq!(
        li.post("/v1/calendar-days", day.clone()).await.refused(403),
        "forbidden"
    );
    let week = json!({ "standard_hours": [{ "begins": "09:00", "ends": "18:00" }], "days": [{ "day": 1 }] });
    assert_eq!(
        put(&li, "/v1/working-week", &week).await.refused(403),
        "forbidden"
    );
    let stranger = &other.administrator;
    assert_eq!(
        stranger
            .get(&format!("/v1/calendar-days/{}", id(&made)))
            .await
            .refused(404),
        "not_found"
    );
    assert_eq!(
        due(stranger, "2024-03-07T10:00:00Z", "working_minutes=1").await,
        "2024-03-08T01:01:00Z"
    );
}

#[tokio::test]
async fn an_approval_reminder_waits_for_the_holiday_to_end() {
    let company = with_holidays("2024-09-30T08:00:00Z").await;
    let seller = company.member("李销售", "sales_representative").await;
    let manager = company.member("陈经理", "sales_lead").await;
    let mut only = step("only", 1, "any", &[&manager]);
    only["deadline_working_days"] = json!(1);
    only["reminder_working_minutes_before"] = json!(60);
    published(&company, process("festive", json!([only]))).await;
    let request = ask(&company, &seller, &Ask::of("festive")).await;
    // Asked on 30 September at 16:00 in Shanghai: one working day later is 8 October, 16:00.
    let asked = seller.sees(&request).await;
    assert_eq!(asked["steps"][0]["due_at"], "2024-10-08T08:00:00Z");
    // The calendar changes; what is set stays.
    let listed = company
        .administrator
        .get("/v1/calendar-days?day_after=2024-10-06&day_before=2024-10-08")
        .await
        .expect(200);
    company
        .administrator
        .delete(&format!("/v1/calendar-days/{}", id(&listed["data"][0])))
        .await
        .expect(200);
    let kinds = async || {
        let request = seller.sees(&request).await;
        let acts = request["acts"].as_array().unwrap().iter();
        acts.map(|act| act["kind"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    move_clock(&company, "2024-10-08T06:59:59Z").await;
    assert_eq!(kinds().await, ["request", "open", "seat"]);
    move_clock(&company, "2024-10-08T07:00:00Z").await;
    assert_eq!(kinds().await, ["request", "open", "seat", "remind"]);
    move_clock(&company, "2024-10-08T08:00:00Z").await;
    assert_eq!(seller.sees(&request).await["state"], "pending");
    // Asked anew, it is a day like any other.
    let week_later = ask(&company, &seller, &Ask::of("festive")).await;
    assert_eq!(
        seller.sees(&week_later).await["steps"][0]["due_at"],
        "2024-10-09T08:00:00Z"
    );
}
