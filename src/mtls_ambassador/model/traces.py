"""What is said of a call while it lasts, to whoever traces it. No name of a device and no secret is ever said."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Facts = Mapping[str, str | int | bool]


class Span(Protocol):
    """One call, from its begin to its end."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What makes the spans of the server called part of this one; empty when nothing is traced."""

    def note(self, facts: Facts) -> None:
        """Say more of it."""

    def fail(self, why: str) -> None:
        """It did not do what it was for; `why` is a word of a fixed list."""


class Traces(Protocol):
    """Where spans go."""

    def of_device(self, name: str, headers: Mapping[str, str]) -> AbstractContextManager[Span]:
        """A device's call as Envoy hands it on; its headers say which trace, and whether there is one."""

    def of_ours(self, name: str, facts: Facts) -> AbstractContextManager[Span]:
        """A call of our own, within the span around it; without one it is not traced."""


class _NoSpan:
    headers: Mapping[str, str] = {}

    def note(self, facts: Facts) -> None:
        pass

    def fail(self, why: str) -> None:
        pass


class _NoTraces:
    @contextmanager
    def of_device(self, name: str, headers: Mapping[str, str]) -> Iterator[Span]:
        del name, headers
        yield _NO_SPAN

    @contextmanager
    def of_ours(self, name: str, facts: Facts) -> Iterator[Span]:
        del name, facts
        yield _NO_SPAN


_NO_SPAN = _NoSpan()
NO_TRACES: Traces = _NoTraces()
"""Nothing is traced."""
