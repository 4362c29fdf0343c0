//! Finding records that may be the same: one statement over indexes, the scores computed from what it finds.

use super::subject::{KeyKind, Subject};
use crate::crm::resources::{ACCOUNT, CONTACT, LEAD};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::kernel::likeness::{self, Profile, Rule, Score};
use crate::platform::records::Resource;
use crate::platform::records::sql::{self, Bind, Intent, Sql};
use diesel::QueryableByName;
use diesel::sql_types::{Array, Bool, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Map, Value, json};
use std::str::FromStr;
use uuid::Uuid;

/// Most hits that are answered.
const MOST: usize = 20;
/// Before a rule: it rests on a member that the caller may not read.
const HIDDEN: &str = "hidden_";
/// How sure a switchboard or role address alone makes.
const SHARED: f64 = 0.5;

/// A record that may be the same.
#[derive(Debug, Clone)]
pub struct Hit {
    pub kind: &'static str,
    pub id: Uuid,
    pub name: String,
    pub owner: Option<Uuid>,
    pub owner_name: Option<String>,
    /// Neither archived nor converted.
    pub is_live: bool,
    /// Whether the caller sees the record.
    pub is_readable: bool,
    /// By all that it has.
    pub score: Score,
    /// By what of it the caller may read; `None` when that says nothing.
    pub shown: Option<Score>,
}

impl Hit {
    /// As it is shown: of a record that the caller does not see, only whose it is and how its name begins.
    pub fn to_json(&self) -> Value {
        let score = self.shown.as_ref().unwrap_or(&self.score);
        json!({
            "kind": self.kind,
            "id": self.is_readable.then_some(self.id),
            "name": self.shown_name(),
            "is_masked": !self.is_readable,
            "owner_id": self.owner,
            "owner_name": self.owner_name,
            "is_live": self.is_live,
            "is_exact": score.is_exact(),
            "score": score.value,
            "reasons": score.reasons,
        })
    }

    pub fn shown_name(&self) -> String {
        if self.is_readable {
            return self.name.clone();
        }
        let first = self.name.chars().next();
        first.map_or_else(|| "***".to_owned(), |first| format!("{first}***"))
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    record_kind: String,
    #[diesel(sql_type = SqlUuid)]
    record_id: Uuid,
    #[diesel(sql_type = Array<Text>)]
    rules: Vec<String>,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Nullable<Text>)]
    company: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    region: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    email: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    website: Option<String>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    account_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    owner_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    owner_name: Option<String>,
    #[diesel(sql_type = Bool)]
    is_live: bool,
    #[diesel(sql_type = Bool)]
    is_readable: bool,
}

/// With which kinds a record is compared: leads with everything that they could be already.
pub(super) fn compared_with(resource: &Resource) -> Vec<String> {
    let kinds = if resource.singular == LEAD.singular {
        vec![LEAD.singular, CONTACT.singular, ACCOUNT.singular]
    } else {
        vec![resource.singular]
    };
    kinds.into_iter().map(str::to_owned).collect()
}

/// Records that share an exact key with the subject, or whose name is like its name, surest first, at most twenty. The
/// record itself, when it has an id already, is not among them.
///
/// # Errors
/// Database errors.
pub async fn hits(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    resource: &Resource,
    id: Option<Uuid>,
    subject: &Subject,
) -> AppResult<Vec<Hit>> {
    let rows: Vec<Row> = statement(ctx, resource, id, subject).query().load(conn).await?;
    let mut hits = rows
        .into_iter()
        .filter_map(|row| hit(row, subject))
        .collect::<Vec<_>>();
    hits.sort_by(|one, other| {
        other
            .score
            .value
            .total_cmp(&one.score.value)
            .then(one.id.cmp(&other.id))
    });
    hits.truncate(MOST);
    Ok(hits)
}

