"""Check this evidence bundle with Python 3.11 or newer and nothing else.

    python -I verify.py [BUNDLE.zip or its folder] --key LOG.PUB

Digests, inclusion proofs and commitments are recomputed; nothing that `manifest.json` says is believed.
Where `cedarpy` is installed, Cedar decides each decision again, by `redecide.py` of the digest below.
It says what it did not check. Exit codes: 0 the rest holds, 1 something is wrong, 2 this is no bundle.
"""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]  # the folder of this file: nothing that lies beside it is ever imported

import argparse
import base64
import functools
import importlib.util
import json
import re
import zipfile
from hashlib import sha256, sha512
from pathlib import Path
from typing import Any

REDECIDE = "4835c531e6667347e1c3a244f52a1e57eb6e177faad57186a651edd5f0ee6f0e"
ANSWER = ("image", "verdict", "kind", "reasons", "errors")
P, ORDER = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
BASE = (15112221349535400772501151409588531511454012693041857206046113283949847762202, 4 * pow(5, -1, P) % P)


def plus(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """Add two points in extended coordinates (RFC 8032 5.1.4)."""
    k, m = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = m - k, d - c, d + c, m + k
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(n: int, point: tuple[int, ...]) -> tuple[int, ...]:
    """Multiply a point by a number."""
    rest = times(n >> 1, plus(point, point)) if n else (0, 1, 1, 0)
    return plus(rest, point) if n & 1 else rest


def point_of(data: bytes) -> tuple[int, ...]:
    """Read a point (RFC 8032 5.1.3)."""
    y, odd = int.from_bytes(data, "little") & (1 << 255) - 1, data[31] >> 7
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
    if y >= P or x * x % P != square or (x == 0 and odd):
        raise ValueError("a key or a signature holds no point of the curve")
    x = P - x if x & 1 != odd else x
    return (x, y, 1, x * y % P)


def signed(key: bytes, message: bytes, signature: bytes) -> bool:
    """Verify an Ed25519 signature (RFC 8032 5.1.7)."""
    sized = len(key) == 32 and len(signature) == 64
    a, r, s = point_of(key), point_of(signature[:32]), int.from_bytes(signature[32:], "little")
    h = int.from_bytes(sha512(signature[:32] + key + message).digest(), "little") % ORDER
    left = times(s, (*BASE, 1, BASE[0] * BASE[1] % P))
    right = plus(r, times(h, a))
    return sized and s < ORDER and all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))


def root_of(note: str, keys: str | None) -> tuple[int, bytes]:
    """Return size and root of a C2SP checkpoint; with keys, one a line, only where one of them signed it."""
    body, _, lines = note.rpartition("\n\n")
    pairs, good = [line.split(" ")[1:] for line in lines.splitlines()], keys is None
    for key in (keys or "").split():
        name, mark, data = key.split("+", 2)
        raw = base64.b64decode(data)
        if raw[:1] != b"\x01" or sha256(name.encode() + b"\n" + raw).hexdigest()[:8] != mark:
            raise ValueError(f"`{key}` is no verifier key of a log")
        found = [base64.b64decode(value) for owner, value in pairs if owner == name]
        good |= any(x[:4].hex() == mark and signed(raw[1:], f"{body}\n".encode(), x[4:]) for x in found)
    if not good:
        raise ValueError("the checkpoint is not signed by the key that was given")
    _, size, root = body.split("\n")[:3]
    return int(size), base64.b64decode(root)


