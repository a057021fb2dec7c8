"""Cedarling: Cedar with a policy store and a schema, asked without tokens and with its log off."""

from __future__ import annotations

import json
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from peers.cedar_form import context_of, policy_text, schema_text
from peers.peer import Loaded

if TYPE_CHECKING:
    from peers.workload import Asked, Workload

_METADATA = {
    "policy_store_spec_version": 1,
    "cedar_version": "4.4.0",
    "policy_store": {
        "id": "62656e63682062656e6368",
        "name": "Remit",
        "description": "rules of the benchmark",
        "version": "1.0.0",
        "created_date": "2026-01-01T00:00:00Z",
    },
}
_OPTIONS = {
    "CEDARLING_APPLICATION_NAME": "bench",
    "CEDARLING_JWT_SIG_VALIDATION": "disabled",
    "CEDARLING_JWT_STATUS_VALIDATION": "disabled",
    "CEDARLING_JWT_SIGNATURE_ALGORITHMS_SUPPORTED": ["HS256"],
    "CEDARLING_LOG_TYPE": "off",
}


def load(workload: Workload) -> Loaded[Asked]:
    """Write the policy store to a folder, and load it from there."""
    cedarling = import_module("cedarling_python")
    with tempfile.TemporaryDirectory() as name:
        store = Path(name)
        (store / "policies").mkdir()
        (store / "metadata.json").write_text(json.dumps(_METADATA))
        (store / "schema.cedarschema").write_text(schema_text(workload))
        for rule in workload.rules:
            (store / "policies" / f"{rule.id}.cedar").write_text(policy_text(rule))
        options = _OPTIONS | {"CEDARLING_POLICY_STORE_LOCAL_FN": str(store)}
        engine = cedarling.Cedarling(cedarling.BootstrapConfig(options))
    entity, request = cedarling.EntityData.from_dict, cedarling.RequestUnsigned

    def decide(asked: Asked) -> bool:
        (principal, principal_id, attributes), (resource, resource_id, about) = (
            asked.principal,
            asked.resource,
        )
        made = request(
            action=f'Remit::Action::"{asked.action}"',
            resource=entity(_data(resource, resource_id) | about),
            context=context_of(asked),
            principal=entity(_data(principal, principal_id) | attributes),
        )
        allowed: bool = engine.authorize_unsigned(made).is_allowed()
        return allowed

    return Loaded(form=lambda asked: asked, decide=decide)


def _data(kind: str, name: str) -> dict[str, object]:
    return {"cedar_entity_mapping": {"entity_type": f"Remit::{kind}", "id": name}}
