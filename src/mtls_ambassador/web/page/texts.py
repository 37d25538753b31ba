"""Values as the page shows them: texts of devices made harmless, times in UTC, numbers that are read at a glance."""

import datetime as dt
import unicodedata

from markupsafe import Markup

CUT = 160
"""Characters of a text of unknown length that a table shows."""
_FORMAT = {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}
"""Unicode's categories of what cannot be seen, or changes how its neighbours are read."""
_SHORT = ((10**12, 10**12, " T"), (10**9, 10**9, " G"), (10**6, 10**6, " M"), (10**4, 10**3, " k"))
"""From which number on, its unit, and how that is written."""
_PLANE = 0x10000
_STEPS = ((86400, "d"), (3600, "h"), (60, "min"))


def visible(value: object, limit: int = CUT) -> str:
    """A text in which every character can be seen and none turns the others round; cut where it is too long."""
    text = str(value)
    shown = "".join(_seen(character) for character in text[:limit])
    return shown if len(text) <= limit else f"{shown}… ({number(len(text))} characters)"


def isolated(value: object, limit: int = CUT) -> Markup:
    """Such a text for HTML: escaped, and kept from reordering what stands beside it."""
    return Markup("<bdi>{}</bdi>").format(visible(value, limit))


def number(value: int) -> str:
    """With its digits in groups, as ISO 80000-1 has it."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def short(value: float) -> str:
    """In at most four digits, for axes and tiles."""
    for begin, size, unit in _SHORT:
        if value >= begin:
            return f"{value / size:.0f}{unit}" if value >= 100 * size else f"{value / size:.3g}{unit}"
    return f"{value:g}"


def stamp(at: dt.datetime) -> str:
    """To the minute; the page says UTC once, in its head, and in every title."""
    return f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M}"


def ago(at: dt.datetime, now: dt.datetime) -> str:
    """How far away that is, in its largest unit."""
    seconds = int((now - at).total_seconds())
    away = span(abs(seconds))
    if away == "now":
        return away
    return f"{away} ago" if seconds > 0 else f"in {away}"


def span(seconds: int) -> str:
    """A length of time in its largest unit; less than a minute is `now`."""
    return next((f"{seconds // size}\N{NO-BREAK SPACE}{unit}" for size, unit in _STEPS if seconds >= size), "now")


def when(at: dt.datetime | None, now: dt.datetime) -> Markup:
    """A moment: the date for the record, the distance for the reader; the script keeps the distance right."""
    if at is None:
        return Markup('<span class="quiet">never</span>')
    moment = at.astimezone(dt.UTC)
    return Markup('<time datetime="{}" title="{} UTC">{} <span class="ago">{}</span></time>').format(
        f"{moment:%Y-%m-%dT%H:%M:%SZ}", f"{moment:%Y-%m-%d %H:%M:%S}", stamp(moment), ago(moment, now)
    )


def copyable(value: object, limit: int = 400) -> Markup:
    """A text that people take along, such as a command; the script gives it a button."""
    return Markup('<span class="copyable"><code>{}</code></span>').format(visible(value, limit))


def _seen(character: str) -> str:
    if character == " " or unicodedata.category(character) not in _FORMAT:
        return character
    return f"\\u{ord(character):04x}" if ord(character) < _PLANE else f"\\U{ord(character):08x}"
