"""The store on PostgreSQL: ledger, agents, runs and control state in one schema, for many hosts.

    REMIT_STORE=postgresql://remit@db.internal/governance remit run …

Rules
1. A future resolves after COMMIT on a server with `fsync` and `synchronous_commit`; a batch is written whole
   or not at all.
2. One writer a process commits what is queued together and signs one checkpoint in the same transaction.
   Hosts append one after the other, under the log's advisory lock (`postgres.log`).
3. A head moves by compare-and-swap in one statement.
4. Nothing changes records, nodes, checkpoints or signers: grants, forced row-level security and triggers
   (`postgres.schema`). Content is erased by `erase_content` alone, on the record; a signed prefix goes by
   pruning alone, on the record, by the tables' owner (`postgres.prune`).
5. Whatever is read back is verified; whatever fails is a `LedgerError` with one message.

Keys: each host signs with a key of its own, in a folder of its own (`postgres.place`), and enters its
verifier key into `signers` once. What verifies against `signers` alone agrees with itself, no more: bring the
hosts' keys, or a checkpoint that was kept elsewhere.

Erasure: the rows are gone at once. Their bytes leave the server's files when it rewrites the table
(`VACUUM FULL contents, entries, subject_keys`) and recycles its write-ahead log; backups are the operator's.
What is about a data subject is sealed under a key in a table of its own (`postgres.keys`), so a backup
without that table opens nothing of it.

Threat: the owner of the schema can switch triggers off and rewrite everything. Keep checkpoints elsewhere.
Needs PostgreSQL 13 or newer, and the extra `postgresql`.
"""

from __future__ import annotations

import select
import socket
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from remit.errors import LedgerError, NoStoreError
from remit.ledger.checkpoint import Checkpoint, parse_verifier_key, sign_checkpoint, verifier_key
from remit.ledger.cosignature import Quorum
from remit.ledger.tree import EMPTY_ROOT
from remit.ledger.verification import verify_log
from remit_adapters._sealed_files import SealedFiles
from remit_adapters.postgres import agents, log, prune
from remit_adapters.postgres.connect import configure, connect, keepalive
from remit_adapters.postgres.control import PostgresControl
from remit_adapters.postgres.errors import refusals_named
from remit_adapters.postgres.keys import TableKeys, count_sealed
from remit_adapters.postgres.place import Place, place_of
from remit_adapters.postgres.schema import prepare_schema, schema_version
from remit_adapters.postgres.turns import Turns
from remit_adapters.postgres.writer import Writer
from remit_adapters.stores.base import Row, StoreBase
from remit_adapters.stores.claims import claim_bytes, claim_in
from remit_adapters.stores.heads import derived_findings, head_findings
from remit_adapters.stores.key import load_signer, origin_of, publish_key
from remit_adapters.stores.seals import KEYS_NAME, opened_raw, require_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from remit.document.model import Document
    from remit.ledger.archive import Segment
    from remit.ledger.report import Finding, LogReport, RawRecord
    from remit.ports import Clock, RunState, Signer, SubjectKeys

PATIENCE_S: Final = 10.0
MINIMUM_SERVER: Final = 130_000
"""`pg_current_xact_id` came with 13."""
READERS: Final = 4
"""Connections for reading, at most."""
KNOWN: Final = 64
"""Agents whose last reading is kept."""


