"""What `castline` does, command by command; producer_api.cli parses and calls."""
