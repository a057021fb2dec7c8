"""A bad pack is refused with its place, the cause and a way forward; every fault of every file at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from packs_world import PACK, RULES, faults_of, make_pack, pack_files, write

from remit.project.packs.folder import read_pack

if TYPE_CHECKING:
    from pathlib import Path

PACK_YAML: dict[str, tuple[tuple[str, str], str]] = {
    "another format": (
        ("spec: remit/1/pack", "spec: remit/2/pack"),
        "caps/pack.yaml:1:7: `spec` is `remit/2/pack`; write `spec: remit/1/pack`",
    ),
    "an unknown member": (
        ("title:", "titel:"),
        "caps/pack.yaml:4:1: unknown key `titel` in pack.yaml; did you mean `title`?",
    ),
    "no version": (
        ("version: 1.0.0\n", ""),
        "caps/pack.yaml:1:1: pack.yaml lacks `version`; add `version:`",
    ),
    "a version that is none": (
        ("version: 1.0.0", "version: latest"),
        (
            'caps/pack.yaml:3:10: `version` is `latest`, no semantic version; write such as `version: "1.0.0"` '
            "(semver.org), in quotes where it reads as a number"
        ),
    ),
    "a version that reads as a number": (
        ("version: 1.0.0", "version: 1.0"),
        (
            'caps/pack.yaml:3:10: `version` is `1`, no semantic version; write such as `version: "1.0.0"` '
            "(semver.org), in quotes where it reads as a number"
        ),
    ),
    "a name with capitals": (
        ("name: caps", "name: Caps"),
        (
            "caps/pack.yaml:2:7: `name` is `Caps`, not a pack's name: a lower-case letter, then up to 39 "
            "lower-case letters, digits, `-`"
        ),
    ),
    "the name of the base rules": (
        ("name: caps", "name: remit"),
        "caps/pack.yaml:2:7: `remit` names the base rules; choose another name",
    ),
    "an empty title": (
        ("title: Amounts have a cap", 'title: " "'),
        "caps/pack.yaml:4:8: `title` is empty; write words",
    ),
    "a parameter of no type": (
        ("vip: {type: string}", "vip: {enum: [a]}"),
        (
            "caps/pack.yaml:11:10: `parameters`: a parameter's type is missing or more than one; "
            "use string, integer, number, boolean or a list of one"
        ),
    ),
    "a parameter that is an object": (
        ("vip: {type: string}", "vip: {type: object}"),
        (
            "caps/pack.yaml:11:10: `parameters`: a parameter's type is `object`; "
            "use string, integer, number, boolean or a list of one"
        ),
    ),
    "a list that may be empty": (
        ("items: {type: string}, minItems: 1}", "items: {type: string}}"),
        (
            "caps/pack.yaml:9:12: `parameters`: the list may be empty, and Cedar has no empty set; "
            "write `minItems: 1`"
        ),
    ),
    "a list of anything": (
        ("type: array, items: {type: string}, minItems: 1", "type: array, minItems: 1"),
        (
            "caps/pack.yaml:9:12: `parameters`: a list parameter says nothing of its elements; "
            "write `items: {type: string}`"
        ),
    ),
    "a default that does not fit": (
        ("minimum: 1, default: 500", "minimum: 1, default: 0"),
        "caps/pack.yaml:10:47: `parameters`: the default does not fit: 0 is less than the minimum of 1",
    ),
    "a default that has no literal": (
        ("vip: {type: string}", "vip: {type: string, x-cedar: duration, default: soon}"),
        "caps/pack.yaml:11:53: `parameters`: the default does not fit: not a duration such as `1h30m`",
    ),
    "a type word that Cedar does not have": (
        ("vip: {type: string}", "vip: {type: string, x-cedar: Agent}"),
        (
            "caps/pack.yaml:11:34: `parameters`: `x-cedar: Agent` is not known; it stands at a string, and is "
            "one of datetime, duration, ip, Caller, Tool, Backend, Block"
        ),
    ),
    "a required parameter that is not declared": (
        ("required: [tools]", "required: [tools, limit]"),
        "caps/pack.yaml:7:21: `parameters`: no parameter is called `limit`; declare it",
    ),
    "a required parameter with a default": (
        ("required: [tools]", "required: [tools, cap]"),
        "caps/pack.yaml:7:21: `parameters`: `cap` is required and has a default; keep one of the two",
    ),
    "parameters that are no schema": (
        ("  type: object\n", "  type: objekt\n"),
        (
            "caps/pack.yaml:6:9: `parameters`: is no JSON Schema: 'objekt' is not valid under any of the given "
            "schemas"
        ),
    ),
    "a parameter that nothing reads": (
        ("vip: {type: string}", "vip: {type: string}\n    idle: {type: string}"),
        "caps/pack.yaml:12:11: no rule reads the parameter `idle`; use it, or drop it",
    ),
    "a clause that no rule serves": (
        ("mark: recall}\n", "mark: recall}\n  - {id: OWN-2, clause: two, asks: more, mark: docs}\n"),
        (
            "caps/pack.yaml:18:5: no rule serves the control `OWN-2`; "
            "name it at a rule under `controls`, or do not claim it"
        ),
    ),
    "a clause without its mark": (
        (", mark: recall}", "}"),
        "caps/pack.yaml:17:5: a control lacks `mark`; add `mark:`",
    ),
    "a clause with another mark": (
        ("mark: recall", "mark: certified"),
        (
            "caps/pack.yaml:17:58: `mark` is `certified`; "
            "`docs`: read at its source; `recall`: known, not read again"
        ),
    ),
    "a clause that stands twice": (
        ("mark: recall}\n", "mark: recall}\n  - {id: OWN-1, clause: two, asks: more, mark: docs}\n"),
        "caps/pack.yaml:18:5: the control `OWN-1` stands twice; keep one of them",
    ),
    "a requirement of an unknown type": (
        ("type: integer}]", "type: int}]"),
        "caps/pack.yaml:15:40: `int` is no type; did you mean `integer`?",
    ),
    "a requirement by an unknown parameter": (
        ("- names: ${tools}", "- names: ${tool}"),
        "caps/pack.yaml:14:14: no parameter is called `tool`; did you mean `tools`?",
    ),
    "a requirement of an unknown effect": (
        ("- names: ${tools}\n", "- names: ${tools}\n      effects: [writes]\n"),
        "caps/pack.yaml:15:17: `writes` is no effect of a tool; did you mean `write`?",
    ),
    "YAML that is none": (
        ("title: Amounts", "title: [Amounts"),
        "caps/pack.yaml:5:11: this is no YAML",
    ),
}
RULE_FILES: dict[str, tuple[tuple[str, str], str]] = {
    "no effect": (
        ("  - id: cap\n    effect: forbid\n", "  - id: cap\n"),
        "caps/rules/rules.yaml:2:5: a pack's rule lacks `effect`; add `effect:`",
    ),
    "another effect": (
        ("effect: forbid", "effect: deny"),
        "caps/rules/rules.yaml:3:13: `effect` is `deny`; it is `permit` or `forbid`",
    ),
    "no reason": (
        ("    because: more than ${cap} is too much\n", ""),
        "caps/rules/rules.yaml:2:5: a pack's rule lacks `because`; add `because:`",
    ),
    "plain Cedar": (
        ("    when: context.input.amount > ${cap}\n", "    cedar: permit(principal, action, resource);\n"),
        (
            "caps/rules/rules.yaml:6:12: a pack's rules have blanks, which plain Cedar has not; "
            "write `effect`, `on`, `when`"
        ),
    ),
    "two rules of one name": (
        ("- id: vip-cap", "- id: cap"),
        "caps/rules/rules.yaml:9:9: two rules are called `cap`; rename one",
    ),
    "an id with a point": (
        ("- id: vip-cap", "- id: vip.cap"),
        (
            "caps/rules/rules.yaml:9:9: `id` is `vip.cap`, not a name: an ASCII letter or `_`, then up to 63 "
            "letters, digits, `_`, `-`"
        ),
    ),
    "the place of a tool": (
        ("rules:\n", "place: tool:pay\nrules:\n"),
        (
            "caps/rules/rules.yaml:1:8: a pack has no place `tool:pay`; a pack does not know the agent's tools "
            "and blocks: use `on: ${tools}`, or `resource.name`"
        ),
    ),
    "an unknown place": (
        ("rules:\n", "place: terminaton\nrules:\n"),
        "caps/rules/rules.yaml:1:8: a pack has no place `terminaton`; did you mean `termination`?",
    ),
    "an unknown placeholder": (
        ("amount > ${cap}\n", "amount > ${kap}\n"),
        "caps/rules/rules.yaml:6:34: no parameter is called `kap`; did you mean `cap`?",
    ),
    "a placeholder inside a text": (
        ("note != ${vip}", 'note != "${vip}"'),
        (
            "caps/rules/rules.yaml:13:67: `${vip}` stands inside a text or a comment, where it is no value; "
            "put it outside of the quotes; a text parameter brings its own"
        ),
    ),
    "a placeholder inside a comment": (
        ("note != ${vip}", 'note != "x" // ${vip}'),
        (
            "caps/rules/rules.yaml:13:73: `${vip}` stands inside a text or a comment, where it is no value; "
            "put it outside of the quotes; a text parameter brings its own"
        ),
    ),
    "a placeholder that is glued to a digit": (
        ("amount > ${cap}\n", "amount > 1${cap}\n"),
        "caps/rules/rules.yaml:6:35: `${cap}` is glued to what stands beside it; put a space between",
    ),
    "a placeholder that is glued to another": (
        ("amount > ${cap}\n", "amount > ${cap}${cap}\n"),
        "caps/rules/rules.yaml:6:34: `${cap}` is glued to what stands beside it; put a space between",
    ),
    "a placeholder after like": (
        ("note != ${vip}", "note like ${vip}"),
        (
            "caps/rules/rules.yaml:13:68: `${vip}` follows `like`, where a `*` in the value would match "
            "anything; compare with `==`, or with `.contains(…)` of a list"
        ),
    ),
    "a placeholder that names nothing": (
        ("amount > ${cap}\n", "amount > ${ cap }\n"),
        "caps/rules/rules.yaml:6:34: `${ cap }` names no parameter; write a name of letters, digits and `_`",
    ),
    "a dollar that begins nothing": (
        ("amount > ${cap}\n", "amount > ${cap} && $cap\n"),
        "caps/rules/rules.yaml:6:44: a `$` begins no placeholder; write `${name}`",
    ),
    "an optional parameter that is not asked for": (
        ("    given: [vip]\n", ""),
        (
            "caps/rules/rules.yaml:12:66: `vip` may be without a value; "
            "write `given: [vip]` at this rule, or give a default"
        ),
    ),
    "an optional parameter that is not there": (
        ("note != ${vip}", "note != ${vip}\n    not_given: [vip]"),
        (
            "caps/rules/rules.yaml:13:66: `vip` has no value where this rule stands; "
            "it is listed under `not_given`"
        ),
    ),
    "a condition that always holds": (
        ("given: [vip]", "given: [vip, cap]"),
        (
            "caps/rules/rules.yaml:5:16: the parameter `cap` always has a value, so `not_given` says nothing; "
            "drop it here, or drop its default and `required`"
        ),
    ),
    "a condition on an unknown parameter": (
        ("    given: [vip]", "    given: [vip, guest]"),
        "caps/rules/rules.yaml:12:12: `given` names no parameter `guest`; parameters are `tools`, `cap`, `vip`",
    ),
    "a number as a name": (
        ("approve: {by: boss}", 'approve: {by: "${cap}"}'),
        (
            "caps/rules/rules.yaml:15:34: `cap` is a Long, and a name is a String; "
            "use a parameter of type string"
        ),
    ),
    "a list as one name": (
        ("approve: {by: boss}", 'approve: {by: "${tools}"}'),
        (
            "caps/rules/rules.yaml:15:34: `tools` is a Set of String, and a name is a String; "
            "use a parameter of type string"
        ),
    ),
    "a name that mixes": (
        ("approve: {by: boss}", 'approve: {by: "chief-${vip}"}'),
        (
            "caps/rules/rules.yaml:15:34: `chief-${vip}` mixes a placeholder with other text; "
            "a name is one whole placeholder, or plain"
        ),
    ),
    "a clause that pack.yaml does not declare": (
        ("controls: [OWN-1]", "controls: [OWN-1, GDPR-44]"),
        (
            "caps/rules/rules.yaml:8:23: pack.yaml has no control `GDPR-44`; "
            "declare it in pack.yaml, with its mark"
        ),
    ),
    "an unknown member of a rule": (
        ("not_given: [vip]\n    when", "notgiven: [vip]\n    when"),
        "caps/rules/rules.yaml:5:5: unknown key `notgiven` in a pack's rule; did you mean `not_given`?",
    ),
    "rules that are no list": (
        ("rules:\n", "rules: none\nothers:\n"),
        "caps/rules/rules.yaml:1:8: the rules are a text, not a list; begin each with `- `",
    ),
    "an expression that is no text": (
        ("when: context.input.amount > ${cap}\n", "when: true\n"),
        "caps/rules/rules.yaml:6:11: `when` is a truth value, not a text; put it in quotes",
    ),
}


def _refused(folder: Path, wanted: str) -> None:
    said = faults_of(folder, lambda: read_pack(folder / "caps"))
    assert any(line.startswith(wanted) for line in said), said


@pytest.mark.parametrize("kind", PACK_YAML)
def test_a_bad_pack_file_is_told_with_place_cause_and_way_forward(kind: str, tmp_path: Path) -> None:
    (old, new), wanted = PACK_YAML[kind]
    assert old in PACK
    make_pack(tmp_path, pack=PACK.replace(old, new, 1))
    _refused(tmp_path, wanted)


@pytest.mark.parametrize("kind", RULE_FILES)
def test_a_bad_rule_is_told_with_place_cause_and_way_forward(kind: str, tmp_path: Path) -> None:
    (old, new), wanted = RULE_FILES[kind]
    assert old in RULES
    make_pack(tmp_path, rules=RULES.replace(old, new, 1))
    _refused(tmp_path, wanted)


def test_a_cedar_file_among_a_packs_rules_is_refused(tmp_path: Path) -> None:
    write(make_pack(tmp_path), {"rules/x.cedar": "permit(principal, action, resource);"})
    _refused(tmp_path, "caps/rules/x.cedar: a pack's rules have blanks, which plain Cedar has not")


def test_a_pack_without_rules_is_refused(tmp_path: Path) -> None:
    files = pack_files(pack="spec: remit/1/pack\nname: caps\nversion: 1.0.0\ntitle: Nothing\n")
    del files["rules/rules.yaml"]
    write(tmp_path / "caps", files)
    assert faults_of(tmp_path, lambda: read_pack(tmp_path / "caps"))[0].endswith(
        "caps: the pack has no rule; write one into `rules/`"
    )


def test_a_folder_that_is_no_pack_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (said,) = faults_of(tmp_path, lambda: read_pack(tmp_path / "empty"))
    assert said == "`empty` holds no `pack.yaml`, so it is no pack; make one with `remit packs new FOLDER`"


def test_all_faults_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    make_pack(
        tmp_path,
        pack=PACK.replace("version: 1.0.0", "version: one").replace("mark: recall", "mark: sure"),
        rules=RULES.replace("${cap}\n", "${kap}\n").replace("effect: forbid", "effect: no"),
    )
    assert len(faults_of(tmp_path, lambda: read_pack(tmp_path / "caps"))) == 5


def test_the_pack_of_these_tests_is_a_good_one(tmp_path: Path) -> None:
    pack = read_pack(make_pack(tmp_path)).pack
    assert [rule.id for rule in pack.rules] == ["cap", "vip-cap"]
    assert [str(item.type) for item in pack.parameters] == ["Set of String", "Long", "String"]
