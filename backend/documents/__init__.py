"""Files for people: workbooks, tables, PDF. Knows nothing of the business."""
