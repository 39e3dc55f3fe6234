//! `database`: where the gateway remembers.

use std::{fmt, path::Path};

use serde::{Deserialize, Serialize, Serializer};
use url::Url;

/// `database`: where the gateway remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `sqlite://<path>`, a file on a local disk for one gateway, created where there is none; or
    /// `postgres://<user>:<password>@<host>/<database>`, a PostgreSQL 14 or newer that several
    /// gateways share. `?sslmode=` and what else psql takes may follow.
    pub url: DatabaseUrl,
}

/// The URL of a database. It prints without its password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct DatabaseUrl(String);

/// A kind of database, and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database<'a> {
    /// The file of an SQLite database.
    Sqlite(&'a Path),
    /// The whole URL of a PostgreSQL database, with its password.
    Postgres(&'a str),
}

impl DatabaseUrl {
    /// What it names; `None` for something unknown.
    pub fn find_database(&self) -> Option<Database<'_>> {
        let (scheme, rest) = self.0.split_once("://")?;
        match scheme {
            "sqlite" if !rest.is_empty() => Some(Database::Sqlite(Path::new(rest))),
            "postgres" | "postgresql" => Some(Database::Postgres(&self.0)),
            _ => None,
        }
    }

    /// The part before `://`, if there is one.
    pub(super) fn scheme(&self) -> Option<&str> {
        self.0.split_once("://").map(|(scheme, _)| scheme)
    }
}

impl Default for DatabaseUrl {
    fn default() -> Self {
        Self("sqlite://data/tryon.db".to_owned())
    }
}

impl From<String> for DatabaseUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.find_database() {
            Some(Database::Sqlite(_)) => f.write_str(&self.0),
            Some(Database::Postgres(url)) => f.write_str(&hide_password(url)),
            // Who knows what is in it.
            None => f.write_str("***"),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The user, the host and the database alone: a password may also be among the parameters.
fn hide_password(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else {
        return "postgres://***".to_owned();
    };
    if url.password().is_some() && url.set_password(Some("***")).is_err() {
        return "postgres://***".to_owned();
    }
    let host = url.query_pairs().find(|(key, _)| key == "host");
    let host = host.map(|(_, host)| format!("host={host}"));
    url.set_query(host.as_deref());
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_database() {
        let find = |url: &str| DatabaseUrl::from(url.to_owned());
        let file = find("sqlite://data/tryon.db");
        let path = Path::new("data/tryon.db");
        assert_eq!(file.find_database(), Some(Database::Sqlite(path)));
        for url in ["postgres://a@h/d", "postgresql:///d?host=/run"] {
            assert_eq!(find(url).find_database(), Some(Database::Postgres(url)));
        }
        for url in ["", "sqlite://", "mysql://h", "data/tryon.db"] {
            assert_eq!(find(url).find_database(), None, "{url}");
        }
    }

    #[test]
    fn it_prints_without_its_password() {
        for (url, printed) in [
            ("sqlite:///srv/tryon.db", "sqlite:///srv/tryon.db"),
            ("postgres://h/d", "postgres://h/d"),
            ("postgres://me:pass@h:5/d", "postgres://me:***@h:5/d"),
            (
                "postgres:///d?host=/run&user=me&password=pass&sslmode=require",
                "postgres:///d?host=/run",
            ),
            ("postgres://me:pass@h:port/d", "postgres://***"),
            ("mysql://me:pass@h/d", "***"),
        ] {
            let url = DatabaseUrl::from(url.to_owned());
            assert_eq!(url.to_string(), printed);
            assert_eq!(format!("{url:?}"), printed);
            assert_eq!(serde_json::to_value(&url).unwrap(), printed);
        }
    }
}
