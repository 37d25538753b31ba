"""Writes the pages of docs/reference/ from the code; a test holds them equal."""

import datetime as dt
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from mtls_ambassador.cli import group
from mtls_ambassador.envoy import call_counters, routes
from mtls_ambassador.flows.ledger import Ledger
from mtls_ambassador.model.reason import Reason, Verdict
from mtls_ambassador.settings.foreign import FOREIGN, Foreign
from mtls_ambassador.settings.table import SETTINGS, Setting
from mtls_ambassador.web.api import PREFIX
from mtls_ambassador.web.api.openapi import document
from mtls_ambassador.web.api.routes import ENDPOINTS
from mtls_ambassador.web.metrics import Metrics

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
WIDTH = 100

SETTINGS_INTRO = """\
# Settings

<!-- made by scripts/generate_docs.py: change src/mtls_ambassador/settings/table.py, then run `make docs` -->

A setting may be given as an environment variable or in Mender Gateway's JSON configuration file
(`/etc/mender/mender-gateway.conf` when it exists, or `--config FILE`). The environment wins over the file, the file
over the default. An empty variable counts as unset. Where a setting has several names they mean the same; two that
are set and differ stop the gateway, and so does any wrong value: `mtls-ambassador check` lists all faults at once.

A secret can be kept in a file named by `<NAME>_FILE`; one trailing line end is dropped. The gateway logs in with a user
and password **or** with a token. Times are seconds (`90`) or as Go writes them (`1m30s`). Truth values are `true`,
`false`, `1`, `0`, `yes`, `no`, `on`, `off`. A variable that begins with `MTLS_`, `HTTPS_` or `UPSTREAM_` and is not
listed here is warned about.
"""
COMMANDS_INTRO = """\
# Commands

<!-- made by scripts/generate_docs.py: change src/mtls_ambassador/cli, then run `make docs` -->

Exit codes: 0 done, 1 failed with a reason, 2 wrong usage.
"""
REASONS_INTRO = """\
# Reasons

<!-- made by scripts/generate_docs.py: change src/mtls_ambassador/model/reason.py, then run `make docs` -->

How an auth request can end. The code stands in the log (`reason`), in the metric
`mtls_ambassador_auth_requests_total{reason="..."}`, in the audit, and in the error text the device gets and logs.
"""
API_INTRO = """\
# Management API

<!-- made by scripts/generate_docs.py: change src/mtls_ambassador/web/api/routes.py, then run `make docs` -->

On the admin listener (`MTLS_ADMIN_LISTEN`), below `/api/v1`; [openapi.json](openapi.json) has every field, and the
gateway itself gives it at `/api/v1/openapi.json`. An example:

```
curl -s 'http://127.0.0.1:9102/api/v1/devices?text=cam-0012'
```

A list has `items` and `next`; what follows is had by `after`. `next` is empty on the last page. Where no index can
tell, a bounded number of rows is looked at: a page may then be short, or empty, and still have a `next`. Bodies are
JSON of at most 1 MiB. Each answer has the header `X-MEN-RequestID`, the caller's own if it sent one. Every refusal is
`{"error": "…", "request_id": "…"}`:

| Status | Meaning |
|---|---|
| 400 | the request is not as declared; the field is named |
| 401, 403 | nobody is logged in, or the scope is missing |
| 404, 405 | there is no such thing or path, or no such method |
| 409 | it conflicts with what is there, or names what is not; nothing was changed |
| 413, 415 | the body is too long, or not JSON |
| 422 | it is as declared and still cannot be, such as an `after` of another list; nothing was changed |
| 500, 503 | the gateway's log has it; the store or a stream is not to be had now |
"""
METRICS_INTRO = """\
# Metrics

<!-- made by scripts/generate_docs.py: change src/mtls_ambassador/web/metrics.py, then run `make docs` -->

What `/metrics` of the admin listener tells, in Prometheus' text format. No label holds a text of a device, and each
has few values. Alert rules and a Grafana board: [../operator/monitoring.md](../operator/monitoring.md). Python's own
`process_…` come with them.

| Metric | Kind | Labels | Meaning |
|---|---|---|---|
"""
METRICS_OF_ENVOY = """
## Counted by Envoy

Absent while Envoy does not answer; `mtls_ambassador_envoy_answers` is then 0. A counter is there from its first count
on.

| Metric | Kind | Labels | Meaning |
|---|---|---|---|
| `{requests}` | counter | `method`, `code`, `route` | device calls; the name is Mender Gateway's |
| `{bytes}` | counter | `method`, `code`, `route` | bytes of their answers' bodies; the name is Mender Gateway's |
| `envoy_http_downstream_cx_…`, `envoy_http_downstream_rq_…` | | | device connections and calls |
| `envoy_cluster_upstream_cx_…`, `…_rq_…` | | `envoy_cluster_name` | of `upstream` (Mender), `decision`, `traces` |
| `envoy_cluster_upstream_rq_time` | histogram | `envoy_cluster_name` | milliseconds until the answer was whole |
| `envoy_listener_ssl_…` | | | handshakes and their errors |
| `envoy_server_…` | | | uptime and memory |

`method` is {methods}, or {other}; `route` is {routes}, or nothing where no request could be read.
"""
FOREIGN_INTRO = """\
## Settings of Mender's gateways that do not apply here

| Setting | When | What happens |
|---|---|---|
"""
TEMPLATE = """\
## Identity templates

`MTLS_IDENTITY_BINDING` takes a template: `key=pattern` pairs joined by commas. Each key must be in the identity that
a device asks for, as text, and be exactly what its certificate gives for the pattern: literal text with placeholders:
`{cn}`, `{serial}` (hexadecimal), `{o}`, `{ou}`, `{san_uri}`, `{san_dns}`. Case counts, except in `{serial}`. Of a field
with several values any one may match; a field the certificate lacks matches nothing. Commas and braces cannot be
literal text, and a template must name a placeholder.

| Template | Lets the certificate | enrol |
|---|---|---|
| `mac={cn}` | `CN=52:54:00:12:34:56` | `{"mac":"52:54:00:12:34:56"}` |
| `sn=X-{serial},maker={o}` | serial 1F, `O=Acme` | `{"sn":"X-1f","maker":"Acme"}` |
"""


