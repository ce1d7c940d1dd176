"""What Mosquitto must be set to, as a file that its conf.d takes."""
