from .python.functions import (
    bench as bench,
    compress as compress,
)

__version__: str
