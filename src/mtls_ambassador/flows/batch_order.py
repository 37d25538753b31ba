"""What a person asked for, made into an order and a batch's name."""

import re
from pathlib import Path

from mtls_ambassador.model.errors import AmbassadorError, UsageError
from mtls_ambassador.pki.order import CountedOrder, Order, counted_order
from mtls_ambassador.pki.order_csv import read_order

_UNSAFE = re.compile(r"[^A-Za-z0-9._:-]+")


def find_order(file: Path | None, count: int | None, template: str | None, first: int) -> Order:
    """The order in a file, or so many devices by a name's template. Raises UsageError unless it is one of the two."""
    if (file is None) == (count is None):
        raise UsageError("say what to make: ORDER.csv, or --count N --name 'dev-{n:06}'")
    if count is not None:
        if template is None:
            raise UsageError("--count needs --name, such as --name 'dev-{n:06}'")
        return counted_order(count, template, first)
    if template is not None:
        raise UsageError("--name goes with --count; in an order file the column `name` says it")
    assert file is not None  # noqa: S101 - one of the two, see above
    try:
        return read_order(file.read_bytes(), file.name)
    except OSError as error:
        raise AmbassadorError(f"{file}: {error.strerror}") from error


def batch_name(file: Path | None, order: Order) -> str:
    """The name of a batch whose person gave none: the file's, or the first and last device's."""
    if isinstance(order, CountedOrder):
        last = order.name_of(order.first + order.quantity - 1)
        return f"{order.name_of(order.first)}..{last}"
    return _UNSAFE.sub("-", file.stem if file else "order").strip("-") or "order"
