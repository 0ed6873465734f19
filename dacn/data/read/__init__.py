"""Images from folders, archives, torchvision and Python, kept in memory or streamed."""