def open_store(
    url: str,
    *,
    signer: Signer | None = None,
    clock: Clock | None = None,
    read_only: bool = False,
    patience_s: float = PATIENCE_S,
    subject_keys: SubjectKeys | None = None,
) -> PostgresStore:
    """Open the store at `url`, making its schema on first use.

    Args:
        url: `postgresql://[user[:password]@]host[:port]/database[?schema=NAME]`.
        signer: signs checkpoints; None uses this host's own key and makes one on first use.
        clock: time of records that the store itself writes; None is the system's clock.
        read_only: refuse every change; needs no signing key.
        patience_s: how long to wait for other hosts, and for a server that went away.
        subject_keys: keeps the keys of data subjects; None keeps them in tables of their own beside the
            store's.

    Raises:
        LedgerError: the server or the schema cannot be used; one message says why.
    """
    place = place_of(url)

    def keys_over(connection: psycopg.Connection) -> SubjectKeys:
        return subject_keys or TableKeys(connection)

    with refusals_named(place.shown, "open the store"), ExitStack() as undo:
        if read_only:
            with connect(place, name="reader", patience_s=patience_s, read_only=True) as connection:
                if not schema_version(connection, place.schema):
                    raise NoStoreError(f"cannot open the store: there is none in `{place.shown}`")
                meta = _checked(_meta(connection))
                require_keys(meta.get(KEYS_NAME, ""), keys_over(connection))
            control = PostgresControl(place, read_only=True)
            undo.callback(control.close)
            store = PostgresStore(
                place,
                meta=meta,
                writer=None,
                control=control,
                clock=clock,
                keys=keys_over,
                patience_s=patience_s,
            )
            undo.pop_all()
            return store
        prepare_schema(place, keys_over)
        own = signer is None
        if own:
            place.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = load_signer(place.state, make=True) if signer is None else signer
        with connect(place, name="opening", patience_s=patience_s) as connection:
            if connection.info.server_version < MINIMUM_SERVER:
                raise LedgerError(f"`{place.shown}` is older than PostgreSQL 13, which is needed")
            meta = _begin_log(connection, place, key)
            require_keys(meta.get(KEYS_NAME, ""), keys_over(connection))
        control = PostgresControl(place)
        undo.callback(control.close)
        if own:
            publish_key(place.state, str(verifier_key(key)))
        writer = Writer(place, key, meta["origin"], keys_over, patience_s=patience_s)
        undo.callback(writer.close)
        store = PostgresStore(
            place,
            meta={**meta, "verifier_key": str(verifier_key(key))},
            writer=writer,
            control=control,
            clock=clock,
            keys=keys_over,
            patience_s=patience_s,
            cache=SealedFiles.beside(place.state, key, own_key=own) if place.state.is_dir() else None,
        )
        undo.pop_all()
        return store


def _begin_log(connection: psycopg.Connection, place: Place, signer: Signer) -> dict[str, str]:
    """Name the log after its first key and sign its empty tree (whoever comes first), and enter the key."""
    text = str(verifier_key(signer))
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (place.lock,))
        meta = _meta(connection)
        if "origin" not in meta:
            meta |= {"origin": origin_of(signer.public_key), "verifier_key": text}
            for name in ("origin", "verifier_key"):
                connection.execute("INSERT INTO meta (name, value) VALUES (%s, %s)", (name, meta[name]))
            empty = Checkpoint(origin=meta["origin"], size=0, root=EMPTY_ROOT)
            connection.execute(
                "INSERT INTO checkpoints (number, size, note) VALUES (0, 0, %s)",
                (sign_checkpoint(empty, signer),),
            )
        connection.execute(
            "INSERT INTO signers (key, host) VALUES (%s, %s) ON CONFLICT (key) DO NOTHING",
            (text, socket.gethostname()),
        )
    return _checked(meta)


def _meta(connection: psycopg.Connection) -> dict[str, str]:
    rows = connection.execute("SELECT name, value FROM meta").fetchall()
    return {str(name): str(value) for name, value in rows}


def _checked(meta: dict[str, str]) -> dict[str, str]:
    if "origin" not in meta or "verifier_key" not in meta:
        raise LedgerError("the store does not say which log it holds: restore it from a backup")
    return meta


