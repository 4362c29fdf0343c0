//! Shares as the document writes them.

use crate::kernel::money;
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A share 0–1 with at most four places; in JSON a text with four, `"0.6000"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(pub Decimal);

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&money::share_text(self.0))
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Share, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        money::parse(&text)
            .filter(|share| share.scale() <= 4)
            .map(Share)
            .ok_or_else(|| de::Error::custom("a share is a decimal text with at most four places"))
    }
}

impl PartialSchema for Share {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .description(Some("A share 0–1 with at most four places"))
            .pattern(Some(r"^(0(\.\d{1,4})?|1(\.0{1,4})?)$"))
            .examples(["0.6000"])
            .into()
    }
}

impl ToSchema for Share {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Share")
    }
}
