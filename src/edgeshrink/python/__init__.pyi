from .benching import (
    bench as bench,
)
from .compressing import (
    compress as compress,
)
from .searching import (
    search as search,
    sensitivity as sensitivity,
    study as study,
)
