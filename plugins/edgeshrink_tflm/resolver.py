"""The calls by which a program for a microcontroller registers operators."""

from __future__ import annotations

# Names by which MicroMutableOpResolver of tflite-micro registers operators (August 2026): for most
# it is the operator's own, as AddAddN for ADD_N.
_PLAIN = """
ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE BATCH_TO_SPACE_ND BROADCAST_ARGS BROADCAST_TO
CALL_ONCE CAST CEIL CIRCULAR_BUFFER CONCATENATION COS DEPTH_TO_SPACE DEQUANTIZE DIV
DYNAMIC_UPDATE_SLICE EMBEDDING_LOOKUP ELU EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD
FULLY_CONNECTED GATHER GATHER_ND GREATER GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION LEAKY_RELU
LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM MIRROR_PAD
MEAN MINIMUM MUL NEG NOT_EQUAL PACK PAD PRELU QUANTIZE READ_VARIABLE REDUCE_ALL REDUCE_MAX
REDUCE_MIN RELU RELU6 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT
SELECT_V2 SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQUEEZE SQRT
SQUARE SQUARED_DIFFERENCE STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE_CONV TRANSPOSE UNPACK
VAR_HANDLE WHILE ZEROS_LIKE
"""
_OTHERS = {
    "AVERAGE_POOL_2D": "AddAveragePool2D",
    "BATCH_MATMUL": "AddBatchMatMul",
    "CONV_2D": "AddConv2D",
    "CUMSUM": "AddCumSum",
    "TFLM_DECODE": "AddDecode",
    "SignalDelay": "AddDelay",
    "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
    "TFLite_Detection_PostProcess": "AddDetectionPostprocess",
    "SignalEnergy": "AddEnergy",
    "ethos-u": "AddEthosU",
    "SignalFftAutoScale": "AddFftAutoScale",
    "SignalFilterBank": "AddFilterBank",
    "SignalFilterBankLog": "AddFilterBankLog",
    "SignalFilterBankSquareRoot": "AddFilterBankSquareRoot",
    "SignalFilterBankSpectralSubtraction": "AddFilterBankSpectralSubtraction",
    "SignalFramer": "AddFramer",
    "SignalIrfft": "AddIrfft",
    "L2_POOL_2D": "AddL2Pool2D",
    "MAX_POOL_2D": "AddMaxPool2D",
    "SignalOverlapAdd": "AddOverlapAdd",
    "PADV2": "AddPadV2",
    "SignalPCAN": "AddPCAN",
    "SignalRfft": "AddRfft",
    "SignalStacker": "AddStacker",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
    "SignalWindow": "AddWindow",
}
CALLS = {
    name: "Add" + "".join(map(str.capitalize, name.split("_"))) for name in _PLAIN.split()
} | _OTHERS
