"""Any model file as a Keras 3 model."""
