"""Speed as ratios: each figure stands beside a named peer or limit, measured in the same run on the same machine."""
