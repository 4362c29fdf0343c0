//! The statements. Each kind, and each way in which the caller sees records of it, is answered by an index of its own and
//! bounded by itself, so that neither a text that a million records contain nor a scope of a few records takes long.
//!
//! First the newest records within the scope are looked through. If these are all, or if they alone fill the page, so that
//! the text must be common, that is enough. Only else the index of terms is asked: what it finds then is few.

use super::RESOURCES;
use crate::crm::resources::{ACCOUNT, LEAD};
use crate::kernel::ctx::{Ctx, Reach};
use crate::kernel::error::AppResult;
use crate::kernel::search::Query;
use crate::platform::records::sql::{self, Bind, Intent, Sql};
use crate::platform::records::{Resource, Within, entry};
use diesel::QueryableByName;
use diesel::sql_types::{Double, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use uuid::Uuid;

/// Newest records of a kind that are looked through.
const NEAR: usize = 600;
/// Of one owner at least, where there are many.
const NEAR_OF_ONE: usize = 5;
/// Hits of a kind that are judged.
const JUDGED: usize = 200;
/// Hits of a kind that are read for a page of these sizes: more than it shows, should a few be out of scope by now.
const READ: [(usize, usize); 2] = [(20, 30), (50, 60)];
/// Owners that the index of terms is asked for one by one; of more, its hits are sifted.
const FEW_OWNERS: usize = 16;
/// How like a part of a name must be to what was typed.
const LIKENESS: &str = "SET LOCAL pg_trgm.word_similarity_threshold = 0.5";

/// What is looked for.
pub struct Asked {
    pub query: Query,
    /// All, when empty.
    pub kinds: Vec<&'static str>,
    pub limit: usize,
    pub is_archived: bool,
}

impl Asked {
    /// Whether a slip in it can be forgiven.
    pub fn forgives(&self) -> bool {
        self.query.alike().is_some() || self.query.with_slip(&['x']).is_some()
    }
}

/// A hit as the database finds it.
#[derive(QueryableByName)]
pub struct Row {
    #[diesel(sql_type = Text)]
    pub kind: String,
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = Double)]
    pub score: f64,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub owner_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    pub owner_name: Option<String>,
    /// The account that it belongs to, if the caller sees that, or the company that a lead names.
    #[diesel(sql_type = Nullable<Text>)]
    pub company: Option<String>,
    /// The members in which the text may stand, as far as the caller may read them, as JSON.
    #[diesel(sql_type = Text)]
    pub doc: String,
}

/// Whose records of a kind the caller sees, besides those that they take part in.
#[derive(Clone, PartialEq, Eq)]
enum Whose {
    Everybodys,
    /// The nil id stands for nobody.
    Of(Vec<Uuid>),
}

fn whose(ctx: &Ctx, resource: &Resource) -> Option<Whose> {
    match ctx.reach(&resource.read_permission()) {
        Reach::Nobody => None,
        Reach::All => Some(Whose::Everybodys),
        Reach::Owners(owners) => {
            let pool = ctx.holds("pool.read").then(Uuid::nil);
            Some(Whose::Of(owners.iter().copied().chain(pool).collect()))
        }
    }
}

/// The kinds that are asked for and that the caller may read at all.
fn readable(ctx: &Ctx, asked: &Asked) -> Vec<(&'static Resource, Whose)> {
    let is_asked = |resource: &&Resource| asked.kinds.is_empty() || asked.kinds.contains(&resource.singular);
    let resources = RESOURCES.into_iter().filter(is_asked);
    resources
        .filter_map(|resource| Some((resource, whose(ctx, resource)?)))
        .collect()
}

/// What the text finds, best first: one more than is asked for, when there are more.
///
/// # Errors
/// Database errors.
pub async fn found(conn: &mut &AsyncPgConnection, ctx: &Ctx, asked: &Asked) -> AppResult<Vec<Row>> {
    let kinds = readable(ctx, asked);
    if kinds.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = Sql::of(ctx.tenant);
    let live = sql.place(Bind::Flag(!asked.is_archived));
    let begins = sql.place(Bind::Text(asked.query.plain.clone()));
    let ends = sql.place(Bind::Text(format!("{}\u{10ffff}", asked.query.plain)));
    let page = limit(&mut sql, asked);
    let mut with = Vec::new();
    let mut arms = Vec::new();
    for (resource, whose) in &kinds {
        let mut finder = Finder::new(&mut sql, ctx, asked, resource, whose);
        finder.live.clone_from(&live);
        finder.page.clone_from(&page);
        finder.names = (begins.clone(), ends.clone());
        with.extend(finder.parts());
        let source = format!("found_{}", resource.singular);
        arms.push(read_sql(&mut sql, ctx, asked, resource, &source));
    }
    let (with, arms) = (with.join(", "), arms.join(" UNION ALL "));
    sql.push(&format!(
        "WITH {with} SELECT * FROM ({arms}) f ORDER BY f.score DESC, f.score >= 0.9 AND f.kind = 'account' DESC, f.id DESC LIMIT {page}"
    ));
    Ok(sql.query().load(conn).await?)
}

