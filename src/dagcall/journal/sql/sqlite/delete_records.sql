DELETE FROM records WHERE entry > ?1 << 32 AND entry < (?1 + 1) << 32
