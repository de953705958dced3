"""Settings: one frozen dataclass, read once from the environment. Nothing else reads `os.environ`."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import available_timezones

DEVELOPMENT_SECRET = "development-only-secret-do-not-use-in-production"  # noqa: S105  (named so, and refused in production)


class SettingsError(Exception):
    """The environment does not describe a shop that can run; the message says which variable and why."""


@dataclass(frozen=True, slots=True)
class CarrierAccount:
    """A carrier that is booked over HTTP: its address without a trailing slash, and the key that we and it share."""

    name: str
    url: str
    key: str


@dataclass(frozen=True)
class Settings:
    """Everything that differs between two installations.

    Attributes:
        database_url: SQLAlchemy URL of PostgreSQL 15 or newer; empty means the embedded server.
        secret_key: signs pickup codes, reply addresses and console forms. Changing it voids open pickup codes.
        environment: ``development`` or ``production``; production refuses development defaults.
        stripe_api_key, stripe_api_base, stripe_webhook_secret, stripe_timeout_seconds: the card network; an empty key
            switches card payments off.
        payment_warn_hours, payment_renew_hours: how long before an authorization lapses it is named, and asked for anew.
        carriers, carrier_timeout_seconds: carriers that are booked over HTTP (docs/operations.md).
        smtp_url: ``smtp://user:password@host:port`` or ``smtps://``; empty keeps messages queued.
        mail_from: the sender's address of every message.
        public_url: where customers and staff reach this server, without a trailing slash.
        prepare_threshold: psycopg's; 0 prepares at once, -1 never (needed behind PgBouncer in transaction mode).
        pool_size: database connections per process. A hot SKU gets slower with more, not faster.
        statement_timeout_ms, lock_timeout_ms: no request waits longer than this for the database.
        default_region: country used to read phone numbers written without one (ISO 3166).
        zone: the shop's own zone (IANA): whose days and months its reports and reminders speak of.
        trusted_proxies: how many proxies in front may be believed about the caller's address.
        principal_cache_seconds: how long a process may remember who a token belongs to; revoking a token takes at most this long.
    """

    database_url: str = ""
    secret_key: str = DEVELOPMENT_SECRET
    environment: str = "development"
    stripe_api_key: str = ""
    stripe_api_base: str = "https://api.stripe.com"
    stripe_webhook_secret: str = ""
    stripe_timeout_seconds: float = 20.0
    payment_warn_hours: float = 48.0
    payment_renew_hours: float = 24.0
    carriers: tuple[CarrierAccount, ...] = ()
    carrier_timeout_seconds: float = 10.0
    smtp_url: str = ""
    mail_from: str = "shop@example.com"
    public_url: str = "http://127.0.0.1:8000"
    prepare_threshold: int = 0
    pool_size: int = 4
    statement_timeout_ms: int = 15_000
    lock_timeout_ms: int = 5_000
    default_region: str = "JP"
    zone: str = "Asia/Tokyo"
    trusted_proxies: int = 0
    principal_cache_seconds: float = 5.0
    log_level: str = "INFO"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the settings.

        Raises:
            SettingsError: a number is not one, or production runs on a development default.
        """
        env = os.environ if environ is None else environ

        def number(name: str, default: float) -> float:
            text = env.get(name, "")
            if not text:
                return default
            try:
                return float(text)
            except ValueError:
                raise SettingsError(f"{name} must be a number, not {text!r}") from None

        settings = cls(
            database_url=_with_driver(env.get("DATABASE_URL", "")),
            secret_key=env.get("SECRET_KEY") or DEVELOPMENT_SECRET,
            environment=env.get("RETAIL_ENV", "development"),
            stripe_api_key=env.get("STRIPE_API_KEY", ""),
            stripe_api_base=env.get("STRIPE_API_BASE") or cls.stripe_api_base,
            stripe_webhook_secret=env.get("STRIPE_WEBHOOK_SECRET", ""),
            stripe_timeout_seconds=number("STRIPE_TIMEOUT_SECONDS", cls.stripe_timeout_seconds),
            carriers=_carriers(env.get("CARRIERS", "")),
            carrier_timeout_seconds=number("CARRIER_TIMEOUT_SECONDS", cls.carrier_timeout_seconds),
            payment_warn_hours=number("PAYMENT_WARN_HOURS", cls.payment_warn_hours),
            payment_renew_hours=number("PAYMENT_RENEW_HOURS", cls.payment_renew_hours),
            smtp_url=env.get("SMTP_URL", ""),
            mail_from=env.get("MAIL_FROM") or cls.mail_from,
            public_url=(env.get("PUBLIC_URL") or cls.public_url).rstrip("/"),
            prepare_threshold=int(number("PREPARE_THRESHOLD", cls.prepare_threshold)),
            pool_size=int(number("POOL_SIZE", cls.pool_size)),
            statement_timeout_ms=int(number("STATEMENT_TIMEOUT_MS", cls.statement_timeout_ms)),
            lock_timeout_ms=int(number("LOCK_TIMEOUT_MS", cls.lock_timeout_ms)),
            default_region=env.get("DEFAULT_REGION") or cls.default_region,
            zone=env.get("SHOP_ZONE") or cls.zone,
            trusted_proxies=int(number("TRUSTED_PROXIES", cls.trusted_proxies)),
            principal_cache_seconds=number("PRINCIPAL_CACHE_SECONDS", cls.principal_cache_seconds),
            log_level=env.get("LOG_LEVEL") or cls.log_level,
        )
        if settings.environment not in ("development", "production"):
            raise SettingsError(f"RETAIL_ENV must be development or production, not {settings.environment!r}")
        if settings.zone not in available_timezones():
            raise SettingsError(f"SHOP_ZONE must be an IANA zone such as Asia/Tokyo, not {settings.zone!r}")
        if settings.environment == "production":
            if settings.secret_key == DEVELOPMENT_SECRET or len(settings.secret_key) < 32:
                raise SettingsError("SECRET_KEY must be set to at least 32 random characters in production")
            if not settings.database_url:
                raise SettingsError("DATABASE_URL must be set in production; the embedded server is for development")
        return settings


def _carriers(given: str) -> tuple[CarrierAccount, ...]:
    """``{"courier": {"url": "https://...", "key": "..."}}`` as accounts."""
    if not given:
        return ()
    try:
        found = [CarrierAccount(name, one["url"].rstrip("/"), one["key"]) for name, one in json.loads(given).items()]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise SettingsError('CARRIERS must be JSON like {"courier": {"url": "https://...", "key": "..."}}') from None
    for one in found:
        if not one.url.startswith(("http://", "https://")) or len(one.key) < 16:
            raise SettingsError(f"CARRIERS: {one.name} needs an http(s) address and a key of at least 16 characters")
    return tuple(found)


def _with_driver(url: str) -> str:
    """`postgres://` and `postgresql://` as hosts hand them out, in SQLAlchemy's form with our driver."""
    for prefix in ("postgres://", "postgresql://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url[len(prefix) :]
    return url


_current: Settings | None = None


def current() -> Settings:
    """The settings of this process; read from the environment at the first call."""
    global _current
    if _current is None:
        _current = Settings.from_environment()
    return _current


def use(settings: Settings) -> None:
    """Replace the settings of this process (composition root and tests)."""
    global _current
    _current = settings


def export(settings: Settings) -> None:
    """Let processes that this one starts find the same database (the embedded server has no address until it runs)."""
    os.environ["DATABASE_URL"] = settings.database_url
