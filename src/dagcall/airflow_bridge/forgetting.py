"""What processes that run DAG files must not know: taken out of the environment and of Airflow's configuration.

As stock Airflow's supervisor does for the database, and further: the signing keys, and every way in which Airflow lets
them be given (airflow.cfg, the environment, `_CMD`, `_SECRET`). The files themselves are the deployment's to protect.
"""

import os
from typing import Any

from dagcall import confidential


def forget_secrets() -> None:
    """To be called once the configuration was read, before anything of users is imported. Needs no import of Airflow's
    core: where that was not imported, it holds nothing."""
    import airflow.configuration as core
    from airflow.sdk.configuration import conf as sdk_conf

    for name in list(os.environ):
        if confidential.is_confidential(name):
            del os.environ[name]
    for conf in (core.conf, sdk_conf):
        _forget_options(conf)
    for name in confidential.DATABASE_NAMES:  # for programs that tasks start
        os.environ[name] = confidential.DATABASE
    for name in ("JWT_SECRET_KEY", "SECRET_KEY"):  # made for this process where none is configured
        if getattr(core, name, None):
            setattr(core, name, "")


def _forget_options(conf: Any) -> None:
    defaults = conf._default_values
    for section in {*conf.sections(), *defaults.sections()}:
        if section in confidential.SECTIONS or any(section == where for where, _ in confidential.OPTIONS):
            names = {name for one in (conf, defaults) if one.has_section(section) for name in one._sections[section]}
            for name in confidential.options_of(section, sorted(names)):
                _blank(conf, section, name)
    conf.set("database", "sql_alchemy_conn", confidential.DATABASE)


def _blank(conf: Any, section: str, name: str) -> None:
    """An option of the file is removed, a default stays, unless it is the text of a key made for this process."""
    if conf.has_section(section) and name in conf._sections[section]:
        conf.remove_option(section, name, remove_default=False)
    default = conf._default_values
    if name.endswith(("secret", "secret_key", "_conn")) and default.has_option(section, name):
        default.set(section, name, "")
