"""Events: what happened, for 30 days."""

from __future__ import annotations

from typing import Any

from simulators.stripe.errors import no_such
from simulators.stripe.listing import PAGE, page
from simulators.stripe.params import array, boolean, string
from simulators.stripe.store import Doc
from simulators.stripe.world import World

LIST = PAGE.plus(type=string(), types=array(string(), 20), delivery_success=boolean)


def retrieve(world: World, _: dict[str, Any], event_id: str) -> Doc:
    """GET /v1/events/:id."""
    event = world.need("event", event_id, status=404)
    if not _kept(world, event):
        raise no_such("event", event_id, status=404)
    return event


def listed(world: World, params: dict[str, Any]) -> Doc:
    """GET /v1/events; `type` may end in `*`."""
    patterns = [*params.get("types", []), *([params["type"]] if "type" in params else [])]
    delivered = params.get("delivery_success")

    def wanted(event: Doc) -> bool:
        if not _kept(world, event) or (patterns and not any(fits(event["type"], one) for one in patterns)):
            return False
        return delivered is None or (world.pending_webhooks(event["id"]) == 0) == delivered

    return page(world, "event", "/v1/events", params, wanted)


def fits(event_type: str, pattern: str) -> bool:
    """Whether a type is meant by `*`, `charge.*` or its own name."""
    return event_type.startswith(pattern[:-1]) if pattern.endswith("*") else event_type == pattern


def shown(world: World, event: Doc) -> Doc:
    """An event as answered now."""
    return event | {"pending_webhooks": world.pending_webhooks(event["id"])}


def _kept(world: World, event: Doc) -> bool:
    return bool(event["created"] > world.now - world.settings.event_life_s)
