-- What was changed without being ended, so that nodes read it again: memories of keys and accounts
-- ask whether one of their tags was touched above the position as of which they were read.
CREATE TABLE change_touch (
    position INTEGER NOT NULL,
    tag INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (position, tag)
) STRICT;
CREATE INDEX change_touch_age ON change_touch (created_at, position);

-- The highest position whose touches are not all there: they were dropped, or never written because
-- an older version made the change.
ALTER TABLE change_head ADD COLUMN touch_floor INTEGER NOT NULL DEFAULT 0;
-- The position of the last change that wrote its touches. An older version leaves it where it is.
ALTER TABLE change_head ADD COLUMN touched_position INTEGER NOT NULL DEFAULT 0;
