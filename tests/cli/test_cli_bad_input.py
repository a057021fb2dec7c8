"""Bad input of many kinds: a clear message or a deny, the promised exit code, nothing half-written, no traceback."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Edit = Callable[[str, dict[str, Any]], bytes]


def _changed(change: Callable[[dict[str, Any]], object]) -> Edit:
    def edit(_text: str, value: dict[str, Any]) -> bytes:
        changed = copy.deepcopy(value)
        change(changed)
        return json.dumps(changed).encode()

    return edit


def _replaced(old: str, new: str | bytes) -> Edit:
    def edit(text: str, _value: dict[str, Any]) -> bytes:
        compact = json.dumps(json.loads(text), separators=(", ", ": "))
        assert old in compact
        raw = new if isinstance(new, bytes) else new.encode()
        return compact.encode().replace(old.encode(), raw, 1)

    return edit


DOCUMENTS: dict[str, tuple[Edit, str]] = {
    "a missing field": (_changed(lambda d: d.pop("governance")), "governance"),
    "all six fields missing": (lambda _t, _v: b"{}", "execution_state"),
    "a missing member": (_changed(lambda d: d["capabilities"].pop("instructions")), "instructions"),
    "an unknown member": (_changed(lambda d: d.update(surprise=1)), "surprise"),
    "an unknown member deep inside": (
        _changed(lambda d: d["capabilities"]["tools"][0].update(efect="read")),
        "efect",
    ),
    "a duplicate key": (_replaced('"spec": "remit/1"', '"spec": "remit/1", "spec": "remit/1"'), "spec"),
    "NaN": (_replaced('"max_turns": 6', '"max_turns": NaN'), "NaN"),
    "Infinity": (_replaced('"max_turns": 6', '"max_turns": Infinity'), "Infinity"),
    "2^53+1": (_replaced('"max_turns": 6', '"max_turns": 9007199254740993'), "9007199254740993"),
    "an integer of 10,000 digits": (_replaced('"max_turns": 6', '"max_turns": ' + "9" * 10_000), "integer"),
    "a lone surrogate": (_replaced('"owner": "tests"', '"owner": "\\ud800"'), "surrogate"),
    "null where none is declared": (_replaced('"owner": "tests"', '"owner": null'), "null"),
    "nesting 10,000 deep": (lambda _t, _v: b"[" * 10_000 + b"]" * 10_000, "deep"),
    "a wrong digest": (
        _changed(lambda d: d["identity"].update(revision="sha256:" + "0" * 64)),
        "revision",
    ),
    "a changed field": (_changed(lambda d: d["capabilities"].update(instructions="obey")), "capabilities"),
    "a changed rule": (
        _changed(lambda d: d["governance"]["termination"].clear()),
        "governance",
    ),
    "another agent's id": (_changed(lambda d: d["identity"].update(agent="sha256:" + "1" * 64)), "agent"),
    "an empty file": (lambda _t, _v: b"", ""),
    "not UTF-8": (_replaced('"owner": "tests"', b'"owner": "\xff\xfe"'), "utf-8"),
    "a byte order mark": (lambda t, _v: b"\xef\xbb\xbf" + t.encode(), ""),
    "UTF-16": (lambda t, _v: t.encode("utf-16"), ""),
    "half a file": (lambda t, _v: t.encode()[: len(t) // 2], ""),
    "a list instead of an agent": (lambda _t, _v: b"[]", ""),
    "text after the end": (lambda t, _v: t.encode() + b"{}", ""),
    "a comment": (lambda t, _v: b"// hello\n" + t.encode(), ""),
    "a format of the future": (_changed(lambda d: d.update(spec="remit/2")), "remit/2"),
    "a signature that is no envelope": (
        _changed(lambda d: d["identity"].update(signatures=[{"sig": "x"}])),
        "signatures",
    ),
}


def _accepts_bom(name: str) -> bool:
    return name == "a byte order mark"


@pytest.mark.parametrize("verb", ["verify", "inspect", "compile"])
@pytest.mark.parametrize("name", [*DOCUMENTS])
def test_a_bad_document_is_refused_with_its_place_and_exit_code_2(
    name: str, verb: str, remit: Any, document: dict[str, Any], tmp_path: Path
) -> None:
    edit, word = DOCUMENTS[name]
    path = tmp_path / "bad.agent.json"
    data = edit((tmp_path / "desk.agent.json").read_text(), document)
    path.write_bytes(data)
    done = remit(verb, "bad.agent.json")
    assert done.code == 2, done.stdout
    assert done.stdout == ""
    assert word.lower() in done.stderr.lower()
    assert "bad.agent.json" in done.stderr
    assert len(done.stderr) < 20_000
    assert data == path.read_bytes()


def test_with_json_every_fault_is_one_value_on_stdout(remit: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.agent.json").write_text("{}")
    done = remit("verify", "bad.agent.json", "--json")
    error = done.json["error"]
    assert (done.code, error["exit_code"]) == (2, 2)
    assert error["kind"] == "DocumentError"
    assert len(error["faults"]) >= 6
    assert {"message", "file", "line", "column", "pointer", "hint"} == {*error["faults"][0]}
    assert done.stderr == ""


def test_a_string_of_100_megabytes_is_refused_without_a_crash(remit: Any, tmp_path: Path) -> None:
    path = tmp_path / "huge.agent.json"
    path.write_bytes(b'{"spec": "' + b"x" * 100_000_000 + b'"}')
    done = remit("verify", "huge.agent.json")
    assert done.code == 2
    assert len(done.stderr) < 20_000


def test_a_yaml_alias_bomb_is_refused(remit: Any, tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    done = remit("verify", "bomb.yaml")
    assert done.code == 2
    assert "bomb.yaml" in done.stderr


def test_a_missing_file_is_named(remit: Any) -> None:
    done = remit("verify", "nothing.agent.json")
    assert done.code == 2
    assert "`nothing.agent.json` does not exist" in done.stderr


def test_a_folder_that_is_no_project_is_named(remit: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = remit("inspect", "empty")
    assert done.code == 2
    assert "agent.yaml" in done.stderr


def test_a_file_of_unknown_format_is_named(remit: Any, tmp_path: Path) -> None:
    (tmp_path / "agent.exe").write_bytes(b"MZ")
    done = remit("verify", "agent.exe")
    assert done.code == 2
    assert "agent.exe" in done.stderr


def test_a_zero_byte_in_a_path_is_refused(remit: Any) -> None:
    done = remit("verify", "a\0b.agent.json")
    assert done.code == 2


@pytest.mark.parametrize(
    ("rules", "word"),
    [
        ("rules:\n  - {id: a, place: activation, when: 'principal..x'}\n", "desk.yaml:2"),
        ('rules:\n  - {id: a, place: activation, when: principal.jurisdicton == "EU"}\n', "jurisdiction"),
        ("rules:\n  - {id: a, place: 'tool:pay', when: context.input.amout > 5}\n", "amount"),
        ("rules:\n  - {id: a, place: 'tool:pay', when: context.input.amount > \"5\"}\n", "desk.yaml:2"),
        ("rules: []\n", "permit"),
        ("rules:\n  - {cedar: 'permit(principal, action'}\n", "desk.yaml:2"),
        ("rules:\n  - {id: a, place: activtion}\n", "did you mean `activation`"),
        ("rules:\n  - {id: a, place: 'tool:payy'}\n", "did you mean `tool:pay`"),
        ("rules:\n  - {id: a, place: activation, becuase: x}\n", "did you mean `because`"),
        ("rules:\n  - {id: a, place: activation}\n  - {id: a, place: dispatch}\n", "`a`"),
        ("rules: nonsense\n", "list"),
        ("rules:\n  - {id: a, id: b}\n", "desk.yaml:2"),
        ("rules:\n\t- x\n", "desk.yaml:2"),
    ],
)
def test_rules_that_cannot_stand_are_refused_at_the_authors_line(
    rules: str, word: str, remit: Any, project: Callable[..., Path]
) -> None:
    project(rules=rules)
    done = remit("build", "desk", "-o", "out.agent.json")
    assert done.code == 2, done.stdout
    assert word in done.stderr
    assert not Path("out.agent.json").exists()


def test_a_policy_that_errors_at_run_time_denies_and_names_the_rule(
    remit: Any, project: Callable[..., Path]
) -> None:
    rules = """
