"""An image turned so that every policy that applies shows.

A decision names the forbids that apply, or else the permits: what a permit does under a forbid shows nowhere.
Where every policy is a forbid, the reasons are all that apply.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cedarpy
from cedarpy import pst

if TYPE_CHECKING:
    from remit.engine.image import PolicyImage


def all_forbids(image: PolicyImage) -> PolicyImage:
    """Return the image with every permit made a forbid; the conditions are the same.

    Args:
        image: one that `remit.engine.compiled.support` takes.
    """
    tree = cedarpy.PolicySet.from_str(image.policies).to_pst()
    forbids = {name: replace(policy, effect="forbid") for name, policy in tree.static_policies.items()}
    text = str(cedarpy.PolicySet.from_pst(replace(tree, static_policies=pst.FrozenMap(forbids))))
    return replace(image, policies=text)
