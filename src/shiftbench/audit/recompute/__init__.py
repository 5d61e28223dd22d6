"""What follows from rows and samples, computed again in this process: by other code, or by the stage itself."""
