//! The embedded storage: one SQLite file.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use minamo_media::ChannelId;
use sqlx::Row;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous};

use crate::{CatalogError, Channel, ChannelKind, ChannelSecret};

static MIGRATOR: Migrator = sqlx::migrate!();

/// Readers beside the one writer that SQLite has.
const CONNECTIONS_MAX: u32 = 4;
/// How long a write waits for another one before it is an error.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub(crate) struct Store {
    pool: SqlitePool,
}

impl Store {
    pub(crate) async fn open_url(url: &str) -> Result<Self, CatalogError> {
        let scheme = url.split_once(':').map_or(url, |(scheme, _)| scheme);
        if scheme != "sqlite" {
            return Err(CatalogError::UnsupportedUrl { scheme: scheme.to_owned() });
        }
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|error| CatalogError::Open { path: PathBuf::from(url), why: one_line(&error) })?;
        let in_memory = url.contains(":memory:") || url.contains("mode=memory");
        if !in_memory {
            make_folder_of(options.get_filename())?;
        }
        // Every connection to `:memory:` is a database of its own.
        Self::open(options, if in_memory { 1 } else { CONNECTIONS_MAX }).await
    }

    pub(crate) async fn open_file(path: &Path) -> Result<Self, CatalogError> {
        make_folder_of(path)?;
        Self::open(SqliteConnectOptions::new().filename(path), CONNECTIONS_MAX).await
    }

    async fn open(options: SqliteConnectOptions, connections_max: u32) -> Result<Self, CatalogError> {
        let path = options.get_filename().to_owned();
        let options = options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let open_failed = |why: String| CatalogError::Open { path: path.clone(), why };
        let pool = SqlitePoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(BUSY_TIMEOUT)
            // A pool that closes its idle connections would lose an in-memory catalog, and saves nothing on a file.
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await
            .map_err(|error| open_failed(one_line(&error)))?;
        MIGRATOR.run(&pool).await.map_err(|error| open_failed(one_line(&error)))?;
        let store = Self { pool };
        store.prove_writable().await.map_err(|error| open_failed(one_line(&error)))?;
        Ok(store)
    }

    /// SQLite opens a file that it may only read without a word, and lets a transaction begin on it; a statement that may write tells.
    async fn prove_writable(&self) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("DELETE FROM channels WHERE FALSE").execute(&mut *transaction).await?;
        transaction.rollback().await
    }

    pub(crate) async fn insert(
        &self,
        id: ChannelId,
        kind: ChannelKind,
        settings: serde_json::Value,
    ) -> Result<Channel, CatalogError> {
        let created_at_ms = now_ms();
        let secret = ChannelSecret::generate()?;
        let columns = "INSERT INTO channels (id, kind, settings, created_at, secret, key_id) VALUES (?, ?, ?, ?, ?, ?)";
        let inserted = sqlx::query(columns)
            .bind(id.as_str())
            .bind(kind.as_str())
            .bind(settings.to_string())
            .bind(created_at_ms)
            .bind(&secret.bytes()[..])
            .bind(secret.key_id())
            .execute(&self.pool)
            .await;
        match inserted {
            Ok(_) => Ok(Channel { id, kind, settings, created_at: time_of_ms(created_at_ms), secret }),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Err(CatalogError::IdTaken(id)),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn channel(&self, id: &ChannelId) -> Result<Option<Channel>, CatalogError> {
        let found = sqlx::query(
            "SELECT id, kind, settings, created_at, secret, key_id FROM channels
             WHERE id = ? AND deleted_at IS NULL",
        )
        .bind(id.as_str())
        .fetch_optional(&self.pool)
        .await?;
        found.map(|row| channel_of(&row)).transpose()
    }

    pub(crate) async fn channel_of_key(&self, key_id: &str) -> Result<Option<Channel>, CatalogError> {
        let found = sqlx::query(
            "SELECT id, kind, settings, created_at, secret, key_id FROM channels
             WHERE key_id = ? AND key_id <> '' AND deleted_at IS NULL",
        )
        .bind(key_id)
        .fetch_optional(&self.pool)
        .await?;
        found.map(|row| channel_of(&row)).transpose()
    }

    pub(crate) async fn delete(&self, id: &ChannelId) -> Result<bool, CatalogError> {
        let done = sqlx::query(
            "UPDATE channels SET deleted_at = ?, settings = '{}', secret = x'', key_id = '' WHERE id = ? AND deleted_at IS NULL",
        )
        .bind(now_ms())
        .bind(id.as_str())
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    pub(crate) async fn list(&self, after: Option<&ChannelId>, limit: u32) -> Result<Vec<Channel>, CatalogError> {
        // The tombstone of a deleted cursor still has its place in the order.
        let rows = sqlx::query(
            "SELECT id, kind, settings, created_at, secret, key_id FROM channels
             WHERE deleted_at IS NULL AND seq > COALESCE((SELECT seq FROM channels WHERE id = ?), 0)
             ORDER BY seq LIMIT ?",
        )
        .bind(after.map(ChannelId::as_str))
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(channel_of).collect()
    }

    pub(crate) async fn ids(&self) -> Result<Vec<ChannelId>, CatalogError> {
        let ids: Vec<String> =
            sqlx::query_scalar("SELECT id FROM channels WHERE deleted_at IS NULL ORDER BY seq").fetch_all(&self.pool).await?;
        Ok(ids.into_iter().map(ChannelId::from).collect())
    }

    pub(crate) async fn check(&self) -> Result<(), CatalogError> {
        sqlx::query("SELECT 1 FROM channels LIMIT 1").fetch_optional(&self.pool).await?;
        Ok(())
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

fn channel_of(row: &SqliteRow) -> Result<Channel, CatalogError> {
    let id = ChannelId::from(row.try_get::<String, _>("id")?);
    let kind: String = row.try_get("kind")?;
    let settings: String = row.try_get("settings")?;
    let created_at = time_of_ms(row.try_get("created_at")?);
    let Some(kind) = ChannelKind::parse(&kind) else {
        return Err(CatalogError::Damaged { id, why: format!("unknown kind \"{kind}\"") });
    };
    let (bytes, key_id): (Vec<u8>, String) = (row.try_get("secret")?, row.try_get("key_id")?);
    let Some(secret) = ChannelSecret::stored(&bytes, &key_id) else {
        return Err(CatalogError::Damaged { id, why: "its secret is not 32 bytes with an id".into() });
    };
    match serde_json::from_str(&settings) {
        Ok(settings) => Ok(Channel { id, kind, settings, created_at, secret }),
        Err(error) => Err(CatalogError::Damaged { id, why: format!("settings are not JSON: {error}") }),
    }
}

fn make_folder_of(file: &Path) -> Result<(), CatalogError> {
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => return Ok(()),
    };
    std::fs::create_dir_all(folder).map_err(|source| CatalogError::Folder { path: folder.to_owned(), source })
}

fn one_line(error: &dyn std::fmt::Display) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn now_ms() -> i64 {
    // A clock before 1970 gives 0: the time is for people, nothing is ordered by it.
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

fn time_of_ms(ms: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::Store;

    #[tokio::test]
    async fn what_is_acknowledged_is_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_file(&folder.path().join("catalog.db")).await.unwrap();
        let pragma = async |sql: &'static str| -> String {
            let row = sqlx::query(sql).fetch_one(&store.pool).await.unwrap();
            sqlx::Row::try_get_unchecked::<String, _>(&row, 0).unwrap()
        };
        assert_eq!(pragma("PRAGMA journal_mode").await, "wal");
        assert_eq!(pragma("SELECT CAST((SELECT * FROM pragma_synchronous) AS TEXT)").await, "2", "2 is FULL");
        assert_eq!(pragma("SELECT CAST((SELECT * FROM pragma_foreign_keys) AS TEXT)").await, "1");
    }
}
