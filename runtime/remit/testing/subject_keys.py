"""The contract of `remit.ports.SubjectKeys`, as a class to subclass, and keys in memory for tests.

    class TestMyKeys(SubjectKeysContract):
        @pytest.fixture
        def make_keys(self):
            return lambda: MyKeys(...)     # a new set of keys

What it promises about keys that pass
1. An owner has one key, whoever asks and however often; other agents, subjects and uses have others.
2. Nobody has a key before one was made; asking without making makes none.
3. A destroyed key does not come back: its name stays known as destroyed, and its owner gets another one.
4. A name that was never here is not taken for a destroyed one.
5. A name tells nothing of its owner: 32 hexadecimal digits, at random. A secret has 32 bytes.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

from remit.ports import KeyOwner, SubjectKey

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from remit.errors import LedgerError
    from remit.ports import SubjectKeys

_NAME = re.compile(r"[0-9a-f]{32}")
_ANN = KeyOwner("sha256:a", "ann", "memory")


class MemorySubjectKeys:
    """Implements `remit.ports.SubjectKeys`; forgets everything with its process."""

    def __init__(self) -> None:
        self._id = secrets.token_hex(16)
        self._keys: dict[KeyOwner, SubjectKey] = {}
        self._destroyed: set[str] = set()
        self._failure: LedgerError | None = None

    def fail_with(self, error: LedgerError | None) -> None:
        """Let every later call fail with `error`; None heals it."""
        self._failure = error

    @property
    def id(self) -> str:
        """What this set of keys is called."""
        self._reachable()
        return self._id

    def obtain(self, owners: Collection[KeyOwner], *, make: bool) -> Mapping[KeyOwner, SubjectKey]:
        """The keys of these owners; with `make` new ones where there are none."""
        self._reachable()
        for owner in owners if make else ():
            if owner not in self._keys:
                self._keys[owner] = SubjectKey(name=secrets.token_hex(16), secret=secrets.token_bytes(32))
        return {owner: self._keys[owner] for owner in owners if owner in self._keys}

    def held(self, names: Collection[str]) -> Mapping[str, bytes | None]:
        """The secrets of these keys, None for one that was destroyed."""
        self._reachable()
        found: dict[str, bytes | None] = {
            key.name: key.secret for key in self._keys.values() if key.name in names
        }
        return found | dict.fromkeys(self._destroyed.intersection(names))

    def destroy(self, names: Collection[str]) -> None:
        """Forget these keys for good, but not that they were here."""
        self._reachable()
        gone = {owner: key.name for owner, key in self._keys.items() if key.name in names}
        for owner, name in gone.items():
            del self._keys[owner]
            self._destroyed.add(name)

    def _reachable(self) -> None:
        if self._failure is not None:
            raise self._failure


class SubjectKeysContract:
    """Subclass it and give the fixture `make_keys`, which makes a new set of keys."""

    def test_an_owner_has_one_key_and_others_have_others(self, make_keys: Callable[[], SubjectKeys]) -> None:
        """Rules 1 and 5."""
        keys = make_keys()
        owners = [
            _ANN,
            _ANN._replace(use="ledger"),
            _ANN._replace(subject="bo"),
            _ANN._replace(agent="sha256:b"),
            KeyOwner('sha256:a","ann', "", "memory"),
            _ANN._replace(subject="ann\ud800"),
        ]
        made = keys.obtain(owners, make=True)
        assert set(made) == set(owners)
        assert len({key.name for key in made.values()}) == len(owners)
        assert len({key.secret for key in made.values()}) == len(owners)
        assert all(_NAME.fullmatch(key.name) and len(key.secret) == 256 // 8 for key in made.values())
        assert keys.obtain(owners, make=True) == made
        assert keys.obtain([_ANN], make=False) == {_ANN: made[_ANN]}
        assert keys.held([key.name for key in made.values()]) == {
            key.name: key.secret for key in made.values()
        }

    def test_asking_makes_no_key(self, make_keys: Callable[[], SubjectKeys]) -> None:
        """Rules 2 and 4."""
        keys = make_keys()
        other = _ANN._replace(subject="bo")
        (made,) = keys.obtain([other], make=True).values()
        assert keys.obtain([_ANN, other], make=False) == {other: made}
        assert keys.held(["0" * 32, made.name]) == {made.name: made.secret}

    def test_a_destroyed_key_does_not_come_back(self, make_keys: Callable[[], SubjectKeys]) -> None:
        """Rules 3 and 4."""
        keys = make_keys()
        first = keys.obtain([_ANN], make=True)[_ANN]
        kept = keys.obtain([_ANN._replace(subject="bo")], make=True)
        for _ in range(2):
            keys.destroy([first.name])
            assert keys.held([first.name]) == {first.name: None}
            assert keys.obtain([_ANN], make=False) == {}
        second = keys.obtain([_ANN], make=True)[_ANN]
        assert second.name != first.name
        assert second.secret != first.secret
        assert keys.held([first.name, second.name]) == {first.name: None, second.name: second.secret}
        assert keys.obtain(list(kept), make=False) == kept

    def test_two_sets_of_keys_have_two_names(self, make_keys: Callable[[], SubjectKeys]) -> None:
        """A store refuses another set by its name."""
        one, other = make_keys(), make_keys()
        for keys in (one, other):
            keys.obtain([_ANN], make=True)
        assert one.id == one.id
        assert one.id != other.id
