from .python.benching import (
    bench as bench,
)
from .python.compressing import (
    compress as compress,
)
from .python.searching import (
    search as search,
    sensitivity as sensitivity,
    study as study,
)

__version__: str
