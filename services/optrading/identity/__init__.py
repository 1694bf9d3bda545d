"""Who may enter: users, logins, sessions and the keys that tokens are verified with."""