class PostgresStore(StoreBase[psycopg.Connection, PostgresControl]):
    """The ports `Ledger` and `AgentStore`, and `.control`, the port `ControlState`. Made by `open_store`.

    Args:
        place: where.
        meta: the log's origin, and the verifier key of this host (of the first one in a read-only store).
        writer: commits; None for a read-only store.
        control: the control state.
        clock: time of records that the store itself writes; None is the system's clock.
        keys: gives the subjects' keys, over a connection.
        patience_s: how long readers wait for a connection.
        cache: keeps what can be made again; None for a read-only store, which has no key.
    """

    def __init__(
        self,
        place: Place,
        *,
        meta: dict[str, str],
        writer: Writer | None,
        control: PostgresControl,
        clock: Clock | None,
        keys: Callable[[psycopg.Connection], SubjectKeys],
        patience_s: float,
        cache: SealedFiles | None = None,
    ) -> None:
        super().__init__(
            place.state,
            shown=place.shown,
            origin=meta["origin"],
            verifier_key=meta["verifier_key"],
            writer=writer,
            control=control,
            clock=clock,
            cache=cache,
        )
        self._place = place
        self._patience_s = patience_s
        # What was read last of an agent, so that what other hosts did since is all that is read next.
        self._known: dict[str, agents.Reading] = {}
        self._keys_over = keys
        self._turns = Turns(place, patience_s=patience_s)
        self._pool = ConnectionPool(
            place.conninfo,
            min_size=1,
            max_size=READERS,
            timeout=patience_s,
            kwargs={
                "autocommit": True,
                "application_name": place.named("reader"),
                **keepalive(place.conninfo),
            },
            configure=self._configured,
            check=_checked_if_told,
            name="remit-readers",
            open=True,
        )

    def first_claim(self, agent: str, approval: str) -> int | None:
        """Return the index of the first decision of `agent` that consumed the approval `approval`, or None.

        Raises:
            LedgerError: the log cannot be read.
        """
        with self._reading("look up a claim") as connection:
            rows = connection.execute(
                "SELECT idx, leaf FROM records WHERE agent = %s AND kind = 'decision'"
                " AND position('\\x22617070726f76616c73223a'::bytea IN leaf) > 0"
                " AND position(%s::bytea IN leaf) > 0 ORDER BY idx",
                (agent, claim_bytes(approval)),
            )
            return claim_in([(int(index), bytes(leaf)) for index, leaf in rows.fetchall()], approval)

    def verify(
        self,
        *,
        keys: Iterable[str] = (),
        held: Iterable[str] = (),
        witnesses: Sequence[str] = (),
        quorum: int | None = None,
    ) -> LogReport:
        """Verify the whole log as it lies in the tables, and that the agents are where it says they are.

        Args:
            keys: verifier key texts that the verifier brings, one for each host; none means those that the
                store lists, which proves only that the log agrees with itself.
            held: notes of this log that were kept elsewhere.
            witnesses: verifier key texts of witnesses, of whom `quorum` must have cosigned one of `held`.
            quorum: how many; all where it is left out.

        Raises:
            LedgerError: the server or a key cannot be read; what is wrong *in* the log is in the report.
        """
        self._usable()
        brought = tuple(keys)
        needed = Quorum.of(witnesses, quorum)
        with (
            refusals_named(self._shown, "verify the log"),
            connect(self._place, name="verifier", patience_s=self._patience_s, read_only=True) as connection,
        ):
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            connection.execute("SET LOCAL idle_in_transaction_session_timeout TO 0")
            subject_keys = self._keys(connection)
            report = verify_log(
                opened_raw(log.raw_records(connection), lambda: subject_keys),
                checkpoints=log.stored_notes(connection),
                verifier_keys=[parse_verifier_key(text) for text in brought or log.signers(connection)],
                origin=self.origin,
                nodes=log.stored_nodes(connection),
                held=held,
                quorum=needed,
            )
            found = _beside_the_log(connection, report, lambda: subject_keys)
            connection.execute("COMMIT")
        return replace(report, findings=(*report.findings, *found))

    def try_turn(self, agent: str) -> bool:
        """Take the turn at an agent's head if no thread and no host has it; never waits, never raises."""
        return self._turns.take(agent)

    def end_turn(self, agent: str) -> None:
        """Give the turn back; never raises."""
        self._turns.end(agent)

    def verifier_keys(self) -> tuple[str, ...]:
        """Return the verifier keys of all hosts that ever signed here, as the store says."""
        with self._reading("read the signers") as connection:
            return tuple(log.signers(connection))

    def load_run(self, run: str) -> RunState | None:
        """A run's saved state, or None."""
        with self._reading("load a run") as connection:
            return agents.load_run(connection, run)

    def runs(self, *, agent: str = "", status: str = "") -> tuple[RunState, ...]:
        """Saved runs, newest first."""
        with self._reading("list runs") as connection:
            return agents.list_runs(connection, agent=agent, status=status)

    @contextmanager
    def _reading(self, doing: str) -> Generator[psycopg.Connection]:
        self._usable()
        with refusals_named(self._shown, doing):
            try:
                lent = self._pool.getconn()
            except PoolTimeout:
                raise LedgerError(
                    f"cannot {doing}: `{self._shown}`: no connection within {self._patience_s:g} s: "
                    "is the server reachable?"
                ) from None
            try:
                yield lent
            finally:
                self._pool.putconn(lent)

    def _configured(self, connection: psycopg.Connection) -> None:
        configure(connection, self._place, patience_s=self._patience_s, read_only=True)

    def _release(self) -> None:
        self._pool.close()
        self._turns.close()
        self.control.close()

    def _chunk(self, connection: psycopg.Connection, agent: str, run: str, start: int) -> list[Row]:
        return log.chunk(connection, agent, run, start)

    def _of_kind(self, connection: psycopg.Connection, kind: str, start: int, stop: int) -> list[Row]:
        return log.rows_of_kind(connection, kind, start, stop)

    def _raw(self, connection: psycopg.Connection, start: int, stop: int | None) -> list[RawRecord]:
        rows = log.raw_chunk(connection, start, stop)
        return [*opened_raw(rows, lambda: self._keys(connection))]

    def _nodes(self, connection: psycopg.Connection, places: Iterable[tuple[int, int]]) -> tuple[bytes, ...]:
        return log.node_digests(connection, places)

    def _open_intents(self, connection: psycopg.Connection) -> list[Row]:
        return log.open_intents(connection)

    def _find_cut(self, connection: psycopg.Connection, index: int) -> int:
        return prune.find_cut(connection, index)

    def _segment(self, connection: psycopg.Connection, before: int) -> Segment:
        return prune.read_segment(connection, before, origin=self.origin)

    def _newest_note(self, connection: psycopg.Connection) -> str | None:
        row = connection.execute("SELECT note FROM checkpoints ORDER BY number DESC LIMIT 1").fetchone()
        return None if row is None else str(row[0])

    def _size(self, connection: psycopg.Connection) -> int:
        row = connection.execute("SELECT coalesce(max(idx), -1) + 1 FROM records").fetchone()
        return int(row[0]) if row else 0

    def _beginning_with(self, connection: psycopg.Connection, prefix: str) -> list[str]:
        return agents.find_agents(connection, prefix)

    def _head_of(self, connection: psycopg.Connection, agent: str) -> Document | None:
        # Read-only anyway: one state for all rows of the agent.
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        known = self._known.get(agent)

        def keys() -> SubjectKeys:
            return self._keys(connection)

        try:
            found = None if known is None else agents.catch_up(connection, known, keys)
            found = found or agents.read_agent(connection, agent, keys)
        finally:
            connection.execute("ROLLBACK")
        if found is not None:
            if len(self._known) >= KNOWN:
                self._known.clear()
            self._known[agent] = found
        return None if found is None else found[0]

    def _keys(self, connection: psycopg.Connection) -> SubjectKeys:
        return self._keys_over(connection)

    def _sealed_by(self, connection: psycopg.Connection, key: str) -> int:
        return count_sealed(connection, key)

    def _head(self, connection: psycopg.Connection, agent: str) -> str | None:
        row = connection.execute("SELECT revision FROM agents WHERE agent = %s", (agent,)).fetchone()
        return None if row is None else str(row[0])

    def _heads(self, connection: psycopg.Connection) -> tuple[tuple[str, str], ...]:
        return agents.list_agents(connection)


def _checked_if_told(connection: psycopg.Connection) -> None:
    """Look whether an idle connection still works, if the server has sent something: a question costs a trip.

    Raises:
        psycopg.OperationalError: it does not; the pool takes another one.
    """
    readable, _, _ = select.select([connection.fileno()], [], [], 0)
    if readable:
        ConnectionPool.check_connection(connection)


def _beside_the_log(
    connection: psycopg.Connection, report: LogReport, keys: Callable[[], SubjectKeys]
) -> list[Finding]:
    """Check what the store derives from the log, and its agents."""
    strays = connection.execute(
        "SELECT c.idx FROM contents AS c WHERE NOT EXISTS (SELECT 1 FROM records AS r WHERE r.idx = c.idx)"
        " ORDER BY c.idx"
    ).fetchall()
    listed = connection.execute("SELECT idx FROM open_intents ORDER BY idx").fetchall()
    return [
        *derived_findings([int(row[0]) for row in strays], [int(row[0]) for row in listed], report),
        *head_findings(
            dict(agents.list_agents(connection)),
            lambda agent: agents.read_agent(connection, agent, keys),
            report,
        ),
    ]
