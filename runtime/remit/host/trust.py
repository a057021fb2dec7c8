"""The verifier's trust policy while an agent is open.

Rules
1. The document that is opened must be signed as the policy says, before anything of it is stored.
2. A head that moved on from it keeps to the policy in what only an amendment changes: `governance` and
   `capabilities` must be signed as the policy says, by signatures of the opened document where they are the
   same; a rule on `identity` is one on both. Where the policy says nothing of the two, both are those of the
   opened document. Memory, execution state and lineage move with every operation and are the ledger's to
   witness.
3. Unless the policy is about `governance` and `capabilities` alone, the memory blocks that are declared are
   those of the opened document.
4. A head that does not is refused before it is compiled: nothing of it is run, and no amendment to it made.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from remit.document.carriers import format_of
from remit.document.trust import SETTLED, TrustRules, check_trust, read_trust
from remit.errors import DocumentError, Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remit.document.model import Document
    from remit.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """A trust policy and the signed document that an agent was opened with.

    Args:
        rules: the policy.
        source: the document as it was given, with its signatures.
        clock: time, for the keys' validity.
        signed: further revisions of the agent whose signatures count for fields that they share.
    """

    rules: TrustRules
    source: Document
    clock: Clock
    signed: tuple[Document, ...] = ()

    def require(self, document: Document) -> None:
        """Refuse a head that the policy does not trust.

        Raises:
            DocumentError: a field lacks signatures; names each.
        """
        settled = self.rules.settled()
        if settled:
            witnesses = (self.source, *self.signed)
            check_trust(document, self.rules, now=self.clock.now(), signed=witnesses, rules=settled)
        else:
            self._require_unchanged(document)
        beyond = any(rule.field not in SETTLED for rule in self.rules.rules)
        if beyond and document.memory.value.get("blocks") != self.source.memory.value.get("blocks"):
            raise DocumentError(
                Fault(message="the memory blocks are not those that were signed", pointer="/memory/blocks")
            )

    def _require_unchanged(self, document: Document) -> None:
        fields, signed = document.identity.fields, self.source.identity.fields
        faults = [
            Fault(
                message=f"`{name}` as it stands is not that of the signed document that was opened",
                pointer=f"/{name}",
                hint="open a signed revision that has it",
            )
            for name in SETTLED
            if fields.get(name) != signed.get(name)
        ]
        if faults:
            raise DocumentError(*faults)


def trusted(
    trust: str | Path | TrustRules, source: Document, clock: Clock, *, signed: Sequence[Document] = ()
) -> Trusted:
    """Check a document against a trust policy, and keep both for the heads to come.

    Args:
        trust: the policy, or its path.
        source: what is opened.
        clock: time, for the keys' validity.
        signed: where what is opened is a head that carries no signatures, the revisions that do: the first
            one takes the place of `source` in rules 1 to 3, and `source` must keep to it as every head.

    Raises:
        DocumentError: the policy cannot be read, or does not trust the document.
    """
    rules = trust if isinstance(trust, TrustRules) else read_trust_file(Path(trust))
    first, others = (signed[0], tuple(signed[1:])) if signed else (source, ())
    check_trust(first, rules, now=clock.now(), signed=others)
    believed = Trusted(rules=rules, source=first, clock=clock, signed=others)
    if signed:
        believed.require(source)
    return believed


def read_trust_file(path: Path) -> TrustRules:
    """Read a trust policy; key files are found from the policy's own folder.

    Raises:
        DocumentError: it cannot be read or is none.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        cause = (error.strerror or str(error)).lower()
        raise DocumentError(Fault(message=f"cannot read the trust policy `{path}`: {cause}")) from error
    return read_trust(
        data,
        format=format_of(path.name),
        file=str(path),
        read_key=lambda name: (path.parent / name).read_bytes(),
    )
