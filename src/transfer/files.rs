//! Files in the database: taken in as a stream, read in windows, written on at the end. Constant memory throughout.

use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppResult, OrNotFound};
use crate::platform::db::Cached;
use bytes::Bytes;
use diesel::sql_types::{BigInt, Binary, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use uuid::Uuid;

/// Size of a piece of a file that was sent in.
pub const PIECE: usize = 256 * 1024;
/// Largest part of a file that is looked at at once; no row may be longer.
pub const WINDOW: usize = 2 * 1024 * 1024;

/// A file.
#[derive(Debug, Clone, QueryableByName)]
pub struct File {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = Text)]
    pub name: String,
    #[diesel(sql_type = Text)]
    pub format: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub encoding: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub delimiter: Option<String>,
    #[diesel(sql_type = BigInt)]
    pub size_bytes: i64,
    /// Of a file of lines that was sent in: the members of all of them.
    #[diesel(sql_type = Nullable<Jsonb>)]
    pub headings: Option<Value>,
    /// Of an export: the rights that it was made with.
    #[diesel(sql_type = Nullable<Jsonb>)]
    pub rights: Option<Value>,
}

/// Notes a file whose bytes are to come.
pub async fn begin(
    conn: &mut AsyncPgConnection,
    ctx: &Ctx,
    id: Uuid,
    purpose: &str,
    name: &str,
    format: &str,
) -> AppResult<()> {
    let query = sql_query(
        "INSERT INTO transfer_files (tenant_id, id, user_id, purpose, name, format, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(id)
    .bind::<SqlUuid, _>(ctx.user)
    .bind::<Text, _>(purpose)
    .bind::<Text, _>(name)
    .bind::<Text, _>(format)
    .bind::<Timestamptz, _>(ctx.recorded_at);
    Cached(query).execute(conn).await?;
    Ok(())
}

/// Puts a piece at its place. A piece written again, by a chunk that is repeated, replaces itself.
pub async fn put(
    conn: &mut AsyncPgConnection,
    tenant: Uuid,
    file: Uuid,
    start: i64,
    bytes: &[u8],
) -> AppResult<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let query = sql_query(
        "INSERT INTO transfer_chunks (tenant_id, file_id, start_at, content) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (tenant_id, file_id, start_at) DO UPDATE SET content = EXCLUDED.content",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<SqlUuid, _>(file)
    .bind::<BigInt, _>(start)
    .bind::<Binary, _>(bytes);
    Cached(query).execute(conn).await?;
    Ok(())
}

/// What is known of a file once it is whole.
pub struct Whole<'a> {
    pub size: i64,
    pub digest: &'a [u8],
    pub encoding: Option<&'a str>,
    pub delimiter: Option<&'a str>,
    pub headings: Option<Value>,
    pub rights: Option<Value>,
}

