"""Vector quantisers: latent -> the nearest code of a codebook."""
