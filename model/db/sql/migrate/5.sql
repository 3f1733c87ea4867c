-- From version 4 to 5.
-- Images' directories in the recycle bin are others than before.
ALTER TABLE image ADD COLUMN places INTEGER NOT NULL DEFAULT 0;
