"""Webhook endpoints: who is told of events, and the secrets their notices are signed with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from simulators.stripe import API_VERSION
from simulators.stripe.events import fits
from simulators.stripe.listing import TIMELESS, page
from simulators.stripe.params import Spec, array, boolean, merged, metadata, one_of, string, url
from simulators.stripe.shapes import EXPAND
from simulators.stripe.store import Doc
from simulators.stripe.world import World

KIND = "webhook_endpoint"
CREATE = Spec(
    "enabled_events",
    "url",
    api_version=one_of(API_VERSION),
    description=string(unset=True),
    enabled_events=array(string(), 300),
    metadata=metadata,
    url=url,
    **EXPAND,
)
UPDATE = Spec(
    description=string(unset=True),
    disabled=boolean,
    enabled_events=array(string(), 300),
    metadata=metadata,
    url=url,
    **EXPAND,
)
LIST = TIMELESS


def create(world: World, params: dict[str, Any], secret: str | None = None) -> Doc:
    """POST /v1/webhook_endpoints; only this answer shows the secret (`secret`, or a fresh one)."""
    secret = secret or world.new_id("whsec_", 32)
    endpoint = world.add(
        KIND,
        {
            "id": world.new_id("we_"),
            "api_version": params.get("api_version"),
            "application": None,
            "description": params.get("description"),
            "enabled_events": params["enabled_events"],
            "metadata": merged({}, params.get("metadata")),
            "status": "enabled",
            "url": params["url"],
        },
    )
    world.note(endpoint["id"], secrets=[(secret, None)])
    return endpoint | {"secret": secret}


def retrieve(world: World, _: dict[str, Any], endpoint_id: str) -> Doc:
    """GET /v1/webhook_endpoints/:id."""
    return world.need(KIND, endpoint_id, "webhook_endpoint", 404)


def update(world: World, params: dict[str, Any], endpoint_id: str) -> Doc:
    """POST /v1/webhook_endpoints/:id."""
    before = retrieve(world, {}, endpoint_id)
    changes: Doc = {name: params[name] for name in ("description", "enabled_events", "url") if name in params}
    if "disabled" in params:
        changes["status"] = "disabled" if params["disabled"] else "enabled"
    changes["metadata"] = merged(before["metadata"], params.get("metadata"))
    return world.change(KIND, endpoint_id, **changes)


def delete(world: World, _: dict[str, Any], endpoint_id: str) -> Doc:
    """DELETE /v1/webhook_endpoints/:id."""
    retrieve(world, {}, endpoint_id)
    return world.store.put(KIND, {"id": endpoint_id, "object": KIND, "deleted": True})


def listed(world: World, params: dict[str, Any]) -> Doc:
    """GET /v1/webhook_endpoints."""
    return page(world, KIND, "/v1/webhook_endpoints", params, lambda _: True)


def rotate(world: World, endpoint_id: str, old_lives_s: int, secret: str | None = None) -> str:
    """A new secret; until the old one's time is over, notices carry a signature of each."""
    retrieve(world, {}, endpoint_id)
    secret = secret or world.new_id("whsec_", 32)
    kept = [(old, world.now + old_lives_s) for old in secrets_of(world, endpoint_id)]
    world.note(endpoint_id, secrets=[(secret, None), *(kept if old_lives_s > 0 else [])])
    return secret


def secrets_of(world: World, endpoint_id: str) -> list[str]:
    """The secrets that sign now, the newest first."""
    every: list[tuple[str, int | None]] = world.noted(endpoint_id).get("secrets", [])
    return [secret for secret, until in every if until is None or until > world.now]


def interested(world: World, event_type: str) -> Iterator[Doc]:
    """The endpoints that are told of this type."""
    for endpoint in world.store.oldest_first(KIND):
        if endpoint.get("deleted") or endpoint["status"] != "enabled":
            continue
        if any(fits(event_type, pattern) for pattern in endpoint["enabled_events"]):
            yield endpoint
