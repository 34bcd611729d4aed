"""An Airflow provider with a store of its own, `shelf://CONN_ID@bucket/...`: a folder that its connection names."""


def get_provider_info():
    return {
        "package-name": "shelf-provider",
        "name": "Shelf",
        "description": "A folder as an object store",
        "filesystems": ["shelf_provider.store"],
    }
