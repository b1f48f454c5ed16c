"""Lists with cursors, as every `GET /v1/<resources>` answers them: newest first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from simulators.stripe.params import Spec, array, integer, moment_range, string, within
from simulators.stripe.store import Doc
from simulators.stripe.world import World

TIMELESS = Spec(
    limit=integer(1, 100),
    starting_after=string(),
    ending_before=string(),
    expand=array(string(), 20),
)
PAGE = TIMELESS.plus(created=moment_range)
Wanted = Callable[[Doc], bool]


def page(world: World, kind: str, url: str, params: dict[str, Any], wanted: Wanted) -> Doc:
    """One page of a kind.

    Args:
        params: of `PAGE`; with both cursors, `ending_before` wins.
        wanted: which documents belong to the list.
    Raises:
        RefusedError: a cursor names nothing.
    """
    limit = params.get("limit", 10)
    before, after = params.get("ending_before"), params.get("starting_after")
    if before is not None:
        world.need(kind, before, "ending_before")
        found = _take(world.store.oldest_first(kind, before), params, wanted, limit)
        data = list(reversed(found[:limit]))
    else:
        if after is not None:
            world.need(kind, after, "starting_after")
        found = _take(world.store.newest_first(kind, after), params, wanted, limit)
        data = found[:limit]
    return {"object": "list", "data": data, "has_more": len(found) > limit, "url": url}


def _take(docs: Iterable[Doc], params: dict[str, Any], wanted: Wanted, limit: int) -> list[Doc]:
    created = params.get("created")
    live = (doc for doc in docs if not doc.get("deleted") and within(doc["created"], created) and wanted(doc))
    return list(islice(live, limit + 1))


def matching(params: dict[str, Any], *names: str) -> Wanted:
    """Documents whose fields are what the caller gave for `names`."""
    asked = {name: params[name] for name in names if name in params}
    return lambda doc: all(doc.get(name) == value for name, value in asked.items())
