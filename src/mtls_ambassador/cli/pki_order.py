"""What the commands that make the certificates of an order share: `pki batch` and `image provision`."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mtls_ambassador.cli.pki_issue import KINDS
from mtls_ambassador.cli.pki_secrets import known_secrets, passphrase_option, signing_ca_option
from mtls_ambassador.cli.pki_store import json_option, now, opened, pki_option, who

if TYPE_CHECKING:
    from mtls_ambassador.flows.batch_maker import Recipe
    from mtls_ambassador.flows.batch_outlet import Outlet
    from mtls_ambassador.flows.batch_output import Output
    from mtls_ambassador.pki.authority import Authority
    from mtls_ambassador.pki.folder import AuthorityHandle
    from mtls_ambassador.pki.order import Order

Command = TypeVar("Command", bound=Callable[..., Any])
_OPTIONS: list[Callable[[Any], Any]] = [
    click.option("--count", type=click.IntRange(min=1), help="Make so many devices, without a file."),
    click.option("--name", "template", help="With --count: their names, such as 'dev-{n:06}'."),
    click.option(
        "--first", type=click.IntRange(min=0), default=1, show_default=True, help="With --count: first number."
    ),
    click.option("--batch", "batch", help="The batch's name.  [default: the file's, or the first and last device's]"),
    click.option("--jobs", type=click.IntRange(1, 256), help="Worker processes.  [default: one for each core]"),
    click.option(
        "--key-type", type=click.Choice(KINDS), default="p256", show_default=True, help="Of the devices' keys."
    ),
    click.option(
        "--subject", default="CN={name}", show_default=True, help="Of the certificates; the order adds to it."
    ),
    click.option("--san-uri", help="Alternative name; empty for none.  [default: urn:x-mender-device:{name}]"),
    click.option("--days", type=click.IntRange(min=1), help="Lifetime.  [default: 3650, or the CA's end]"),
    click.option("--no-expiry", is_flag=True, help="No well-defined end (9999-12-31); the CA must have none too."),
    click.option(
        "--backdate", type=click.IntRange(min=0), default=1, show_default=True, help="Days it is valid already."
    ),
    click.option("--by", help="Who does it, for the audit.  [default: the user running the command]"),
    signing_ca_option,
    passphrase_option,
    json_option,
    pki_option,
]


def order_options(command: Command) -> Command:
    """What to order, and what the certificates are like."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def find_order(options: dict[str, Any]) -> "Order":
    """The order that the options name."""
    from mtls_ambassador.flows import batch_order  # noqa: PLC0415 - slow to load

    return batch_order.find_order(options["order"], options["count"], options["template"], options["first"])


def make_batch(
    options: dict[str, Any],
    order: "Order",
    where: Callable[[Path], AbstractContextManager["Output"]],
) -> int:
    """Make what was ordered, and tell how it went. `where` opens what devices go to, told the folder of the CAs."""
    from mtls_ambassador.cli.pki_batch_view import Progress, tell  # noqa: PLC0415 - slow to load
    from mtls_ambassador.flows.batch_order import batch_name  # noqa: PLC0415 - see above
    from mtls_ambassador.flows.batch_records import BatchRecords  # noqa: PLC0415 - see above
    from mtls_ambassador.flows.batch_run import Work  # noqa: PLC0415 - see above
    from mtls_ambassador.flows.provision_batch import Ordered, provision  # noqa: PLC0415 - see above
    from mtls_ambassador.pki import folder  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.lint import LintGate  # noqa: PLC0415 - see above

    name = options["batch"] or batch_name(options["order"], order)
    with opened(options["pki_dir"]) as place:
        handle = folder.make_handle(place.settings.pki_dir, options["ca"], known_secrets(options["passphrase_file"]))
        authority = handle.open()
        by = who(options["by"])
        records = BatchRecords(place.database, place.settings.pki_dir, authority.issuer_sha256, by, now())
        with where(place.settings.pki_dir) as output, Progress(order.quantity) as bar:
            recipe = _recipe(options, handle, authority, output.outlet)
            work = Work(
                order,
                output.outlet,
                recipe,
                options["jobs"] or os.cpu_count() or 1,
                manifest=output.manifest,
                on_progress=bar.show,
                is_stopped=bar.is_stopped,
            )
            outcome = provision(records, authority, Ordered(name, recipe, work), LintGate().check)
    tell(outcome, str(options["out"]), bar.seconds, as_json=options["as_json"])
    return 0 if outcome.is_finished else 130


def _recipe(options: dict[str, Any], handle: "AuthorityHandle", authority: "Authority", outlet: "Outlet") -> "Recipe":
    from mtls_ambassador.cli.pki_device import device_profile  # noqa: PLC0415 - slow to load
    from mtls_ambassador.flows.batch_maker import Recipe  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.issue import KeyKind  # noqa: PLC0415 - see above

    profile = device_profile(options)
    validity = profile.validity(now())
    if not options["days"] and not options["no_expiry"]:
        validity = authority.capped(validity)
    return Recipe(handle, profile, validity, KeyKind(options["key_type"]), outlet.new_deliverer)
