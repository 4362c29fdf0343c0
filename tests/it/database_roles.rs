//! The server under a database role of its own, which cannot rewrite history.

use crate::support::app::{Answer, PASSWORD, SECRET, person};
use crate::support::db;
use penstock::identity::bootstrap::{self, NewCompany, NewPerson};
use penstock::platform::connect::Target;
use penstock::platform::db::Db;
use penstock::platform::{fitness, grants, migrations};
use penstock::server::{self, Running};
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The owner's URL with another user.
fn as_role(url: &str, role: &str) -> String {
    let (_, rest) = url.split_once("://").unwrap();
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    format!("postgres://{role}:{PASSWORD_OF_ROLE}@{place}")
}

const PASSWORD_OF_ROLE: &str = "only-for-this-test";

/// A migrated database and a role that was granted what a server needs.
async fn two_roles() -> (String, String, String) {
    let owner = db::own_database(|url| async move { migrations::run(&url).await.map(|_| ()) }).await;
    let role = format!("server_{}", Uuid::now_v7().simple());
    let create = format!("CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD_OF_ROLE}'");
    connect(&owner).await.batch_execute(&create).await.unwrap();
    assert!(grants::give(&owner, &role).await.unwrap());
    let server = as_role(&owner, &role);
    (owner, role, server)
}

async fn drop_role(owner: &str, role: &str) {
    let drop = format!("DROP OWNED BY {role}; DROP ROLE {role}");
    connect(owner).await.batch_execute(&drop).await.unwrap();
}

async fn running(url: &str) -> Running {
    let config = crate::support::app::settings();
    let platform = server::platform(&config, SECRET).unwrap();
    server::start(&config, url, platform).await.unwrap()
}