/// How many hits of a kind are read.
fn most(asked: &Asked) -> usize {
    let [small, large] = READ;
    if asked.limit <= small.0 { small.1 } else { large.1 }
}

/// One more than is asked for.
fn limit(sql: &mut Sql, asked: &Asked) -> String {
    sql.place(Bind::Long(
        i64::try_from(asked.limit).unwrap_or(i64::MAX).saturating_add(1),
    ))
}

/// The parts of the statement about one kind.
struct Finder {
    kind: &'static str,
    table: &'static str,
    within: Option<Within>,
    wanted: String,
    in_names: String,
    in_keys: String,
    live: String,
    names: (String, String),
    user: String,
    /// The placeholder of the owners, and how many they are.
    owners: Option<(String, usize)>,
    near_of_one: usize,
    most: usize,
    /// The placeholder of how many hits fill a page.
    page: String,
}

impl Finder {
    fn new(sql: &mut Sql, ctx: &Ctx, asked: &Asked, resource: &Resource, whose: &Whose) -> Finder {
        let marks = entry::marks(resource, ctx);
        let mut place = |weights: &str| {
            let wanted = asked.query.wanted(&marks, weights);
            format!("{}::tsquery", sql.place(Bind::Text(wanted)))
        };
        let (wanted, in_names, in_keys) = (place(""), place("A"), place("AB"));
        let (owners, near_of_one) = match whose {
            Whose::Everybodys => (None, NEAR),
            Whose::Of(owners) => {
                // In few sizes, since each makes a statement of its own.
                let each = if owners.len() > 2 {
                    (NEAR / owners.len()).next_power_of_two()
                } else {
                    NEAR
                };
                let place = sql.place(Bind::Ids(owners.clone()));
                (Some((place, owners.len())), each.max(NEAR_OF_ONE))
            }
        };
        Finder {
            kind: resource.singular,
            table: resource.table,
            within: resource.within(),
            wanted,
            in_names,
            in_keys,
            live: String::new(),
            names: (String::new(), String::new()),
            user: sql.place(Bind::Id(ctx.user)),
            owners,
            near_of_one,
            most: most(asked),
            page: String::new(),
        }
    }

    /// How good a hit the row `s` is.
    fn score(&self) -> String {
        let Finder {
            names: (begins, _),
            in_names,
            in_keys,
            ..
        } = self;
        format!(
            "CASE WHEN s.names = {begins} OR starts_with(s.names, {begins} || chr(31)) THEN 1.0 WHEN starts_with(s.names, {begins}) THEN 0.9 \
             WHEN s.terms @@ {in_names} THEN 0.8 WHEN s.terms @@ {in_keys} THEN 0.6 ELSE 0.4 END"
        )
    }

    fn parts(&self) -> Vec<String> {
        let Finder { kind, most, .. } = self;
        let mut arms = vec![
            format!("SELECT n.record_id, n.score FROM near_{kind} n WHERE n.is_hit"),
            self.far(),
            self.named(),
        ];
        arms.extend(self.joined());
        arms.extend(self.inside());
        let arms = arms.join(" UNION ALL ");
        vec![
            format!("near_{kind} AS MATERIALIZED ({})", self.near()),
            format!(
                "found_{kind} AS (SELECT a.record_id, max(a.score)::float8 AS score FROM ({arms}) a GROUP BY 1 ORDER BY 2 DESC, 1 DESC LIMIT {most})"
            ),
        ]
    }

    /// The newest records, each with whether it is a hit.
    fn near(&self) -> String {
        let Finder {
            kind, wanted, live, ..
        } = self;
        let score = self.score();
        let of_one = self.near_of_one;
        let columns = "s.record_id, s.is_live, s.names, s.terms";
        let rows = match &self.owners {
            None => format!(
                "(SELECT {columns} FROM search_entries s WHERE s.tenant_id = $1 AND s.record_kind = '{kind}' ORDER BY s.record_id DESC LIMIT {of_one}) s"
            ),
            Some((owners, _)) => format!(
                "unnest({owners}::uuid[]) o (id) CROSS JOIN LATERAL (SELECT {columns} FROM search_entries s WHERE s.tenant_id = $1 AND s.record_kind = '{kind}' \
                 AND s.owner_id = o.id ORDER BY s.record_id DESC LIMIT {of_one}) s"
            ),
        };
        format!(
            "SELECT x.record_id, x.is_hit, CASE WHEN x.is_hit THEN x.score END AS score FROM ( \
                SELECT s.record_id, h.is_hit, CASE WHEN h.is_hit THEN {score} END AS score \
                FROM {rows} CROSS JOIN LATERAL (SELECT s.is_live = {live} AND s.terms @@ {wanted} AS is_hit OFFSET 0) h) x"
        )
    }

