"""Each table and card that one stage writes and others read: its form, its writer and its reader."""
