//! What commands on a deal answer.

use super::moves::{Moved, TransitionView};
use crate::kernel::error::{AppError, AppResult};
use crate::platform::reply::Reply;
use serde_json::json;
use std::borrow::Cow;
use utoipa::openapi::{AllOfBuilder, ObjectBuilder, Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// The opportunity after a move, with the move as `transition`.
pub struct MovedView;

impl PartialSchema for MovedView {
    fn schema() -> RefOr<Schema> {
        let transition = ObjectBuilder::new()
            .property("transition", Ref::from_schema_name("TransitionView"))
            .required("transition");
        AllOfBuilder::new()
            .description(Some(
                "The opportunity after a move, with the move as `transition`.",
            ))
            .item(Ref::from_schema_name("Opportunity"))
            .item(transition)
            .into()
    }
}

impl ToSchema for MovedView {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("MovedOpportunity")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((String::from("TransitionView"), TransitionView::schema()));
        TransitionView::schemas(schemas);
    }
}

/// # Errors
/// When it cannot be written as JSON: a bug.
pub fn moved_reply(moved: Moved) -> AppResult<Reply> {
    let mut body = moved.record;
    body.insert("transition".to_owned(), json!(moved.transition));
    Ok::<_, AppError>(Reply::ok(&body)?.with_version(moved.version))
}
