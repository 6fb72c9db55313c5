//! Group commit: sessions that wait at the same moment are stored by one statement and one commit, with
//! what webhooks are told of them.
//!
//! Each answer leaves after its commit. While one group is being committed the next gathers, so that
//! under load the cost of the disk is shared, and a mint that comes alone waits for nobody.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::app::error::Error;
use crate::app::ledger::Handed;
use crate::app::webhooks::{News, Outbox};
use crate::store::Store;
use crate::store::sessions::{self, NewRow};

/// Sessions that wait at most; one more is answered at once that there is no room.
const WAITING_MAX: usize = 4_096;
/// How long one commit may take. It is longer than the database lets a statement run.
const STORE_TIMEOUT: Duration = Duration::from_secs(12);
/// Sessions in one commit at most.
const GROUP_MAX: usize = sessions::ROWS_MAX;

/// What became of a group is told to each of its members.
type Outcome = Result<(), Arc<Error>>;

/// Stores sessions. It ends when it is dropped, after what waits was stored.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    row: NewRow,
    news: Option<News>,
    stored: oneshot::Sender<Outcome>,
}

impl Writer {
    /// Starts to write to a database. What was stored is handed to the sealer of the ledger.
    pub(crate) fn start(store: Store, handed: Arc<Handed>, outbox: Outbox) -> Self {
        Self::with_room(store, handed, outbox, WAITING_MAX)
    }

    fn with_room(store: Store, handed: Arc<Handed>, outbox: Outbox, waiting_max: usize) -> Self {
        let (queue, waiting) = mpsc::channel(waiting_max);
        tokio::spawn(run(store, handed, outbox, waiting));
        Self { queue }
    }

    /// Stores a session, with what webhooks are to be told of it. Both are on disk when this returns.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when too many wait already, or when the database does not take it.
    pub(crate) async fn store(&self, row: NewRow, news: Option<News>) -> Result<(), Error> {
        let (stored, answer) = oneshot::channel();
        self.queue
            .try_send(Waiting { row, news, stored })
            .map_err(|_| Error::Unavailable("too many sessions wait to be stored".into()))?;
        let answer = answer.await;
        let outcome = answer.map_err(|_| Error::Unavailable("the service is stopping".into()))?;
        outcome.map_err(told)
    }
}

async fn run(
    store: Store,
    handed: Arc<Handed>,
    outbox: Outbox,
    mut waiting: mpsc::Receiver<Waiting>,
) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    while waiting.recv_many(&mut group, GROUP_MAX).await > 0 {
        gather(&mut waiting, &mut group).await;
        let (mut rows, mut news, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        for one in group.drain(..) {
            rows.push(one.row);
            news.push(one.news);
            answers.push(one.stored);
        }
        match insert(&store, &outbox, &rows, &news).await {
            Ok(()) => {
                handed.give(&rows);
                for stored in answers {
                    // Whoever went away finds its session in the ledger.
                    let _gone = stored.send(Ok(()));
                }
            }
            // A row that the database refuses must not fail the others. None of them was stored.
            Err(error) if rows.len() > 1 && !matches!(error, Error::Unavailable(_)) => {
                for ((row, news), stored) in rows.into_iter().zip(news).zip(answers) {
                    let row = [row];
                    let outcome = insert(&store, &outbox, &row, &[news]).await;
                    if outcome.is_ok() {
                        handed.give(&row);
                    }
                    let _gone = stored.send(outcome.map_err(Arc::new));
                }
            }
            // It was not stored, or nobody knows.
            Err(error) => {
                let error = Arc::new(error);
                for stored in answers {
                    let _gone = stored.send(Err(Arc::clone(&error)));
                }
            }
        }
    }
}

