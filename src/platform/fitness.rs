//! What is looked at before serving from a database: whether it keeps what it acknowledges, and what its role could do.

use super::connect::Target;
use super::replica::DATA;
use tokio_postgres::Client;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Whether the history is there yet, and whether the session's role could change it for having made it.
const OWNS_HISTORY: &str = "coalesce((SELECT pg_has_role(current_user, relowner, 'USAGE') FROM pg_class \
     WHERE oid = to_regclass('public.events')), false)";

/// Refuses a database that may lose what it acknowledged.
///
/// # Errors
/// Which setting is to be switched on; or why the database cannot be asked.
pub async fn require_durable(url: &str) -> Result<(), Failure> {
    let client = connected(url).await?;
    for setting in ["synchronous_commit", "fsync"] {
        let row = client
            .query_one("SELECT current_setting($1)", &[&setting])
            .await?;
        if row.get::<_, &str>(0) == "off" {
            return Err(format!("the database has {setting} = off: what is acknowledged could be lost in a crash; switch it on").into());
        }
    }
    Ok(())
}

async fn data_at(url: &str) -> Result<String, Failure> {
    let asked = format!("SELECT {DATA}");
    Ok(connected(url).await?.query_one(&asked, &[]).await?.get(0))
}

/// Refuses a replica of something else; one that is out of reach is only warned of, since the service does without it.
///
/// # Errors
/// That it holds other data; or why the main database cannot be asked.
pub async fn require_replica(url: &str, read_url: &str) -> Result<(), Failure> {
    match data_at(read_url).await {
        Ok(there) if there == data_at(url).await? => Ok(()),
        Ok(_) => Err("DATABASE_READ_URL does not lead to a replica of the database at DATABASE_URL".into()),
        Err(error) => {
            tracing::warn!(%error, "DATABASE_READ_URL: the replica cannot be asked; it is left out until it can be");
            Ok(())
        }
    }
}

/// What speaks against serving from a migrated database, though it is possible: each a sentence for the log.
///
/// # Errors
/// When the database cannot be asked.
pub async fn doubts(url: &str) -> Result<Vec<String>, Failure> {
    let client = connected(url).await?;
    let asked = format!(
        "SELECT rolname::text, rolsuper, {OWNS_HISTORY}, current_setting('lc_messages') \
         FROM pg_roles WHERE rolname = current_user"
    );
    let row = client.query_one(&asked, &[]).await?;
    let (role, language): (&str, &str) = (row.get(0), row.get(3));
    let may_rewrite = match (row.get(1), row.get(2)) {
        (true, _) => Some("is a superuser"),
        (false, true) => Some("owns the tables"),
        (false, false) => None,
    };
    let mut doubts = Vec::new();
    if let Some(reason) = may_rewrite {
        doubts.push(format!(
            "the database role {role} {reason}, so it could rewrite the history; give the server a role of its own \
             (docs/configuration.md, two database roles)"
        ));
    }
    if !is_english(language) {
        doubts.push(format!(
            "the database speaks {language}, and deadlocks, lock timeouts and a full disk are known by their English \
             words only; its administrator should GRANT SET ON PARAMETER lc_messages TO {role}, or ALTER ROLE {role} SET lc_messages = 'C'"
        ));
    }
    Ok(doubts)
}

async fn connected(url: &str) -> Result<Client, Failure> {
    let (client, line) = Target::new(url)?.connect().await?;
    tokio::spawn(line);
    Ok(client)
}

fn is_english(locale: &str) -> bool {
    let language = locale.split(['_', '.', '@']).next().unwrap_or_default();
    ["", "C", "POSIX"].contains(&language) || language.to_ascii_lowercase().starts_with("en")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn english_goes_by_several_names() {
        for english in [
            "C",
            "C.UTF-8",
            "POSIX",
            "en_US.UTF-8",
            "en_GB",
            "English_United States.1252",
            "",
        ] {
            assert!(is_english(english), "{english}");
        }
        for other in ["zh_CN.UTF-8", "de_DE", "ru_RU.UTF-8"] {
            assert!(!is_english(other), "{other}");
        }
    }
}
