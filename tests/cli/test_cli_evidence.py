"""`remit evidence`: a bundle is checked with nothing but itself and what the verifier brings."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import py_compile
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from importlib.resources import files as package_files
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from cli_desk import RULES, invoke, write_project
from tamper import Owner

from remit.document.merkle import leaf_hash
from remit.document.parse import parse_document, serialize_document
from remit.document.revision import revise
from remit.workbench.evidence.collect import Wanted, export_evidence
from remit_adapters.sqlite_store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

ANA = ("--as", "ana", "--attr", "jurisdiction=EU")
OFFICER = ("--as", "rita:officer", "--attr", "jurisdiction=EU", "--reason", "checked")
SCRIPT = """\
script:
  - call: {name: pay, arguments: {amount: 6000, to: bob}}
  - call: {name: pay, arguments: {amount: 9000, to: bob}}
  - call: {name: pay, arguments: {amount: 20, to: bob}}
  - call: {name: pay, arguments: {amount: 900, to: bob}}
  - say: Done.
"""
ERRS = '  - {id: errs, place: "tool:pay", effect: forbid, when: "context.input.amount + 9223372036854768807 > 0 && context.input.amount > 800000", because: it errs}\n'
STORE = ("--store", "store")
OWN = ("--store", "desk/.remit")

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with runs that paid, waited, were approved, refused and denied, and its bundle `desk.zip`.

    Another agent's runs lie between them.
    """
    folder = tmp_path_factory.mktemp("evidence")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("REMIT_CACHE", str(folder / "cache"))
        desk = write_project(folder / "desk", rules=RULES + ERRS, script=SCRIPT)
        write_project(
            folder / "other", agent=(desk / "agent.yaml").read_text().replace("EU, risk", "US, risk")
        )
        assert invoke("run", "other", "please pay", *ANA, *OWN).code == 0
        assert invoke("run", "desk", "please pay", "--as", "bob", "--attr", "jurisdiction=US", *OWN).code == 3
        for verb in ("approve", "refuse"):
            done = invoke("run", "desk", "please pay", *ANA, *OWN, "--json")
            assert done.code == 4, done.stdout
            agent = done.json["agent"]
            answered = invoke(verb, done.json["pending"]["id"], *OFFICER, "--continue", *OWN)
            assert answered.code == 0, answered.stdout
            assert invoke("run", "other", "please pay", *ANA, *OWN).code == 0
        assert invoke("ledger", "checkpoint", *OWN, "-o", "held.note").code == 0
        assert invoke("run", "other", "please pay", *ANA, *OWN).code == 0
        (folder / "agent").write_text(agent)
        done = invoke(
            "evidence", "export", "--agent", agent, *OWN, "-o", "desk.zip", "--checkpoint", "held.note"
        )
        assert done.code == 0, done.stderr
    return folder


@pytest.fixture
def desk(made: Path, remit: Any, tmp_path: Path) -> Path:
    """The same in the folder of the test."""
    for name in ("desk.zip", "held.note", "agent"):
        shutil.copy(made / name, tmp_path / name)
    shutil.copytree(made / "desk" / ".remit", tmp_path / "store")
    return tmp_path


def verified(*more: str) -> Any:
    return invoke("evidence", "verify", "desk.zip", "--key", "store/log.pub", "--json", *more)