/// Lets those that are about to come join the group. Each time this yields, whatever else is ready to
/// run does so: as long as that brings more, the processor is busy, and larger groups leave more of it
/// to everybody. A mint that comes alone waits for nobody.
async fn gather(waiting: &mut mpsc::Receiver<Waiting>, group: &mut Vec<Waiting>) {
    while group.len() < GROUP_MAX {
        tokio::task::yield_now().await;
        let before = group.len();
        while group.len() < GROUP_MAX
            && let Ok(one) = waiting.try_recv()
        {
            group.push(one);
        }
        if group.len() == before {
            return;
        }
    }
}

async fn insert(
    store: &Store,
    outbox: &Outbox,
    rows: &[NewRow],
    news: &[Option<News>],
) -> Result<(), Error> {
    let news: Vec<&News> = news.iter().flatten().collect();
    let stored = async {
        if news.is_empty() {
            let mut one = store.write_one().await?;
            sessions::insert(one.conn(), rows).await?;
            return Ok(one.done().await?);
        }
        let mut tx = store.write().await?;
        sessions::insert(tx.conn(), rows).await?;
        outbox.tell(tx.conn(), &news).await?;
        Ok(tx.commit().await?)
    };
    // Whoever comes later waits behind this, and a connection whose other end is gone without a word
    // would be waited for until the kernel gives it up.
    tokio::time::timeout(STORE_TIMEOUT, stored)
        .await
        .unwrap_or_else(|_| Err(Error::Unavailable("the database is silent".into())))
}