def settings_page() -> str:
    """docs/reference/settings.md."""
    groups: dict[str, list[Setting]] = {"## The gateway": [], "## Limits and times": []}
    for setting in SETTINGS:
        groups["## Limits and times" if setting.field.startswith("limits.") else "## The gateway"].append(setting)
    parts = [SETTINGS_INTRO]
    for title, settings in groups.items():
        rows = [f"| {_names(item)} | {_default(item)} | {item.help} |" for item in settings]
        parts.append("\n".join([title, "", "| Setting | Default | Meaning |", "|---|---|---|", *rows]) + "\n")
    foreign = [f"| {_foreign_names(item)} | {_when(item)} | {_outcome(item)} |" for item in FOREIGN]
    return "\n".join([*parts, TEMPLATE, FOREIGN_INTRO + "\n".join(foreign) + "\n"])


def _names(setting: Setting) -> str:
    names = [f"`{name}`" for name in setting.names]
    if setting.json:
        names.append(f"JSON `{setting.json}`")
    return "<br>".join([*names, *(f"`{name}`" for name in setting.file_names)])


def _default(setting: Setting) -> str:
    if setting.default:
        return f"`{setting.default}`"
    return "required" if setting.required else "none"


def _foreign_names(item: Foreign) -> str:
    return "<br>".join([f"`{name}`" for name in item.names] + ([f"JSON `{item.json}`"] if item.json else []))


def _when(item: Foreign) -> str:
    return "set" if item.when is None else str(item.when).lower()


