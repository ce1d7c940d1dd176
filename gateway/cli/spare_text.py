"""One sentence on which of a station's two gateways this is. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

UNREPLICATED: Final = (
    "UNREPLICATED: the station's other gateway does not have it; `hotline status` says why"
)
"""Of what was accepted here alone."""
_BY = {"hand": "by hand", "lease": "by lease", "none": ""}


def spare_text(spare: Mapping[str, Any]) -> str:
    """Of the document of `GET /v1/spare`."""
    text = _role_text(spare)
    if pending := spare.get("pending"):
        text += f"; {pending_text(pending)}"
    return text


def pending_text(pending: Mapping[str, Any]) -> str:
    """Of a promotion that the cluster has not taken."""
    return (
        f"its promotion is pending for {pending.get('for_s')} s more, and `hotline standby` cancels"
        f" it: {pending.get('reason')}"
    )


def _role_text(spare: Mapping[str, Any]) -> str:
    name, problem = spare.get("name"), spare.get("problem")
    if spare.get("role") == "active":
        text = f"GATEWAY {name} is the active one {_BY.get(str(spare.get('held_by')), '')}".rstrip()
        if not problem:
            return text
        count = int(spare.get("unreplicated_count") or 0)
        if not count:
            return f"{text}; UNREPLICATED is what it accepts from now on: {problem}"
        return f"{text}; UNREPLICATED: {count} act{'s' * (count != 1)} here alone: {problem}"
    other = spare.get("other")
    text = f"GATEWAY {name} stands by"
    if spare.get("held_by") != "none":
        text = f"GATEWAY {name} is taking over"
        return f"{text}, and not active yet: {problem}" if problem else text
    vacancy = spare.get("vacancy")
    if vacancy:
        text += f"; {vacancy}"
    elif other:
        text += f"; {other.get('name')} is the active one {_BY.get(str(other.get('held_by')), '')}"
    else:
        text += "; no gateway of this station holds the claim, as far as this one knows"
    return f"{text}; its copy is not whole: {problem}" if problem else text
