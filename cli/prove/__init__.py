"""The proof on AWS: a throw-away stack is deployed, used, checked and destroyed."""
