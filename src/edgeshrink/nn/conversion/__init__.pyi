from .converter_process import (
    Conversion as Conversion,
    shared_converter as shared_converter,
)
from .keras_to_tflite import (
    convert as convert,
    loops as loops,
)
from .matching import (
    matched_ranges as matched_ranges,
    written_out as written_out,
)
from .parting import (
    parting_layer as parting_layer,
)
from .recurrent import (
    Loop as Loop,
    recurrent_layers as recurrent_layers,
)
from .verification import (
    check_clusters as check_clusters,
    check_zeros as check_zeros,
)
