//! The demo's sales company, and the tiny one beside it.

use super::client::{Api, Caller};
use super::{Made, password};
use crate::run::Failure;
use serde_json::{Value, json};

/// Name, e-mail's local part, role, and whether they are in the sales team.
pub type Cast = (&'static str, &'static str, &'static str, bool);

const PEOPLE: &[Cast] = &[
    ("周总监", "director", "sales_director", false),
    ("赵经理", "lead", "sales_lead", true),
    ("李伟", "rep", "sales_representative", true),
    ("王芳", "rep2", "sales_representative", true),
    ("钱会计", "finance", "finance", false),
    ("孙法务", "legal", "legal", false),
    ("刘总", "gm", "general_manager", false),
    ("陈成功", "success", "customer_success", false),
    ("吴审阅", "reader", "read_only", false),
];

const TEMPLATES: &[&str] = &[
    "five_stage_b2b",
    "eight_step_funnel",
    "lead_to_delivery",
    "six_phase",
];

const CUSTOMERS: &[(&str, &str, &str)] = &[
    ("华东精密机械有限公司", "制造业", "华东"),
    ("北方云图信息技术有限公司", "信息技术", "华北"),
    ("南海连锁餐饮集团", "服务业", "华南"),
    ("西部新能源股份有限公司", "能源", "西南"),
    ("Volga Trading ООО", "贸易", "海外"),
];

/// The process in which the tour plays: a simple stage, one with sub-goals, one behind an approval.
fn direct_sales() -> Value {
    json!({
        "key": "direct_sales",
        "name": "直销三步",
        "description": "初次接触凭判断,确认需求看子目标,签约须审批",
        "is_regress_allowed": true,
        "stages": [
            { "key": "first_contact", "name": "初次接触", "probability": "0.1", "forecast_category": "pipeline", "expected_dwell_seconds": 604_800 },
            {
                "key": "qualify", "name": "确认需求", "probability": "0.4", "forecast_category": "best_case", "expected_dwell_seconds": 1_209_600,
                "gate": { "kind": "all", "of": [
                    { "kind": "check", "key": "need_confirmed", "label": "客户已书面确认需求" },
                    { "kind": "question", "key": "has_budget", "label": "客户是否已有预算?", "answer": { "type": "bool" } },
                    { "kind": "field", "key": "amount_known", "label": "已填写预计金额", "expression": "amount > 0" },
                    { "kind": "record", "key": "decider_known", "label": "已找到决策人", "of": "decision_chain_member", "where": "role == \"decision_maker\"" }
                ] }
            },
            {
                "key": "contract", "name": "签约", "probability": "0.8", "forecast_category": "commit", "expected_dwell_seconds": 1_209_600,
                "asks_approval_by_itself": true, "advances_when_approved": true,
                "gate": { "kind": "all", "of": [ { "kind": "approval", "key": "contract_approved", "label": "合同审批已通过", "process": "contract_approval" } ] }
            }
        ]
    })
}

/// People of a company, with the sales team led by the first sales lead. Answers how each signs in.
///
/// # Errors
/// When an entry is refused.
pub async fn people(admin: &Caller, slug: &str, cast: &[Cast]) -> Result<Vec<Value>, Failure> {
    let team = admin.make("/v1/teams", json!({ "name": "销售一部" })).await?;
    let roles = admin.get("/v1/roles?limit=200").await?;
    let role_id = |key: &str| {
        roles["data"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|role| role["key"] == key)
            .map(|role| role["id"].clone())
    };
    let mut people = Vec::new();
    for (name, local, role, in_team) in cast {
        let (email, password) = (format!("{local}@{slug}.example"), password()?);
        let team_id = if *in_team { json!(team) } else { Value::Null };
        let body = json!({ "name": name, "email": email, "password": password, "team_id": team_id, "role_ids": [role_id(role)] });
        let id = admin.make("/v1/users", body).await?;
        if *role == "sales_lead" {
            admin
                .patch(&format!("/v1/teams/{team}"), json!({ "leader_id": id }))
                .await?;
        }
        people.push(json!({ "id": id, "name": name, "email": email, "password": password, "roles": [role] }));
    }
    Ok(people)
}

/// Processes and pipelines of a company, published.
///
/// # Errors
/// When an entry is refused.
pub async fn pipelines(admin: &Caller, templates: &[&str]) -> Result<Vec<String>, Failure> {
    for template in ["contract_approval", "quote_approval"] {
        let process = json!({ "template": template });
        let id = admin.make("/v1/approval-processes", process).await?;
        admin
            .post(
                &format!("/v1/approval-processes/{id}/versions/1/publish"),
                json!({}),
            )
            .await?;
    }
    let own = [json!({ "document": direct_sales() })];
    let bodies = own
        .into_iter()
        .chain(templates.iter().map(|template| json!({ "template": template })));
    let mut ids = Vec::new();
    for body in bodies {
        let id = admin.make("/v1/pipelines", body).await?;
        admin
            .post(&format!("/v1/pipelines/{id}/versions/1/publish"), json!({}))
            .await?;
        ids.push(id);
    }
    Ok(ids)
}

/// The demo's main company.
///
/// # Errors
/// When an entry is refused.
pub async fn fill(api: &Api, made: &Made, base_url: &str) -> Result<Value, Failure> {
    let admin = api
        .sign_in(&made.administrator.email, &made.administrator.password)
        .await?;
    let mut everybody = vec![administrator(made)];
    everybody.extend(people(&admin, &made.slug, PEOPLE).await?);
    catalog(&admin).await?;
    let pipelines = pipelines(&admin, TEMPLATES).await?;
    let (intake, api_key) = channels(&admin, base_url).await?;
    let find = |role: &str| {
        everybody
            .iter()
            .find(|person| person["roles"][0] == role)
            .cloned()
            .unwrap_or_default()
    };
    let (rep, director) = (find("sales_representative"), find("sales_director"));
    let sign_in = |person: &Value| {
        (
            person["email"].as_str().unwrap_or_default().to_owned(),
            person["password"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let (rep_email, rep_password) = sign_in(&rep);
    let (director_email, director_password) = sign_in(&director);
    let rep = api.sign_in(&rep_email, &rep_password).await?;
    let director = api.sign_in(&director_email, &director_password).await?;
    deals(&rep, &director, &pipelines).await?;
    Ok(
        json!({ "name": made.name, "slug": made.slug, "people": everybody, "api_key": api_key, "intake": intake }),
    )
}

/// The second company: small, but with everything that isolation could leak.
///
/// # Errors
/// When an entry is refused.
pub async fn fill_tiny(api: &Api, made: &Made, base_url: &str) -> Result<Value, Failure> {
    let admin = api
        .sign_in(&made.administrator.email, &made.administrator.password)
        .await?;
    let cast: &[Cast] = &[
        ("Lena Leader", "lead", "sales_lead", true),
        ("Rudi Rep", "rep", "sales_representative", true),
        ("Greta Gm", "gm", "general_manager", false),
        ("Lou Legal", "legal", "legal", false),
    ];
    let mut everybody = vec![administrator(made)];
    everybody.extend(people(&admin, &made.slug, cast).await?);
    catalog(&admin).await?;
    pipelines(&admin, &["five_stage_b2b"]).await?;
    let (intake, api_key) = channels(&admin, base_url).await?;
    let account = admin
        .make(
            "/v1/accounts",
            json!({ "name": "Canary Ltd", "industry": "Mining" }),
        )
        .await?;
    admin
        .make(
            "/v1/opportunities",
            json!({ "name": "Canary deal", "account_id": account, "amount": "1000" }),
        )
        .await?;
    Ok(
        json!({ "name": made.name, "slug": made.slug, "people": everybody, "api_key": api_key, "intake": intake }),
    )
}

/// The administrator as `demo.json` shows them.
pub fn administrator(made: &Made) -> Value {
    let person = &made.administrator;
    json!({ "name": person.name, "email": person.email, "password": person.password, "roles": ["administrator"] })
}

async fn catalog(admin: &Caller) -> Result<(), Failure> {
    admin
        .make(
            "/v1/competitors",
            json!({ "name": "竞品甲", "strengths": "价格低", "weaknesses": "实施能力弱" }),
        )
        .await?;
    admin.make("/v1/products", json!({ "code": "CRM-STD", "name": "客户管理系统 标准版", "unit": "年", "price": "250000", "cost": "90000" })).await?;
    admin.make("/v1/products", json!({ "code": "IOT-MON", "name": "产线设备监控", "unit": "套", "price": "480000", "cost": "210000" })).await?;
    admin
        .make(
            "/v1/exchange-rates",
            json!({ "currency": "USD", "rate_on": "2024-01-01", "rate": "7.1" }),
        )
        .await?;
    admin.make("/v1/field-definitions", json!({ "resource": "opportunity", "key": "delivery_city", "label": "交付城市", "kind": "text", "is_filterable": true })).await?;
    Ok(())
}

/// The website's signed intake and an API key for integrators.
async fn channels(admin: &Caller, base_url: &str) -> Result<(Value, String), Failure> {
    let source = admin
        .post(
            "/v1/lead-sources",
            json!({ "key": "website", "name": "官网表单", "channel": "web", "is_intake_open": true }),
        )
        .await?;
    let id = source["id"].as_str().unwrap_or_default();
    let secret = admin
        .post(&format!("/v1/lead-sources/{id}/rotate-secret"), json!({}))
        .await?;
    let url = format!("{base_url}{}", source["intake_path"].as_str().unwrap_or_default());
    let roles = admin.get("/v1/roles?key=integrator").await?;
    let key = admin
        .post(
            "/v1/api-keys",
            json!({ "name": "demo", "role_id": roles["data"][0]["id"] }),
        )
        .await?;
    Ok((
        json!({ "url": url, "secret": secret["secret"] }),
        key["key"].as_str().unwrap_or_default().to_owned(),
    ))
}

/// Deals in every stage of every pipeline, one won, one lost.
async fn deals(rep: &Caller, director: &Caller, pipelines: &[String]) -> Result<(), Failure> {
    let mut accounts = Vec::new();
    for (name, industry, region) in CUSTOMERS {
        let account = rep
            .make(
                "/v1/accounts",
                json!({ "name": name, "industry": industry, "region": region, "tags": ["demo"] }),
            )
            .await?;
        rep.make("/v1/contacts", json!({ "name": "张总", "job_title": "总经理", "account_id": account, "phone": "+86 138 0013 8000", "buying_role": "decision_maker" })).await?;
        accounts.push(account);
    }
    for (number, pipeline) in pipelines.iter().enumerate() {
        let funnel = director
            .get(&format!("/v1/pipelines/{pipeline}/snapshot"))
            .await?;
        let stages = funnel["stages"].as_array().ok_or("a pipeline without stages")?;
        for (place, stage) in stages.iter().enumerate() {
            let account = &accounts[(number + place) % accounts.len()];
            let amount = ((place + 1) * 60_000 + number * 5_000).to_string();
            let name = format!(
                "{} {}",
                CUSTOMERS[(number + place) % CUSTOMERS.len()].0,
                stage["name"].as_str().unwrap_or_default()
            );
            let deal = rep.post("/v1/opportunities", json!({ "name": name, "account_id": account, "pipeline_id": pipeline, "amount": amount, "expected_close_on": "2027-03-31", "next_step": "电话跟进", "next_step_on": "2026-12-15" })).await?;
            if place > 0 {
                let id = deal["id"].as_str().unwrap_or_default();
                let skip = json!({ "to_stage_id": stage["stage_id"], "reason": "演示数据" });
                director
                    .post(&format!("/v1/opportunities/{id}/skip"), skip)
                    .await?;
            }
        }
    }
    let lost = rep
        .make(
            "/v1/opportunities",
            json!({ "name": "已失去的机会", "account_id": accounts[0], "amount": "90000" }),
        )
        .await?;
    rep.post(
        &format!("/v1/opportunities/{lost}/lose"),
        json!({ "loss_reason_key": "price_too_high", "reason": "客户预算不足" }),
    )
    .await?;
    Ok(())
}