/// Notes that a file is whole.
pub async fn complete(
    conn: &mut AsyncPgConnection,
    tenant: Uuid,
    file: Uuid,
    whole: &Whole<'_>,
) -> AppResult<()> {
    let query = sql_query(
        "UPDATE transfer_files SET is_complete = true, size_bytes = $3, digest = $4, encoding = $5, delimiter = $6, \
         headings = $7, rights = $8 WHERE tenant_id = $1 AND id = $2",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<SqlUuid, _>(file)
    .bind::<BigInt, _>(whole.size)
    .bind::<Binary, _>(whole.digest)
    .bind::<Nullable<Text>, _>(whole.encoding)
    .bind::<Nullable<Text>, _>(whole.delimiter)
    .bind::<Nullable<Jsonb>, _>(whole.headings.as_ref())
    .bind::<Nullable<Jsonb>, _>(whole.rights.as_ref());
    Cached(query).execute(conn).await?;
    Ok(())
}

/// Forgets a file that did not become whole.
pub async fn forget(conn: &mut AsyncPgConnection, tenant: Uuid, file: Uuid) -> AppResult<()> {
    let query = sql_query("DELETE FROM transfer_files WHERE tenant_id = $1 AND id = $2 AND NOT is_complete")
        .bind::<SqlUuid, _>(tenant)
        .bind::<SqlUuid, _>(file);
    Cached(query).execute(conn).await?;
    Ok(())
}

/// A whole file that is the caller's own.
pub async fn find(conn: &mut &AsyncPgConnection, ctx: &Ctx, purpose: &str, id: Uuid) -> AppResult<File> {
    let query = sql_query(
        "SELECT id, name, format, encoding, delimiter, size_bytes, headings, rights FROM transfer_files \
         WHERE tenant_id = $1 AND id = $2 AND user_id = $3 AND purpose = $4 AND is_complete",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(id)
    .bind::<SqlUuid, _>(ctx.user)
    .bind::<Text, _>(purpose);
    Cached(query).get_result(conn).await.optional()?.or_not_found()
}

#[derive(QueryableByName)]
struct Piece {
    #[diesel(sql_type = BigInt)]
    start_at: i64,
    #[diesel(sql_type = Binary)]
    content: Vec<u8>,
}

/// A part of a file.
pub struct Window {
    pub bytes: Bytes,
    /// Where it stands in the file.
    pub start: i64,
    /// Whether the file ends with it.
    pub is_end: bool,
}

impl Window {
    /// What is behind a place in the file.
    pub fn behind(&self, place: i64) -> Window {
        let skip = usize::try_from(place - self.start)
            .unwrap_or(0)
            .min(self.bytes.len());
        Window {
            bytes: self.bytes.slice(skip..),
            start: place,
            is_end: self.is_end,
        }
    }
}

/// The part of a file from a place on, of at most [`WINDOW`] bytes and a piece.
pub async fn window(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    file: &File,
    start: i64,
) -> AppResult<Window> {
    let bytes = read(conn, tenant, file, start, start + place(WINDOW)).await?;
    let end = start + place(bytes.len());
    Ok(Window {
        bytes: bytes.into(),
        start,
        is_end: end >= file.size_bytes,
    })
}

/// So many bytes of a file from a place on, as if it were all of it.
pub async fn stretch(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    file: &File,
    start: i64,
    length: i64,
) -> AppResult<Window> {
    let mut bytes = read(conn, tenant, file, start, start + length).await?;
    bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
    Ok(Window {
        bytes: bytes.into(),
        start,
        is_end: true,
    })
}

/// The bytes from a place on to the end of the piece in which another place lies.
async fn read(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    file: &File,
    start: i64,
    end: i64,
) -> AppResult<Vec<u8>> {
    let piece = place(PIECE);
    let query = sql_query(
        "SELECT start_at, content FROM transfer_chunks WHERE tenant_id = $1 AND file_id = $2 AND start_at BETWEEN $3 AND $4 \
         ORDER BY start_at",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<SqlUuid, _>(file.id)
    .bind::<BigInt, _>(start / piece * piece)
    .bind::<BigInt, _>(end);
    let found: Vec<Piece> = Cached(query).load(conn).await?;
    let mut bytes = Vec::new();
    for piece in found {
        let skip = usize::try_from(start - piece.start_at).unwrap_or(0);
        bytes.extend_from_slice(piece.content.get(skip..).unwrap_or_default());
    }
    Ok(bytes)
}

fn place(at: usize) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}

/// The piece of a file that begins at a place, or after it.
pub async fn piece(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    file: Uuid,
    from: i64,
) -> AppResult<Option<(i64, Vec<u8>)>> {
    let query = sql_query(
        "SELECT start_at, content FROM transfer_chunks WHERE tenant_id = $1 AND file_id = $2 AND start_at >= $3 \
         ORDER BY start_at LIMIT 1",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<SqlUuid, _>(file)
    .bind::<BigInt, _>(from);
    let found: Option<Piece> = Cached(query).get_result(conn).await.optional()?;
    Ok(found.map(|piece| (piece.start_at, piece.content)))
}
