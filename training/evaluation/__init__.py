"""How good an encoder is: points, measures, baselines, intervals, and the study that puts them together."""