def members(path: str = "desk.zip") -> Files:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(files: Files) -> None:
    """Write the bundle anew as somebody would who knows how: with a manifest that fits."""
    manifest = json.loads(files["manifest.json"])
    manifest["files"] = {
        name: "sha256:" + hashlib.sha256(data).hexdigest()
        for name, data in sorted(files.items())
        if name != "manifest.json"
    }
    files["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile("desk.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def records(files: Files) -> list[dict[str, Any]]:
    return [json.loads(line) for line in files["records.jsonl"].splitlines()]


def with_records(files: Files, lines: list[dict[str, Any]]) -> Files:
    return {**files, "records.jsonl": b"".join(json.dumps(line).encode() + b"\n" for line in lines)}


def stand_alone(*arguments: str, bare: bool = False) -> subprocess.CompletedProcess[str]:
    """Run the bundle's own `verify.py`; bare is Python without any installed package."""
    Path("unpacked").mkdir(exist_ok=True)
    for name in ("verify.py", "redecide.py"):
        Path("unpacked", name).write_bytes(members()[name])
    options = ["-I", "-S"] if bare else ["-I"]
    return subprocess.run(
        [sys.executable, *options, "unpacked/verify.py", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_bundle_holds_and_every_decision_is_decided_again(desk: Path) -> None:
    done = verified("--checkpoint", "held.note")
    assert (done.code, done.json["findings"]) == (0, [])
    kinds = {
        json.loads(line["leaf"])["body"]["kind"]
        for line in records(members())
        if json.loads(line["leaf"])["kind"] == "decision"
    }
    assert {
        "allowed",
        "forbidden",
        "not_permitted",
        "error",
        "awaiting_approval",
        "approval_refused",
    } <= kinds
    assert done.json["decided"] == done.json["counts"]["decision"] > 15
    assert done.json["undecided"] == {}
    assert done.json["key"] == "brought"
    assert len(done.json["held"]) == 1


def test_the_program_in_the_bundle_says_the_same_with_python_alone_and_with_cedar(desk: Path) -> None:
    bare = stand_alone("desk.zip", "--key", "store/log.pub", bare=True)
    assert bare.returncode == 0, bare.stdout + bare.stderr
    assert "cedarpy is not installed" in bare.stdout
    whole = stand_alone("desk.zip", "--key", "store/log.pub")
    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert f"{verified().json['decided']} decided again, 0 not decided again" in whole.stdout
    shutil.unpack_archive("desk.zip", "folder")
    here = subprocess.run([sys.executable, "folder/verify.py"], capture_output=True, text=True, check=False)
    assert here.returncode == 0, here.stdout
    assert "the bundle only agrees with itself" in here.stdout
    assert invoke("evidence", "verify", "folder", "--key", "store/log.pub").code == 0


def test_the_program_in_the_bundle_is_short_and_imports_the_standard_library_alone(desk: Path) -> None:
    text = members()["verify.py"].decode()
    assert len(text.splitlines()) < 200
    imported = {line.split()[1] for line in text.splitlines() if line.startswith(("import ", "from "))}
    assert {name.partition(".")[0] for name in imported} <= {*sys.stdlib_module_names, "__future__"}


def test_the_same_records_give_the_same_bytes(desk: Path) -> None:
    agent = Path("agent").read_text()
    for name in ("one.zip", "two.zip"):
        assert invoke("evidence", "export", "--agent", agent, *STORE, "-o", name).code == 0
    assert Path("one.zip").read_bytes() == Path("two.zip").read_bytes()
    with zipfile.ZipFile("one.zip") as archive:
        assert archive.namelist() == sorted(archive.namelist())
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_without_a_key_the_bundle_is_only_said_to_agree_with_itself(desk: Path) -> None:
    done = invoke("evidence", "verify", "desk.zip")
    assert done.code == 0
    assert "the bundle only agrees with itself" in done.stdout
    assert invoke("evidence", "verify", "desk.zip", "--json").json["key"] == "own"


def test_another_key_is_a_finding(desk: Path) -> None:
    assert invoke("run", "nowhere").code == 2
    with open_store(desk / "strange") as store:
        key = store.verifier_key
    done = invoke("evidence", "verify", "desk.zip", "--key", key, "--json")
    assert done.code == 1
    assert done.json["findings"][0]["place"] == "checkpoints/newest.note"
    assert stand_alone("desk.zip", "--key", key).returncode == 2


def test_a_time_leaves_out_what_lies_outside(desk: Path) -> None:
    whole = records(members())
    at = json.loads(whole[len(whole) // 2]["leaf"])["at"]
    counts = []
    for option in ("--to", "--from"):
        agent = Path("agent").read_text()
        done = invoke(
            "evidence", "export", "--agent", agent, option, at, *STORE, "-o", "desk.zip", "--force", "--json"
        )
        assert done.code == 0
        found = verified()
        assert found.json["findings"] == []
        counts.append(sum(done.json["records"].values()))
        for line in records(members()):
            assert (json.loads(line["leaf"])["at"] < at) == (option == "--to")
    assert sum(counts) == len(whole)
    assert min(counts) > 0


def test_completeness_is_shown_where_the_leaves_of_others_are_disclosed_and_only_there(desk: Path) -> None:
    assert verified().json["complete"] is False
    agent = Path("agent").read_text()
    done = invoke(
        "evidence", "export", "--agent", agent, *STORE, "-o", "desk.zip", "--force", "--disclose-others"
    )
    assert done.code == 0
    found = verified()
    assert (found.code, found.json["complete"]) == (0, True)
    lines = records(members())
    others = [line for line in lines if json.loads(line["leaf"])["agent"] not in {agent, ""}]
    assert others
    assert [line for line in others if "content" in line] == []
    for dropped in (
        others[0],
        next(line for line in lines if json.loads(line["leaf"])["kind"] == "decision"),
    ):
        files = members()
        pack(with_records(files, [line for line in lines if line["index"] != dropped["index"]]))
        assert verified().json["complete"] is False
        pack(files)


def cut(files: Files, size: int) -> Files:
    """Return the bundle as it would be at the older signed checkpoint of `size` records, all leaves disclosed."""
    lines = [line for line in records(files) if line["index"] < size]
    leaves = [leaf_hash(line["leaf"].encode()) for line in lines]

    def split(count: int) -> int:
        return 1 << (count - 1).bit_length() - 1

    def root(part: list[bytes]) -> bytes:
        if len(part) == 1:
            return part[0]
        middle = split(len(part))
        return hashlib.sha256(b"\x01" + root(part[:middle]) + root(part[middle:])).digest()

    def path(index: int, part: list[bytes]) -> list[bytes]:
        if len(part) == 1:
            return []
        middle = split(len(part))
        if index < middle:
            return [*path(index, part[:middle]), root(part[middle:])]
        return [*path(index - middle, part[middle:]), root(part[:middle])]

    for line in lines:
        line["proof"] = [base64.b64encode(one).decode() for one in path(line["index"], leaves)]
    left = {
        name: data
        for name, data in files.items()
        if not (name.startswith("decisions/") and int(name.split("/")[1]) >= size)
    }
    left["checkpoints/newest.note"] = left.pop(f"checkpoints/{size}.note")
    del left[f"checkpoints/{size}.consistency"]
    manifest = json.loads(left["manifest.json"])
    agent = manifest["agent"]
    values = [json.loads(line["leaf"]) for line in lines]
    manifest |= {"size": size, "window": {**manifest["window"], "last": size - 1}}
    manifest["records"] = dict(Counter(one["kind"] for one in values if one["agent"] == agent))
    left["manifest.json"] = json.dumps(manifest).encode()
    return with_records(left, lines)


def test_a_bundle_that_ends_with_an_older_checkpoint_is_complete_only_up_to_that(desk: Path) -> None:
    agent = Path("agent").read_text()
    done = invoke(
        *("evidence", "export", "--agent", agent, *STORE, "-o", "desk.zip", "--force", "--disclose-others"),
        *("--checkpoint", "held.note"),
    )
    assert done.code == 0
    size = int(Path("held.note").read_text().split("\n")[1])
    last = records(members())[-1]["index"]
    assert size < last
    assert verified().json["complete_up_to"]["record"] == last
    assert f"up to record {last},\n  the last of" in members()["README.md"].decode()
    pack(cut(members(), size))
    found = verified().json
    at = json.loads(records(members())[-1]["leaf"])["at"]
    assert found["complete_up_to"] == {"record": size - 1, "at": at, "size": size, "whole_time": False}
    said = invoke("evidence", "verify", "desk.zip", "--key", "store/log.pub").stdout
    assert f"complete up to record {size - 1} ({at}), the last of the checkpoint of {size} records" in said
    assert "all records of the agent in this time" not in said


def test_a_time_is_covered_whole_only_where_a_record_beyond_it_follows(desk: Path) -> None:
    agent = Path("agent").read_text()
    whole = records(members())
    at = json.loads(whole[len(whole) // 2]["leaf"])["at"]
    for until, covered in ((at, True), ("2100-01-01", False)):
        done = invoke(
            *(
                "evidence",
                "export",
                "--agent",
                agent,
                *STORE,
                "-o",
                "desk.zip",
                "--force",
                "--disclose-others",
            ),
            *("--to", until),
        )
        assert done.code == 0
        found = verified().json
        assert (found["complete"], found["complete_up_to"]["whole_time"]) == (True, covered)
        assert ("lies beyond" in members()["README.md"].decode().replace("\n", " ")) == covered


def _leaf(lines: list[dict[str, Any]]) -> None:
    line = next(one for one in lines if '"verdict":"deny"' in one["leaf"])
    line["leaf"] = line["leaf"].replace('"verdict":"deny"', '"verdict":"allow"')


def _content(lines: list[dict[str, Any]]) -> None:
    line = next(one for one in lines if '"amount":6000' in one.get("content", ""))
    line["content"] = line["content"].replace('"amount":6000', '"amount":6')


def _salt(lines: list[dict[str, Any]]) -> None:
    line = next(one for one in lines if "salt" in one)
    line["salt"] = "00" * 16


def _index(lines: list[dict[str, Any]]) -> None:
    lines[3]["index"] += 1


def _swap(lines: list[dict[str, Any]]) -> None:
    lines[3], lines[4] = lines[4], lines[3]


def _twice(lines: list[dict[str, Any]]) -> None:
    lines.insert(3, dict(lines[3]))


def _drop(lines: list[dict[str, Any]]) -> None:
    del lines[next(n for n, one in enumerate(lines) if json.loads(one["leaf"])["kind"] == "outcome")]


def _unasked(lines: list[dict[str, Any]]) -> None:
    del lines[next(n for n, one in enumerate(lines) if '"action":"pay"' in one["leaf"])]


def _chain(lines: list[dict[str, Any]]) -> None:
    moved = [n for n, one in enumerate(lines) if json.loads(one["leaf"])["kind"] == "revision"]
    del lines[moved[1]]


def _bare(lines: list[dict[str, Any]]) -> None:
    line = next(one for one in lines if "salt" in one)
    del line["salt"], line["content"]


def _proof(lines: list[dict[str, Any]]) -> None:
    lines[5]["proof"][0], lines[5]["proof"][1] = lines[5]["proof"][1], lines[5]["proof"][0]


EDITS = (_leaf, _content, _salt, _index, _swap, _twice, _drop, _unasked, _chain, _bare, _proof)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__.strip("_"))
def test_every_edit_of_records_is_found_although_the_manifest_was_made_to_fit(
    desk: Path, edit: Callable[[list[dict[str, Any]]], None]
) -> None:
    files = members()
    lines = records(files)
    edit(lines)
    pack(with_records(files, lines))
    done = verified()
    assert done.code == 1
    assert done.json["findings"]


@pytest.mark.parametrize("edit", [*EDITS[:6], _bare], ids=lambda edit: edit.__name__.strip("_"))
def test_the_program_in_the_bundle_finds_what_is_not_as_signed(
    desk: Path, edit: Callable[[list[dict[str, Any]]], None]
) -> None:
    files = members()
    lines = records(files)
    edit(lines)
    pack(with_records(files, lines))
    assert stand_alone("desk.zip", "--key", "store/log.pub").returncode == 1


def read_program() -> bytes:
    return (package_files("remit.workbench.evidence") / "verify_bundle.py").read_bytes()


def program_beside(folder: str, *options: str, bundle: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, f"{folder}/verify.py", bundle or folder, "--key", "store/log.pub"],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("options", [(), ("-I",)])
def test_what_was_planted_beside_the_program_never_runs_and_is_found(
    desk: Path, options: tuple[str, ...]
) -> None:
    planted = "print('PLANTED')\nimport os\nos._exit(0)\n"
    for name in ("argparse.py", "__future__.py", "json/__init__.py", "cedarpy.py"):
        shutil.unpack_archive("desk.zip", "folder")
        Path("folder", name).parent.mkdir(exist_ok=True)
        Path("folder", name).write_text(planted)
        done = program_beside("folder", *options)
        assert (done.returncode, "PLANTED" in done.stdout) == (1, False), done.stdout + done.stderr
        assert f"{name}: missing, added or changed" in done.stdout
        assert invoke("evidence", "verify", "folder").code == 1
        shutil.rmtree("folder")
    shutil.unpack_archive("desk.zip", "folder")
    Path("planted.py").write_text(planted)
    py_compile.compile(
        "planted.py",
        cfile=importlib.util.cache_from_source("folder/redecide.py"),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    done = program_beside("folder", *options)
    assert (done.returncode, "PLANTED" in done.stdout) == (1, False), done.stdout + done.stderr
    assert "__pycache__" in done.stdout
    assert invoke("evidence", "verify", "folder").code == 1


def test_the_program_runs_no_other_redecide_than_the_one_of_its_digest(desk: Path) -> None:
    pack({**members(), "redecide.py": b"print('PLANTED')"})
    Path("unpacked").mkdir()
    done = stand_alone("desk.zip", "--key", "store/log.pub")
    assert (done.returncode, "PLANTED" in done.stdout) == (1, False)
    assert "redecide.py: not the one of this program" in done.stdout


def test_the_program_leaves_nothing_behind_in_the_folder_that_it_checks(desk: Path) -> None:
    shutil.unpack_archive("desk.zip", "folder")
    assert [program_beside("folder").returncode for _ in range(2)] == [0, 0]
    assert verified().code == 0
    assert not [*Path("folder").rglob("__pycache__")]


def test_the_program_holds_what_was_expected_against_the_record_also_without_cedar(desk: Path) -> None:
    files = members()
    index = next(line["index"] for line in records(files) if '"verdict":"deny"' in line["leaf"])
    place = f"decisions/{index}/expected.json"
    for before, after in ((b'"deny"', b'"allow"'), (b'"errors"', b'"mistakes"')):
        assert before in files[place]
        pack({**files, place: files[place].replace(before, after)})
        for bare in (True, False):
            done = stand_alone("desk.zip", "--key", "store/log.pub", bare=bare)
            assert done.returncode == 1, done.stdout
            assert place in done.stdout


def test_the_program_refuses_a_salt_of_another_length_and_names_that_stand_twice(desk: Path) -> None:
    files = members()
    lines = records(files)
    line = next(one for one in lines if "salt" in one)
    moved = line["content"][:20]
    line["salt"] += moved.encode().hex()
    line["content"] = line["content"][20:]
    pack(with_records(files, lines))
    done = stand_alone("desk.zip", "--key", "store/log.pub")
    assert done.returncode == 1
    assert "its content is not what the record commits to" in done.stdout
    first = next(n for n, one in enumerate(files["records.jsonl"].splitlines()) if b'"content":' in one)
    raw = files["records.jsonl"].splitlines()
    raw[first] = b'{"content":"{}",' + raw[first][1:]
    pack({**files, "records.jsonl": b"\n".join(raw) + b"\n"})
    done = stand_alone("desk.zip", "--key", "store/log.pub")
    assert (done.returncode, "stands twice" in done.stdout) == (2, True)
    pack(files)
    with zipfile.ZipFile("desk.zip", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("README.md", "forged")
    done = stand_alone("desk.zip", "--key", "store/log.pub")
    assert (done.returncode, "stands twice" in done.stdout) == (2, True)


def test_the_program_names_the_records_that_are_not_here_and_the_files_that_it_did_not_check(
    desk: Path,
) -> None:
    files = members()
    lines = records(files)
    dropped = next(n for n, one in enumerate(lines) if '"action":"pay"' in one["leaf"])
    index = lines.pop(dropped)["index"]
    left = {name: data for name, data in files.items() if not name.startswith(f"decisions/{index}/")}
    pack(with_records(left, lines))
    done = stand_alone("desk.zip", "--key", "store/log.pub")
    assert f"{index}-{index}" in done.stdout
    said = done.stdout.partition("not checked, and no evidence: ")[2].partition("\n")[0]
    assert said.split(", ") == [
        "README.md",
        "checkpoints/*.consistency",
        "checkpoints/*.note",
        "documents/*.agent.json",
        "images/*/image.json",
        "images/*/schema.cedarschema",
        "log.pub",
        "verify.py",
    ]
    assert "everything" not in done.stdout
    bare = stand_alone("desk.zip", "--key", "store/log.pub", bare=True)
    assert "decisions/*/request.json" in bare.stdout
    # Their digest is what the signed records cite, whoever decides.
    assert "images/*/policies.cedar" not in bare.stdout
    assert bare.stdout.splitlines()[-1] == "what was checked holds; all else may be forged"


@pytest.mark.parametrize("data", ["[" * 200000, '{"index":0,"leaf":5,"proof":[]}', "[]", "5"])
def test_the_program_says_of_what_has_another_form_that_it_cannot_be_checked(desk: Path, data: str) -> None:
    pack({**members(), "records.jsonl": data.encode() + b"\n"})
    done = stand_alone("desk.zip", "--key", "store/log.pub")
    assert (done.returncode, done.stderr) == (2, "")
    assert "cannot be checked" in done.stdout


def test_every_file_of_a_decision_is_held_against_its_record(desk: Path) -> None:
    files = members()
    index = next(line["index"] for line in records(files) if '"amount":6000' in line.get("content", ""))
    changes = (
        ("request.json", b"6000", b"6"),
        ("request.json", b'"ana"', b'"eve"'),
        ("entities.json", b'"EU"', b'"US"'),
        ("expected.json", b'"pay-ceiling"', b'"pay-cap"'),
        ("expected.json", b'"fulfilled": []', b'"fulfilled": ["pay-ceiling"]'),
        ("expected.json", b'"schema": true', b'"schema": false'),
    )
    for name, before, after in changes:
        place = f"decisions/{index}/{name}"
        assert before in files[place], (name, before)
        pack({**files, place: files[place].replace(before, after)})
        done = verified()
        assert done.code == 1, (name, before)
        assert done.json["findings"][0]["place"] == f"record {index}"
    for name in ("request.json", "entities.json", "expected.json"):
        left = {key: data for key, data in files.items() if key != f"decisions/{index}/{name}"}
        pack(left)
        assert verified().code == 1


def test_policies_that_were_changed_are_not_those_that_decisions_cite(desk: Path) -> None:
    files = members()
    (policies,) = (name for name in files if name.endswith("policies.cedar"))
    for name, before, after in (
        (policies, b"> 5000", b"> 50000"),
        (policies.replace("policies.cedar", "schema.json"), b"Long", b"String"),
        (policies.replace("policies.cedar", "schema.cedarschema"), b"Long", b"String"),
    ):
        assert before in files[name]
        pack({**files, name: files[name].replace(before, after)})
        assert verified().code == 1, name
    pack({**files, policies: files[policies].replace(b"> 5000", b"> 50000")})
    assert stand_alone("desk.zip", "--key", "store/log.pub").returncode == 2
    for name, before, after in (
        (policies, b"> 5000", b"> 50000"),
        (policies.replace("policies.cedar", "schema.json"), b"Long", b"String"),
    ):
        pack({**files, name: files[name].replace(before, after)})
        bare = stand_alone("desk.zip", "--key", "store/log.pub", bare=True)
        assert (bare.returncode, "are not those of this digest" in bare.stdout) == (1, True), bare.stdout


def test_a_document_that_was_changed_and_files_that_belong_to_nothing_are_found(desk: Path) -> None:
    files = members()
    (document,) = (name for name in files if name.startswith("documents/"))
    for changed in (
        {document: files[document].replace(b"You pay bills", b"You pay all bills")},
        {"documents/" + "0" * 64 + ".agent.json": files[document]},
        {"decisions/999999/request.json": b"{}"},
        {"images/" + "0" * 64 + "/policies.cedar": b"permit(principal, action, resource);"},
        {"checkpoints/3.note": b"x"},
    ):
        pack({**files, **changed})
        assert verified().code == 1, [*changed]


def test_a_file_that_the_manifest_does_not_know_is_found(desk: Path) -> None:
    with zipfile.ZipFile("desk.zip", "a") as archive:
        archive.writestr("extra.txt", "x")
    assert verified().json["findings"] == [
        {"place": "extra.txt", "problem": "was added: the manifest does not list it"},
        {"place": "extra.txt", "problem": "is no file of a bundle"},
    ]
    assert stand_alone("desk.zip").returncode == 1


def test_what_a_bundle_says_for_people_is_held_against_what_its_records_give(desk: Path) -> None:
    files = members()
    (image,) = (name for name in files if name.endswith("image.json"))
    manifest = json.loads(files["manifest.json"])
    for place, changed in (
        ("README.md", {"README.md": files["README.md"].replace(b"| deny |", b"| allow |")}),
        (image, {image: b'{"forged":true}'}),
        (
            "manifest.json",
            {"manifest.json": json.dumps({**manifest, "origin": "other.example/log"}).encode()},
        ),
        ("notes.txt", {"notes.txt": b"all is well"}),
    ):
        assert all(files.get(name) != data for name, data in changed.items())
        pack({**files, **changed})
        done = verified()
        assert (done.code, [one["place"] for one in done.json["findings"]]) == (1, [place])


def test_a_document_that_no_record_names_is_found_although_it_agrees_with_itself(desk: Path) -> None:
    files = members()
    (name,) = (name for name in files if name.startswith("documents/"))
    real = parse_document(files[name])
    value = dict(real.governance.value)
    rules = cast("list[dict[str, Any]]", value["rules"])
    forged = revise(
        real,
        operation="amend",
        actor='Remit::Caller::"ana"',
        at="2026-11-30T13:00:00.000Z",
        decision="",
        governance={**value, "rules": [rule for rule in rules if rule["id"] != "pay-ceiling"]},
    )
    del files[name]
    place = f"documents/{forged.identity.revision.removeprefix('sha256:')}.agent.json"
    pack({**files, place: serialize_document(forged)})
    done = verified()
    assert done.code == 1
    assert {"place": place, "problem": "is a revision that no record here names"} in done.json["findings"]


def test_a_record_line_that_holds_a_member_twice_is_found(desk: Path) -> None:
    files = members()
    lines = files["records.jsonl"].splitlines()
    number = next(n for n, one in enumerate(lines) if b'"content":' in one)
    lines[number] = b'{"content":"{}",' + lines[number][1:]
    pack({**files, "records.jsonl": b"\n".join(lines) + b"\n"})
    done = verified()
    assert done.code == 1
    assert done.json["findings"][0]["place"] == "records.jsonl"


@pytest.mark.parametrize("name", ["../escape", "/etc/escape", "a\\b", "folder/"])
def test_a_name_that_leads_out_of_the_archive_is_bad_input(desk: Path, name: str) -> None:
    with zipfile.ZipFile("desk.zip", "a") as archive:
        archive.writestr(name, "x")
    assert verified().code == 2


@pytest.mark.parametrize("data", [b"", b"PK", b"no archive"])
def test_what_is_no_bundle_is_bad_input(desk: Path, data: bytes) -> None:
    Path("desk.zip").write_bytes(data)
    done = verified()
    assert done.code == 2
    assert "is no evidence bundle" in done.json["error"]["faults"][0]["message"]


def test_a_bundle_whose_compressed_bytes_are_damaged_is_bad_input(desk: Path) -> None:
    whole = Path("desk.zip").read_bytes()
    with zipfile.ZipFile("desk.zip") as archive:
        start = archive.getinfo("records.jsonl").header_offset + 60
    for place in (start, start + 400, start + 2000):
        Path("desk.zip").write_bytes(whole[:place] + bytes(100) + whole[place + 100 :])
        done = verified()
        assert done.code == 2, done.stdout
        Path("unpacked").mkdir(exist_ok=True)
        Path("unpacked/verify.py").write_bytes(read_program())
        alone = program_beside("unpacked", "-I", bundle="desk.zip")
        assert (alone.returncode, alone.stderr) == (2, "")
        assert "cannot be checked" in alone.stdout


def test_a_log_that_was_rewritten_and_signed_again_is_seen_by_a_held_checkpoint(desk: Path) -> None:
    owner = Owner(desk / "store")
    owner.change(4, lambda value: value.__setitem__("at", "2026-01-01T00:00:00.000Z"))
    owner.write()
    agent = Path("agent").read_text()
    assert invoke("ledger", "verify", *STORE).code == 0, "the log agrees with itself"
    refused = invoke("evidence", "export", "--agent", agent, *STORE, "--checkpoint", "held.note")
    assert refused.code == 2
    assert "does not extend the checkpoint" in refused.stderr
    assert invoke("evidence", "export", "--agent", agent, *STORE, "-o", "desk.zip", "--force").code == 0
    assert verified().code == 0
    done = verified("--checkpoint", "held.note")
    assert done.code == 1
    assert "no proof in the bundle leads from" in done.json["findings"][0]["problem"]


def test_a_checkpoint_of_a_fork_is_a_finding_by_the_proof_in_the_bundle(desk: Path) -> None:
    lines = Path("held.note").read_text().split("\n")
    lines[2] = "A" * 43 + "="
    Path("fork.note").write_text("\n".join(lines))
    done = verified("--checkpoint", "fork.note")
    assert done.code == 1
    assert "is not to be trusted" in done.json["findings"][0]["problem"]


def test_witnesses_count_for_a_bundle(desk: Path) -> None:
    assert invoke("keys", "new", "tower").code == 0
    key = invoke("ledger", "witness", "--key", "tower.key.pem").stdout.strip()
    witness = ("--log", "store/log.pub", "--key", "tower.key.pem", "--memory", "tower.json")
    assert verified("--witness", key).code == 1
    assert invoke("ledger", "witness", "held.note", *witness, "--first", "-o", "cosigned.note").code == 0
    done = verified("--witness", key, "--checkpoint", "cosigned.note")
    assert done.code == 0
    assert done.json["witnessed_size"] == done.json["held"][0]


def test_erased_content_stays_erased_and_is_explained_by_the_record_that_erased_it(desk: Path) -> None:
    target = next(line["index"] for line in records(members()) if '"amount":6000' in line.get("content", ""))
    with open_store(desk / "store") as store:
        store.erase_content(target, by="dpo", reason="art. 17")
    agent = Path("agent").read_text()
    assert invoke("evidence", "export", "--agent", agent, *STORE, "-o", "desk.zip", "--force").code == 0
    done = verified()
    assert (done.code, done.json["findings"]) == (0, [])
    assert done.json["undecided"] == {"its content was erased": 1}
    files = members()
    pack(with_records(files, [line for line in records(files) if "erase_content" not in line["leaf"]]))
    assert "no record says that it was erased" in verified().json["findings"][0]["problem"]


def test_an_export_that_is_interrupted_leaves_nothing_behind_and_spoils_nothing(desk: Path) -> None:
    before, names = Path("desk.zip").read_bytes(), sorted(path.name for path in desk.iterdir())

    def interrupted(stage: str) -> Callable[[int, int], None]:
        def report(done: int, whole: int) -> None:
            if stage == "archive":
                raise KeyboardInterrupt

        return report

    with open_store(desk / "store", read_only=True) as store, pytest.raises(KeyboardInterrupt):
        export_evidence(store, Wanted(agent=Path("agent").read_text()), desk / "desk.zip", stage=interrupted)
    assert Path("desk.zip").read_bytes() == before
    assert sorted(path.name for path in desk.iterdir()) == names


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--from", "yesterday"), "is no time"),
        (("--from", "2026-02-01", "--to", "2026-01-01"), "is not before"),
        (("-o", "nowhere/x.zip"), "cannot be a bundle"),
        (("--agent", "ffff"), "the store holds no agent"),
        (("--checkpoint", "nowhere"), "does not exist"),
    ],
)
def test_what_cannot_be_exported_is_bad_input(desk: Path, given: tuple[str, ...], said: str) -> None:
    agent = () if "--agent" in given else ("--agent", Path("agent").read_text())
    done = invoke("evidence", "export", *agent, *STORE, *given)
    assert done.code == 2
    assert said in done.stderr
