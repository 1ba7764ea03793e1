"""Pictures from files and bytes: which are pictures, their pixels, thumbnails and dates. Knows no model and no collection."""