fn company() -> NewCompany {
    NewCompany {
        name: "两个角色".to_owned(),
        slug: "two-roles".to_owned(),
        time_zone: "Asia/Shanghai".to_owned(),
        currency: "CNY".to_owned(),
        locale: "en".to_owned(),
        sandbox_now: None,
        administrator: NewPerson {
            name: "员".to_owned(),
            email: "a@two.example".to_owned(),
            password: PASSWORD.to_owned(),
        },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_under_its_own_role_serves_and_cannot_rewrite_history() {
    let (owner, role, url) = two_roles().await;
    assert_eq!(migrations::run(&url).await.unwrap(), 0);
    let made = {
        let db = Db::new(&url, 1).unwrap();
        tokio::task::LocalSet::new()
            .run_until(bootstrap::make_company(&db, &company(), penstock::app::SHIPS))
            .await
            .unwrap()
    };
    let running = running(&url).await;
    let token = person(made.tenant, made.administrator, String::new()).await.token;
    let call = async |method: reqwest::Method, path: &str, body: Value| {
        let request = reqwest::Client::new().request(method, format!("http://{}{path}", running.address));
        Answer::of(request.bearer_auth(&token).json(&body)).await
    };
    let post = async |path: &str, body: Value| call(reqwest::Method::POST, path, body).await;
    let account = post("/v1/accounts", json!({ "name": "甲公司" }))
        .await
        .expect(201);
    let patched = json!({ "industry": "制造" });
    let path = format!("/v1/accounts/{}", account["id"].as_str().unwrap());
    call(reqwest::Method::PATCH, &path, patched).await.expect(200);
    let stages = json!([{ "key": "a", "name": "A", "probability": "0.5" }, { "key": "b", "name": "B", "probability": "0.9" }]);
    let document = json!({ "key": "p", "name": "P", "stages": stages });
    let pipeline = post("/v1/pipelines", json!({ "document": document }))
        .await
        .expect(201);
    let pipeline = pipeline["id"].as_str().unwrap();
    post(&format!("/v1/pipelines/{pipeline}/versions/1/publish"), json!({}))
        .await
        .expect(200);
    let deal = json!({ "name": "采购", "account_id": account["id"], "pipeline_id": pipeline });
    let deal = post("/v1/opportunities", deal).await.expect(201);
    let advance = format!("/v1/opportunities/{}/advance", deal["id"].as_str().unwrap());
    post(&advance, json!({ "from_stage_id": deal["stage_id"] }))
        .await
        .expect(200);

    let own = connect(&url).await;
    for _ in 0..50 {
        let placed = own
            .query_one("SELECT count(*) FROM event_positions", &[])
            .await
            .unwrap();
        if placed.get::<_, i64>(0) > 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    for table in grants::APPEND_ONLY {
        for forbidden in [
            format!("UPDATE {table} SET tenant_id = tenant_id"),
            format!("DELETE FROM {table}"),
            format!("TRUNCATE {table}"),
        ] {
            let refused = own.batch_execute(&forbidden).await.unwrap_err();
            let code = refused.code().unwrap().code().to_owned();
            assert_eq!(code, "42501", "{forbidden}");
        }
    }
    let placed = own
        .query_one("SELECT count(*) FROM event_positions", &[])
        .await
        .unwrap();
    assert!(placed.get::<_, i64>(0) > 0, "the sequencer works under that role");
    for forbidden in [
        "CREATE TABLE mine (id int)",
        "ALTER TABLE events DISABLE TRIGGER ALL",
        "DELETE FROM __diesel_schema_migrations",
    ] {
        own.batch_execute(forbidden).await.unwrap_err();
    }
    running.stop().await;
    drop(own);
    drop_role(&owner, &role).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_could_rewrite_history_is_spoken_of() {
    let (owner, role, url) = two_roles().await;
    let doubts = async |url: &str| fitness::doubts(url).await.unwrap().join("; ");
    assert_eq!(doubts(&url).await, "");
    let superuser = doubts(&owner).await;
    assert!(superuser.contains("is a superuser"), "{superuser}");
    let hand_over = format!("ALTER TABLE events OWNER TO {role}");
    connect(&owner).await.batch_execute(&hand_over).await.unwrap();
    let owning = doubts(&url).await;
    assert!(
        owning.contains(&role) && owning.contains("owns the tables"),
        "{owning}"
    );
    let back = "ALTER TABLE events OWNER TO current_user";
    connect(&owner).await.batch_execute(back).await.unwrap();
    drop_role(&owner, &role).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_are_given_by_any_number_of_servers_at_once_and_never_to_the_owner() {
    let (owner, role, _) = two_roles().await;
    let again = futures::future::join_all((0..4).map(|_| grants::give(&owner, &role))).await;
    assert!(again.into_iter().all(|given| given.unwrap()));
    let me = connect(&owner)
        .await
        .query_one("SELECT current_user::text", &[])
        .await
        .unwrap();
    assert!(!grants::give(&owner, me.get(0)).await.unwrap());
    let nobody = grants::give(&owner, "nobody_of_that_name").await.unwrap_err();
    assert!(nobody.to_string().contains("nobody_of_that_name"));
    drop_role(&owner, &role).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_speaks_english_where_its_role_may_say_so() {
    let (owner, role, url) = two_roles().await;
    let admin = connect(&owner).await;
    // A second name of English, so that no other language needs to be installed.
    let speak = format!("ALTER ROLE {role} SET lc_messages = 'POSIX'");
    admin.batch_execute(&speak).await.unwrap();
    let language = async || {
        let (client, line) = Target::new(&url).unwrap().connect().await.unwrap();
        tokio::spawn(line);
        let row = client.query_one("SHOW lc_messages", &[]).await.unwrap();
        row.get::<_, String>(0)
    };
    assert_eq!(language().await, "POSIX");
    let grant = format!("GRANT SET ON PARAMETER lc_messages TO {role}");
    admin.batch_execute(&grant).await.unwrap();
    assert_eq!(language().await, "C");
    drop_role(&owner, &role).await;
}