fn statement(ctx: &Ctx, resource: &Resource, id: Option<Uuid>, subject: &Subject) -> Sql {
    let mut sql = Sql::of(ctx.tenant);
    // Written out: a plan is kept for each, and none is made anew.
    let kinds = format!("'{{{}}}'::text[]", compared_with(resource).join(","));
    let own = sql.place(Bind::Id(id.unwrap_or_default()));
    let arms = [
        keys_arm(&mut sql, ctx, subject, &kinds, &own, KeysOf::Own),
        keys_arm(&mut sql, ctx, subject, &kinds, &own, KeysOf::Shared),
        keys_arm(&mut sql, ctx, subject, &kinds, &own, KeysOf::Names),
        names_arm(&mut sql, subject, &kinds, &own),
        colleagues_arm(&mut sql, subject, &own),
    ];
    let arms = arms.into_iter().flatten().collect::<Vec<_>>();
    let arms = if arms.is_empty() {
        String::from(
            "SELECT NULL::text AS record_kind, NULL::uuid AS record_id, NULL::text AS rule WHERE FALSE",
        )
    } else {
        arms.join(" UNION ALL ")
    };
    let [of_accounts, of_contacts, of_leads] = [(&ACCOUNT, "a"), (&CONTACT, "c"), (&LEAD, "l")]
        .map(|(kind, alias)| sql::scope(&mut sql, kind, alias, ctx, Intent::Read));
    // Each record by its key: joined freely, a plan that was made while a table was empty reads the whole of it later.
    sql.push(&format!(
        "WITH found AS (SELECT f.record_kind, f.record_id, array_agg(DISTINCT f.rule) AS rules FROM ({arms}) f GROUP BY 1, 2) \
         SELECT f.record_kind, f.record_id, f.rules, coalesce(a.name, c.name, l.name) AS name, \
            coalesce(a.name, l.company) AS company, coalesce(a.region, l.region) AS region, coalesce(c.email, l.email) AS email, \
            a.website, c.account_id, u.id AS owner_id, u.name AS owner_name, \
            coalesce(a.archived_at, c.archived_at, l.archived_at) IS NULL AND l.status IS DISTINCT FROM 'converted' AS is_live, \
            coalesce(CASE f.record_kind WHEN 'account' THEN {of_accounts} WHEN 'contact' THEN {of_contacts} ELSE {of_leads} END, FALSE) AS is_readable \
         FROM found f \
         LEFT JOIN LATERAL (SELECT * FROM accounts WHERE tenant_id = $1 AND f.record_kind = 'account' AND id = f.record_id LIMIT 1) a ON TRUE \
         LEFT JOIN LATERAL (SELECT * FROM contacts WHERE tenant_id = $1 AND f.record_kind = 'contact' AND id = f.record_id LIMIT 1) c ON TRUE \
         LEFT JOIN LATERAL (SELECT * FROM leads WHERE tenant_id = $1 AND f.record_kind = 'lead' AND id = f.record_id LIMIT 1) l ON TRUE \
         LEFT JOIN LATERAL (SELECT * FROM users WHERE tenant_id = $1 AND id = coalesce(a.owner_id, c.owner_id, l.owner_id) LIMIT 1) u ON TRUE \
         WHERE coalesce(a.id, c.id, l.id) IS NOT NULL"
    ));
    sql
}

/// Which keys an arm looks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum KeysOf {
    /// Of one person or company alone.
    Own,
    /// Switchboards and role addresses.
    Shared,
    Names,
}

/// Same keys. Those that many may have stand apart, so that they crowd nothing out; of the others the live ones come first.
/// How many keys there are is kept from the planner: by it no plan is better, but each would be made anew.
fn keys_arm(
    sql: &mut Sql,
    ctx: &Ctx,
    subject: &Subject,
    kinds: &str,
    own: &str,
    of: KeysOf,
) -> Option<String> {
    let keys = subject
        .keys
        .iter()
        .filter(|key| match of {
            KeysOf::Names => key.kind == KeyKind::Name,
            KeysOf::Shared => key.kind != KeyKind::Name && key.is_shared,
            KeysOf::Own => !key.is_shared,
        })
        .collect::<Vec<_>>();
    let order = match of {
        KeysOf::Own => "ORDER BY k.standing = 'retired' ",
        KeysOf::Shared | KeysOf::Names => "",
    };
    if keys.is_empty() {
        return None;
    }
    let key_kinds = keys.iter().map(|key| <&str>::from(key.kind).to_owned()).collect();
    let texts = keys.iter().map(|key| key.text.clone()).collect();
    let (key_kinds, texts) = (sql.place(Bind::Texts(key_kinds)), sql.place(Bind::Texts(texts)));
    let hidden = hidden(ctx, of);
    Some(format!(
        "(SELECT k.record_kind, k.record_id, {hidden}CASE WHEN k.key_kind = 'name' THEN 'same_name' WHEN k.standing = 'shared' THEN 'shared_key' ELSE k.key_kind END AS rule \
          FROM unnest((SELECT {key_kinds}::text[]), (SELECT {texts}::text[])) AS p (key_kind, key) \
          JOIN identity_keys k ON k.tenant_id = $1 AND k.key_kind = p.key_kind AND k.key = p.key \
          WHERE k.record_kind = ANY({kinds}) AND k.record_id <> {own} {order}LIMIT 50)"
    ))
}

