"""Images and faces: synthetic scenes, WIDER FACE folders, augmentation and batches."""
