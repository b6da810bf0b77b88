"""How good an encoder is: points, measures, baselines, intervals, and a bundle judged by them."""
