"""What a model is: its layers in their order, what couples their channels, models written anew."""
