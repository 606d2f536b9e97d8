"""What all tests share."""

from hypothesis import settings

# These machines are noisy: how long an example takes says nothing about the code.
settings.register_profile("overnight", deadline=None)
settings.load_profile("overnight")
