"""masked."""
