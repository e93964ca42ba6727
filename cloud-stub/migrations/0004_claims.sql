-- What whoever has claimed a box calls it, and where it is to stand, until it joins.
ALTER TABLE session ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN site TEXT NOT NULL DEFAULT '';
