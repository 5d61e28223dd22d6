"""What tests work on: each module makes one kind of thing, and its name says which."""
