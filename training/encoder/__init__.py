"""The VQ-VAE: data set, model, training."""
