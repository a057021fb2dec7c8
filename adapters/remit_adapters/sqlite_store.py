"""The store on SQLite: ledger, agents, runs and control state in one folder.

    store.db     records, contents, tree nodes, checkpoints; agents, entries, operations; runs
    control.db   kill and suspend, apart so that load on the store cannot delay them
    control.mark says that control.db was not changed since, so that it need not be read at each decision
    subjects.db  keys under which what is about a data subject is sealed; made with the first one
    log.key      the log's signing key (Ed25519, PKCS8 PEM, mode 0600), unless a signer is given
    log.pub      its C2SP verifier key text; give it to auditors
    cache/       what can be made again, sealed by the key; see `_sealed_files`. May be deleted

Rules
1. A future resolves after COMMIT with synchronous FULL; a batch is written whole or not at all.
2. One writer a process commits what is queued together (at most 256 batches; each stands and falls alone)
   and signs one checkpoint in the same transaction. Several processes may share the folder.
3. Nothing changes records, nodes or checkpoints; content is erased by `erase_content` alone, on the record,
   and a signed prefix of the log leaves by `prune` alone, on the record.
4. After an erasure the file is rewritten and the write-ahead log truncated before the future resolves.
   The bytes are gone from the folder's files then, not from backups or from blocks that the disk has freed.
   A reader that holds the old state delays that until it ends and the next commit.
   A key that then seals nothing any more is destroyed too: what it sealed is gone from every copy.
5. Whatever is read back is verified; whatever fails is a `LedgerError` with one message.

Threat: the folder's owner can read `log.key`, rewrite everything and sign it again. Keep checkpoints
(`checkpoint()`) elsewhere, or give a signer whose key the folder's owner does not hold.
Needs SQLite 3.37 or newer (standard library module `sqlite3`).
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from remit.errors import LedgerError, NoStoreError
from remit.ledger.checkpoint import Checkpoint, parse_verifier_key, sign_checkpoint, verifier_key
from remit.ledger.cosignature import Quorum
from remit.ledger.tree import EMPTY_ROOT
from remit.ledger.verification import verify_log
from remit_adapters._sealed_files import SealedFiles
from remit_adapters._sqlite_agents import find_agents, load_agent, read_agent
from remit_adapters._sqlite_claims import find_first_claim, prepare_claims
from remit_adapters._sqlite_control import SqliteControl
from remit_adapters._sqlite_keys import SEALING_SCHEMA, count_sealed
from remit_adapters._sqlite_log import (
    node_digests,
    raw_records,
    rows_of_kind,
    stored_nodes,
    stored_notes,
)
from remit_adapters._sqlite_prune import find_cut, read_segment
from remit_adapters._sqlite_runs import list_runs, load_run
from remit_adapters._sqlite_schema import (
    BUSY_TIMEOUT_S,
    STORE_SCHEMA,
    connect,
    prepare_schema,
    refusals_named,
    require_schema,
)
from remit_adapters._sqlite_subjects import SubjectFile
from remit_adapters._sqlite_upgrade import upgrade_store
from remit_adapters._sqlite_writer import Writer
from remit_adapters.stores.base import CHUNK, Row, StoreBase
from remit_adapters.stores.heads import derived_findings, head_findings
from remit_adapters.stores.key import PUBLIC_FILE, load_signer, origin_of, publish_key
from remit_adapters.stores.seals import KEYS_NAME, opened_raw, require_keys

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Generator, Iterable, Sequence

    from remit.document.model import Document
    from remit.ledger.archive import Segment
    from remit.ledger.report import Finding, LogReport, RawRecord
    from remit.ports import Clock, RunState, Signer, SubjectKeys

STORE_FILE: Final = "store.db"
CONTROL_FILE: Final = "control.db"
APPLICATION: Final = 0x524D_4954
"""`RMIT`."""

_RECORD_COLUMNS = (
    "SELECT r.idx, r.leaf, c.salt, c.content FROM records AS r LEFT JOIN contents AS c ON c.idx = r.idx"
)


def _require_begun(folder: Path) -> None:
    """Refuse a folder whose log began but whose files are gone: a fresh one would forget records or kills.

    INVARIANT (begun): the verifier key is published after both files exist.
    """
    if not (folder / PUBLIC_FILE).exists():
        return
    for name, loss in ((STORE_FILE, "the record"), (CONTROL_FILE, "standing kills and suspensions")):
        file = folder / name
        if not file.exists() or file.stat().st_size == 0:
            raise LedgerError(
                f"cannot open the store: `{file}` is missing or empty although a log was begun here, and "
                f"{loss} would be forgotten: restore it from a copy, or begin anew in another folder"
            )


def open_store(
    path: Path,
    *,
    signer: Signer | None = None,
    clock: Clock | None = None,
    read_only: bool = False,
    busy_timeout_s: float = BUSY_TIMEOUT_S,
    subject_keys: SubjectKeys | None = None,
) -> SqliteStore:
    """Open the store in the folder `path`, making it (mode 0700) on first use.

    Args:
        path: the folder.
        signer: signs checkpoints; None uses the folder's own key and makes one on first use.
        clock: time of records that the store itself writes; None is the system's clock.
        read_only: refuse every change; needs no signing key.
        busy_timeout_s: how long to wait for another process's lock.
        subject_keys: keeps the keys of data subjects; None keeps them in `subjects.db` of the folder.

    Raises:
        LedgerError: the folder or a file in it cannot be used; one message says why.
    """
    folder = Path(path)
    file = folder / STORE_FILE
    with refusals_named(file, "open the store"), ExitStack() as undo:
        keys = subject_keys or SubjectFile(folder, read_only=read_only, busy_timeout_s=busy_timeout_s)
        if isinstance(keys, SubjectFile):
            undo.callback(keys.close)
        if read_only:
            if not file.is_file():
                raise NoStoreError(f"cannot open the store: there is none in `{folder}`")
            meta = _read_meta(file, busy_timeout_s)
            require_keys(meta.get(KEYS_NAME, ""), keys)
            control = SqliteControl(folder / CONTROL_FILE, read_only=True)
            store = SqliteStore(
                folder,
                meta=meta,
                writer=None,
                control=control,
                clock=clock,
                keys=keys,
                busy_timeout_s=busy_timeout_s,
            )
            undo.pop_all()
            return store
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_begun(folder)
        key = signer or load_signer(folder, make=not file.exists())
        connection = connect(file, busy_timeout_s=busy_timeout_s)
        undo.callback(connection.close)
        file.chmod(0o600)
        prepare_schema(connection, STORE_SCHEMA + SEALING_SCHEMA, application=APPLICATION)
        upgrade_store(connection, keys)
        prepare_claims(connection)
        meta = _begin_log(connection, key)
        if meta["verifier_key"] != str(verifier_key(key)):
            raise LedgerError(
                f"cannot open the store: its log is signed by `{meta['verifier_key']}`, this signer is "
                f"`{verifier_key(key)}`"
            )
        require_keys(meta.get(KEYS_NAME, ""), keys)
        control = SqliteControl(folder / CONTROL_FILE)
        undo.callback(control.close)
        publish_key(folder, meta["verifier_key"])
        writer = Writer(connection, file, key, meta["origin"], keys, busy_timeout_s=busy_timeout_s)
        store = SqliteStore(
            folder,
            meta=meta,
            writer=writer,
            control=control,
            clock=clock,
            keys=keys,
            busy_timeout_s=busy_timeout_s,
            cache=SealedFiles.beside(folder, key, own_key=signer is None),
        )
        undo.pop_all()
        return store


def _begin_log(connection: sqlite3.Connection, signer: Signer) -> dict[str, str]:
    """Name the log after its first key and sign its empty tree; whoever comes first decides."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        meta = dict(connection.execute("SELECT name, value FROM meta").fetchall())
        if not meta:
            meta = {"origin": origin_of(signer.public_key), "verifier_key": str(verifier_key(signer))}
            connection.executemany("INSERT INTO meta (name, value) VALUES (?, ?)", meta.items())
            empty = Checkpoint(origin=meta["origin"], size=0, root=EMPTY_ROOT)
            connection.execute(
                "INSERT INTO checkpoints (number, size, note) VALUES (0, 0, ?)",
                (sign_checkpoint(empty, signer),),
            )
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return _checked(meta)