/// As a use case tells it.
fn told(error: Arc<Error>) -> Error {
    if matches!(*error, Error::Unavailable(_)) {
        Error::Unavailable(error.into())
    } else {
        Error::Internal(error.into())
    }
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::clock::ManualClock;
    use crate::domain::environment::Environment;
    use crate::domain::id::{AccountId, KeyId, RequestId, SessionId};
    use crate::domain::liveness::{LogId, Position, Rev, Tag, Tags};
    use crate::domain::route::RouteSet;
    use crate::domain::session::{Origin, Session, SessionScope};
    use crate::domain::time::Timestamp;
    use crate::entropy::SeededEntropy;
    use crate::metrics::Metrics;
    use crate::store::PoolSize;

    const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    async fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("hallpass.db").display());
        let store = Store::open(&url, PoolSize { max: 2 }).await.unwrap();
        (folder, store)
    }

    fn outbox() -> Outbox {
        let clock = Arc::new(ManualClock::at(NOW));
        let metrics = Arc::new(Metrics::new(clock, []));
        Outbox::new(Arc::new(SeededEntropy::new(9)), metrics)
    }

    fn row(id: &SessionId, entropy: &SeededEntropy) -> NewRow {
        let tag = Tag::new(entropy).unwrap();
        let mut tags = Tags::new();
        tags.add(tag);
        let session = Session {
            id: id.clone(),
            family: id.clone(),
            family_tag: tag,
            origin: Origin::Mint,
            account: AccountId::new(NOW, entropy).unwrap(),
            actors: Vec::new(),
            key: KeyId::new(NOW, entropy).unwrap(),
            environment: Environment::Live,
            audience: "api".to_owned(),
            scope: SessionScope {
                routes: RouteSet::everything(),
                permissions: None,
                bindings: crate::domain::config::bindings(&BTreeMap::new()).unwrap(),
                domains: None,
            },
            data: None,
            tags,
            rev: Rev {
                log: LogId::from_i64(1),
                position: Position::new(1),
            },
            duration_secs: 900,
            profile: None,
            issued_at: NOW,
            expires_at: NOW.plus_secs(900),
            renewable_until: None,
            request: RequestId::new(NOW, entropy).unwrap(),
            address: None,
        };
        NewRow::new(&session, None).unwrap()
    }

    async fn is_stored(store: &Store, id: &SessionId) -> bool {
        let mut read = store.read().await.unwrap();
        sessions::find(read.conn(), id).await.unwrap().is_some()
    }

    /// Sessions that wait while the database is held, and then are a group.
    async fn gather(
        store: &Store,
        writer: &Arc<Writer>,
        rows: Vec<NewRow>,
    ) -> Vec<Result<(), Error>> {
        let held = store.write().await.unwrap();
        let mut tasks = Vec::new();
        for row in rows {
            let writer = Arc::clone(writer);
            tasks.push(tokio::spawn(async move { writer.store(row, None).await }));
            // It waits before the next comes.
            tokio::task::yield_now().await;
        }
        drop(held);
        let mut outcomes = Vec::new();
        for task in tasks {
            outcomes.push(task.await.unwrap());
        }
        outcomes
    }

    #[tokio::test]
    async fn what_waits_together_is_stored_and_a_refused_row_fails_alone() {
        let (_folder, store) = store().await;
        let entropy = SeededEntropy::new(1);
        let writer = Arc::new(Writer::start(store.clone(), Arc::default(), outbox()));
        let ids: Vec<_> = (0..20)
            .map(|_| SessionId::new(NOW, &entropy).unwrap())
            .collect();
        let mut rows: Vec<_> = ids.iter().map(|id| row(id, &entropy)).collect();
        // One more with an id that is taken by then.
        rows.push(row(&ids[3], &entropy));

        let outcomes = gather(&store, &writer, rows).await;

        let (twins, others): (Vec<_>, Vec<_>) = outcomes
            .iter()
            .enumerate()
            .partition(|(place, _)| [3, 20].contains(place));
        assert_eq!(
            others.iter().filter(|(_, outcome)| outcome.is_ok()).count(),
            19
        );
        assert_eq!(
            twins.iter().filter(|(_, outcome)| outcome.is_ok()).count(),
            1
        );
        for id in &ids {
            assert!(is_stored(&store, id).await);
        }
    }

    #[tokio::test]
    async fn whoever_finds_no_room_is_told_at_once_and_nothing_of_it_is_stored() {
        let (_folder, store) = store().await;
        let entropy = SeededEntropy::new(2);
        let writer = Arc::new(Writer::with_room(
            store.clone(),
            Arc::default(),
            outbox(),
            4,
        ));
        let ids: Vec<_> = (0..12)
            .map(|_| SessionId::new(NOW, &entropy).unwrap())
            .collect();
        let rows = ids.iter().map(|id| row(id, &entropy)).collect();

        let outcomes = gather(&store, &writer, rows).await;

        let stored = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert!((4..=8).contains(&stored), "{stored} found room");
        for (id, outcome) in ids.iter().zip(&outcomes) {
            assert_eq!(is_stored(&store, id).await, outcome.is_ok());
            assert!(matches!(outcome, Ok(()) | Err(Error::Unavailable(_))));
        }
    }

    #[tokio::test]
    async fn what_waits_when_the_writer_goes_is_stored_before_it_ends() {
        let (_folder, store) = store().await;
        let entropy = SeededEntropy::new(3);
        let writer = Writer::start(store.clone(), Arc::default(), outbox());
        let ids: Vec<_> = (0..5)
            .map(|_| SessionId::new(NOW, &entropy).unwrap())
            .collect();
        let mut answers = Vec::new();
        for id in &ids {
            let (stored, answer) = oneshot::channel();
            let row = row(id, &entropy);
            let news = None;
            let one = Waiting { row, news, stored };
            writer.queue.try_send(one).unwrap();
            answers.push(answer);
        }

        drop(writer);

        for answer in answers {
            answer.await.unwrap().unwrap();
        }
        for id in &ids {
            assert!(is_stored(&store, id).await);
        }
    }

    #[tokio::test]
    async fn a_database_that_is_gone_fails_each_of_a_group() {
        let (_folder, store) = store().await;
        let entropy = SeededEntropy::new(4);
        let writer = Arc::new(Writer::start(store.clone(), Arc::default(), outbox()));
        store.close().await;
        let id = SessionId::new(NOW, &entropy).unwrap();

        let outcome = writer.store(row(&id, &entropy), None).await;

        assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}");
    }
}
