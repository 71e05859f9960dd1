"""Views of the result: JSON, pictures, HTML."""
