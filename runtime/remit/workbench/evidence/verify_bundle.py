"""Check this evidence bundle with Python 3.11 or newer and nothing else.

    python verify.py [BUNDLE.zip or its folder] --key LOG.PUB

Digests, inclusion proofs and commitments are recomputed; nothing that `manifest.json` says is believed.
Where `cedarpy` is installed, Cedar decides each decision again, by `redecide.py` beside this file.
Exit codes: 0 everything holds, 1 something does not, 2 this is no bundle.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import importlib.util
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
BASE_Y = 4 * pow(5, -1, P) % P

Point = tuple[int, int, int, int]


def plus(a: Point, b: Point) -> Point:
    """Add two points in extended coordinates (RFC 8032 5.1.4)."""
    k, m = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = m - k, d - c, d + c, m + k
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(n: int, point: Point) -> Point:
    """Multiply a point by a number."""
    total: Point = (0, 1, 1, 0)
    while n:
        total = plus(total, point) if n & 1 else total
        point, n = plus(point, point), n >> 1
    return total


def point_of(data: bytes) -> Point | None:
    """Read a point (RFC 8032 5.1.3)."""
    y, odd = int.from_bytes(data, "little") & (1 << 255) - 1, data[31] >> 7
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
    if y >= P or x * x % P != square or (x == 0 and odd):
        return None
    x = P - x if x & 1 != odd else x
    return (x, y, 1, x * y % P)


def signed(key: bytes, message: bytes, signature: bytes) -> bool:
    """Verify an Ed25519 signature (RFC 8032 5.1.7)."""
    if len(key) != 32 or len(signature) != 64:
        return False
    a, r, s = point_of(key), point_of(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= ORDER:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    left = times(s, (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P))
    right = plus(r, times(h, a))
    return all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))


def sha(data: bytes) -> bytes:
    """Hash with SHA-256."""
    return hashlib.sha256(data).digest()


def cited(data: bytes) -> str:
    """Return a digest as records cite it."""
    return "sha256:" + sha(data).hex()


def root_of(note: str, keys: str | None) -> tuple[int, bytes]:
    """Return size and root of a C2SP checkpoint; with keys, one a line, only where one of them signed it."""
    body, _, lines = note.rpartition("\n\n")
    pairs = [line.split(" ")[1:] for line in lines.splitlines()]
    good = keys is None
    for key in (keys or "").split():
        name, mark, data = key.split("+", 2)
        raw = base64.b64decode(data)
        if raw[:1] != b"\x01" or sha(name.encode() + b"\n" + raw)[:4].hex() != mark:
            raise ValueError(f"`{key}` is no verifier key of a log")
        found = [base64.b64decode(value) for owner, value in pairs if owner == name]
        good |= any(x[:4].hex() == mark and signed(raw[1:], f"{body}\n".encode(), x[4:]) for x in found)
    if not good:
        raise ValueError("the checkpoint is not signed by the key that was given")
    _, size, root = body.split("\n")[:3]
    return int(size), base64.b64decode(root)


def included(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> bool:
    """Check an inclusion proof (RFC 9162 2.1.3.2)."""
    last, digest = size - 1, leaf
    if not 0 <= index <= last:
        return False
    for other in proof:
        if last == 0:
            return False
        if index & 1 or index == last:
            digest = sha(b"\x01" + other + digest)
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            digest = sha(b"\x01" + digest + other)
        index, last = index >> 1, last >> 1
    return last == 0 and digest == root


class Check:
    """One pass over a bundle."""

    def __init__(self, place: Path) -> None:
        self.faults: list[str] = []
        self.counts = {"records": 0, "decided again": 0, "not decided again": 0}
        if place.is_dir():
            found = {p.relative_to(place).as_posix(): p for p in place.rglob("*") if p.is_file()}
            self.files = {name: p.read_bytes() for name, p in found.items() if "__pycache__" not in name}
        else:
            with zipfile.ZipFile(place) as archive:
                self.files = {name: archive.read(name) for name in archive.namelist()}
        self.cedar: Any = None
        if importlib.util.find_spec("cedarpy") and importlib.util.find_spec("redecide"):
            self.cedar = importlib.import_module("redecide").Decisions(self.files)

    def run(self, key: str | None) -> None:
        """Check everything."""
        manifest = json.loads(self.files["manifest.json"])
        for name in sorted({*manifest["files"], *self.files} - {"manifest.json"}):
            if name not in self.files or cited(self.files[name]) != manifest["files"].get(name):
                self.faults.append(f"{name}: missing, added or changed")
        size, root = root_of(self.files["checkpoints/newest.note"].decode(), key)
        before = -1
        for line in self.files["records.jsonl"].splitlines():
            item = json.loads(line)
            before = self.record(item, size, root, before)
            self.counts["records"] += 1

    def record(self, item: Any, size: int, root: bytes, before: int) -> int:
        """Check one record; return its index."""
        leaf = item["leaf"].encode()
        value, index = json.loads(leaf), item["index"]
        proof = [base64.b64decode(text) for text in item["proof"]]
        if (
            value["index"] != index
            or index <= before
            or not included(sha(b"\x00" + leaf), index, size, proof, root)
        ):
            self.faults.append(f"record {index}: it is not what the checkpoint signs at this place")
        content, salt = item.get("content"), item.get("salt")
        if content is not None and cited(bytes.fromhex(salt) + content.encode()) != value.get("content"):
            self.faults.append(f"record {index}: its content is not what the record commits to")
        elif value["kind"] == "decision" and self.cedar is not None:
            known = bool(content) and f"decisions/{index}/request.json" in self.files
            if known and not self.cedar.decided(index, value["body"], json.loads(content or "")):
                self.faults.append(f"record {index}: Cedar decides otherwise than was recorded")
            self.counts["decided again" if known else "not decided again"] += 1
        return int(index)


def main() -> int:
    """Check the bundle that the command line names; the folder of this file where it names none."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bundle", nargs="?", type=Path, default=Path(__file__).parent)
    parser.add_argument("--key", help="the log's verifier key, or a file with it; from elsewhere")
    given = parser.parse_args()
    try:
        key = (
            Path(given.key).read_text(encoding="utf-8")
            if given.key and Path(given.key).is_file()
            else given.key
        )
        check = Check(given.bundle)
        check.run(key)
    except (OSError, ValueError, KeyError, TypeError, IndexError, zipfile.BadZipFile) as error:
        print(f"this bundle cannot be checked: {type(error).__name__}: {error}")
        return 2
    for fault in check.faults:
        print(f"WRONG  {fault}")
    print(", ".join(f"{count} {name}" for name, count in check.counts.items()))
    if key is None:
        print("no key was given: the bundle only agrees with itself")
    if check.cedar is None:
        print("cedarpy is not installed: no decision was decided again")
    print("something is wrong" if check.faults else "everything holds")
    return 1 if check.faults else 0


if __name__ == "__main__":
    sys.exit(main())