/// What marks the rule of a phone that the caller may not read: which member a key comes from is not kept with it.
fn hidden(ctx: &Ctx, of: KeysOf) -> String {
    let permission = CONTACT
        .member("personal_phone")
        .and_then(|member| member.sensitive);
    if of == KeysOf::Names || permission.is_none_or(|permission| ctx.holds(permission)) {
        return String::new();
    }
    format!(
        "CASE WHEN k.record_kind = 'contact' AND k.key_kind = 'phone' AND NOT EXISTS (SELECT 1 FROM contacts o \
         WHERE o.tenant_id = $1 AND o.id = k.record_id AND o.phone_e164 = k.key) THEN '{HIDDEN}' ELSE '' END || "
    )
}

fn names_arm(sql: &mut Sql, subject: &Subject, kinds: &str, own: &str) -> Option<String> {
    let company = &subject.profile.company;
    let (core, rare) = (company.core.clone()?, company.distinctive.clone()?);
    let letters = likeness::letters(&core);
    let (core, rare) = (sql.place(Bind::Text(core)), sql.place(Bind::Text(rare)));
    let near = format!(
        "(SELECT n.record_kind, n.record_id, 'company_name' AS rule FROM near_names($1, {kinds}, {core}, {rare}) n WHERE n.record_id <> {own})"
    );
    let Some(letters) = letters else {
        return Some(near);
    };
    let letters = sql.place(Bind::Text(letters));
    Some(format!(
        "{near} UNION ALL (SELECT n.record_kind, n.record_id, 'company_name' AS rule FROM identity_names n \
         WHERE n.tenant_id = $1 AND letters_of(n.core) = {letters} AND n.record_kind = ANY({kinds}) AND n.record_id <> {own} LIMIT 50)"
    ))
}

/// The people of the same account.
fn colleagues_arm(sql: &mut Sql, subject: &Subject, own: &str) -> Option<String> {
    let account = sql.place(Bind::Id(subject.profile.account?));
    Some(format!(
        "(SELECT 'contact' AS record_kind, k.id AS record_id, 'account' AS rule FROM contacts k WHERE k.tenant_id = $1 AND k.account_id = {account} \
          AND k.id <> {own} AND k.archived_at IS NULL LIMIT 200)"
    ))
}

/// What was found, scored; nothing when it is neither exact, nor near enough, nor behind the same switchboard.
fn hit(row: Row, subject: &Subject) -> Option<Hit> {
    let kind = [&ACCOUNT, &CONTACT, &LEAD]
        .into_iter()
        .find(|kind| kind.singular == row.record_kind)?;
    let other = profile(kind, &row);
    let open = row.rules.iter().map(String::as_str);
    let all = open.clone().map(|rule| rule.strip_prefix(HIDDEN).unwrap_or(rule));
    let score = scored(subject, &other, all)?;
    let shown = scored(subject, &other, open);
    Some(Hit {
        kind: kind.singular,
        id: row.record_id,
        name: row.name,
        owner: row.owner_id,
        owner_name: row.owner_name,
        is_live: row.is_live,
        is_readable: row.is_readable,
        score,
        shown,
    })
}

/// What these rules, and the likeness of names, say; nothing when it is not worth a look.
fn scored<'a>(subject: &Subject, other: &Profile, rules: impl Iterator<Item = &'a str>) -> Option<Score> {
    let mut keys = rules
        .filter_map(|rule| Rule::from_str(rule).ok())
        .filter(|rule| !matches!(rule, Rule::Account | Rule::CompanyName))
        .collect::<Vec<_>>();
    keys.dedup();
    let mut score = likeness::score(&subject.profile, other, &keys);
    if keys.contains(&Rule::SharedKey) {
        score.value = score.value.max(SHARED);
    } else if !(score.is_exact() || score.is_worth_a_look()) {
        return None;
    }
    Some(score)
}

fn profile(kind: &Resource, row: &Row) -> Profile {
    let mut record = Map::new();
    let is_lead = kind.singular == LEAD.singular;
    record.insert("name".to_owned(), json!(row.name));
    record.insert(
        "company".to_owned(),
        json!(row.company.as_ref().filter(|_| is_lead)),
    );
    record.insert("region".to_owned(), json!(row.region));
    record.insert("email".to_owned(), json!(row.email));
    record.insert("website".to_owned(), json!(row.website));
    record.insert("account_id".to_owned(), json!(row.account_id));
    Subject::of(kind, &record).profile
}
