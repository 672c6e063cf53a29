"""What several methods share about networks; the only part of the core that imports Keras."""
