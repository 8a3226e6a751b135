"""Log-likelihood ratios of mixtures against a background: in full, by the top components, linearly, for many models."""
