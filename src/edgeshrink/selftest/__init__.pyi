from .checks import (
    Check as Check,
    run as run,
)
