"""Settings of a service: one frozen dataclass, read once, at the start.

    @dataclass(frozen=True)
    class Settings(ServiceSettings):
        listen: str = setting("127.0.0.1:0", "address to listen on")
        database_url: Secret = setting(Secret("sqlite:///registry.db"), "where the catalogue is kept")

    settings = load(Settings)

They come from the TOML file that ``SKEWLESS_SETTINGS_FILE`` names (``listen = "0.0.0.0:50051"``) and, on top of it,
from the environment (``SKEWLESS_LISTEN``). A secret stands in neither text: the environment has it, or the name of a
file that has it (``SKEWLESS_DATABASE_URL_FILE``, or ``database_url_file`` in the settings file). Every fault is told at
once, and secrets are not shown. ``docs/operations/settings.md`` lists all settings.
"""

from skewless.settings.declaring import OneOf, Range, Secret, at_least, bare_type, between, one_of, setting, variable
from skewless.settings.reading import SETTINGS_FILE, SecretsAwaitedError, SettingsError, describe, load
from skewless.settings.service import BrokerSettings, FunctionSettings, ServiceSettings, StoreSettings
from skewless.settings.store_url import NO_FILES, STORE_URL, StoreAddress, TlsFiles, store_url_fault

__all__ = [
    "NO_FILES",
    "SETTINGS_FILE",
    "STORE_URL",
    "BrokerSettings",
    "FunctionSettings",
    "OneOf",
    "Range",
    "Secret",
    "SecretsAwaitedError",
    "ServiceSettings",
    "SettingsError",
    "StoreAddress",
    "StoreSettings",
    "TlsFiles",
    "at_least",
    "bare_type",
    "between",
    "describe",
    "load",
    "one_of",
    "setting",
    "store_url_fault",
    "variable",
]
