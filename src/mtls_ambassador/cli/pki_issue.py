"""What the commands that issue one certificate share: options, lifetimes, output."""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mtls_ambassador.cli.pki_secrets import known_secrets, passphrase_option, signing_ca_option
from mtls_ambassador.cli.pki_store import json_option, now, opened, pki_option
from mtls_ambassador.model.errors import UsageError

if TYPE_CHECKING:
    from mtls_ambassador.flows.issue_one import Outcome, Request
    from mtls_ambassador.pki.authority import Authority
    from mtls_ambassador.pki.issue import Validity
    from mtls_ambassador.pki.profiles import DeviceProfile, ServerProfile
    from mtls_ambassador.store.database import Database

Command = TypeVar("Command", bound=Callable[..., Any])
KINDS = ("p256", "p384", "p521", "rsa", "ed25519")


def issue_options(days: int) -> Callable[[Command], Command]:
    """Options of every command that issues."""
    added: list[Callable[[Any], Any]] = [
        click.option("--days", type=click.IntRange(min=1), help=f"Lifetime.  [default: {days}, or the CA's end]"),
        click.option("--no-expiry", is_flag=True, help="No well-defined end (9999-12-31); the CA must have none too."),
        click.option(
            "--backdate", type=click.IntRange(min=0), default=1, show_default=True, help="Days it is valid already."
        ),
        click.option("--again", is_flag=True, help="Although the name has a certificate in force."),
        signing_ca_option,
        passphrase_option,
        json_option,
        pki_option,
    ]

    def decorate(command: Command) -> Command:
        for option in reversed(added):
            command = option(command)
        return command

    return decorate


def chosen_days(options: dict[str, Any], default: int) -> int | None:
    """How long a certificate lasts; None: no well-defined end."""
    if options["no_expiry"] and options["days"]:
        raise UsageError("--days and --no-expiry exclude each other")
    return None if options["no_expiry"] else (options["days"] or default)


def chosen_backdate(options: dict[str, Any]) -> dt.timedelta:
    """For how long a certificate is valid already when it is made."""
    return dt.timedelta(days=options["backdate"])


@dataclass(frozen=True, slots=True)
class Issuing:
    """What issuing needs."""

    database: "Database"
    folder: Path
    authority: "Authority"
    now: dt.datetime

    def validity(self, options: dict[str, Any], profile: "ServerProfile | DeviceProfile") -> "Validity":
        """From when to when; unless somebody said how long, not beyond the CA."""
        validity = profile.validity(self.now)
        return validity if options["days"] or options["no_expiry"] else self.authority.capped(validity)

    def issue(self, request: "Request") -> "Outcome":
        """Issue one certificate."""
        from mtls_ambassador.flows.issue_one import issue_one  # noqa: PLC0415 - slow to load
        from mtls_ambassador.pki.journal import Journal  # noqa: PLC0415 - see above

        return issue_one(self.database, Journal(self.folder), self.authority, request, self.now)


@contextmanager
def issuing(options: dict[str, Any]) -> Iterator[Issuing]:
    """Records and CA of the options, opened."""
    from mtls_ambassador.pki.folder import open_authority  # noqa: PLC0415 - slow to load

    with opened(options["pki_dir"]) as place:
        folder = place.settings.pki_dir
        authority = open_authority(folder, options["ca"], known_secrets(options["passphrase_file"]))
        yield Issuing(place.database, folder, authority, now())


def tell(outcome: "Outcome", name: str, files: dict[str, Path], *, as_json: bool) -> None:
    """Print what was made."""
    from mtls_ambassador.cli.pki_show import certificate_facts  # noqa: PLC0415 - slow to load

    facts = certificate_facts(outcome.certificate)
    if as_json:
        places = {kind: str(path) for kind, path in files.items()}
        click.echo(json.dumps({"name": name, "new": outcome.is_new, **facts, "files": places}, indent=2))
        return
    state = "" if outcome.is_new else " (made by an earlier run)"
    click.echo(f"{name}: serial {facts['serial']}, until {facts['not_after'][:10]}{state}")
    for kind, path in files.items():
        click.echo(f"  {kind}: {path}")
