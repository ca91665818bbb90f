"""Evaluation: detections of a network, AP by WIDER FACE's protocol, landmark error, uncertainty, latency, fronts."""
