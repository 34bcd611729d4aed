-- The hotels' database: SQLite. Everything in it is invented. Money is in euro cents.

CREATE TABLE guest (
    guest_id TEXT PRIMARY KEY,
    name     TEXT NOT NULL,
    level    TEXT NOT NULL CHECK (level IN ('basic', 'silver', 'gold', 'platinum'))
) WITHOUT ROWID;

CREATE TABLE hotel (
    hotel_id TEXT PRIMARY KEY,
    name     TEXT NOT NULL,
    city     TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE feature (
    hotel_id TEXT NOT NULL REFERENCES hotel,
    feature  TEXT NOT NULL,
    PRIMARY KEY (hotel_id, feature)
) WITHOUT ROWID;

CREATE TABLE room (
    hotel_id TEXT NOT NULL REFERENCES hotel,
    room     TEXT NOT NULL,
    sleeps   INTEGER NOT NULL,
    PRIMARY KEY (hotel_id, room)
) WITHOUT ROWID;

CREATE TABLE stay (
    stay_id         INTEGER PRIMARY KEY,
    guest_id        TEXT NOT NULL REFERENCES guest,
    hotel_id        TEXT NOT NULL REFERENCES hotel,
    nights          INTEGER NOT NULL,
    cents_per_night INTEGER NOT NULL,
    rating          INTEGER CHECK (rating BETWEEN 1 AND 5)
);
CREATE INDEX stay_by_guest ON stay (guest_id);
CREATE INDEX stay_by_hotel ON stay (hotel_id, rating);

-- What was offered to whom: opened by the run's setup, filled by its side branch, closed by its teardown.
CREATE TABLE quote (
    quote_id  TEXT PRIMARY KEY,
    guest_id  TEXT NOT NULL REFERENCES guest,
    opened_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    closed_at TEXT
) WITHOUT ROWID;

CREATE TABLE offered (
    quote_id    TEXT NOT NULL REFERENCES quote,
    place       INTEGER NOT NULL,
    hotel_id    TEXT NOT NULL REFERENCES hotel,
    total_cents INTEGER NOT NULL,
    score       REAL NOT NULL,
    PRIMARY KEY (quote_id, place)
) WITHOUT ROWID;

INSERT INTO hotel VALUES
    ('H-101', 'Azulejo House', 'Lisbon'),
    ('H-102', 'Miradouro Palace', 'Lisbon'),
    ('H-103', 'Tejo Business Hotel', 'Lisbon'),
    ('H-104', 'Alfama Steps', 'Lisbon'),
    ('H-105', 'Parque Garden', 'Lisbon'),
    ('H-201', 'Douro Terrace', 'Porto'),
    ('H-202', 'Market Inn', 'Porto'),
    ('H-203', 'Foz Sea Hotel', 'Porto'),
    ('H-204', 'Ribeira Rooms', 'Porto'),
    ('H-301', 'Ring Grand', 'Vienna'),
    ('H-302', 'Naschmarkt Rooms', 'Vienna'),
    ('H-303', 'Prater Family Hotel', 'Vienna'),
    ('H-304', 'Danube Tower', 'Vienna');

-- Three each, so that no hotel suits a guest better only because more is said about it.
INSERT INTO feature VALUES
    ('H-101', 'central'), ('H-101', 'quiet'), ('H-101', 'breakfast'),
    ('H-102', 'spa'), ('H-102', 'pool'), ('H-102', 'view'),
    ('H-103', 'business'), ('H-103', 'gym'), ('H-103', 'parking'),
    ('H-104', 'budget'), ('H-104', 'central'), ('H-104', 'pets'),
    ('H-105', 'family'), ('H-105', 'pool'), ('H-105', 'parking'),
    ('H-201', 'view'), ('H-201', 'breakfast'), ('H-201', 'quiet'),
    ('H-202', 'budget'), ('H-202', 'central'), ('H-202', 'breakfast'),
    ('H-203', 'spa'), ('H-203', 'pool'), ('H-203', 'family'),
    ('H-204', 'central'), ('H-204', 'view'), ('H-204', 'pets'),
    ('H-301', 'spa'), ('H-301', 'central'), ('H-301', 'view'),
    ('H-302', 'budget'), ('H-302', 'central'), ('H-302', 'pets'),
    ('H-303', 'family'), ('H-303', 'parking'), ('H-303', 'breakfast'),
    ('H-304', 'business'), ('H-304', 'gym'), ('H-304', 'view');

INSERT INTO room (hotel_id, room, sleeps) SELECT hotel_id, 'double', 2 FROM hotel;
INSERT INTO room (hotel_id, room, sleeps) SELECT hotel_id, 'family', 4 FROM feature WHERE feature = 'family';
INSERT INTO room VALUES
    ('H-102', 'suite', 3), ('H-105', 'apartment', 6), ('H-201', 'suite', 3), ('H-203', 'apartment', 6),
    ('H-204', 'apartment', 5), ('H-301', 'suite', 4);

INSERT INTO guest VALUES
    ('G-1001', 'Ada Mota', 'platinum'),
    ('G-1002', 'Bruno Keller', 'basic'),
    ('G-1003', 'Chiyo Lindqvist', 'silver'),
    ('G-1004', 'Dana Okafor', 'basic'); -- never stayed with us

INSERT INTO stay (guest_id, hotel_id, nights, cents_per_night, rating) VALUES
    ('G-1001', 'H-102', 4, 23800, 5), ('G-1001', 'H-203', 3, 18900, 5), ('G-1001', 'H-301', 2, 25400, 4),
    ('G-1001', 'H-103', 1, 14100, 2), ('G-1001', 'H-102', 2, 21900, 5),
    ('G-1002', 'H-104', 2, 6400, 4), ('G-1002', 'H-302', 3, 7200, 4), ('G-1002', 'H-202', 1, 6100, NULL),
    ('G-1003', 'H-105', 7, 13900, 5), ('G-1003', 'H-303', 4, 12700, 4), ('G-1003', 'H-203', 5, 19800, 3);

-- A thousand more guests, G-2000 to G-2999, with up to six stays each, by arithmetic: the same on every machine.
WITH RECURSIVE number(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < 999)
INSERT INTO guest
SELECT printf('G-%d', 2000 + n),
       json_extract('["Ines","Jonas","Kofi","Lena","Mateo","Nora","Omar","Petra","Quinn","Rosa"]',
                    '$[' || (n % 10) || ']')
       || ' ' ||
       json_extract('["Adler","Braga","Costa","Dietrich","Esteves","Fischer","Gomes","Huber","Ivanov","Jensen"]',
                    '$[' || (n / 10 % 10) || ']'),
       json_extract('["basic","basic","silver","gold","platinum"]', '$[' || (n * 7 / 3 % 5) || ']')
FROM number;

WITH RECURSIVE number(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < 999),
               visit(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM visit WHERE k < 5),
               numbered(place, hotel_id) AS (SELECT row_number() OVER (ORDER BY hotel_id) - 1, hotel_id FROM hotel)
INSERT INTO stay (guest_id, hotel_id, nights, cents_per_night, rating)
SELECT printf('G-%d', 2000 + n), hotel_id, 1 + (n + k) % 5, 6000 + (n * 137 + k * 61) % 16000,
       min(5, json_extract('[4,5,3,4,4,5,3,4,3,5,4,4,3]', '$[' || place || ']') + (n + k) % 3 - 1)
FROM number JOIN visit ON k < n % 7 JOIN numbered ON place = (n * 31 + k * 17) % 13
ORDER BY n, k;
