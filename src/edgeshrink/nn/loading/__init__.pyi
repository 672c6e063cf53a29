from .load import (
    is_wrapped as is_wrapped,
    load_model as load_model,
    load_stored as load_stored,
    save_model as save_model,
)
from .objects import (
    model_file as model_file,
    own_code as own_code,
)
