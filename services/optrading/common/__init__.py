"""What every service stands on: settings, errors, serving, channels, journal, bus."""
