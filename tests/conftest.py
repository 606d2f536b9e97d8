"""What all tests share."""

import signal

from hypothesis import settings

# These machines are noisy: how long an example takes says nothing about the code.
settings.register_profile("overnight", deadline=None)
settings.load_profile("overnight")

# A shell starts `make test &` deaf to Ctrl-C, and nohup deaf to the end of its terminal; every
# process that a test starts would be so too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
