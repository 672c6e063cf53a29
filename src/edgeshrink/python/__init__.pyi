from .benching import (
    bench as bench,
)
from .compressing import (
    compress as compress,
)
from .inspecting import (
    inspect as inspect,
)
from .searching import (
    search as search,
    sensitivity as sensitivity,
    study as study,
)
