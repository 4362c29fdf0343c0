//! The worked example: two customers of March 2024, the need of one of them, the solution, its price objection, the
//! negotiation, and the approval of the deal by three people on two days. It plays in a sandbox whose clock moves with it.

use super::Made;
use super::client::{Api, Caller};
use super::sales::{self, Cast};
use crate::run::Failure;
use serde_json::{Value, json};

const PEOPLE: &[Cast] = &[
    ("销售经理赵", "zhao", "sales_lead", true),
    ("李", "li", "sales_representative", true),
    ("法务孙", "sun", "legal", false),
    ("总经理刘", "liu", "general_manager", false),
];

/// Module, required content, who, day done. Source: the toolkit's table of the solution.
const CHECKLIST: &[(&str, &str, &str, &str)] = &[
    (
        "客户痛点分析",
        "结合行业数据,说明现有业务场景的三个核心痛点",
        "李",
        "2024-03-08",
    ),
    ("解决方案概述", "方案整体架构及核心价值", "李", "2024-03-08"),
    ("核心功能详情", "分模块说明功能点", "产品部", "2024-03-10"),
    (
        "价值量化",
        "方案实施后成本降低或效率提升的具体数据",
        "李",
        "2024-03-10",
    ),
    ("实施计划", "分阶段实施时间表", "实施部", "2024-03-12"),
    ("成功案例", "同行业两到三个客户案例", "李", "2024-03-12"),
];

/// Enters the example day by day.
///
/// # Errors
/// When an entry is refused.
pub async fn fill(api: &Api, made: &Made) -> Result<Value, Failure> {
    let admin = api
        .sign_in(&made.administrator.email, &made.administrator.password)
        .await?;
    let mut everybody = vec![sales::administrator(made)];
    everybody.extend(sales::people(&admin, &made.slug, PEOPLE).await?);
    let pipelines = sales::pipelines(&admin, &["six_phase"]).await?;
    let callers = signed_in(api, &everybody[1..]).await?;
    let [zhao, li, sun, liu] = callers.as_slice() else {
        return Err("the example has four people".into());
    };
    let account = customers(&admin, li).await?;
    let deal = opportunity(
        li,
        &account,
        pipelines.last().map(String::as_str).unwrap_or_default(),
    )
    .await?;
    need(li, &deal, &account).await?;
    solution(&admin, li, &deal).await?;
    negotiation(&admin, li, &deal).await?;
    contract(&admin, li, [zhao, sun, liu], &deal).await?;
    Ok(json!({ "name": made.name, "slug": made.slug, "people": everybody, "opportunity_id": deal }))
}

async fn signed_in(api: &Api, people: &[Value]) -> Result<Vec<Caller>, Failure> {
    let mut callers = Vec::new();
    for person in people {
        callers.push(
            api.sign_in(
                person["email"].as_str().unwrap_or_default(),
                person["password"].as_str().unwrap_or_default(),
            )
            .await?,
        );
    }
    Ok(callers)
}

async fn clock(admin: &Caller, now: &str) -> Result<(), Failure> {
    admin
        .post("/v1/company/clock", json!({ "now": now }))
        .await
        .map(|_| ())
}

/// Table 1: both customers; answers the first.
async fn customers(admin: &Caller, li: &Caller) -> Result<String, Failure> {
    let fair = admin
        .make(
            "/v1/lead-sources",
            json!({ "key": "exhibition", "name": "行业展会", "channel": "exhibition" }),
        )
        .await?;
    let referral = admin
        .make(
            "/v1/lead-sources",
            json!({ "key": "referral", "name": "客户转介绍", "channel": "referral" }),
        )
        .await?;
    let first = li
        .make("/v1/accounts", json!({ "name": "科技有限公司", "industry": "信息技术", "employees": 200, "annual_revenue": "100000000", "size_note": "200人/1亿", "description": "需要客户管理系统", "source_id": fair, "follow_up_status": "B类", "next_follow_up_on": "2024-03-15" }))
        .await?;
    let second = li
        .make("/v1/accounts", json!({ "name": "制造有限公司", "industry": "制造业", "employees": 500, "annual_revenue": "500000000", "size_note": "500人/5亿", "description": "生产线设备数据监控", "source_id": referral, "follow_up_status": "A类", "next_follow_up_on": "2024-03-10" }))
        .await?;
    li.make("/v1/contacts", json!({ "name": "张", "job_title": "总经理", "phone": "1385678", "account_id": first, "buying_role": "decision_maker" })).await?;
    li.make("/v1/contacts", json!({ "name": "王", "job_title": "采购总监", "phone": "139", "account_id": second, "buying_role": "procurement" })).await?;
    Ok(first)
}

async fn opportunity(li: &Caller, account: &str, pipeline: &str) -> Result<String, Failure> {
    li.make("/v1/opportunities", json!({ "name": "客户管理系统", "account_id": account, "pipeline_id": pipeline, "expected_close_on": "2024-03-15" })).await
}