def _read_meta(file: Path, busy_timeout_s: float) -> dict[str, str]:
    connection = connect(file, read_only=True, busy_timeout_s=busy_timeout_s)
    try:
        require_schema(connection, application=APPLICATION)
        return _checked(dict(connection.execute("SELECT name, value FROM meta").fetchall()))
    finally:
        connection.close()


def _checked(meta: dict[str, str]) -> dict[str, str]:
    if "origin" not in meta or "verifier_key" not in meta:
        raise LedgerError("the store does not say which log it holds: restore it from a copy")
    return meta


class SqliteStore(StoreBase["sqlite3.Connection", SqliteControl]):
    """The ports `Ledger` and `AgentStore`, and `.control`, the port `ControlState`. Made by `open_store`.

    Args:
        folder: where the files lie.
        meta: the log's origin and verifier key.
        writer: commits; None for a read-only store.
        control: the control state.
        clock: time of records that the store itself writes; None is the system's clock.
        keys: the subjects' keys.
        busy_timeout_s: how long readers wait for a lock.
        cache: keeps what can be made again; None for a read-only store, which has no key.
    """

    _writer: Writer | None

    def __init__(
        self,
        folder: Path,
        *,
        meta: dict[str, str],
        writer: Writer | None,
        control: SqliteControl,
        clock: Clock | None,
        keys: SubjectKeys,
        busy_timeout_s: float,
        cache: SealedFiles | None = None,
    ) -> None:
        super().__init__(
            folder,
            shown=str(folder),
            origin=meta["origin"],
            verifier_key=meta["verifier_key"],
            writer=writer,
            control=control,
            clock=clock,
            cache=cache,
        )
        self._file = folder / STORE_FILE
        self._subject_keys = keys
        self._busy_timeout_s = busy_timeout_s
        self._lock = threading.Lock()
        self._reader = connect(self._file, read_only=True, busy_timeout_s=busy_timeout_s)

    def first_claim(self, agent: str, approval: str) -> int | None:
        """Return the index of the first decision of `agent` that consumed the approval `approval`, or None.

        Raises:
            LedgerError: the log cannot be read.
        """
        with self._reading("look up a claim") as connection:
            return find_first_claim(connection, agent, approval)

    def verify(
        self,
        *,
        keys: Iterable[str] = (),
        held: Iterable[str] = (),
        witnesses: Sequence[str] = (),
        quorum: int | None = None,
    ) -> LogReport:
        """Verify the whole log as it lies in the file, and that the agents are where it says they are.

        Args:
            keys: verifier key texts that the verifier brings; none means the folder's `log.pub`, which proves
                only that the log agrees with itself.
            held: notes of this log that were kept elsewhere.
            witnesses: verifier key texts of witnesses, of whom `quorum` must have cosigned one of `held`.
            quorum: how many; all where it is left out.

        Raises:
            LedgerError: the file or a key cannot be read; what is wrong *in* the log is in the report.
        """
        self._usable()
        texts = tuple(keys) or (self._own_key(),)
        needed = Quorum.of(witnesses, quorum)
        with refusals_named(self._file, "verify the log"), ExitStack() as stack:
            connection = connect(self._file, read_only=True, busy_timeout_s=self._busy_timeout_s)
            stack.callback(connection.close)
            connection.execute("BEGIN")
            report = verify_log(
                opened_raw(raw_records(connection), lambda: self._subject_keys),
                checkpoints=stored_notes(connection),
                verifier_keys=[parse_verifier_key(text) for text in texts],
                origin=self.origin,
                nodes=stored_nodes(connection),
                held=held,
                quorum=needed,
            )
            return _with_findings(report, _beside_the_log(connection, report, lambda: self._subject_keys))

    def load_run(self, run: str) -> RunState | None:
        """A run's saved state, or None."""
        with self._reading("load a run") as connection:
            return load_run(connection, run)

    def runs(self, *, agent: str = "", status: str = "") -> tuple[RunState, ...]:
        """Saved runs, newest first."""
        with self._reading("list runs") as connection:
            return list_runs(connection, agent=agent, status=status)

    @contextmanager
    def _reading(self, doing: str) -> Generator[sqlite3.Connection]:
        self._usable()
        with self._lock, refusals_named(self._file, doing):
            yield self._reader

    def _release(self) -> None:
        with self._lock:
            self._reader.close()
        if isinstance(self._subject_keys, SubjectFile):
            self._subject_keys.close()
        self.control.close()

    def _chunk(self, connection: sqlite3.Connection, agent: str, run: str, start: int) -> list[Row]:
        where = ""
        values: list[str | int] = [start]
        if agent:
            where += " AND r.agent = ?"
            values.append(agent)
        if run:
            where += " AND r.run = ? AND r.run <> ''"
            values.append(run)
        return connection.execute(
            f"{_RECORD_COLUMNS} WHERE r.idx >= ?{where} ORDER BY r.idx LIMIT {CHUNK}", values
        ).fetchall()

    def _of_kind(self, connection: sqlite3.Connection, kind: str, start: int, stop: int) -> list[Row]:
        return rows_of_kind(connection, kind, start, stop)

    def _raw(self, connection: sqlite3.Connection, start: int, stop: int | None) -> list[RawRecord]:
        rows = raw_records(connection, start=start, stop=stop)
        return list(islice(opened_raw(rows, lambda: self._subject_keys), CHUNK))

    def _nodes(self, connection: sqlite3.Connection, places: Iterable[tuple[int, int]]) -> tuple[bytes, ...]:
        return node_digests(connection, places)

    def _open_intents(self, connection: sqlite3.Connection) -> list[Row]:
        return connection.execute(
            _RECORD_COLUMNS + " JOIN open_intents AS o ON o.idx = r.idx ORDER BY r.idx"
        ).fetchall()

    def _find_cut(self, connection: sqlite3.Connection, index: int) -> int:
        return find_cut(connection, index)

    def _segment(self, connection: sqlite3.Connection, before: int) -> Segment:
        return read_segment(connection, before, origin=self.origin, verifier_key=self.verifier_key)

    def _newest_note(self, connection: sqlite3.Connection) -> str | None:
        row = connection.execute("SELECT note FROM checkpoints ORDER BY number DESC LIMIT 1").fetchone()
        return None if row is None else str(row[0])

    def _size(self, connection: sqlite3.Connection) -> int:
        return int(connection.execute("SELECT coalesce(max(idx), -1) + 1 FROM records").fetchone()[0])

    def _beginning_with(self, connection: sqlite3.Connection, prefix: str) -> list[str]:
        return find_agents(connection, prefix)

    def _head_of(self, connection: sqlite3.Connection, agent: str) -> Document | None:
        return load_agent(connection, agent, lambda: self._subject_keys)

    def _keys(self, connection: sqlite3.Connection) -> SubjectKeys:  # noqa: ARG002  # they lie elsewhere
        return self._subject_keys

    def _sealed_by(self, connection: sqlite3.Connection, key: str) -> int:
        return count_sealed(connection, key)

    def _head(self, connection: sqlite3.Connection, agent: str) -> str | None:
        row = connection.execute("SELECT revision FROM agents WHERE agent = ?", (agent,)).fetchone()
        return None if row is None else str(row[0])

    def _heads(self, connection: sqlite3.Connection) -> tuple[tuple[str, str], ...]:
        return _stored_heads(connection)

    def _own_key(self) -> str:
        try:
            return (self.folder / PUBLIC_FILE).read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return self.verifier_key
        except (OSError, UnicodeDecodeError) as error:
            raise LedgerError(f"`{self.folder / PUBLIC_FILE}` cannot be read: {error}") from error


def _beside_the_log(
    connection: sqlite3.Connection, report: LogReport, keys: Callable[[], SubjectKeys]
) -> list[Finding]:
    """Check what the store derives from the log, and its agents."""
    strays = connection.execute("SELECT idx FROM contents WHERE idx NOT IN (SELECT idx FROM records)")
    listed = connection.execute("SELECT idx FROM open_intents ORDER BY idx")
    return [
        *derived_findings([int(row[0]) for row in strays], [int(row[0]) for row in listed], report),
        *head_findings(
            dict(_stored_heads(connection)),
            lambda agent: read_agent(connection, agent, keys),
            report,
        ),
    ]


def _stored_heads(connection: sqlite3.Connection) -> tuple[tuple[str, str], ...]:
    rows = connection.execute("SELECT agent, revision FROM agents ORDER BY number").fetchall()
    return tuple((str(agent), str(revision)) for agent, revision in rows)


def _with_findings(report: LogReport, more: list[Finding]) -> LogReport:
    return replace(report, findings=(*report.findings, *more))
