"""The offline path: data sets, VQ-VAE, export."""