    /// What the index of terms finds, where the newest records do not say enough.
    fn far(&self) -> String {
        let Finder {
            kind,
            wanted,
            live,
            near_of_one,
            page,
            ..
        } = self;
        let score = self.score();
        let owned = self.owned();
        format!(
            "(SELECT s.record_id, {score} AS score FROM search_entries s WHERE s.tenant_id = $1{owned} AND s.terms @@ {wanted} AND s.is_live = {live} \
              AND s.record_kind = '{kind}' AND (SELECT count(*) >= {near_of_one} AND count(*) FILTER (WHERE n.is_hit) < {page} FROM near_{kind} n) LIMIT {JUDGED})"
        )
    }

    /// Names that begin with the text, so that none of the best is missed however common it is.
    fn named(&self) -> String {
        let Finder {
            kind,
            live,
            names: (begins, ends),
            ..
        } = self;
        let score = self.score();
        let owned = self.owned();
        format!(
            "(SELECT s.record_id, {score} AS score FROM (SELECT s.* FROM search_entries s WHERE s.tenant_id = $1 AND s.record_kind = '{kind}' \
              AND s.names >= {begins} AND s.names < {ends} ORDER BY s.names LIMIT {JUDGED}) s WHERE s.is_live = {live}{owned})"
        )
    }

    /// What the caller takes part in; whoever sees everything sees that anyway.
    fn joined(&self) -> Option<String> {
        self.owners.as_ref()?;
        let Finder {
            kind,
            wanted,
            live,
            user,
            ..
        } = self;
        let score = self.score();
        Some(format!(
            "(SELECT s.record_id, {score} AS score FROM participants pt JOIN search_entries s ON s.tenant_id = $1 AND s.record_kind = '{kind}' AND s.record_id = pt.record_id \
              WHERE pt.tenant_id = $1 AND pt.user_id = {user} AND pt.record_kind = '{kind}' AND s.is_live = {live} AND s.terms @@ {wanted} LIMIT {JUDGED})"
        ))
    }

    /// What belongs to a record that the caller owns or takes part in, and is owned by others.
    fn inside(&self) -> Option<String> {
        let (owners, _) = self.owners.as_ref()?;
        let within = self.within?;
        let Finder {
            kind,
            table,
            wanted,
            live,
            user,
            ..
        } = self;
        let score = self.score();
        let holders = sql::holders(within, owners, user);
        let key = within.key;
        Some(format!(
            "(SELECT s.record_id, {score} AS score FROM {table} r JOIN search_entries s ON s.tenant_id = $1 AND s.record_kind = '{kind}' AND s.record_id = r.id \
              WHERE r.tenant_id = $1 AND r.{key} = ANY({holders}) AND (r.owner_id = ANY({owners}::uuid[])) IS NOT TRUE AND s.is_live = {live} \
              AND s.terms @@ {wanted} LIMIT {JUDGED})"
        ))
    }

    fn owned(&self) -> String {
        self.owners
            .as_ref()
            .map_or_else(String::new, |(owners, count)| owned(owners, *count))
    }
}

/// The condition that the row `s` belongs to one of these. Many are no condition of an index, which would be asked once for
/// each of them.
fn owned(owners: &str, count: usize) -> String {
    if count > FEW_OWNERS {
        format!(" AND (s.owner_id = ANY({owners}::uuid[])) IS TRUE")
    } else {
        format!(" AND s.owner_id = ANY({owners}::uuid[])")
    }
}

fn owned_by(sql: &mut Sql, whose: &Whose) -> String {
    match whose {
        Whose::Everybodys => String::new(),
        Whose::Of(owners) => {
            let place = sql.place(Bind::Ids(owners.clone()));
            owned(&place, owners.len())
        }
    }
}

/// Reads the hits of one kind, under its scope as any list has it.
fn read_sql(sql: &mut Sql, ctx: &Ctx, asked: &Asked, resource: &'static Resource, source: &str) -> String {
    let scope = sql::scope(sql, resource, "t", ctx, Intent::Read);
    let company = company(sql, ctx, resource);
    let (kind, table) = (resource.singular, resource.table);
    let members = entry::searched(resource)
        .filter(|member| member.sensitive.is_none_or(|permission| ctx.holds(permission)))
        .map(|member| format!("'{0}', t.{0}", member.name));
    let members = members.collect::<Vec<_>>().join(", ");
    let archived = if asked.is_archived {
        "IS NOT NULL"
    } else {
        "IS NULL"
    };
    format!(
        "SELECT '{kind}' AS kind, t.id, f.score, t.owner_id, u.name AS owner_name, {company} AS company, json_build_object({members})::text AS doc FROM {source} f \
         JOIN {table} t ON t.tenant_id = $1 AND t.id = f.record_id LEFT JOIN users u ON u.tenant_id = $1 AND u.id = t.owner_id \
         WHERE t.archived_at {archived} AND {scope}"
    )
}

