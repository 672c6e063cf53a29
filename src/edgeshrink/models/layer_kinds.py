"""Classes of Keras's layers by what they mean for a plan."""

from __future__ import annotations

RECURRENT = frozenset({"LSTM", "GRU", "SimpleRNN", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"})
TEXT_LOOKUP = frozenset(
    {"StringLookup", "IntegerLookup", "TextVectorization", "Hashing", "HashedCrossing"}
)
PREPROCESSING = TEXT_LOOKUP | {
    "Rescaling",
    "Normalization",
    "Resizing",
    "CenterCrop",
    "CategoryEncoding",
    "Discretization",
    "FeatureSpace",
    "MelSpectrogram",
    "STFTSpectrogram",
}
SAME_SHAPE = frozenset(
    {"Activation", "Softmax", "ReLU", "LeakyReLU", "Dropout", "BatchNormalization", "Rescaling"}
)
