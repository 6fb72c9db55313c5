"""Puts very many keys, accounts and sessions into an SQLite database that hallpass has set up.

Not through the API, which would take hours. The rows are copies of rows that the API made, with ids,
digests and tags of their own, so this knows few columns, and goes on working when others are added.
"""

import contextlib
import hashlib
import os
import random
import sqlite3
import time
import zlib

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
KEYS_OF_ACCOUNT = 10
CHUNK = 50_000


def base62(number, width):
    text = ""
    for _ in range(width):
        number, digit = divmod(number, 62)
        text = BASE62[digit] + text
    return text


def sorts_by_time(millis):
    """The first ten characters of an id."""
    return "".join(CROCKFORD[(millis >> (5 * place)) & 31] for place in range(9, -1, -1))


def new_id(like, millis_text, dice):
    return f"{like.split('_')[0]}_{millis_text}{dice.getrandbits(64):016x}"


def new_key(dice):
    """A key in clear, with the checksum of the real ones."""
    text = "sk_live_" + "".join(dice.choices(BASE62, k=43))
    return text + base62(zlib.crc32(text.encode()), 6)


@contextlib.contextmanager
def opened(file):
    """The database, without syncs for the time of filling; the service itself syncs each commit."""
    connection = sqlite3.connect(file, isolation_level=None, timeout=60)
    try:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -500000")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.create_function("sorts_by_time", 1, sorts_by_time, deterministic=True)
        yield connection
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()
    # Or else the first sync of the service would write all of it.
    with open(file, "rb") as written:
        os.fsync(written.fileno())


def copy_rows(connection, table, template, source, changed):
    """Inserts a copy of the template row for each row of `source`, with the named columns changed."""
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    values = []
    for column in columns:
        if column in changed:
            values.append(changed[column])
        elif column == "tag" or column.endswith("_tag"):
            values.append("random()")
        else:
            values.append(f"template.{column}")
    connection.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)} "
        f"FROM {source} AS new CROSS JOIN {table} AS template WHERE template.{template[0]} = ?",
        (template[1],),
    )


def keys(file, count, account, key, seed=1):
    """Adds keys like `key` for accounts like `account`, ten each, and gives all of them in clear."""
    dice = random.Random(seed)
    clear = []
    with opened(file) as connection:
        (digest,) = connection.execute(
            "SELECT digest FROM api_key_secret WHERE key_id = ?", (key,)
        ).fetchone()
        connection.execute("CREATE TEMP TABLE new_account (id TEXT)")
        connection.execute("CREATE TEMP TABLE new_key (id TEXT, account_id TEXT, digest BLOB, hint TEXT)")
        now = sorts_by_time(int(time.time() * 1000))
        owner = None
        for first in range(0, count, CHUNK):
            accounts, rows = [], []
            for number in range(first, min(count, first + CHUNK)):
                if number % KEYS_OF_ACCOUNT == 0:
                    owner = new_id(account, now, dice)
                    accounts.append((owner,))
                text = new_key(dice)
                clear.append(text)
                sha256 = hashlib.sha256(text.encode()).digest()
                rows.append((new_id(key, now, dice), owner, sha256, f"sk_live_…{text[-4:]}"))
            connection.execute("BEGIN")
            connection.execute("DELETE FROM new_account")
            connection.execute("DELETE FROM new_key")
            connection.executemany("INSERT INTO new_account VALUES (?)", accounts)
            connection.executemany("INSERT INTO new_key VALUES (?, ?, ?, ?)", rows)
            copy_rows(
                connection, "account", ("id", account), "new_account", {"id": "new.id", "email": "NULL"}
            )
            own = {"id": "new.id", "account_id": "new.account_id"}
            copy_rows(connection, "api_key", ("id", key), "new_key", own)
            own = {"digest": "new.digest", "key_id": "new.id", "hint": "new.hint"}
            copy_rows(connection, "api_key_secret", ("digest", digest), "new_key", own)
            connection.execute("COMMIT")
    return clear


def sessions(file, count, session, ended_before_ms=None):
    """Adds sessions like `session`, spread over all keys and over the last thirty days, or over the
    days before an instant. Indexes are made anew behind many rows, as that is much faster."""
    with opened(file) as connection:
        latest = ended_before_ms or int(time.time() * 1000)
        step = 30 * 86_400_000 // count or 1
        (highest,) = connection.execute("SELECT max(rowid) FROM api_key").fetchone()
        many = count >= 500_000
        indexes = connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'session' AND sql IS NOT NULL"
        ).fetchall()
        columns = [row[1] for row in connection.execute("PRAGMA table_info(session)")]
        own = {
            "id": "new.id",
            "family_id": "new.id",
            "key_id": "owner.id",
            "account_id": "owner.account_id",
            "issued_at": "new.at",
            "expires_at": "new.at + 900000",
        }
        values = [own.get(name) or ("random()" if name.endswith("_tag") else f"old.{name}") for name in columns]
        connection.execute("BEGIN")
        for name, _ in indexes if many else ():
            connection.execute(f"DROP INDEX {name}")
        connection.execute("CREATE TEMP TABLE old AS SELECT * FROM session WHERE id = ?", (session,))
        for first in range(0, count, 1_000_000):
            connection.execute(
                f"""
                INSERT INTO session ({", ".join(columns)})
                WITH RECURSIVE
                    number (n) AS (SELECT :first UNION ALL SELECT n + 1 FROM number WHERE n + 1 < :last),
                    timed (n, at) AS (SELECT n, :latest - 900001 - (:count - n) * :step FROM number),
                    new (id, at, owner) AS (
                        SELECT 'ses_' || sorts_by_time(at) || lower(hex(randomblob(8))), at,
                            1 + abs(random()) % :highest
                        FROM timed LIMIT -1 OFFSET 0)
                SELECT {", ".join(values)}
                FROM new CROSS JOIN api_key AS owner ON owner.rowid = new.owner CROSS JOIN old
                """,
                {
                    "first": first,
                    "last": min(count, first + 1_000_000),
                    "latest": latest,
                    "count": count,
                    "step": step,
                    "highest": highest,
                },
            )
        for _, sql in indexes if many else ():
            connection.execute(sql)
        connection.execute("DROP TABLE temp.old")
        connection.execute("COMMIT")
