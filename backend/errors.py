"""What every expected error of the backend has: a code and two sentences for whoever meets it."""

from __future__ import annotations


class ExplainedError(Exception):
    """An expected refusal; a subclass builds its own sentences and keeps its facts as attributes.

    Attributes:
        code: one word for programs, the same for every error of the class.
        zh, en: what happened and what to do next.
    """

    code = "refused"

    def __init__(self, zh: str, en: str) -> None:
        self.zh, self.en = zh, en
        super().__init__(f"{zh}  |  {en}")
