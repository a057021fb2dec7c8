"""An agent that requests are decided under: its document, its compiled governance, its folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from remit.document.carriers import format_of
from remit.document.parse import parse_document
from remit.policy.compile import compile_governance
from remit.project.build import build_project
from remit.project.source import read_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from remit.document.model import Document
    from remit.engine.image import PolicyImage
    from remit.engine.port import Engine
    from remit.host.engines import EngineName
    from remit.policy.origins import Origin

CHECK_EVERY = 1_000
"""Every so many decisions of compiled code are decided again by the reference, and so are new outcomes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentWorld:
    """An agent, ready to be asked about.

    Args:
        document: built or parsed.
        image: its compiled governance.
        folder: where tools and transcripts are found.
        origins: where its rules were written.
    """

    document: Document
    image: PolicyImage
    folder: Path
    origins: Mapping[str, Origin] = field(default_factory=dict[str, "Origin"])


def read_world(path: Path) -> AgentWorld:
    """Build a project folder, or read a document file, and compile its governance.

    Raises:
        DocumentError: it cannot be read or accepted.
        PolicyError: its governance does not compile.
    """
    if path.is_dir():
        built = build_project(path)
        image = compile_governance(built.document, origins=built.origins)
        return AgentWorld(document=built.document, image=image, folder=path, origins=built.origins)
    file = path.as_posix()
    data = read_bytes(path.parent, path.name, file=file)
    document = parse_document(data, file=file, format=format_of(path.name))
    return AgentWorld(document=document, image=compile_governance(document), folder=path.parent)


def engine_of(image: PolicyImage, name: EngineName) -> Engine:
    """Return an engine for a policy image.

    Args:
        image: compiled governance.
        name: `cedar` is the reference; `compiled` is checked against it at load and on the way.
    """
    if name == "cedar":
        from remit.engine.cedar import CedarEngine

        return CedarEngine(image)
    from remit.engine.checked import CheckedEngine

    return CheckedEngine(image, sample=CHECK_EVERY, on_divergence=lambda _: None)
