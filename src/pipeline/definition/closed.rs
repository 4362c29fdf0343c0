//! Schemas of tagged unions that refuse unknown members, as their readers do: the derive closes structs only.

use std::borrow::Cow;
use std::marker::PhantomData;
use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// The schema of the tagged union `T`, each of its forms closed.
pub struct Closed<T>(PhantomData<T>);

impl<T: PartialSchema> PartialSchema for Closed<T> {
    fn schema() -> RefOr<Schema> {
        let mut schema = T::schema();
        if let RefOr::T(Schema::OneOf(union)) = &mut schema {
            for form in &mut union.items {
                if let RefOr::T(Schema::Object(object)) = form {
                    object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
                }
            }
        }
        schema
    }
}

impl<T: ToSchema> ToSchema for Closed<T> {
    fn name() -> Cow<'static, str> {
        T::name()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        T::schemas(schemas);
    }
}