async fn advance(li: &Caller, deal: &str) -> Result<Value, Failure> {
    let now = li.get(&format!("/v1/opportunities/{deal}")).await?;
    li.post(
        &format!("/v1/opportunities/{deal}/advance"),
        json!({ "from_stage_id": now["stage_id"] }),
    )
    .await
}

/// Table 2: the need analysis with its decision chain 60/30/10.
async fn need(li: &Caller, deal: &str, account: &str) -> Result<(), Failure> {
    let part = |name: &str| format!("/v1/opportunities/{deal}/{name}");
    let analysis = json!({
        "held_at": "2024-03-05T01:00:00Z", "participants": "销售李、客户张", "problem": "客户信息分散,跟进效率低",
        "explicit_needs": "需要统一的客户管理平台", "hidden_needs": "希望实现客户数据与销售业绩联动", "confirmation_sent_at": "2024-03-05T09:00:00Z"
    });
    li.make(&part("need-analyses"), analysis).await?;
    let contacts = li.get(&format!("/v1/contacts?account_id={account}")).await?;
    let chain = [
        json!({ "title": "总经理", "role": "decision_maker", "influence": "0.6", "contact_id": contacts["data"][0]["id"] }),
        json!({ "title": "采购总监", "role": "procurement", "influence": "0.3" }),
        json!({ "title": "销售主管", "role": "user", "influence": "0.1" }),
    ];
    for member in chain {
        li.make(&part("decision-chain-members"), member).await?;
    }
    advance(li, deal).await.map(|_| ())
}

/// Tables 3 and 4: the solution's six modules, and the price objection.
async fn solution(admin: &Caller, li: &Caller, deal: &str) -> Result<(), Failure> {
    clock(admin, "2024-03-12T02:00:00Z").await?;
    for (place, (module, content, responsible, done_on)) in (1..).zip(CHECKLIST) {
        let item = json!({ "position": place, "module": module, "required_content": content, "is_done": true, "responsible": responsible, "done_on": done_on });
        li.make(
            &format!("/v1/opportunities/{deal}/solution-checklist-items"),
            item,
        )
        .await?;
    }
    let objection = json!({
        "raised_on": "2024-03-09", "category": "price", "content": "系统价格偏高", "demand": "预算控制在20万以内",
        "answer": "强调三年节省成本50万,并提供分期付款", "responsible": "李", "resolved_on": "2024-03-12", "reaction": "接受分期方案"
    });
    li.make(&format!("/v1/opportunities/{deal}/objections"), objection)
        .await?;
    li.put(
        &format!("/v1/opportunities/{deal}/criteria/customer_feedback"),
        json!({ "answer": "认可" }),
    )
    .await?;
    advance(li, deal).await.map(|_| ())
}

/// Table 5: positions 25 → 20/22 → 22, and three instalments agreed.
async fn negotiation(admin: &Caller, li: &Caller, deal: &str) -> Result<(), Failure> {
    clock(admin, "2024-03-12T08:00:00Z").await?;
    let record = json!({
        "held_at": "2024-03-12T06:00:00Z", "way": "客户会议室", "their_people": "总经理张、采购", "our_people": "销售李、销售经理赵", "our_floor": "22万",
        "topics": [
            { "topic": "价格(年费25万)", "their_position": "希望降至20万", "our_position": "最低22万", "interim_agreement": "暂定22万", "open_point": "付款方式" },
            { "topic": "付款方式(一次性付)", "their_position": "希望分期", "our_position": "可接受3期分期", "interim_agreement": "同意3期分期", "open_point": "无" }
        ]
    });
    li.make(&format!("/v1/opportunities/{deal}/negotiation-records"), record)
        .await?;
    li.patch(
        &format!("/v1/opportunities/{deal}"),
        json!({ "amount": "220000" }),
    )
    .await?;
    li.put(
        &format!("/v1/opportunities/{deal}/criteria/result_reviewed"),
        json!({ "answer": true, "note": "销售经理和法务已核对" }),
    )
    .await?;
    advance(li, deal).await.map(|_| ())
}

/// Table 6: the approval of the deal, each opinion on its day; the last one wins it.
async fn contract(admin: &Caller, li: &Caller, approvers: [&Caller; 3], deal: &str) -> Result<(), Failure> {
    clock(admin, "2024-03-13T01:00:00Z").await?;
    li.put(
        &format!("/v1/opportunities/{deal}/criteria/terms_match"),
        json!({ "answer": true }),
    )
    .await?;
    advance(li, deal).await?;
    let requests = admin
        .get(&format!("/v1/approval-requests?subject_id={deal}"))
        .await?;
    let request = requests["data"][0]["id"].as_str().unwrap_or_default().to_owned();
    let opinions = [
        ("2024-03-13T03:00:00Z", "同意,按条款执行"),
        ("2024-03-14T02:00:00Z", "合同条款完整,无法律风险"),
        ("2024-03-14T06:00:00Z", "同意签约"),
    ];
    for (approver, (day, opinion)) in approvers.into_iter().zip(opinions) {
        clock(admin, day).await?;
        approver
            .post(
                &format!("/v1/approval-requests/{request}/approve"),
                json!({ "opinion": opinion }),
            )
            .await?;
    }
    Ok(())
}
