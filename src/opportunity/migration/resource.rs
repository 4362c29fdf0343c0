//! Migrations as lists and reads show them.

use crate::pipeline::resources::PIPELINE;
use crate::platform::records::{Access, Hooks, Member, Resource, Verbs};

const NUMBERS: &str = r#"{"type": "array", "items": {"type": "integer"}}"#;
const KEYS: &str = r#"{"type": "object", "additionalProperties": {"type": "string"}}"#;

/// How many, at most.
const MOST: i64 = 1_000_000_000;

const fn count(name: &'static str) -> Member {
    Member {
        is_range: false,
        ..Member::int(name, 0, MOST, "How many.", "0")
    }
}

const fn instant(name: &'static str) -> Member {
    Member {
        is_range: false,
        ..Member::instant(name, "When.")
    }
}

const fn id(name: &'static str) -> Member {
    Member {
        is_filter: false,
        ..Member::id(name, "Which.")
    }
}

/// A migration. Not among the declared resources, since it is found below its pipeline by an id; `wire.rs` describes it.
pub static MIGRATION: Resource = Resource {
    singular: "pipeline_migration",
    plural: "migrations",
    table: "pipeline_migrations",
    tag: "pipelines",
    about: "A migration of deals in flight.",
    permission: "pipeline",
    access: Access::Part {
        parent: &PIPELINE,
        key: "pipeline_id",
        closed_sql: None,
    },
    verbs: Verbs::READ,
    members: &[
        Member::json("from_versions", "[]", NUMBERS, "Versions left.", "[1]").computed(
            "SELECT json_agg(v.number ORDER BY v.number) FROM pipeline_versions v WHERE v.tenant_id = t.tenant_id AND v.id = ANY(t.from_version_ids)",
        ),
        Member::int("to_version", 1, MOST, "Version entered.", "2").computed(
            "SELECT v.number FROM pipeline_versions v WHERE v.tenant_id = t.tenant_id AND v.id = t.to_version_id",
        ),
        Member::json("stages", "{}", KEYS, "The mapping.", "{}").computed("t.stage_map"),
        Member::text("answers", 20, "What becomes of answers.", "\"by_criterion\""),
        Member::text("reason", 2000, "Why.", "null"),
        Member::text("state", 20, "Where it is.", "\"done\"").computed(STATE),
        count("planned"),
        count("moved"),
        count("skipped"),
        count("returned"),
        count("stayed"),
        id("requested_by"),
        id("job_id"),
        id("roll_back_job_id"),
        instant("finished_at"),
        instant("rolled_back_at"),
    ],
    default_sort: "-created_at",
    hooks: Hooks::NONE,
};

/// Nobody tells a migration that its job was cancelled or has failed: it is seen by the job.
const STATE: &str = "\
CASE WHEN t.state IN ('running', 'rolling_back') AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.tenant_id = t.tenant_id \
AND j.id = CASE t.state WHEN 'running' THEN t.job_id ELSE t.roll_back_job_id END AND j.state IN ('queued', 'running')) THEN 'stopped' ELSE t.state END";