/// Of five people by one name, whose they are.
fn company(sql: &mut Sql, ctx: &Ctx, resource: &Resource) -> String {
    if resource.singular == LEAD.singular {
        return "t.company".to_owned();
    }
    if resource.singular == ACCOUNT.singular {
        return "NULL::text".to_owned();
    }
    let scope = sql::scope(sql, &ACCOUNT, "o", ctx, Intent::Read);
    format!("(SELECT o.name FROM accounts o WHERE o.tenant_id = $1 AND o.id = t.account_id AND {scope})")
}

/// Names that are the text but for a slip, likest first.
///
/// # Errors
/// Database errors.
pub async fn alike(conn: &mut AsyncPgConnection, ctx: &Ctx, asked: &Asked) -> AppResult<Vec<Row>> {
    let kinds = readable(ctx, asked);
    if kinds.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = Sql::of(ctx.tenant);
    let live = sql.place(Bind::Flag(!asked.is_archived));
    let arms = kinds.iter().flat_map(|(resource, whose)| {
        let owned = owned_by(&mut sql, whose);
        slips(&mut sql, ctx, asked, resource, &live, &owned)
    });
    let arms = arms.collect::<Vec<_>>();
    let arms = arms.into_iter().chain(letters(&mut sql, asked, &kinds, &live));
    let arms = arms.collect::<Vec<_>>().join(" UNION ALL ");
    let reads = kinds.iter().map(|(resource, _)| {
        let source = format!(
            "(SELECT * FROM found WHERE record_kind = '{}')",
            resource.singular
        );
        read_sql(&mut sql, ctx, asked, resource, &source)
    });
    let reads = reads.collect::<Vec<_>>().join(" UNION ALL ");
    let most = most(asked);
    let limit = limit(&mut sql, asked);
    sql.push(&format!(
        "WITH found AS MATERIALIZED (SELECT a.record_kind, a.record_id, max(a.score)::float8 AS score FROM ({arms}) a GROUP BY 1, 2 ORDER BY 3 DESC, 2 DESC LIMIT {most}) \
         SELECT * FROM ({reads}) f ORDER BY f.score DESC, f.id DESC LIMIT {limit}"
    ));
    conn.batch_execute(LIKENESS).await?;
    Ok(sql.query().load(conn).await?)
}

/// Runs of characters with a slip.
fn slips(
    sql: &mut Sql,
    ctx: &Ctx,
    asked: &Asked,
    resource: &Resource,
    live: &str,
    owned: &str,
) -> Option<String> {
    let wanted = asked.query.with_slip(&entry::marks(resource, ctx))?;
    let wanted = sql.place(Bind::Text(wanted));
    let kind = resource.singular;
    Some(format!(
        "(SELECT s.record_kind, s.record_id, 0.3 AS score FROM search_entries s WHERE s.tenant_id = $1{owned} AND s.terms @@ {wanted}::tsquery \
          AND s.is_live = {live} AND s.record_kind = '{kind}' LIMIT {JUDGED})"
    ))
}

/// Letters with slips: kinds that the caller sees alike are looked through together.
fn letters(sql: &mut Sql, asked: &Asked, kinds: &[(&'static Resource, Whose)], live: &str) -> Vec<String> {
    let Some(typed) = asked.query.alike() else {
        return Vec::new();
    };
    let typed = sql.place(Bind::Text(typed));
    let mut groups: Vec<(&Whose, Vec<String>)> = Vec::new();
    for (resource, whose) in kinds {
        match groups.iter_mut().find(|(known, _)| *known == whose) {
            Some((_, group)) => group.push(resource.singular.to_owned()),
            None => groups.push((whose, vec![resource.singular.to_owned()])),
        }
    }
    let arms = groups.into_iter().map(|(whose, group)| {
        let owned = owned_by(sql, whose);
        let group = sql.place(Bind::Texts(group));
        format!(
            "(SELECT l.record_kind, l.record_id, 0.39 * word_similarity({typed}, l.names) AS score FROM ( \
                SELECT s.record_kind, s.record_id, s.names FROM search_entries s WHERE s.tenant_id = $1{owned} AND s.names %> {typed} \
                AND s.is_live = {live} AND s.record_kind = ANY({group}) LIMIT {JUDGED}) l)"
        )
    });
    arms.collect()
}
