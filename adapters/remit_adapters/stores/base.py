"""What a store is to its callers, whatever keeps its rows: one process, one writer, closed once."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

from remit.errors import LedgerError
from remit.host.clock import SystemClock
from remit.ledger.encoding import decode_record
from remit.ledger.report import ERASE_CONTENT
from remit.ports import Batch
from remit.records import Draft, Receipt, Record
from remit_adapters.stores.agent_rows import only_agent
from remit_adapters.stores.log_rows import seal_drafts
from remit_adapters.stores.prune_rows import pruning_draft
from remit_adapters.stores.seals import known_keys, opened_content, opened_raw, uses
from remit_adapters.stores.turns import Job

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import TracebackType

    from remit.document.model import Document
    from remit.ledger.archive import Segment
    from remit.ledger.pruning import Cut
    from remit.ledger.report import RawRecord
    from remit.ports import Clock, ControlState, Judged, KeyUse, SubjectKeys
    from remit_adapters._sealed_files import SealedFiles
    from remit_adapters.stores.turns import Turns

CHUNK: Final = 512
"""Records that are read at once."""

Row = tuple[int, bytes, bytes | None, bytes | None]
"""Index, leaf, salt and content of a record, as they lie in the store."""

_C = TypeVar("_C")
_K = TypeVar("_K", bound="ControlState")


class StoreBase(ABC, Generic[_C, _K]):
    """The ports `Ledger`, `PrunableLedger`, `AgentStore`, and `.control`, the port `ControlState`, over rows.

    Usable from several threads. A context manager; closing waits for everything submitted.
    After a fork the child must open its own.

    Args:
        folder: where the store, or what this host keeps for it, lies.
        shown: the store, for messages.
        origin: name of the log.
        verifier_key: key that signs checkpoints here.
        writer: commits; None for a read-only store.
        control: the control state.
        clock: time of records that the store itself writes.
        cache: keeps what can be made again; None where there is no key to seal it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        shown: str,
        origin: str,
        verifier_key: str,
        writer: Turns | None,
        control: _K,
        clock: Clock | None,
        cache: SealedFiles | None,
    ) -> None:
        self.folder: Final = folder
        self.origin: Final = origin
        self.verifier_key: Final = verifier_key
        self.control: Final = control
        self.cache: Final = cache
        self._shown = shown
        self._writer = writer
        self._clock = clock or SystemClock()
        self._process = os.getpid()
        self._closed = False

    @property
    def answers(self) -> Path:
        """Folder for vendors' answers that must outlive the process that asked; need not exist yet."""
        return self.folder / "answers"

    # --- what a store says of its rows

    @abstractmethod
    def _reading(self, doing: str) -> AbstractContextManager[_C]:
        """Lend a connection for reading, and name what is refused."""

    @abstractmethod
    def _chunk(self, connection: _C, agent: str, run: str, start: int) -> list[Row]:
        """Read at most `CHUNK` records from `start`, optionally of one agent or run."""

    @abstractmethod
    def _of_kind(self, connection: _C, kind: str, start: int, stop: int) -> list[Row]:
        """Read the records of a kind in a range."""

    @abstractmethod
    def _raw(self, connection: _C, start: int, stop: int | None) -> list[RawRecord]:
        """Read at most `CHUNK` rows from `start`, below `stop`, as they lie there."""

    @abstractmethod
    def _nodes(self, connection: _C, places: Iterable[tuple[int, int]]) -> tuple[bytes, ...]:
        """Read digests of complete tree nodes by level and index; empty bytes where there is none."""

    @abstractmethod
    def _open_intents(self, connection: _C) -> list[Row]:
        """Read the intent records without an outcome."""

    @abstractmethod
    def _find_cut(self, connection: _C, index: int) -> int:
        """Read the largest signed size up to `index` beyond what is pruned already, or 0."""

    @abstractmethod
    def _segment(self, connection: _C, before: int) -> Segment:
        """Read the records before a cut and their checkpoints, in one state."""

    @abstractmethod
    def _newest_note(self, connection: _C) -> str | None:
        """Read the newest checkpoint."""

    @abstractmethod
    def _size(self, connection: _C) -> int:
        """Read the number of records."""

    @abstractmethod
    def _beginning_with(self, connection: _C, prefix: str) -> list[str]:
        """Read at most two agent ids that begin with a prefix."""

    @abstractmethod
    def _head_of(self, connection: _C, agent: str) -> Document | None:
        """Read the head document of an agent, in one state."""

    @abstractmethod
    def _keys(self, connection: _C) -> SubjectKeys:
        """Return the subjects' keys, for reading."""

    @abstractmethod
    def _sealed_by(self, connection: _C, key: str) -> int:
        """Count the entries and contents that a key seals."""

    @abstractmethod
    def _heads(self, connection: _C) -> tuple[tuple[str, str], ...]:
        """Read agent id and head revision of every agent, in the order of creation."""

    @abstractmethod
    def _head(self, connection: _C, agent: str) -> str | None:
        """Read an agent's head revision."""

    @abstractmethod
    def _release(self) -> None:
        """Release what was used to read."""

    # --- Ledger

    def submit(self, batch: Batch) -> Future[tuple[Receipt, ...]]:
        """Queue a batch; the future resolves after COMMIT.

        Do not wait for another submission inside a callback of the future: callbacks run in the writer.

        Raises (through the future):
            HeadMovedError: the batch's compare-and-swap lost; nothing was written.
            LedgerError: it cannot be written, or the store is closed or read-only; nothing was written.
        """
        future: Future[tuple[Receipt, ...]] = Future()
        try:
            self._writable().put(Job(sealed=seal_drafts(batch.records), batch=batch, future=future))
        except LedgerError as error:
            future.set_exception(error)
        return future

    def commit(self, batch: Batch, *, timeout_s: float) -> tuple[Receipt, ...]:
        """Make a batch durable before returning; without another thread's help where nobody else writes.

        Raises:
            HeadMovedError: the batch's compare-and-swap lost; nothing was written.
            LedgerError: it cannot be written (nothing was), or it is not known within `timeout_s` seconds.
        """
        return self._writable().commit(seal_drafts(batch.records), batch, timeout_s=timeout_s)

    def records(self, *, agent: str = "", run: str = "", start: int = 0) -> Iterator[Record]:
        """Iterate over durable records in log order, optionally of one agent or run, from index `start`.

        A record that is pruned while somebody iterates is passed over, as one that was pruned before.

        Raises (while iterating):
            LedgerError: a record cannot be read, or is not what it was.
        """
        following = max(0, start)
        while True:
            with self._reading("read records") as connection:
                rows = self._opened(connection, self._chunk(connection, agent, run, following))
            for index, leaf, salt, content in rows:
                record = decode_record(leaf, salt=salt, content=content)
                if record.index != index:
                    raise LedgerError(
                        f"record {index} says that it is record {record.index}: run `remit ledger verify`"
                    )
                yield record
            if len(rows) < CHUNK:
                return
            following = int(rows[-1][0]) + 1

    def rows(self, kind: str, start: int, stop: int) -> list[Row]:
        """Return index, leaf, salt and content of the records of a kind in a range of the log, unverified.

        For readers of very many records that check what they use themselves.
        """
        with self._reading("read records") as connection:
            return self._opened(connection, self._of_kind(connection, kind, start, stop))

    def raw(self, *, start: int = 0, stop: int | None = None) -> Iterator[RawRecord]:
        """Iterate over rows as they lie there, seals opened, with `start` ≤ index < `stop`, unverified.

        Raises (while iterating):
            LedgerError: the rows cannot be read.
        """
        following = max(0, start)
        while stop is None or following < stop:
            with self._reading("read records") as connection:
                rows = self._raw(connection, following, stop)
            yield from rows
            if len(rows) < CHUNK:
                return
            following = rows[-1].index + 1

    def tree_nodes(self, places: Iterable[tuple[int, int]]) -> tuple[bytes, ...]:
        """Return digests of complete tree nodes by level and index; empty bytes where there is none."""
        with self._reading("read the tree") as connection:
            return self._nodes(connection, places)

    def verifier_keys(self) -> tuple[str, ...]:
        """Return the verifier keys of all that may have signed here, as the store says."""
        return (self.verifier_key,)

    def unfinished(self) -> tuple[Record, ...]:
        """Intent records without an outcome, of all runs, in log order.

        An outcome names its intent by `body["intent"]`, the digest of the intent's record.
        """
        with self._reading("read open intents") as connection:
            rows = self._opened(connection, self._open_intents(connection))
        return tuple(decode_record(leaf, salt=salt, content=content) for _, leaf, salt, content in rows)

    def erase_content(self, *indexes: int, by: str, reason: str, judged: Judged | None = None) -> Receipt:
        """Destroy salt and content of records and record that, without what they said.

        Args:
            indexes: records whose content is to go; content that is already gone stays gone.
            by: who asked for it; must not name the data subject.
            reason: why; must not name the data subject.
            judged: see `Batch`.

        Raises:
            HeadMovedError: what it was judged by has grown; nothing was erased.
            LedgerError: no such record, or it cannot be done; nothing was erased.
        """
        if not indexes or not by.strip():
            raise LedgerError("an erasure must name at least one record and say by whom")
        targets = tuple(sorted(set(indexes)))
        draft = Draft(
            kind="control",
            agent="",
            run="",
            at=self._clock.now(),
            body={"operation": ERASE_CONTENT, "indexes": list(targets), "by": by, "reason": reason},
        )
        future: Future[tuple[Receipt, ...]] = Future()
        batch = Batch(records=(draft,), judged=judged)
        job = Job(sealed=seal_drafts((draft,)), batch=batch, future=future, erase=targets)
        self._writable().put(job)
        return future.result()[0]

    def cut_before(self, index: int) -> int:
        """Return the largest signed size up to `index` at which the log can be cut; 0 where there is none."""
        with self._reading("read the checkpoints") as connection:
            return self._find_cut(connection, index)

    def segment(self, before: int) -> Segment:
        """Return the records that are there before `before`, a value of `cut_before`, all at once.

        Raises:
            LedgerError: it is no place to cut at, or the log cannot be read.
        """
        with self._reading("read a segment of the log") as connection:
            segment = self._segment(connection, before)
            records = opened_raw(segment.records, lambda: self._keys(connection))
            return replace(segment, records=tuple(records))

    def prune(self, cut: Cut) -> Receipt:
        """Record a pruning and drop what lies before it; the future of the log still verifies.

        Raises:
            HeadMovedError: the log has grown since it was judged; nothing was dropped.
            LedgerError: the log is not as it was judged, or it cannot be done; nothing was dropped.
        """
        if not cut.by.strip():
            raise LedgerError("a pruning must say by whom")
        draft = pruning_draft(cut, at=self._clock.now())
        future: Future[tuple[Receipt, ...]] = Future()
        job = Job(sealed=seal_drafts((draft,)), batch=Batch(records=(draft,)), future=future, cut=cut)
        self._writable().put(job)
        return future.result()[0]

    def forget_subject(self, agent: str, subject: str) -> Mapping[KeyUse, int]:
        """Destroy the keys of a data subject that seal nothing any more.

        What erased the last row under a key has destroyed it already; this also takes keys that never sealed
        anything, as a write that failed leaves behind.

        Returns:
            For each use whose key is still there, how many entries or contents of records it seals: 0 where
            it could not be destroyed now, which the next erasure or opening does.

        Raises:
            LedgerError: the store cannot be read or written.
        """
        future: Future[tuple[Receipt, ...]] = Future()
        self._writable().put(Job(sealed=(), batch=Batch(records=()), future=future, subject=(agent, subject)))
        future.result()
        with self._reading("look up a subject's keys") as connection:
            found = self._keys(connection).obtain(uses(agent, subject), make=False)
            return {owner.use: self._sealed_by(connection, key.name) for owner, key in found.items()}

    def _opened(self, connection: _C, rows: list[Row]) -> list[Row]:
        """Open what is sealed, if anything is."""
        known = known_keys((row[3] for row in rows), lambda: self._keys(connection))
        if known is None:
            return rows
        return [
            (index, leaf, *opened_content(index, leaf, salt, content, known))
            for index, leaf, salt, content in rows
        ]

    def size(self) -> int:
        """Return the number of records that were ever recorded, the pruned ones among them."""
        with self._reading("read the log") as connection:
            return self._size(connection)

    def checkpoint(self) -> str:
        """Return the latest signed checkpoint, a C2SP note; keep copies where the owner cannot write."""
        with self._reading("read the checkpoint") as connection:
            note = self._newest_note(connection)
        if note is None:
            raise LedgerError("the log has no checkpoint: run `remit ledger verify`")
        return note

    # --- AgentStore

    def find_agent(self, prefix: str) -> str | None:
        """Return the agent id that begins with `prefix` (with or without `sha256:`), or None.

        Raises:
            LedgerError: several agents begin with it.
        """
        with self._reading("look up an agent") as connection:
            found = self._beginning_with(connection, prefix)
        return only_agent(prefix, found)

    def load(self, agent: str) -> Document | None:
        """Return the head document of an agent id (or of a unique prefix of one), or None.

        Raises:
            LedgerError: what is stored is not the head revision; the message names the field.
        """
        full = self.find_agent(agent)
        if full is None:
            return None
        with self._reading("load an agent") as connection:
            return self._head_of(connection, full)

    def agents(self) -> Sequence[tuple[str, str]]:
        """`(agent id, head revision)` of every agent, in the order of creation."""
        with self._reading("list agents") as connection:
            return self._heads(connection)

    def head(self, agent: str) -> str | None:
        """Return the head revision of an agent id, or None."""
        with self._reading("look up a head") as connection:
            return self._head(connection, agent)

    # --- life

    def close(self) -> None:
        """Finish everything that was submitted and release what is open; idempotent."""
        if os.getpid() != self._process or self._closed:
            return
        self._closed = True
        if self._writer is not None:
            self._writer.close()
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _usable(self) -> None:
        if os.getpid() != self._process:
            raise LedgerError("the store was opened before a fork: open it again in this process")
        if self._closed:
            raise LedgerError("the store is closed")

    def _writable(self) -> Turns:
        self._usable()
        if self._writer is None:
            raise LedgerError(f"the store in `{self._shown}` was opened read-only")
        return self._writer
