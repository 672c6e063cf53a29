"""What models are run on, and how alike they answer: made-up samples, predictions, agreement."""
