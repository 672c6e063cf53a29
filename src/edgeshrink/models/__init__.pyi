from .artifact import (
    RUNNABLE as RUNNABLE,
    Artifact as Artifact,
    Kind as Kind,
    content_digest as content_digest,
)
from .compiled import (
    Compiled as Compiled,
    LossFacts as LossFacts,
    Objective as Objective,
    by_output as by_output,
)
from .config import (
    LayerFacts as LayerFacts,
    ModelFacts as ModelFacts,
    facts as facts,
    refuse as refuse,
)
from .importing import (
    check_module as check_module,
    import_object as import_object,
)
from .kind import (
    archive_json as archive_json,
    hdf5_attributes as hdf5_attributes,
    identify as identify,
    parsed_json as parsed_json,
    require_path as require_path,
)
from .savedmodel import (
    keras_config as keras_config,
    keras_nodes as keras_nodes,
)
from .snippet import (
    inference_snippet as inference_snippet,
)
from .tensors import (
    TensorFacts as TensorFacts,
)
from .writing import (
    write_bytes as write_bytes,
    write_text as write_text,
)