def _outcome(item: Foreign) -> str:
    return f"**does not start**: {item.fault}" if item.fault else f"warning: {item.warning}"


def commands_page() -> str:
    """docs/reference/commands.md."""
    return "\n".join([COMMANDS_INTRO, *_helps("mtls-ambassador", group, None)])


def _helps(title: str, command: click.Command, parent: click.Context | None) -> Iterator[str]:
    yield _help(title, command, parent)
    if isinstance(command, click.Group):
        context = click.Context(command, parent=parent, info_name=title.rsplit(maxsplit=1)[-1])
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from _helps(f"{title} {name}", below, context)


def reasons_page() -> str:
    """docs/reference/reasons.md."""
    titles = {Verdict.GRANTED: "Let in", Verdict.REFUSED: "Refused", Verdict.LATER: "Told to come again (503)"}
    parts = [REASONS_INTRO]
    for verdict, title in titles.items():
        rows = [
            f"| `{item.code}` | {item.status} | {item.text} | {item.hint} |"
            for item in Reason
            if item.verdict is verdict
        ]
        parts.append(
            "\n".join([f"## {title}", "", "| Code | Status | Cause | What to do |", "|---|---|---|---|", *rows]) + "\n"
        )
    return "\n".join(parts)


def api_page() -> str:
    """docs/reference/api.md."""
    parts = [API_INTRO, "| Call | Scope | Meaning |", "|---|---|---|"]
    parts += [f"| `{item.method} {PREFIX}{item.path}` | {item.scope.value} | {item.summary} |" for item in ENDPOINTS]
    for item in ENDPOINTS:
        fields = [*_fields(item.query), *_fields(item.body)]
        if fields:
            head = ["", f"## {item.method} {PREFIX}{item.path}", "", "| Field | Default | Meaning |", "|---|---|---|"]
            parts += [*head, *fields]
    return "\n".join(parts) + "\n"


def _fields(kind: type[msgspec.Struct]) -> Iterator[str]:
    schema = msgspec.json.schema_components([kind])[1][kind.__name__]
    for name, field in schema["properties"].items():
        default = "required" if name in schema.get("required", ()) else f"`{json.dumps(field.get('default'))}`"
        yield f"| `{name}` | {default} | {field.get('description', '')} |"


def api_document() -> str:
    """docs/reference/openapi.json."""
    return json.dumps(document(ENDPOINTS), indent=1, ensure_ascii=False) + "\n"


def metrics_page() -> str:
    """docs/reference/metrics.md."""
    metrics = Metrics()
    metrics.show_ledger(Ledger(lambda: dt.datetime.now(dt.UTC)))
    rows = (
        f"| `{item.name}` | {item.kind} | {', '.join(f'`{label}`' for label in item.labels)} | {item.text} |\n"
        for item in metrics.catalogue
    )
    return (
        METRICS_INTRO
        + "".join(rows)
        + METRICS_OF_ENVOY.format(
            requests=call_counters.REQUESTS,
            bytes=call_counters.BYTES,
            methods=", ".join(call_counters.METHODS),
            other=call_counters.OTHER,
            routes=", ".join(f"`{name}`" for name in routes.NAMES),
        )
    )


def _help(title: str, command: click.Command, parent: click.Context | None) -> str:
    context = click.Context(
        command,
        parent=parent,
        info_name=title.rsplit(maxsplit=1)[-1],
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        help_option_names=["-h", "--help"],
    )
    return f"## {title}\n\n```\n{command.get_help(context)}\n```\n"


PAGES = {
    "settings.md": settings_page,
    "commands.md": commands_page,
    "reasons.md": reasons_page,
    "api.md": api_page,
    "openapi.json": api_document,
    "metrics.md": metrics_page,
}


def main() -> None:
    """Write the pages named on the command line, or all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or PAGES:
        (FOLDER / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"docs/reference/{name}")


if __name__ == "__main__":
    main()
