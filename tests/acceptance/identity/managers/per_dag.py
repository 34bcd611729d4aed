"""Airflow's simple auth manager, and a user who may touch some DAGs, pools, Connections and Variables only."""

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

LIMITED = "una"


def _hers(name):
    return name is None or name.startswith("una") or name in ("common", "default_pool")


class PerDagManager(SimpleAuthManager):
    def is_authorized_dag(self, *, method, user, access_entity=None, details=None):
        if user.username == LIMITED and details is not None and not _hers(details.id):
            return False
        return super().is_authorized_dag(method=method, user=user, access_entity=access_entity, details=details)

    def is_authorized_pool(self, *, method, user, details=None):
        if user.username == LIMITED and details is not None and not _hers(details.name):
            return False
        return super().is_authorized_pool(method=method, user=user, details=details)

    def is_authorized_variable(self, *, method, user, details=None):
        if user.username == LIMITED:
            return details is None or _hers(details.key)
        return super().is_authorized_variable(method=method, user=user, details=details)

    def is_authorized_connection(self, *, method, user, details=None):
        if user.username == LIMITED:
            return details is None or _hers(details.conn_id)
        return super().is_authorized_connection(method=method, user=user, details=details)
