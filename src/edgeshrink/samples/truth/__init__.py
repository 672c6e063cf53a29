"""What judges samples and is no label of an output: which are anomalous, and where boxes are.

Uses what reads samples; the data set uses it.
"""