def climbed(leaf: bytes, index: int, size: int, proof: list[bytes]) -> bytes:
    """Return the root of a tree that an inclusion proof gives (RFC 9162 2.1.3), from the top down."""
    if size == 1 or not proof:
        return leaf if size == 1 and not proof else bytes(32)
    half, other = 1 << (size - 1).bit_length() - 1, proof[-1]
    if index < half:
        return sha256(b"\x01" + climbed(leaf, index, half, proof[:-1]) + other).digest()
    return sha256(b"\x01" + other + climbed(leaf, index - half, size - half, proof[:-1])).digest()


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a mapping of its members."""
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name stands twice in an object or the archive")
    return dict(pairs)


load = functools.partial(json.loads, object_pairs_hook=unique)
canonical = functools.partial(json.dumps, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class Check:
    """One pass over the files of a bundle."""

    def __init__(self, place: Path, key: str | None) -> None:
        found = [(p.relative_to(place).as_posix(), p.read_bytes()) for p in place.rglob("*") if p.is_file()]
        if not place.is_dir():
            with zipfile.ZipFile(place) as archive:
                found = [(name, archive.read(name)) for name in archive.namelist()]
        files = self.files = unique(found)
        self.cedar: Any = None
        self.faults, self.seen, self.again = list[str](), [-1], [0, 0]
        self.bare, self.erased, self.json = set[int](), set[int](), dict[str, Any]()
        self.json |= {name: load(data) for name, data in files.items() if name.endswith(".json")}
        manifest = self.json["manifest.json"]
        self.checked = {"manifest.json", "records.jsonl", "checkpoints/newest.note", "redecide.py"}
        for name in sorted({*manifest["files"], *files} - {"manifest.json"}):
            digest = f"sha256:{sha256(files.get(name, b'')).hexdigest()}"
            if name not in files or digest != manifest["files"].get(name):
                self.faults.append(f"{name}: missing, added or changed")
        for image in sorted(name[:-15] for name in files if name.endswith("/policies.cedar")):
            policies, schema = files[f"{image}/policies.cedar"], self.json.get(f"{image}/schema.json")
            text = canonical({"policies": policies.decode(), "schema": schema, "spec": "remit/1/image"})
            if image != f"images/{sha256(text.encode()).hexdigest()}":
                self.faults.append(f"{image}: policies and schema are not those of this digest")
        if sha256(files["redecide.py"]).hexdigest() != REDECIDE:
            self.faults.append("redecide.py: not the one of this program, so it was not run")
        elif importlib.util.find_spec("cedarpy"):
            sys.modules["redecide"] = module = type(sys)("redecide")
            exec(compile(files["redecide.py"], "redecide.py", "exec"), module.__dict__)  # noqa: S102  # known
            self.cedar = module.Decisions(files)
        self.size, self.root = root_of(files["checkpoints/newest.note"].decode(), key)
        for line in files["records.jsonl"].splitlines():
            self.record(load(line), manifest["agent"])
        for index in sorted(self.bare - self.erased):
            self.faults.append(f"record {index}: its content is missing, and no record says it was erased")
        around = zip(self.seen, [*self.seen[1:], self.size], strict=True)
        self.gaps = [f"{a + 1}-{b - 1}" for a, b in around if b > a + 1]

    def record(self, item: Any, agent: str) -> None:
        """Check one record."""
        leaf, index, content = item["leaf"].encode(), item["index"], item.get("content")
        value, salt = load(leaf), bytes.fromhex(item.get("salt") or "")
        body, proof = value["body"], [base64.b64decode(text) for text in item["proof"]]
        root = climbed(sha256(b"\x00" + leaf).digest(), index, self.size, proof)
        if not self.seen[-1] < index < self.size or value["index"] != index or root != self.root:
            self.faults.append(f"record {index}: it is not what the checkpoint signs at this place")
        self.seen.append(index)
        if (value["kind"], value["agent"], body.get("operation")) == ("control", "", "erase_content"):
            self.erased.update(n for n in body["indexes"] if n < index)
        if content is None and "content" in value and value["agent"] == agent:
            self.bare.add(index)
        committed = f"sha256:{sha256(salt + (content or '').encode()).hexdigest()}" == value.get("content")
        if content is not None and (len(salt) != 16 or not committed):
            self.faults.append(f"record {index}: its content is not what the record commits to")
        elif value["kind"] == "decision":
            names = [f"decisions/{index}/{name}.json" for name in ("expected", "request", "entities")]
            expected, said = self.json.get(names[0]), {name: body.get(name) for name in ANSWER}
            if expected is not None and {**expected, **said} != expected:
                self.faults.append(f"{names[0]}: it is not what the record says")
            known = bool(content and expected and self.cedar)
            self.again[known] += 1
            if known and not self.cedar.decided(index, body, load(content or "")):
                self.faults.append(f"record {index}: Cedar decides otherwise than was recorded")
            image = f"images/{str(body.get('image'))[7:]}"
            self.checked |= {f"{image}/policies.cedar", f"{image}/schema.json", *(names if known else ())}


def main() -> int:
    """Check the bundle that the command line names; the folder of this file where it names none."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bundle", nargs="?", type=Path, default=Path(__file__).parent)
    parser.add_argument("--key", help="the log's verifier key, or a file with it; from elsewhere")
    given = parser.parse_args()
    try:
        key = Path(given.key).read_text() if given.key and Path(given.key).is_file() else given.key
        check = Check(given.bundle, key)
    except Exception as error:  # noqa: BLE001  # whatever fails in a bundle, it shows nothing
        print(f"this bundle cannot be checked: {type(error).__name__}: {error}")
        return 2
    print(*(f"WRONG  {fault}\n" for fault in check.faults), sep="", end="")
    left, done = check.again
    print(f"{len(check.seen) - 1} records, {done} decided again, {left} not decided again")
    print("signed by the key given" if key else "no key was given: the bundle only agrees with itself")
    print("decided by Cedar" if check.cedar else "cedarpy is not installed: no decision was decided again")
    kinds = {re.sub(r"/[0-9a-f]+(?=[/.])", "/*", name) for name in check.files.keys() - check.checked}
    print(f"not shown: records {', '.join(check.gaps) or 'none'} of {check.size}, nor any that follow")
    print(f"not checked, and no evidence: {', '.join(sorted(kinds))}")
    print("something is wrong" if check.faults else "what was checked holds; all else may be forged")
    return 1 if check.faults else 0


if __name__ == "__main__":
    sys.exit(main())
