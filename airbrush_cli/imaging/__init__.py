"""Pictures in: from any file to the page-sized colour target and the mask of dark lines."""
