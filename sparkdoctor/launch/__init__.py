"""What is to be started, and what one rank of it will really see."""
