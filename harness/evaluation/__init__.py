"""How well and how fast: AP by WIDER FACE's protocol, detections of a model, latency."""
