from .load import (
    is_wrapped as is_wrapped,
    load_model as load_model,
    save_model as save_model,
)
