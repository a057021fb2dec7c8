"""A time-stamping authority on this machine: a root, a signer's certificate, and `openssl ts`."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_CONFIG = """\
[req]
distinguished_name = dn
prompt = no
[dn]
CN = Test signer
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[signer]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1, millisecs:500
ess_cert_id_alg = sha256
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpensslAuthority:
    """Files of an authority in a folder of its own."""

    folder: Path

    @property
    def certificate(self) -> bytes:
        return (self.folder / "root.pem").read_bytes()

    def answer(self, request: bytes) -> bytes:
        (self.folder / "request.tsq").write_bytes(request)
        return self._reply()

    def refuse(self) -> bytes:
        self._openssl("ts", "-query", "-sha1", "-digest", "00" * 20, "-out", "request.tsq")
        return self._reply()

    def _reply(self) -> bytes:
        signing = ("-config", "tsa.cnf", "-signer", "signer.pem", "-inkey", "signer.key")
        self._openssl("ts", "-reply", "-queryfile", "request.tsq", *signing, "-out", "reply.tsr")
        return (self.folder / "reply.tsr").read_bytes()

    def certify(self) -> None:
        """Make the root and the signer, with their keys."""
        (self.folder / "serial").write_text("01\n", encoding="utf-8")
        (self.folder / "tsa.cnf").write_text(_CONFIG.format(folder=self.folder), encoding="utf-8")
        new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "tsa.cnf")
        root = ("-keyout", "root.key", "-out", "root.pem", "-extensions", "root", "-days", "30")
        self._openssl("req", "-x509", *new, "-subj", f"/CN={self.folder.name} root", *root)
        self._openssl("req", *new, "-keyout", "signer.key", "-out", "signer.csr")
        by = ("-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "29")
        extended = ("-extfile", "tsa.cnf", "-extensions", "signer")
        self._openssl("x509", "-req", "-in", "signer.csr", *by, *extended, "-out", "signer.pem")

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run(
            ["openssl", *arguments], cwd=self.folder, capture_output=True, check=False, text=True
        )
        assert done.returncode == 0, done.stderr


def open_authority(folder: Path) -> OpensslAuthority:
    """Make an authority, or skip the test where there is no `openssl`."""
    if shutil.which("openssl") is None:
        pytest.skip("no `openssl` is installed to be a time-stamping authority")
    folder.mkdir(parents=True)
    authority = OpensslAuthority(folder=folder)
    authority.certify()
    return authority
