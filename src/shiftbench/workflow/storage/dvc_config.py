"""DVC's configuration of a repository: its folder, its cache, and the settings that an untrusted checkout may have."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftbench.base.errors import DataError
from shiftbench.provenance import trust

_HARMLESS: dict[str, frozenset[str]] = {
    "core": frozenset(
        "remote checksum_jobs interactive analytics hardlink_lock no_scm autostage experiments check_update".split()
    ),
    "cache": frozenset("type protected shared slow_link_warning verify".split()),
    "remote": frozenset(
        "url checksum_jobs jobs worktree no_traverse version_aware type protected shared slow_link_warning verify auth "
        "custom_auth_header user password ask_password ssl_verify method connect_timeout read_timeout timeout token "
        "region profile endpointurl access_key_id secret_access_key session_token listobjects use_ssl "
        "allow_anonymous_login sse sse_kms_key_id sse_customer_algorithm sse_customer_key acl grant_read "
        "grant_read_acp grant_write_acp grant_full_control cache_regions projectname port passphrase ask_passphrase "
        "keyfile gss_auth allow_agent max_sessions connection_string sas_token account_name account_key tenant_id "
        "client_id client_secret connection_timeout oss_key_id oss_key_secret oss_endpoint".split()
    ),
}
"""Settings of DVC that an untrusted checkout may have; the others name programs, or files that name programs."""


def home_of(folder: Path) -> Path:
    """The repository of a folder: the nearest folder above with `.dvc`.

    Raises:
        DataError: there is none.
    """
    for candidate in (folder.resolve(), *folder.resolve().parents):
        if (candidate / ".dvc").is_dir():
            return candidate
    raise DataError(f"{folder} is not in a DVC repository, so it has no remote; `dvc init` makes a repository")


def load(home: Path) -> Any:
    """DVC's configuration of a repository, all levels merged.

    Raises:
        DataError: DVC cannot read it.
    """
    from dvc.config import Config, ConfigError

    try:
        return Config(str(home / ".dvc"))
    except ConfigError as error:
        raise DataError(f"{home / '.dvc'}: DVC cannot read its configuration: {error}") from None


def check(home: Path) -> None:
    """Refuse an untrusted checkout whose own settings of DVC could start a program.

    Raises:
        UntrustedError: it has such a setting.
        DataError: as in `load`.
    """
    loaded = load(home)
    for level, file in (("repo", "config"), ("local", "config.local")):
        for key in _harmful(loaded.load_one(level)):
            setting = f".dvc/{file} sets {key}, with which DVC may start programs or write elsewhere"
            trust.require(setting, home)


def _harmful(level: dict[str, Any]) -> Iterator[str]:
    """Yield the settings of one file that are not among the harmless ones."""
    for section, values in level.items():
        option_groups = values.items() if section == "remote" else [("", values)]
        for name, options in option_groups:
            for key in sorted(options.keys() - _HARMLESS.get(section, frozenset())):
                yield ".".join(filter(None, (section, name, key)))


def cache_of(home: Path) -> Path:
    """The folder of objects in DVC's cache."""
    configured = load(home)["cache"].get("dir")
    return Path(configured or home / ".dvc" / "cache") / "files" / "md5"
