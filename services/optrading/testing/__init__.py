"""What tests of this platform, and of what is built on it, need: scripted recordings, clocks, a running mesh."""
