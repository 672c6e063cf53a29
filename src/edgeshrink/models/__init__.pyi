from .artifact import (
    RUNNABLE as RUNNABLE,
    Artifact as Artifact,
    Kind as Kind,
    content_digest as content_digest,
)
from .compiled import (
    COMMON as COMMON,
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
    own_digest as own_digest,
    own_name as own_name,
    reference as reference,
)
from .kind import (
    archive_json as archive_json,
    hdf5_attributes as hdf5_attributes,
    identify as identify,
    parsed_json as parsed_json,
    require_path as require_path,
    swollen as swollen,
)
from .locks import (
    held as held,
)
from .npy import (
    write_npy as write_npy,
)
from .places import (
    bytes_in as bytes_in,
    cache_folder as cache_folder,
    make_ours as make_ours,
    marked as marked,
)
from .policies import (
    in_float32 as in_float32,
)
from .savedmodel import (
    keras_config as keras_config,
    keras_nodes as keras_nodes,
)
from .sealed import (
    file_digest as file_digest,
    is_sealed as is_sealed,
    mend as mend,
    read_arrays as read_arrays,
    read_sealed as read_sealed,
    unchanged as unchanged,
    write_arrays as write_arrays,
    write_sealed as write_sealed,
)
from .snippet import (
    inference_snippet as inference_snippet,
)
from .tensors import (
    TensorFacts as TensorFacts,
    distinct as distinct,
)
from .writing import (
    PREFIX as PREFIX,
    copy_file as copy_file,
    refused as refused,
    remove as remove,
    write_bytes as write_bytes,
    write_part as write_part,
    write_stream as write_stream,
    write_text as write_text,
)
