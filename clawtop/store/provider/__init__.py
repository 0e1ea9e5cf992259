"""What a call to a provider needs: credentials, secrets, models."""
