"""Audio and captions of a cast, as a listener asks for them."""
