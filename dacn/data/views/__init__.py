"""From stored images to the weak and strong views of a training batch."""