rules:
  - {id: pay, place: "tool:pay", because: paying is the work}
  - id: sum
    place: tool:pay
    effect: forbid
    when: context.input.amount + 9223372036854775807 > 5
    because: sums are bounded
"""
    project(rules=rules)
    asked = ("decide", "desk", "--action", "pay", "--attr", "jurisdiction=EU")
    done = remit(*asked, "--input", '{"amount": 1, "to": "x"}', "--json")
    assert (done.code, done.json["decision"], done.json["kind"]) == (3, "deny", "error")
    assert any("sum" in error for error in done.json["errors"])


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (("run",), "missing argument"),
        (("run", "desk"), "no input"),
        (("run", "desk", "hi", "--input", "hi"), "twice"),
        (("run", "desk", "hi", "--attr", "jurisdiction"), "key=value"),
        (("run", "desk", "hi", "--attr", "=EU"), "key=value"),
        (("run", "desk", "hi", "--attr", "a=1", "--attr", "a=2"), "twice"),
        (("run", "desk", "hi", "--env", "freeze"), "key=value"),
        (("run", "desk", "hi", "--as", ""), "--as"),
        (("run", "desk", "hi", "--backend", "nothing"), "nothing"),
        (("run", "desk", "hi", "--store", ""), "--store"),
        (("run", "desk", "hi", "--attr", "kind=robot"), "robot"),
        (("decide", "desk", "--action", "pays"), "did you mean `pay`"),
        (("decide", "desk", "--action", "pay", "--input", "{"), "--input"),
        (("decide", "desk", "--action", "pay", "--input", "[]"), "--input"),
        (("decide", "desk", "--action", "pay", "--input", "@nothing.json"), "nothing.json"),
        (("decide", "desk", "--action", "pay", "--usage", "tool_cals=1"), "tool_calls"),
        (("decide", "desk", "--action", "recall", "--resource", "visit"), "visits"),
        (("decide", "desk", "--action", "dispatch", "--resource", "remote"), "remote"),
        (("rum", "desk"), "did you mean `run`"),
        (("verify", "desk", "--require-signature"), "--trust"),
        (("verify", "desk", "--trust", "nothing.pem"), "nothing.pem"),
        (("approve", "x", "--reason", "y", "--store", "nowhere"), "nowhere"),
        (("ledger", "verify", "--store", "nowhere"), "nowhere"),
        (("kill", "everything", "--reason", "x"), "scope"),
        (("models", "pull", "no-such-model"), "no-such-model"),
        (("models", "add", "desk/agent.yaml"), "GGUF"),
        (("demo", "nowhere"), "nowhere"),
        (("demo", "desk"), "demo.yaml"),
        (("keys", "new", "a/b"), "a/b"),
        (("sign", "desk", "--key", "x"), "project folder"),
        (("init", "desk"), "not an empty folder"),
        (("run", "desk", "hi", "--log-level", "loud"), "loud"),
        (("run", "desk", "hi", "--wat"), "--wat"),
    ],
)
def test_a_bad_argument_is_refused_with_exit_code_2(
    args: tuple[str, ...], word: str, remit: Any, project: Callable[..., Path]
) -> None:
    project()
    done = remit(*args)
    assert done.code == 2, done.stdout
    assert done.stdout == ""
    assert word.lower() in done.stderr.lower()
    assert not Path("desk/.remit").exists()
    assert remit(*args, "--json").json["error"]["exit_code"] == 2


def test_an_input_that_is_not_utf8_is_refused(remit: Any, project: Callable[..., Path]) -> None:
    project()
    done = remit("run", "desk", "--input", "-", input=b"\xff\xfe")
    assert done.code == 2
    assert "UTF-8" in done.stderr


def _run(remit: Any, *more: str) -> Any:
    return remit("run", "desk", "hello", "--as", "ana", "--attr", "jurisdiction=EU", "--json", *more)


def _script(*steps: str) -> str:
    return "script:\n" + "".join(f"  - {step}\n" for step in (*steps, "say: Done."))


def _tool_steps(done: Any) -> list[tuple[str, str, str]]:
    own = {"activate", "dispatch", "continue"}
    return [(s["action"], s["verdict"], s["kind"]) for s in done.json["steps"] if s["action"] not in own]


def test_a_tool_argument_of_the_wrong_type_is_denied_and_nothing_is_paid(
    remit: Any, project: Callable[..., Path]
) -> None:
    folder = project(script=_script("call: {name: pay, arguments: {amount: lots, to: bob}}"))
    done = _run(remit)
    assert _tool_steps(done) == [("pay", "deny", "invalid_arguments")]
    assert not (folder / "paid.txt").exists()


def test_an_argument_that_cedar_cannot_hold_is_denied(remit: Any, project: Callable[..., Path]) -> None:
    folder = project(script=_script('raw_call: {name: pay, raw: \'{"amount": 1e400, "to": "bob"}\'}'))
    done = _run(remit)
    assert all(verdict == "deny" for _, verdict, _ in _tool_steps(done))
    assert not (folder / "paid.txt").exists()


@pytest.mark.parametrize("tool", ["boom", "hang", "flood"])
def test_a_tool_that_raises_hangs_or_floods_ends_in_an_answer(
    tool: str, remit: Any, project: Callable[..., Path]
) -> None:
    project(script=_script(f"call: {{name: {tool}, arguments: {{}}}}"))
    done = _run(remit)
    assert done.code == 0, done.stderr
    assert done.json["status"] == "completed"
    assert [(tool, "allow", "allowed")] == _tool_steps(done)
    assert len(done.stdout) < 100_000
    outcomes = remit("ledger", "show", "--kind", "outcome", "--store", "desk/.remit", "--json").json
    assert {"failed", "unknown", "abandoned"} & {str(o["record"]["body"].get("status")) for o in outcomes}


def test_a_call_of_an_unknown_tool_is_denied(remit: Any, project: Callable[..., Path]) -> None:
    project(script=_script("call: {name: launch, arguments: {}}"))
    done = _run(remit)
    assert done.code == 0, done.stderr
    assert [s["verdict"] for s in done.json["steps"] if "launch" in (s["action"], s["resource"])] == [
        "deny"
    ] or [verdict for _, verdict, _ in _tool_steps(done)] == ["deny"]


def test_a_model_that_loops_is_stopped_by_the_budget(remit: Any, project: Callable[..., Path]) -> None:
    folder = project(script=_script(*["call: {name: pay, arguments: {amount: 1, to: bob}}"] * 9))
    done = _run(remit)
    assert (done.code, done.json["status"]) == (5, "terminated")
    assert len((folder / "paid.txt").read_text().splitlines()) == 3


def test_a_caller_from_elsewhere_is_denied_with_exit_code_3(remit: Any, project: Callable[..., Path]) -> None:
    project()
    done = remit("run", "desk", "hello", "--as", "bob", "--attr", "jurisdiction=US", "--json")
    assert (done.code, done.json["status"]) == (3, "denied")


def test_a_caller_without_a_declared_attribute_is_denied_not_run(
    remit: Any, project: Callable[..., Path]
) -> None:
    folder = project()
    done = remit("run", "desk", "hello", "--as", "bob", "--json")
    assert done.code in {2, 3}
    assert not (folder / "paid.txt").exists()


def test_a_store_that_is_a_file_is_refused(remit: Any, project: Callable[..., Path]) -> None:
    project()
    Path("store").write_text("not a store")
    done = _run(remit, "--store", "store")
    assert done.code == 2
    assert Path("store").read_text() == "not a store"


def test_a_corrupted_store_is_refused_and_nothing_is_paid(remit: Any, project: Callable[..., Path]) -> None:
    folder = project()
    assert _run(remit).code == 0
    before = (folder / "paid.txt").read_text()
    for path in (folder / ".remit").iterdir():
        if path.suffix in {".sqlite3", ".db", ".sqlite"}:
            path.write_bytes(b"garbage" * 1000)
    done = _run(remit)
    assert done.code in {2, 3}
    assert before == (folder / "paid.txt").read_text()


def test_a_signature_by_a_foreign_an_expired_or_a_wrong_key_is_refused(
    remit: Any, document: dict[str, Any]
) -> None:
    for name in ("alice", "mallory"):
        assert remit("keys", "new", name).code == 0
    assert remit("sign", "desk.agent.json", "--key", "alice.key.pem").code == 0
    good = ("verify", "desk.agent.json", "--trust", "alice.pub.pem")
    assert remit(*good, "--json").json["trusted_signers"] == ["alice"]
    foreign = remit("verify", "desk.agent.json", "--trust", "mallory.pub.pem")
    wrong = remit("verify", "desk.agent.json", "--trust", "alice=mallory.pub.pem")
    expired = remit(*good, "--not-after", "alice=2020-01-01T00:00:00.000Z")
    assert [done.code for done in (foreign, wrong, expired)] == [2, 2, 2]
    assert "foreign" in foreign.stderr
    assert "does not verify" in wrong.stderr
    assert "expired" in expired.stderr


def test_an_unsigned_document_is_refused_where_a_signature_is_required(
    remit: Any, document: dict[str, Any]
) -> None:
    remit("keys", "new", "alice")
    done = remit("verify", "desk.agent.json", "--trust", "alice.pub.pem", "--require-signature")
    assert done.code == 2


QUESTION = ("decide", "desk", "--action", "pay", "--input", '{"amount": 5, "to": "bob"}')
REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "an empty input": (("run", "desk", "--input", ""), "the input is empty"),
    "an input of blanks": (("run", "desk", "--input", " \n "), "the input is empty"),
    "a path that is too long": (("inspect", "a" * 5000), "cannot be used: File name too long"),
    "an environment value that is not declared": (("run", "desk", "x", "--env", "freze=true"), "`freze`"),
    "a time that is none": ((*QUESTION, "--now", "yesterday"), "`now` is `yesterday`"),
    "a counter that is no number": ((*QUESTION, "--usage", "turns=x"), "`turns`"),
    "a lifecycle that is none": ((*QUESTION, "--lifecycle", "zz"), "`lifecycle` is `zz`"),
    "a block that is none": (("memory", "list", "desk", "--block", "zz"), "no memory block is called `zz`"),
    "a root that is none": (("memory", "check-proof", "p.json", "--root", "zz"), "`--root zz` is no digest"),
    "a key that is none": (("verify", "desk", "--trust", "desk/agent.yaml"), "`desk/agent.yaml` is no key"),
    "a ledger erasure about nobody": (
        ("memory", "erase", "desk", "--entry", "a", "--block", "visits", "--ledger"),
        "`--ledger` needs a data subject",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_meant_is_refused_before_anything_is_written(
    arguments: tuple[str, ...], message: str, remit: Any, project: Callable[..., Path]
) -> None:
    project()
    result = remit(*arguments)
    assert (result.code, result.stdout) == (2, "")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_group_without_a_verb_shows_its_help_and_exits_with_2(remit: Any) -> None:
    for arguments in ((), ("ledger",)):
        result = remit(*arguments)
        assert result.code == 2
        assert result.stderr.startswith("Usage: remit")
        assert remit(*arguments, "--json").code == 2


def test_a_denied_caller_is_told_what_to_add_and_only_where_it_would_help(
    remit: Any, project: Callable[..., Path]
) -> None:
    project()
    assert "`--attr jurisdiction=…`" in remit("run", "desk", "x", "--as", "ana:clerk").stdout
    assert "`--as bob:ROLE`" in remit("run", "desk", "x", "--as", "bob", "--attr", "jurisdiction=US").stdout
    unknown = remit("memory", "recall", "desk", "zz", "--as", "ana")
    assert unknown.code == 3
    assert "--attr" not in unknown.stdout
