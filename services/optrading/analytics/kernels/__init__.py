"""Pure numpy kernels of the analytics: arrays in, arrays out, no I/O and no service types."""
