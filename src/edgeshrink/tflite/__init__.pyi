from .decoding import (
    decoded as decoded,
    encoded_tensors as encoded_tensors,
)
from .feed import (
    count_samples as count_samples,
    matched_files as matched_files,
    tensor_names as tensor_names,
)
from .flat_model import (
    FLOATS as FLOATS,
    PACKED_BITS as PACKED_BITS,
    FlatModel as FlatModel,
    FlatOperator as FlatOperator,
    FlatSignature as FlatSignature,
    FlatTensor as FlatTensor,
)
from .metadata import (
    ModelMetadata as ModelMetadata,
    TensorMetadata as TensorMetadata,
    read_metadata as read_metadata,
    with_metadata as with_metadata,
)
from .packed import (
    is_packed as is_packed,
    tflite_bytes as tflite_bytes,
    unpacked as unpacked,
    unpacker as unpacker,
)
from .packing.encode import (
    Packed as Packed,
    pack as pack,
)
from .ranges import (
    Ranges as Ranges,
    activation_values as activation_values,
    with_ranges as with_ranges,
)
from .reader import (
    DECODE as DECODE,
    IDENTIFIER as IDENTIFIER,
    constant_values as constant_values,
    float_operators as float_operators,
    read_model as read_model,
    runtime_requirements as runtime_requirements,
    schema_model as schema_model,
)
from .refusal import (
    Refusal as Refusal,
    Use as Use,
    refused as refused,
    uses as uses,
)
from .requantizing import (
    reachable as reachable,
    too_steep as too_steep,
)
from .stripping import (
    SHORT as SHORT,
    Names as Names,
    naming as naming,
    strip as strip,
)
from .xnnpack_sparsity import (
    SparseConditions as SparseConditions,
    skipping_kernels as skipping_kernels,
    sparse_conditions as sparse_conditions,
)
