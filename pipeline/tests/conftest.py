from darkroom.tests.google_account import tls_keys  # noqa: F401
from pipeline.tests.kubeflow_fixtures import (  # noqa: F401
    kfp_package,
    kubeflow,
    kubeflow_settings,
    server,
)
from pipeline.tests.trigger_fixtures import (  # noqa: F401
    bucket,
    photographs,
    storage_proxy,
)
from pipeline.tests.vertex_fixtures import (  # noqa: F401
    account_keys,
    vertex,
    vertex_server,
    vertex_settings,
)
