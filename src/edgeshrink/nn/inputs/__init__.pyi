from .comparison import (
    agreement as agreement,
    divergence as divergence,
    matched_outputs as matched_outputs,
)
from .inversion import (
    inverted as inverted,
)
from .prediction import (
    predict as predict,
    samples_at_once as samples_at_once,
)
from .synthetic import (
    synthetic_inputs as synthetic_inputs,
)
