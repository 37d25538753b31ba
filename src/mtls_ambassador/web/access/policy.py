"""Who is let in where: pure rules over what is known of the listener and of a request. Each fails closed."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

FREE = {"/health", "/metrics"}
FREE_BELOW = ("/health/", "/api/internal/", "/assets/")
"""Health and metrics are for probes and scrapers, as Mender Gateway's are; they and the page's files hold no secret."""
LOGIN = "/login"
API = "/api/"
SAFE = {"GET", "HEAD", "OPTIONS"}
LOCAL_NAMES = {"localhost", "localhost.localdomain", "ip6-localhost"}


@dataclass(frozen=True, slots=True)
class Door:
    """How the admin listener stands."""

    is_loopback: bool
    has_tls: bool
    has_users: bool
    has_proxies: bool

    @property
    def asks_login(self) -> bool:
        """Whether nobody is let in without saying who they are."""
        return self.has_users or self.has_proxies or not self.is_loopback

    @property
    def shut(self) -> str:
        """Why page and API are not there at all; empty when they are."""
        if self.is_loopback or self.has_tls:
            return ""
        return (
            "The admin listener can be reached from other machines without TLS, so page and API are off. Set"
            " MTLS_ADMIN_TLS_CERT and MTLS_ADMIN_TLS_KEY, and MTLS_ADMIN_USERS; or MTLS_ADMIN_LISTEN=127.0.0.1:9102."
        )

    @property
    def page_shut(self) -> str:
        """Why nobody can log in at the page; empty when somebody can."""
        if self.shut or self.is_loopback or self.has_users or self.has_proxies:
            return self.shut
        return (
            "Nobody can log in here: set MTLS_ADMIN_USERS, or MTLS_ADMIN_USER_HEADER with MTLS_ADMIN_PROXIES."
            " The API takes tokens (`mtls-ambassador admin token create`)."
        )


def is_free(path: str) -> bool:
    """Whether a path is there for everybody who reaches the listener."""
    return path in FREE or path.startswith(FREE_BELOW)


def is_local_name(host: str) -> bool:
    """Whether a Host header names this machine as this machine alone does.

    Any other name may be a stranger's that points here for a moment (DNS rebinding), so that the stranger's script in
    an operator's browser would count as this site's.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name in LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_cross_site(headers: Mapping[str, str]) -> bool:
    """Whether a browser says that another site makes it send this (Fetch Metadata; RFC 6454 section 7).

    What Fetch Metadata say is the browser's own word, whatever proxy ended TLS before. Browsers of before 2023 may send
    `Origin` alone, of which the host counts. A request with neither comes from a program, or from an old browser, whose
    forms the token stops.
    """
    site = headers.get("Sec-Fetch-Site", "")
    if site:
        return site not in {"same-origin", "none"}
    origin = headers.get("Origin", "")
    try:
        return bool(origin) and urlsplit(origin).netloc != headers.get("Host", "")
    except ValueError:
        return True


def needs_no_token(path: str, headers: Mapping[str, str], *, has_session: bool) -> bool:
    """Whether a change is safe from other sites without the token that forms carry.

    On loopback, JSON for the API: a browser sends that type across sites only after asking (CORS preflight), and is
    never told yes here. With a session the token is always needed.
    """
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return not has_session and path.startswith(API) and kind == "application/json"


def own_path(text: str) -> str:
    """Where to go after a login: a path of this site, else the first page."""
    is_own = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable() and "\\" not in text
    return text if is_own and not text.startswith(LOGIN) else "/"
